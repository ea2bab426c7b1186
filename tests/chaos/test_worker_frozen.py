"""A worker is stopped and not woken: it is replaced. One that is woken after it was given up is refused."""

from __future__ import annotations

import os
import signal
import time

import pytest

from dagnb.runtime.hub import Hub
from tests.chaos.spree import SOUND, Siege, Verdict, audit, siege
from tests.runtime.life import until

pytestmark = pytest.mark.chaos


def freeze(found: Siege) -> int:
    """Stop a worker that is at a task, and say which slot it is in."""
    while (busy := next((worker for worker in found.workers() if worker.task is not None), None)) is None:
        assert found.go_on(0.002), "it had ended before enough was broken"
    os.kill(busy.pid, signal.SIGSTOP)
    found.strikes += 1
    return busy.slot


def fault(seed: int) -> Verdict:
    """One worker, then all of them, are frozen for good."""
    with siege(seed, tasks=1_000) as found:
        found.under_way()
        freeze(found)
        found.go_on(0.5)
        for worker in found.workers():
            os.kill(worker.pid, signal.SIGSTOP)
        while found.go_on(0.5):
            pass
        assert found.directory.log.read_text().count("has been stopped for") == 4
        return audit(found)


def test_a_frozen_worker_is_replaced_and_its_task_is_not_to_blame():
    assert fault(1) == SOUND


def test_a_worker_that_was_given_up_while_it_was_frozen_is_refused():
    with siege(2, tasks=400) as found:
        found.under_way()
        slot = freeze(found)
        victim = next(worker for worker in found.workers() if worker.slot == slot)
        back = Hub.of(found.pool).store.recover(None, slot, time.time_ns(), None)
        assert back > 0, "it owned what it was at"
        found.go_on(0.3)
        os.kill(victim.pid, signal.SIGCONT)
        until(lambda: f"(pid {victim.pid}) ended: exit code 17" in found.directory.log.read_text())
        while found.go_on(0.5):
            pass
        assert audit(found) == SOUND


def test_what_is_stopped_for_a_moment_goes_on():
    with siege(3, tasks=1_000) as found:
        found.under_way()
        for _ in range(3):
            slot = freeze(found)
            victim = next(worker for worker in found.workers() if worker.slot == slot)
            found.go_on(0.3)
            os.kill(victim.pid, signal.SIGCONT)
            found.go_on(0.2)
        while found.go_on(0.5):
            pass
        assert found.pool.status().deaths == 0
        assert audit(found) == SOUND
