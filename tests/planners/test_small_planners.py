"""simple and free: the rules that their docstrings state."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planners.auto import Auto
from dagnb.planners.cpop import Cpop
from dagnb.planners.free import Free
from dagnb.planners.heft import Heft
from dagnb.planners.min_min import MinMin
from dagnb.planners.peft import Peft
from dagnb.planners.simple import Simple
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.planner import run_planner
from dagnb.testing import cut_rows


def test_simple_by_hand():
    #   0, 1 roots; 2 needs 0; 3 needs 1; 4 needs 3, 0
    graph = TaskGraph.build("g", [[], [], [0], [1], [3, 0]])
    plan = Simple().plan(graph, Cluster.local(3), estimate(graph))
    # Roots w0, w1; 2 joins 0; 3 takes the next, w2; 4 joins 3.
    assert [a.worker for a in plan.assignments] == ["w0", "w1", "w0", "w2", "w2"]


def test_free_names_nobody_and_puts_the_longest_way_first():
    graph = TaskGraph.build("g", [[], [], [1], []], duration=[1.0, 1.0, 5.0, 2.0])
    plan = Free().plan(graph, Cluster.local(2), estimate(graph))
    assert {a.worker for a in plan.assignments} == {None}
    assert [a.priority for a in plan.assignments] == [3.0, 0.0, 1.0, 2.0]


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(6, 60))
def test_free_keeps_the_bound_of_graham(seed, rows, tasks):
    """2 − 1/m times the optimum, for any graph without transfers; the optimum is known by construction."""
    graph, cluster, best = cut_rows(rows, tasks, seed)
    plan = run_planner(Free(), graph, cluster, estimate(graph))
    assert best * (1 - 1e-9) <= plan.makespan <= (2 - 1 / rows) * best * (1 + 1e-9)


def test_where_seconds_are_unknown_no_planner_invents_a_network():
    graph = TaskGraph.build("g", [[], [0], [0]], size=[1e12, 0.0, 0.0])
    cluster = Cluster.local(2, bandwidth=1.0, latency=100.0)
    for planner in (Heft(), Free(), Simple(), Cpop(), Peft(), MinMin(), Auto(thorough=True)):
        assert run_planner(planner, graph, cluster, estimate(graph)).makespan == 2.0
    assert not estimate(graph).has_seconds
    assert isinstance(estimate(graph), Estimates)
