"""The kernel is killed in the middle of a run: the run goes on, and another process reads its end."""

from __future__ import annotations

import pytest

from dagnb.runtime.hub import Hub
from dagnb.runtime.pool import LocalPool
from tests.chaos.spree import SOUND, TASKS, Verdict, outcome
from tests.chaos.work import nap, total
from tests.runtime.dags import random_dag
from tests.runtime.life import killed_kernel, private_directory, settings, until

pytestmark = pytest.mark.chaos

KERNEL = """
import sys
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from tests.chaos.work import nap, total
from tests.runtime.dags import free_plan, random_dag
graph = random_dag(TASKS, SEED, nap, total).graph(kept=range(TASKS))
run = start(graph, free_plan(graph, 4), LocalPool.connect())
while run.progress[3] < 100:
    run.wait(0.02)
print(run.id, flush=True)
sys.stdin.read()
"""


def fault(seed: int) -> Verdict:
    """The kernel dies when a hundred tasks are done."""
    with private_directory() as directory:
        run = killed_kernel(directory, KERNEL.replace("TASKS", str(TASKS)).replace("SEED", str(seed)))
        pool = LocalPool.connect(settings(directory))
        store = Hub.of(pool).store
        assert run in store.live_runs()
        until(lambda: run not in store.live_runs(), 60)
        facts = store.facts(run)
        assert facts is not None
        assert facts.state == "done"
        found = outcome(pool, run, random_dag(TASKS, seed, nap, total), range(TASKS))
        pool.stop()
        return found


def test_sigkill_of_the_kernel_leaves_the_run_going():
    assert fault(9) == SOUND
