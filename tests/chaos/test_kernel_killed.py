"""The kernel is killed in the middle of a run: the run goes on, and another process reads its end."""

from __future__ import annotations

import os

import pytest

import dagnb
from dagnb.runtime.directory import RuntimeDir
from dagnb.runtime.hub import Hub
from dagnb.runtime.pool import LocalPool
from dagnb.session import joining
from dagnb.session.names import DAGS
from dagnb.trace.events import TaskState
from tests.chaos.spree import SOUND, TASKS, Verdict, outcome, values_of
from tests.chaos.work import nap, total
from tests.runtime.dags import random_dag
from tests.runtime.life import ROOT, killed_kernel, private_directory, settings, until

pytestmark = pytest.mark.chaos

KERNEL = """
import sys
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from tests.chaos.work import nap, total
from tests.runtime.dags import free_plan, random_dag
graph = random_dag(TASKS, SEED, nap, total).graph(kept=range(TASKS))
run = start(graph, free_plan(graph, 4), LocalPool.connect())
while run.progress[3] < 100 or run.hub.store.outline(run.id) is None:
    run.wait(0.02)
print(run.id, flush=True)
sys.stdin.read()
"""


def program(seed: int) -> str:
    """What the kernel runs."""
    return KERNEL.replace("TASKS", str(TASKS)).replace("SEED", str(seed))


def fault(seed: int) -> Verdict:
    """The kernel dies when a hundred tasks are done, and the run has its outline (`dagnb.runtime.scribe`)."""
    with private_directory() as directory:
        run = killed_kernel(directory, program(seed))
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


def test_a_new_kernel_attaches_without_an_id_and_finds_everything(monkeypatch):
    monkeypatch.chdir(ROOT)
    begun = killed_kernel(RuntimeDir(os.environ["DAGNB_RUNTIME_DIR"]), program(5))
    DAGS.clear()
    try:
        assert begun in [orphan.id for orphan in joining.orphans()]
        run = dagnb.attach()
        assert run.id == begun
        assert run.wait(60).state == "done"
        assert outcome(LocalPool.connect(), begun, random_dag(TASKS, 5, nap, total), range(TASKS)) == SOUND
        assert run.result(run.graph.keys[-1]) == values_of(random_dag(TASKS, 5, nap, total))[-1]
        assert (run.timeline.state == TaskState.DONE).all()
        assert run.id not in run.hub.store.live_runs()
    finally:
        DAGS.clear()
