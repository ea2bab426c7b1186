"""Workers are killed among tasks that fail and are tried again: every value is right, and no try is given away."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from dagnb.graph.care import Care, careful
from dagnb.graph.graph import TaskRef
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.trace.events import RecordKind
from tests.chaos.spree import kill_one, told_once
from tests.chaos.work import flaky, total
from tests.runtime.dags import Sketch, free_plan, mix, random_dag

pytestmark = pytest.mark.chaos

#: How often a task may be tried.
TRIES = 6


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(200, 220))])
def test_sigkill_among_tries_loses_nothing_and_gives_none(pool, tmp_path, seed):
    function = careful(Care(retries=TRIES - 1, delay=0.01), flaky)
    function.__dict__["__name__"] = "flaky"
    plain = random_dag(400, seed, last=total)
    sketch = Sketch("flaky")
    sketch.calls = [(function, (str(tmp_path), *a), k) if f is mix else (f, a, k) for f, a, k in plain.calls]
    graph = sketch.graph(kept=range(0, 400, 7))
    want = plain.values()
    chance = random.Random(seed)
    deaths = pool.status().deaths
    begun = start(graph, free_plan(graph, 3), pool)
    while begun.wait(0.2).state == "running":
        kill_one(pool, chance)
    assert begun.state == "done", begun.errors()
    assert pool.status().deaths > deaths + 2
    assert [begun.result(TaskRef(task)) for task in sorted(graph.kept)] == [want[task] for task in sorted(graph.kept)]
    told_once(begun, len(graph))
    asides = begun.timeline.asides
    failed = Counter(asides["task"][asides["kind"] == RecordKind.RETRIED].tolist())
    assert all(task % 3 == 0 and times <= 2 for task, times in failed.items())
    assert len(failed) > 80
    for task, times in failed.items():
        assert begun.timeline.attempt[task] == times + 1
        assert len(begun.logs(TaskRef(task)).tries) == times
