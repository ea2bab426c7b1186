"""Runs under which everything is killed that carries them: values are right, and nothing is left."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, start
from tests.runtime import dags
from tests.runtime.life import killed_kernel, private_directory, processes, settings, until

pytestmark = pytest.mark.chaos


@pytest.fixture
def pool():
    with private_directory() as directory:
        found = LocalPool.connect(settings(directory, workers=2))
        yield found
        found.stop()
        assert list(directory.path.iterdir()) == []
        until(lambda: not processes(directory))


def slow_mix(number: int, *xs: int) -> int:
    """Five milliseconds that an interrupt may hit anywhere."""
    time.sleep(0.005)
    return dags.mix(number, *xs)


def under_way(pool: LocalPool, tasks: int, seed: int) -> tuple[Run, int]:
    """A run of which something is done and much is not, and the value of its last task in plain Python."""
    sketch = dags.random_dag(tasks, seed, slow_mix)
    expected = dags.random_dag(tasks, seed).values()[-1]
    graph = sketch.graph()
    run = start(graph, dags.free_plan(graph), pool)
    until(lambda: pool.status().runs == (run.id,) and any(w.task is not None for w in pool.status().workers))
    time.sleep(0.1)
    return run, expected


def finished(run: Run, expected: int) -> None:
    """The run ends, every task once, and its last value is right."""
    run.wait(40)
    assert run.state == "done", (run.state, run.progress, run.errors())
    assert run.result(run.graph.keys[-1]) == expected
    assert run.timeline.counts[3] == len(run.graph)


def kill(pool: LocalPool, *what: str) -> None:
    told = pool.status()
    victims = {"redis": told.redis.pid, "supervisor": told.pid}
    victims |= {f"worker {worker.slot}": worker.pid for worker in told.workers}
    for name in what:
        os.kill(victims[name], signal.SIGKILL)


@pytest.mark.parametrize(
    "what",
    [
        ("redis",),
        ("redis", "worker 1"),
        ("supervisor",),
    ],
    ids=" and ".join,
)
def test_a_run_survives_the_death_of(pool, what):
    run, expected = under_way(pool, 200, seed=len(what[0]))
    for _ in range(2):
        kill(pool, *what)
        time.sleep(0.4)
        if run.state != "running":
            break
    finished(run, expected)


KERNEL = """
import sys
from tests.runtime.test_lifecycle import under_way
from dagnb.runtime.pool import LocalPool
run, expected = under_way(LocalPool.connect(), 200, 5)
print(run.id, expected, run.graph.index[run.graph.keys[-1]], flush=True)
sys.stdin.read()
"""


def test_everything_ends_after_the_last_run_of_a_kernel_that_is_gone():
    """The kernel is killed; the run ends by itself, and then workers, Redis and supervisor do, and nothing is left."""
    with private_directory() as directory:
        killed_kernel(directory, KERNEL)
        supervisor = psutil.Process(LocalPool.connect(settings(directory)).status().pid)
        until(lambda: not supervisor.is_running() or supervisor.status() == psutil.STATUS_ZOMBIE, 30)
        assert list(directory.path.iterdir()) == []
        assert processes(directory) == []
