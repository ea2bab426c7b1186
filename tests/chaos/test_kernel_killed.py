"""The kernel is killed in the middle of a run: the run goes on, and another process reads its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dagnb.runtime.hub import Hub
from dagnb.runtime.pool import LocalPool

pytestmark = pytest.mark.chaos

KERNEL = """
import sys, time
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from tests.runtime.dags import free_plan
from tests.chaos.test_worker_killed import mix_slowly
from tests.runtime.dags import random_dag
graph = random_dag(600, 9, mix_slowly).graph()
run = start(graph, free_plan(graph, 2), LocalPool.connect())
print(run.id, flush=True)
time.sleep(60)
"""


def test_sigkill_of_the_kernel_leaves_the_run_going():
    from tests.chaos.test_worker_killed import mix_slowly, values_of
    from tests.runtime.dags import random_dag

    root = Path(__file__).resolve().parents[2]
    kernel = subprocess.Popen([sys.executable, "-c", KERNEL], stdout=subprocess.PIPE, cwd=root, text=True)
    assert kernel.stdout is not None
    run = kernel.stdout.readline().strip()
    time.sleep(0.2)
    os.kill(kernel.pid, signal.SIGKILL)
    kernel.wait()
    kernel.stdout.close()

    store = Hub.of(LocalPool.connect()).store
    assert run in store.live_runs()
    end = time.monotonic() + 30
    while run in store.live_runs():
        assert time.monotonic() < end
        time.sleep(0.05)
    facts = store.facts(run)
    assert facts is not None
    assert facts.state == "done"
    there, value = store.kept(run, 599)
    assert there
    assert value == values_of(random_dag(600, 9, mix_slowly))[-1]


def test_a_new_kernel_attaches_without_an_id_and_finds_everything(monkeypatch):
    import dagnb
    from dagnb.session import joining
    from dagnb.session.names import DAGS
    from tests.chaos.test_worker_killed import mix_slowly, told_once, values_of
    from tests.runtime.dags import random_dag

    root = Path(__file__).resolve().parents[2]
    monkeypatch.chdir(root)
    code = KERNEL.replace("600", "2000").replace("graph()", "graph(kept=range(0, 2000, 7))")
    kernel = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root, text=True)
    assert kernel.stdout is not None
    begun = kernel.stdout.readline().strip()
    time.sleep(0.5)
    os.kill(kernel.pid, signal.SIGKILL)
    kernel.wait()
    kernel.stdout.close()

    DAGS.clear()
    assert [orphan.id for orphan in joining.orphans() if orphan.id == begun] == [begun]
    run = dagnb.attach()
    assert run.id == begun
    assert run.wait(60).state == "done"
    want = values_of(random_dag(2000, 9, mix_slowly))
    assert len(run.kept) >= 286
    for task in run.kept:
        assert run.result(run.graph.keys[task]) == want[task]
    told_once(run, 2000)
    assert len(run.hub.store.live_runs()) == 0
    DAGS.clear()
