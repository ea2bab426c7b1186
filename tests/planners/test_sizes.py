"""uniform, non_uniform and cheapest: plans with workers of several sizes, and the optimisations of a plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.errors import PlanError
from dagnb.graph.graph import TaskGraph
from dagnb.planners.breadth import Breadth
from dagnb.planners.cheapest import Cheapest, pareto
from dagnb.planners.heft import Heft
from dagnb.planners.non_uniform import NonUniform
from dagnb.planners.sizes import sizes
from dagnb.planners.uniform import Uniform
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.planner import run_planner
from dagnb.testing import scattered


def workers(**memory):
    """`workers(big=2, small=1)`: so many of each size; big has twice the memory of small."""
    size = {"big": 2e9, "small": 1e9}
    return tuple(WorkerSpec(WorkerId(f"{k}{i}"), memory=size[k]) for k, n in memory.items() for i in range(n))


def estimates(seconds, size=0.0, exponent=1.0):
    """Durations at 2 GB; at 1 GB they are longer by 2 to the power of the exponent: 1 costs the same."""
    n = len(seconds)
    found = Estimates.of(np.array(seconds, float), np.broadcast_to(np.array(size, float), n))
    return replace(found, share=1.0, exponent=exponent, reference=2e9)


ONE = TaskGraph.build("one", [[]])


def test_sizes_come_fastest_first():
    cluster = Cluster(workers(small=2, big=1))
    assert sizes(ONE, cluster, estimates([1.0])) == [[2], [0, 1]]
    assert sizes(ONE, Cluster.local(3), estimates([1.0])) == [[0, 1, 2]]


def test_a_size_without_room_for_a_task_comes_last():
    cluster = Cluster((*workers(small=1, big=1), WorkerSpec(WorkerId("quick"), speed=4.0, memory=1e8)))
    graph = TaskGraph.build("g", [[], []], memory=np.array([2e9, np.nan]))
    assert sizes(ONE, cluster, estimates([1.0], exponent=0.0)) == [[2], [1], [0]]
    assert sizes(graph, cluster, estimates([1.0, 1.0], exponent=0.0)) == [[1], [2], [0]]


@pytest.mark.parametrize(
    ("deps", "seconds", "sizes_", "together"),
    [
        ([[], [0], [1]], [1, 1, 1], [0, 0, 0], [{0, 1, 2}]),  # 1 → 1
        ([[], [0], [0], [0]], [1, 9, 1, 1], [0, 0, 5, 5], [{0, 2, 3}, {1}]),  # short with large outputs stay
        ([[], [0], [0], [0]], [1, 9, 1, 1], [0, 5, 0, 0], [{0}, {1, 2, 3}]),  # one long and two short
        ([[], [], [0, 1]], [1, 1, 1], [1, 9, 0], [{0}, {1, 2}]),  # N → 1: where most input is
    ],
)
def test_breadth_first_by_hand(deps, seconds, sizes_, together):
    graph = TaskGraph.build("g", deps)
    found = Breadth(graph, Cluster.local(4), estimates(seconds, sizes_), range(4)).worker
    groups = [{i for i, w in enumerate(found) if w == worker} for worker in dict.fromkeys(found)]
    assert sorted(map(sorted, groups)) == sorted(map(sorted, together))


def test_uniform_uses_one_size():
    cluster = Cluster(workers(small=4, big=4))
    plan = run_planner(Uniform(), TaskGraph.build("bag", [[]] * 8), cluster, estimates([1.0] * 8))
    assert {a.worker for a in plan.assignments} == {"big0", "big1", "big2", "big3"}
    assert plan.makespan == 2.0


def test_uniform_preloads_where_that_helps_and_can_leave_it():
    """Task 3 waits for its worker while its input could already travel."""
    graph = TaskGraph.build("g", [[], [], [1], [0, 2]])
    cluster = Cluster.local(2, bandwidth=1.0)
    known = estimates([1.0, 1.0, 5.0, 1.0], [3.0, 9.0, 9.0, 0.0])
    plan = run_planner(Uniform(duplicate=False), graph, cluster, known)
    assert plan.parameters["optimisations"] == ["preload"]
    assert plan.makespan == 7.0
    plain = run_planner(Uniform(preload=False, duplicate=False), graph, cluster, known)
    assert plain.makespan == 10.0
    assert not any(a.annotations for a in plain.assignments)


def test_duplicates_where_making_is_faster_than_moving():
    """The fan-out's input takes a second to make and ten to move: all workers make their own."""
    graph = TaskGraph.build("fan", [[], [0], [0]], kind=["a", "b", "b"])
    cluster = Cluster.local(2, bandwidth=1.0)
    known = estimates([1.0, 20.0, 20.0], [10.0, 0.0, 0.0])
    plan = run_planner(Uniform(), graph, cluster, known)
    duplicate = plan.assignments[0].annotations
    assert duplicate is not None
    assert len(duplicate.duplicate) == 1
    assert plan.makespan == 21.0
    assert run_planner(Uniform(duplicate=False, preload=False), graph, cluster, known).makespan == 31.0


def test_prewarm_where_workers_have_to_start():
    chain = TaskGraph.build("g", [[], [0], [0]])
    cluster = Cluster(Cluster.local(2).workers, startup=5.0, elastic=True)
    plan = run_planner(Uniform(), chain, cluster, estimates([10.0, 3.0, 4.0]))
    cold = run_planner(Uniform(prewarm=False), chain, cluster, estimates([10.0, 3.0, 4.0]))
    assert plan.parameters["optimisations"] == ["prewarm"]
    assert plan.makespan == cold.makespan - 5.0


def test_non_uniform_moves_what_is_not_critical():
    """Two chains of 10 and 6 seconds: the shorter one fits on a smaller worker, where it takes √2 as long."""
    graph = TaskGraph.build("g", [[], [], [0], [1]])
    cluster = Cluster(workers(big=2, small=2))
    plan = run_planner(NonUniform(tolerance=0.0), graph, cluster, estimates([5.0, 5.0, 5.0, 1.0], exponent=0.5))
    assert [str(a.worker)[:-1] for a in plan.assignments] == ["big", "small", "big", "small"]
    assert plan.makespan == 10.0
    best = run_planner(Uniform(), graph, cluster, estimates([5.0, 5.0, 5.0, 1.0], exponent=0.5))
    assert plan.gb_seconds < best.gb_seconds


def test_cheapest_by_hand():
    """At 1 GB a task takes √2 as long and costs 1/√2: it is moved where the chain beside it leaves the time."""
    graph = TaskGraph.build("g", [[], [], [0, 1]])
    cluster = Cluster(workers(big=2, small=1))
    known = estimates([10.0, 7.0, 1.0], exponent=0.5)
    plan = run_planner(Cheapest(tolerance=0.0), graph, cluster, known)
    assert [a.worker for a in plan.assignments][1] == "small0"
    assert plan.makespan == 11.0
    assert plan.gb_seconds == pytest.approx(2 * 11 + 1 * 7 * 2**0.5)


def test_cheapest_keeps_a_deadline_or_says_that_it_cannot():
    graph = TaskGraph.build("g", [[]] * 4)
    cluster = Cluster(workers(big=2, small=2))
    known = estimates([1.0] * 4, exponent=0.5)
    plan = run_planner(Cheapest(deadline=3.0), graph, cluster, known)
    assert plan.makespan <= 3.0
    assert {str(a.worker)[:-1] for a in plan.assignments} == {"small"}
    with pytest.raises(PlanError, match=r"within 1\.5 seconds: the shortest takes 2\n  give a later deadline"):
        run_planner(Cheapest(deadline=1.5), graph, cluster, known)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.5]))
def test_cheapest_never_costs_more_nor_takes_longer_than_allowed(seed, tolerance):
    chance = np.random.default_rng(seed)
    deps = scattered(40, seed)
    graph = TaskGraph.build("g", deps)
    known = estimates(chance.exponential(1.0, 40), chance.exponential(1e7, 40), exponent=0.3)
    cluster = Cluster(workers(big=3, small=3), bandwidth=125e6)
    best = run_planner(Heft(), graph, replace(cluster, workers=cluster.workers[:3]), known)
    plan = run_planner(Cheapest(tolerance=tolerance), graph, cluster, known)
    assert plan.makespan <= best.makespan * (1 + tolerance) * (1 + 1e-6)
    assert plan.gb_seconds <= best.gb_seconds * (1 + 1e-6)


def test_the_front_is_one():
    chance = np.random.default_rng(5)
    graph = TaskGraph.build("g", scattered(60, 5))
    known = estimates(chance.exponential(1.0, 60), exponent=0.3)
    front = pareto(graph, Cluster(workers(big=3, small=3)), known)
    times, costs = [p.makespan for p in front], [p.gb_seconds for p in front]
    assert len(front) > 2
    assert times == sorted(times)
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == len(costs)


def test_service_levels():
    """Wide durations: the plan is chosen for nine of ten runs, and says so."""
    graph = TaskGraph.build("g", scattered(20, 1))
    known = replace(estimates([1.0] * 20), p90=np.full(20, 3.0))
    plan = run_planner(Uniform(sla=0.9), graph, Cluster.local(3), known)
    assert plan.parameters["sla"] == 0.9
    with pytest.raises(ValueError, match="service level"):
        run_planner(Uniform(sla="best"), graph, Cluster.local(3), known)
