"""Runs that share workers: none waits until a longer one has ended, and nothing is lost or done twice by that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from dagnb.graph.graph import TaskRef
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, start
from tests.runtime import dags
from tests.runtime.life import ROOT, private_directory, settings, until
from tests.runtime.test_several_runs import named, of_naps


@pytest.fixture(scope="module")
def pool():
    with private_directory() as directory:
        found = LocalPool.connect(settings(directory, workers=2))
        found.ensure(2)
        yield found
        found.stop()


def slowly(number: int, *xs: int) -> int:
    time.sleep(0.004)
    return dags.mix(number, *xs)


def with_large(number: int, *xs: object) -> object:
    """Values that lie in files in memory, and such that do not."""
    import numpy as np

    time.sleep(0.004)
    total = number + sum(int(x if isinstance(x, int) else x.sum()) % 1000 for x in xs)  # type: ignore[attr-defined]
    return np.full(20_000, total % 7) if number % 3 else total


def once(run: Run) -> None:
    """It is done, and every task was done once."""
    assert run.state == "done", (run.state, run.errors()[:1])
    assert run.timeline.counts[3] == len(run.graph)
    assert (run.timeline.attempt <= 1).all()


@pytest.mark.parametrize("plan", ["free", "named"])
def test_a_short_run_does_not_wait_for_a_long_one(pool, plan):
    long = of_naps(*[0.02] * 200)
    short = of_naps(*[0.01] * 4)
    where = [i % 2 for i in range(200)]
    first = start(long, dags.free_plan(long) if plan == "free" else named(long, where), pool)
    until(lambda: first.progress[3] > 5)
    began = time.monotonic()
    for _ in range(3):
        second = start(short, dags.free_plan(short) if plan == "free" else named(short, where[:4]), pool).wait(10)
        once(second)
    waited = time.monotonic() - began
    assert first.state == "running"
    assert waited < 1.5, waited
    once(first.wait(20))


def test_a_worker_comes_back_when_the_other_run_keeps_only_one_busy(pool):
    many = of_naps(*[0.02] * 100)
    first = start(many, dags.free_plan(many), pool)
    until(lambda: first.progress[3] > 5)
    one = of_naps(3.0)
    second = start(one, dags.free_plan(one), pool)
    once(first.wait(10))
    assert second.state == "running"
    once(second.wait(10))


def test_tiny_tasks_take_turns_too(pool):
    sketch = dags.Sketch()
    rows = [[sketch(dags.leaf, i) for i in range(200)]]
    for _ in range(150):
        rows.append([sketch(dags.inc, x) for x in rows[-1]])
    tiny = sketch.graph(kept=[rows[-1][-1].task])
    first = start(tiny, dags.free_plan(tiny), pool)
    short = of_naps(0.0, 0.0)
    for _ in range(3):
        once(start(short, dags.free_plan(short), pool).wait(10))
    once(first.wait(30))
    assert first.result(TaskRef(rows[-1][-1].task)) == 349


def mixed(pool: LocalPool, runs: int, tasks: int, seed: int) -> list[tuple[Run, list[object]]]:
    """Random DAGs at once, free and named, with small and large values."""
    found = []
    for i in range(runs):
        function = slowly if i % 2 else with_large
        sketch = dags.random_dag(tasks, seed + i, function)
        sketch.calls.pop()  # its sum is of numbers only
        graph = sketch.graph()
        plan = named(graph, [(k * 7 + i) % 2 for k in range(len(graph))]) if i % 3 == 0 else dags.free_plan(graph)
        plain = {slowly: dags.mix, with_large: quick}[function]
        sketch.calls = [(plain, args, kwargs) for _, args, kwargs in sketch.calls]
        found.append((start(graph, plan, pool), sketch.values()))
    return found


def quick(number: int, *xs: object) -> object:
    import numpy as np

    total = number + sum(int(x if isinstance(x, int) else x.sum()) % 1000 for x in xs)  # type: ignore[attr-defined]
    return np.full(20_000, total % 7) if number % 3 else total


def right(run: Run, values: list[object]) -> None:
    import numpy as np

    for task in run.kept:
        assert np.array_equal(run.result(TaskRef(task)), values[task]), task


def test_many_runs_that_take_turns_give_what_plain_python_gives(pool):
    for run, values in mixed(pool, 5, 150, 11):
        once(run.wait(40))
        right(run, values)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", [1, *(pytest.param(k, marks=pytest.mark.long) for k in range(2, 12))])
def test_workers_that_die_while_they_take_turns(pool, seed):
    runs = mixed(pool, 4, 120, 100 * seed)
    for k in range(12):
        time.sleep(0.13)
        told = [worker.pid for worker in pool.status().workers if worker.pid and worker.run]
        if told:
            os.kill(told[k % len(told)], signal.SIGKILL)
    for run, values in runs:
        run.wait(60)
        assert run.state == "done", (run.state, run.progress, run.errors()[:1])
        assert run.timeline.counts[3] == len(run.graph)
        right(run, values)


KERNEL = """
import sys, time
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from tests.runtime import dags
from tests.runtime.test_several_runs import of_naps
from tests.runtime.test_turns import once
pool = LocalPool.connect()
pool.ensure(2)
graphs = [of_naps(*[0.005] * 8) for _ in range(10)]
print("ready", flush=True)
sys.stdin.readline()
runs = [start(graph, dags.free_plan(graph), pool) for graph in graphs]
for run in runs:
    once(run.wait(60))
print(*[run.submitted * 1e-9 + run.ending.at for run in runs], flush=True)
"""


def test_fifty_runs_of_five_kernels_share_the_pool():
    """Submitted at once: no kernel waits until those of the others are done."""
    with private_directory() as directory:
        environ = os.environ | {"DAGNB_RUNTIME_DIR": str(directory.path), "PYTHONPATH": ROOT}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        kernels = [subprocess.Popen([sys.executable, "-c", KERNEL], env=environ, **pipes) for _ in range(5)]
        try:
            for kernel in kernels:
                assert kernel.stdout.readline() == b"ready\n"
            for kernel in kernels:
                kernel.stdin.write(b"go\n")
                kernel.stdin.flush()
            began = time.perf_counter()
            ends = [[float(word) - began for word in kernel.communicate(timeout=60)[0].split()] for kernel in kernels]
        finally:
            for kernel in kernels:
                kernel.kill()
                kernel.communicate()
            LocalPool.connect(settings(directory)).stop()
    assert [len(found) for found in ends] == [10] * 5
    last = max(map(max, ends))
    firsts, halves = [min(found) / last for found in ends], [sorted(found)[5] / last for found in ends]
    assert max(firsts) < 0.6, ends  # of twenty per cent each, had they come kernel by kernel, the last began at 0.8
    assert max(halves) - min(halves) < 0.6, ends
    print(f"50 runs of 5 kernels in {last:.2f} s; the first of each was done after {sorted(firsts)} of that")
