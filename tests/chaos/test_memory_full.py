"""Redis is out of memory in the middle of a run: everybody waits, and goes on when there is room again."""

from __future__ import annotations

import os
import signal
import time

import pytest

from dagnb.errors import StoreError
from dagnb.runtime import line
from dagnb.runtime.wire import Wire
from tests.chaos.spree import SOUND, Siege, Verdict, audit, siege

pytestmark = pytest.mark.chaos


def limit(found: Siege, size: int) -> None:
    """Let Redis have so many bytes; 0: as many as it likes."""
    wire = Wire(str(found.directory.socket))
    wire.call("CONFIG", "SET", "maxmemory", size)
    wire.close()
    found.strikes += 1


def fault(seed: int) -> Verdict:
    """Three times there is no room at all for a while; once a worker dies in it."""
    with siege(seed, tasks=1_000) as found:
        found.under_way()
        for strike in range(3):
            victim = found.chance.choice(found.workers())
            limit(found, 1)
            if strike == 1:
                os.kill(victim.pid, signal.SIGKILL)
            assert found.go_on(0.5)
            limit(found, 0)
            found.go_on(0.3)
        while found.go_on(0.5):
            pass
        assert "exit code" not in found.directory.log.read_text(), "a worker did not wait"
        return audit(found)


def test_no_memory_for_a_while():
    assert fault(1) == SOUND


def test_no_memory_for_long_is_told_and_the_run_is_not_lost(monkeypatch):
    monkeypatch.setattr(line, "PATIENCE", 1.0)
    with siege(2, tasks=400) as found:
        found.under_way()
        limit(found, 1)
        began, used = time.monotonic(), time.process_time()
        with pytest.raises(StoreError, match=r"(?s)nothing for 1 s: OOM .*not lost"):
            found.run.wait()
        assert time.monotonic() - began < 5
        assert time.process_time() - used < 0.5, "it waits without a pause"
        limit(found, 0)
        while found.go_on(0.5):
            pass
        assert audit(found) == SOUND


def test_a_run_can_be_cancelled_without_memory():
    with siege(3, tasks=400) as found:
        found.under_way()
        limit(found, 1)
        began = time.monotonic()
        assert found.pool.status().runs == (found.run.id,)
        found.run.cancel()
        assert found.run.state == "cancelled"
        found.pool.stop()
        assert time.monotonic() - began < 5
