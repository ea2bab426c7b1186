"""Workers are killed while they work: every value is right, every task is told once, nothing hangs."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from dagnb.graph.graph import TaskRef
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.trace.events import TaskState
from tests.runtime.dags import Sketch, free_plan, mix, random_dag

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


def mix_slowly(number: int, *xs: int) -> int:
    time.sleep(0.004 + number % 5 * 0.002)  # so long that several deaths fall into a run
    return mix(number, *xs)


def arrays(number: int, *xs: object) -> object:
    """Half a megabyte whose content depends on all inputs; checks that no input is torn."""
    import numpy as np

    time.sleep(0.001)
    for x in xs:
        assert (x == x[0]).all()
    return np.full(60_000, float(mix(number, *(int(x[0]) for x in xs))))


def heads(xs: list[object]) -> int:
    return int(sum(x[0] for x in xs))


@pytest.mark.slow
@pytest.mark.parametrize(("every", "seed"), [pytest.param(0.3, 1, marks=pytest.mark.long), (0.15, 2)])
def test_sigkill_of_workers_leaves_every_value_right(pool, every, seed):
    killing_spree(pool, every, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_sigkill_of_workers_with_many_seeds(pool, seed):
    killing_spree(pool, random.Random(seed).uniform(0.1, 0.5), seed)


def killing_spree(pool, every, seed):
    sketch = random_dag(2000, seed, mix_slowly)
    graph = sketch.graph(kept=range(0, 2000, 7))
    want = values_of(sketch)
    deaths = pool.status().deaths
    begun = start(graph, free_plan(graph, 4), pool)
    chance = random.Random(seed)
    while begun.wait(every).state == "running":
        kill_one(pool, chance)
    assert begun.state == "done", begun.errors()
    assert pool.status().deaths > deaths + 3
    for task in graph.kept:
        assert begun.result(TaskRef(task)) == want[task]
    told_once(begun, len(graph))


@pytest.mark.slow
def test_sigkill_among_large_values(pool):
    sketch = random_dag(200, 5, arrays)
    _, args, kwargs = sketch.calls.pop()
    sketch.calls.append((heads, args, kwargs))
    graph = sketch.graph()
    begun = start(graph, free_plan(graph, 3), pool)
    chance = random.Random(5)
    while begun.wait(0.25).state == "running":
        kill_one(pool, chance)
    assert begun.state == "done", begun.errors()
    sketch.calls = [(mix if f is arrays else sum, a, k) for f, a, k in sketch.calls]
    assert begun.result(TaskRef(len(graph) - 1)) == sketch.values()[-1]


def once(path: str, x: int) -> int:
    """Kills its worker the first time it runs."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x + 1


def test_only_what_was_lost_runs_again(pool, tmp_path):
    """A chain with one death in it: what was committed before is not repeated."""
    sketch = Sketch()
    trace = str(tmp_path / "trace")
    value = sketch(note, trace, 0)
    for i in range(1, 6):
        value = sketch(note, trace, i, value)
    value = sketch(once, str(tmp_path / "died"), value)
    graph = sketch.graph()
    begun = start(graph, free_plan(graph, 2), pool).wait(20)
    assert begun.state == "done"
    assert begun.result(value) == 6
    ran = Path(trace).read_text().split()
    assert ran == [str(i) for i in range(6)]


def note(path: str, number: int, *_: int) -> int:
    with Path(path).open("a") as file:
        file.write(f"{number}\n")
    time.sleep(0.03)  # longer than what stays uncommitted
    return number


# ---- helpers --------------------------------------------------------------------------------------------------------
def values_of(sketch: Sketch) -> list[int]:
    plain = Sketch()
    plain.calls = [(mix if f is mix_slowly else f, a, k) for f, a, k in sketch.calls]
    return plain.values()


def kill_one(pool: LocalPool, chance: random.Random) -> None:
    living = [w.pid for w in pool.status().workers if w.pid]
    if living:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(living), signal.SIGKILL)


def told_once(run, tasks: int) -> None:
    """Committed records, with retractions folded, name each task exactly once."""
    final: list[int] = []
    open_records: dict[int, list[int]] = {}
    batches: list = []
    run.subscribe(batches.append)()
    for batch in batches:
        said = open_records.setdefault(batch.worker, [])
        said += batch.records["task"][batch.records["kind"] == 2].tolist()
        if batch.purpose == 1:
            final += said
        if batch.purpose:
            open_records[batch.worker] = []
    assert sorted(final) == list(range(tasks))
    assert (run.timeline.state == TaskState.DONE).all()
