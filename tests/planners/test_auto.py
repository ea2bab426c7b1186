"""auto: when it plans at all, what it never does worse than, and that its budget is no clock."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planners.auto import CLOSE, Auto, worthwhile
from dagnb.planners.free import Free
from dagnb.planners.heft import Heft
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.planner import find_planner, planner_names, run_planner
from dagnb.testing import check_schedule, cut_rows, layered, sample_clusters, sample_graphs

#: Enough to change plans, little enough for a test.
QUICK = Auto(thorough=True, evaluations=60)


def unequal(n, seed=0):
    """A layered graph with large values on workers of three speeds: there is something to search for."""
    chance = np.random.default_rng(seed)
    columns = {"duration": chance.exponential(1.0, n), "size": chance.exponential(5e7, n)}
    graph = TaskGraph.build("g", layered(n // 10, 10, seed), **columns)
    speeds = (2.0, 1.0, 1.0, 0.5)
    return graph, Cluster(tuple(WorkerSpec(WorkerId(f"w{i}"), speed=s) for i, s in enumerate(speeds)), bandwidth=1e8)


def test_it_takes_the_free_plan_at_once_where_weighing_does_not_pay():
    unknown = sample_graphs()["unknown"]
    plan = run_planner(Auto(), unknown, Cluster.local(4), estimate(unknown))
    assert (plan.parameters["taken"], plan.evaluations, plan.has_seconds) == ("free", 1, False)
    tiny = TaskGraph.build("tiny", [[] for _ in range(100)], duration=np.full(100, 1e-4))
    assert run_planner(Auto(), tiny, Cluster.local(4), estimate(tiny)).evaluations == 1
    # Asked for, it looks, and sees that there is nothing to gain.
    assert run_planner(Auto(thorough=True), tiny, Cluster.local(4), estimate(tiny)).evaluations == 2
    empty = TaskGraph.build("empty", [])
    assert not worthwhile(empty, Cluster.local(1), estimate(empty))


@pytest.mark.parametrize("name", list(sample_graphs()))
@pytest.mark.parametrize("machines", list(sample_clusters()))
def test_it_is_never_worse_than_heft_or_free(name, machines):
    graph, cluster = sample_graphs()[name], sample_clusters()[machines]
    auto, heft, free = (run_planner(p, graph, cluster, estimate(graph)) for p in (QUICK, Heft(), Free()))
    assert auto.makespan <= min(heft.makespan, free.makespan)
    assert auto.planner == "auto"
    check_schedule(graph, auto, cluster, estimate(graph), auto.timeline)


def test_it_names_workers_where_naming_wins():
    # A large value is used twice: by whoever is free it would travel, named it stays.
    graph = TaskGraph.build("g", [[], [0], [0], []], duration=[5.0, 5.0, 5.0, 9.0], size=[1e9, 0.0, 0.0, 0.0])
    cluster = Cluster.local(2, bandwidth=1e7)
    plan = run_planner(Auto(), graph, cluster, estimate(graph))
    assert plan.parameters["taken"] == "heft"
    assert plan.makespan == 15.0
    assert run_planner(Free(), graph, cluster, estimate(graph)).makespan > 100


def test_the_search_finds_what_no_list_planner_finds():
    """Five tasks on two workers, 3 + 3 against 2 + 2 + 2; the longest first leads to 7, as the textbook has it."""
    graph = TaskGraph.build("bag", [[] for _ in range(5)], duration=[3.0, 3.0, 2.0, 2.0, 2.0])
    cluster = Cluster.local(2)
    assert run_planner(Heft(), graph, cluster, estimate(graph)).makespan == 7.0
    plan = run_planner(Auto(thorough=True, evaluations=200), graph, cluster, estimate(graph))
    assert plan.makespan == plan.lower_bound == 6.0
    assert plan.parameters["taken"] == "search"
    assert {plan.assignments[0].worker, plan.assignments[1].worker} in ({"w0"}, {"w1"})


def test_same_seed_and_evaluations_same_plan_and_another_seed_another():
    graph, cluster = unequal(100)
    plans = [
        run_planner(Auto(thorough=True, evaluations=80, seed=s), graph, cluster, estimate(graph)) for s in (1, 1, 2)
    ]
    assert plans[0] == plans[1]
    assert plans[0].seed == 1
    assert list(plans[0].assignments) != list(plans[2].assignments)


def test_more_evaluations_are_never_worse_and_are_counted():
    graph, cluster = unequal(100)
    made = [run_planner(Auto(thorough=True, evaluations=k), graph, cluster, estimate(graph)) for k in (0, 30, 100, 400)]
    spans = [plan.makespan for plan in made]
    assert spans == sorted(spans, reverse=True)
    assert spans[-1] < spans[0]
    weighed = [plan.evaluations for plan in made]
    assert weighed == sorted(weighed)
    assert weighed[0] == 2


def test_a_budget_is_a_number_of_evaluations_and_no_clock(monkeypatch):
    graph, cluster = unequal(50)
    planner = Auto(thorough=True, budget=0.05)
    plan = planner.plan(graph, cluster, estimate(graph))
    monkeypatch.setattr(time, "perf_counter", lambda: 1 / 0)  # whoever looks at a clock fails
    assert planner.plan(graph, cluster, estimate(graph)) == plan
    assert Auto(thorough=True, budget=0.5).plan(graph, cluster, estimate(graph)).evaluations > plan.evaluations


def test_what_the_budget_does_not_cover_is_left_out_and_named():
    graph, cluster = unequal(100)
    plan = Auto(thorough=True, evaluations=20).plan(graph, cluster, estimate(graph))
    assert plan.parameters["left_out"] == ["peft"]
    assert "left_out" not in Auto(thorough=True, evaluations=100).plan(graph, cluster, estimate(graph)).parameters


def test_a_run_that_waits_is_planned_within_its_hundredth():
    """The same graph in seconds and in hundredths of a second: only the long one is searched."""
    graph, cluster = unequal(100)
    estimates = [Estimates.of(graph.duration * scale, graph.size * scale) for scale in (0.02, 5.0)]
    short, long = (Auto().plan(graph, cluster, e) for e in estimates)
    assert short.evaluations <= 2
    assert long.evaluations > 10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(6, 40), st.sampled_from(planner_names()))
def test_no_planner_beats_a_known_optimum(seed, rows, tasks, name):
    """Full rows cut into tasks: the length of a row is the shortest makespan there can be."""
    graph, cluster, best = cut_rows(rows, tasks, seed)
    planner = Auto(thorough=True, evaluations=30) if name == "auto" else name
    plan = run_planner(find_planner(planner), graph, cluster, estimate(graph))
    assert plan.makespan >= best * (1 - 1e-9)


def test_close_to_a_known_optimum():
    ratios = []
    for seed in range(6):
        graph, cluster, best = cut_rows(rows=4, tasks=60, seed=seed)
        plan = run_planner(Auto(thorough=True, evaluations=400), graph, cluster, estimate(graph))
        assert plan.makespan >= best * (1 - 1e-9)
        ratios.append(plan.makespan / best)
    assert statistics.geometric_mean(ratios) < 1.05, ratios
    assert CLOSE > 1


def test_twenty_thousand_tasks_on_sixteen_workers_are_planned_in_seconds():
    graph = TaskGraph.build("big", layered(100, 200))
    estimates = Estimates.of(np.random.default_rng(0).exponential(1.0, len(graph)))
    began = time.perf_counter()
    Auto(thorough=True).plan(graph, Cluster.local(16), estimates)
    assert time.perf_counter() - began < 15  # generous: under 2 s on a quiet machine
