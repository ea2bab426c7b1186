"""Workers and Redis are killed while several runs take turns in the same slots.

Free and named tasks, large values and groups: a worker that dies may just have left one run, or not yet have begun in
the next.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.run import Run, start
from tests.chaos.spree import PATIENCE, SOUND, WORKERS, Siege, Verdict, audit, outcome, siege
from tests.chaos.work import block, heads, nap
from tests.runtime.dags import Sketch, free_plan, random_dag

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagnb.graph.graph import TaskGraph

pytestmark = pytest.mark.chaos

#: Tasks of each run.
MANY = 250


def named(graph: TaskGraph) -> Plan:
    """Most tasks have a worker."""
    where = [i * 7 % (WORKERS + 1) - 1 for i in range(len(graph))]
    return _plan(graph, where)


def grouped(graph: TaskGraph) -> Plan:
    """Nobody has a worker; some stay together."""
    notes = {i: Annotations(group=i // 4 % 20) for i in range(len(graph)) if i % 2}
    return _plan(graph, [-1] * len(graph), notes)


def _plan(graph: TaskGraph, where: list[int], notes: dict[int, Annotations] | None = None) -> Plan:
    order = range(len(graph))
    cluster = Cluster.local(WORKERS)
    return Plan.build(graph, cluster, estimate(graph), worker=where, sequence=order, annotations=notes or {})


def beside(found: Siege, seed: int) -> list[tuple[Run, Sketch]]:
    """Two more runs in the pool of a siege."""
    blocks = random_dag(MANY, seed + 1, block, heads)
    naps = random_dag(MANY, seed + 2, nap, sum)
    plans: list[Callable[[TaskGraph], Plan]] = [free_plan, named, grouped]
    begun = []
    for k, sketch in enumerate((blocks, naps)):
        graph = sketch.graph()
        begun.append((start(graph, plans[(seed + k) % 3](graph), found.pool), sketch))
    return begun


def besieged(seed: int, strike: Callable[[Siege], None], shortest: float, longest: float) -> Verdict:
    """Three runs that are struck until the last has ended."""
    with siege(seed, tasks=MANY, plan=(named, grouped)[seed % 2], max_deaths=1_000) as found:
        others = beside(found, seed)
        runs = [found.run, *(run for run, _ in others)]
        end = time.monotonic() + PATIENCE
        while any(run.wait(0.0).state == "running" for run in runs):
            assert time.monotonic() < end, [(run.state, run.progress) for run in runs]
            time.sleep(found.chance.uniform(shortest, longest))
            strike(found)
        assert found.strikes
        verdict = audit(found)
        for run, sketch in others:
            assert run.state == "done", run.errors()
            verdict += outcome(found.pool, run.id, sketch, run.kept)
        return verdict


def fault(seed: int) -> Verdict:
    """A worker is killed every 100 to 300 ms."""
    return besieged(seed, lambda found: found.kill("worker"), 0.1, 0.3)


def with_redis(seed: int) -> Verdict:
    """Workers are killed, and Redis now and then."""

    def strike(found: Siege) -> None:
        found.kill("redis" if found.chance.random() < 0.2 else "worker")

    return besieged(seed, strike, 0.2, 0.5)


@pytest.mark.parametrize("seed", [1, *(pytest.param(k, marks=pytest.mark.long) for k in range(2, 12))])
def test_workers_that_die_while_runs_take_turns(seed):
    assert fault(seed) == SOUND


@pytest.mark.parametrize("seed", [2, *(pytest.param(k, marks=pytest.mark.long) for k in range(3, 8))])
def test_redis_that_dies_while_runs_take_turns(seed):
    assert with_redis(seed) == SOUND
