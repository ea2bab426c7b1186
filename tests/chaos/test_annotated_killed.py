"""Workers are killed in runs whose plans have duplicates, groups and preloads: right values, every task told once."""

from __future__ import annotations

import random

import pytest

from dagnb.graph.graph import TaskRef
from dagnb.planning.assignment import Annotations
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.trace.events import RecordKind
from tests.chaos.spree import hunt, values_of
from tests.chaos.work import block, heads, nap, peek, table, total
from tests.runtime.dags import Sketch, random_dag
from tests.runtime.test_annotations import chance_plan, planned, w

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


def small(pool: LocalPool, seed: int, every: float) -> None:
    sketch = random_dag(400, seed, nap, total)
    graph = sketch.graph(kept=range(0, 400, 7))
    want = values_of(sketch)
    begun = start(graph, chance_plan(graph, seed), pool)
    hunt(pool, begun, every, seed)
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
    sketch = random_dag(200, seed, block, heads)
    graph = sketch.graph()
    begun = start(graph, chance_plan(graph, seed), pool)
    hunt(pool, begun, every, seed)
    assert begun.result(TaskRef(len(graph) - 1)) == values_of(sketch)[-1]


@pytest.mark.slow
def test_sigkill_among_large_duplicates(pool):
    large(pool, 5, 0.15)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(300, 310))
def test_sigkill_among_large_duplicates_with_many_seeds(pool, seed):
    large(pool, seed, random.Random(seed).uniform(0.05, 0.2))


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
    hunt(pool, begun, 0.3, 3)
    assert [begun.result(r) for r in readers] == [i % 3 + i for i in range(60)]
    assert set(begun.timeline.asides["kind"].tolist()) >= {RecordKind.COPIED}
