"""The supervisor is killed, and takes Redis and the workers along: the next one takes the run up."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dagnb.runtime import requests
from tests.chaos.spree import SOUND, Siege, Verdict, audit, besieged, siege

pytestmark = pytest.mark.chaos

TIMES = 2


def fault(seed: int) -> Verdict:
    """The supervisor dies twice; the kernel that waits for its run starts the next one."""

    def strike(found: Siege) -> None:
        if found.strikes < TIMES:
            found.kill("supervisor")

    return besieged(seed, 1.0, strike, least=TIMES)


def test_sigkill_of_the_supervisor():
    assert fault(1) == SOUND


def test_a_request_that_went_with_the_supervisor_is_made_again_at_once(monkeypatch):
    """Redis may hand it to the connection of the dead one, before it notices."""
    monkeypatch.setattr(requests, "REPEAT", 1e9)
    with siege(2, tasks=400) as found:
        found.under_way()
        for _ in range(2):
            found.kill("supervisor")
            assert found.run.id in found.pool.status().runs or not found.go_on(0)
        while found.go_on(0.5):
            pass
        assert audit(found) == SOUND


def test_who_waits_for_the_answer_of_a_dead_one_asks_the_next_as_soon_as_it_is_there():
    """Not only when the wait on the new connection, a second, is over."""
    with siege(3, tasks=400) as found, ThreadPoolExecutor() as threads:
        found.under_way()
        supervisor = found.pid("supervisor")
        os.kill(supervisor, signal.SIGSTOP)  # it is handed the request, and never reads it
        asked = threads.submit(found.pool.status)
        time.sleep(0.2)
        assert not asked.done()
        began = time.monotonic()
        found.strike(supervisor)
        assert asked.result(10).pid != supervisor
        assert time.monotonic() - began < 1.0
        while found.go_on(0.5):
            pass
