"""Workers are killed in runs whose plans have duplicates, groups and preloads: right values, every task told once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dagnb.graph.graph import TaskRef
from dagnb.planning.assignment import Annotations
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.runtime.values import INLINE
from dagnb.trace.events import RecordKind
from tests.chaos.test_worker_killed import mix_slowly, told_once, values_of
from tests.runtime.dags import Sketch, mix, random_dag
from tests.runtime.test_annotations import arrays, chance_plan, heads, nothing_left, planned, w

if TYPE_CHECKING:
    from dagnb.runtime.run import Run

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


def spree(pool: LocalPool, begun: Run, every: float, seed: int) -> None:
    chance, killed = random.Random(seed), Counter()
    while begun.wait(every).state == "running":
        kill_busy(pool, chance, killed)
    assert killed.total()
    assert begun.state == "done", begun.errors()
    told_once(begun, len(begun.graph))
    nothing_left(begun)


def kill_busy(pool: LocalPool, chance: random.Random, killed: Counter[int | None]) -> None:
    """Kill one that is at a task: a plan names workers, and would wait for ever if they died before they had begun.

    Not one whose task has died twice: a third time it would count as the cause.
    """
    busy = [worker for worker in pool.status().workers if worker.task is not None and killed[worker.task] < 2]
    if busy:
        worker = chance.choice(busy)
        killed[worker.task] += 1
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)


def small(pool: LocalPool, seed: int, every: float) -> None:
    sketch = random_dag(400, seed, mix_slowly)
    graph = sketch.graph(kept=range(0, 400, 7))
    want = values_of(sketch)
    begun = start(graph, chance_plan(graph, seed), pool)
    spree(pool, begun, every, seed)
    for task in graph.kept:
        assert begun.result(TaskRef(task)) == want[task]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_sigkill_among_duplicates_groups_and_preloads(pool, seed):
    small(pool, seed, 0.3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(200, 220))
def test_sigkill_among_duplicates_with_many_seeds(pool, seed):
    small(pool, seed, random.Random(seed).uniform(0.2, 0.8))


def large(pool: LocalPool, seed: int, every: float) -> None:
    sketch = random_dag(200, seed, arrays)
    _, args, kwargs = sketch.calls.pop()
    sketch.calls.append((heads, args, kwargs))
    graph = sketch.graph()
    begun = start(graph, chance_plan(graph, seed), pool)
    spree(pool, begun, every, seed)
    sketch.calls = [(mix if f is arrays else sum, a, k) for f, a, k in sketch.calls]
    assert begun.result(TaskRef(len(graph) - 1)) == sketch.values()[-1]


@pytest.mark.slow
def test_sigkill_among_large_duplicates(pool):
    large(pool, 5, 0.03)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(300, 310))
def test_sigkill_among_large_duplicates_with_many_seeds(pool, seed):
    large(pool, seed, random.Random(seed).uniform(0.05, 0.2))


def table(number: int) -> Any:
    time.sleep(0.01)
    return np.full(INLINE, float(number))


def peek(x: Any, number: int) -> float:
    time.sleep(0.02)
    return float(x[0]) + number


def test_a_value_at_home_is_made_again_when_its_worker_dies(pool):
    """Two copies, no transfer: whoever comes after a death has nobody to ask for the value but itself."""
    sketch = Sketch()
    made = [sketch(table, i) for i in range(3)]
    readers = [sketch(peek, made[i % 3], i) for i in range(60)]
    sketch(sum, readers)
    graph = sketch.graph(kept=[r.task for r in readers])
    where = [0, 0, 0, *[i % 2 for i in range(60)], -1]
    notes = {i: Annotations(duplicate=w(1)) for i in range(3)}
    begun = start(graph, planned(graph, where, notes), pool)
    spree(pool, begun, 0.3, 3)
    assert [begun.result(r) for r in readers] == [i % 3 + i for i in range(60)]
    assert set(begun.timeline.asides["kind"].tolist()) >= {RecordKind.COPIED}
