"""simple, free and auto: the rules that their docstrings state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planners.auto import Auto, worthwhile
from dagnb.planners.free import Free
from dagnb.planners.heft import Heft
from dagnb.planners.simple import Simple
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.planner import run_planner
from dagnb.testing import cut_rows, sample_clusters, sample_graphs


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


def test_auto_takes_the_free_plan_at_once_where_weighing_does_not_pay():
    unknown = sample_graphs()["unknown"]
    plan = run_planner(Auto(), unknown, Cluster.local(4), estimate(unknown))
    assert (plan.parameters["taken"], plan.evaluations, plan.has_seconds) == ("free", 1, False)
    tiny = TaskGraph.build("tiny", [[] for _ in range(100)], duration=np.full(100, 1e-4))
    assert run_planner(Auto(), tiny, Cluster.local(4), estimate(tiny)).evaluations == 1
    assert run_planner(Auto(thorough=True), tiny, Cluster.local(4), estimate(tiny)).evaluations == 2
    empty = TaskGraph.build("empty", [])
    assert not worthwhile(empty, Cluster.local(1), estimate(empty))


@pytest.mark.parametrize("name", list(sample_graphs()))
@pytest.mark.parametrize("machines", list(sample_clusters()))
def test_auto_is_never_worse_than_what_it_weighs(name, machines):
    graph, cluster = sample_graphs()[name], sample_clusters()[machines]
    auto, heft, free = (run_planner(p, graph, cluster, estimate(graph)) for p in (Auto(thorough=True), Heft(), Free()))
    assert auto.makespan == min(heft.makespan, free.makespan)
    assert auto.planner == "auto"


def test_auto_names_workers_where_naming_wins():
    # A large value is used twice: by whoever is free it would travel, named it stays.
    graph = TaskGraph.build("g", [[], [0], [0], []], duration=[5.0, 5.0, 5.0, 9.0], size=[1e9, 0.0, 0.0, 0.0])
    cluster = Cluster.local(2, bandwidth=1e7)
    plan = run_planner(Auto(), graph, cluster, estimate(graph))
    assert plan.parameters["taken"] == "heft"
    assert plan.makespan == 15.0
    assert run_planner(Free(), graph, cluster, estimate(graph)).makespan > 100


def test_where_seconds_are_unknown_no_planner_invents_a_network():
    graph = TaskGraph.build("g", [[], [0], [0]], size=[1e12, 0.0, 0.0])
    cluster = Cluster.local(2, bandwidth=1.0, latency=100.0)
    for planner in (Heft(), Free(), Simple(), Auto(thorough=True)):
        assert run_planner(planner, graph, cluster, estimate(graph)).makespan == 2.0
    assert not estimate(graph).has_seconds
    assert isinstance(estimate(graph), Estimates)
