"""Intervals by drawing runs: known answers, determinism, bounds of the work, and where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster
from dagnb.planning.engine import NONE, Policy
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.interval import ENOUGH, LIMIT, at_service_level, draws_for, makespans, quantiles
from dagnb.planning.planner import find_planner, run_planner
from dagnb.planning.simulator import complete

ONE = Cluster.local(1)


def noisy(n, p50=1.0, p90=2.0):
    """Log-normal durations, each of its own."""
    middle, high = np.full(n, p50), np.full(n, p90)
    return replace(Estimates.of(middle), p90=high)


def plan_for(graph, cluster=ONE, estimates=None):
    return find_planner("free").plan(graph, cluster, estimates or noisy(len(graph)))


def test_of_a_single_task_the_quantiles_are_its_own():
    graph = TaskGraph.build("one", [[]])
    low, middle, high = quantiles(graph, plan_for(graph), ONE, noisy(1), (0.1, 0.5, 0.9), draws=2000)
    assert low == pytest.approx(0.5, rel=0.06)
    assert middle == pytest.approx(1.0, rel=0.06)
    assert high == pytest.approx(2.0, rel=0.06)


def test_the_quantile_of_a_chain_is_less_than_the_sum_of_quantiles():
    graph = TaskGraph.build("chain", [[], *([i] for i in range(15))])
    (high,) = quantiles(graph, plan_for(graph), ONE, noisy(16), (0.9,), draws=400)
    mean = 16 * np.exp((np.log(2) / 1.2816) ** 2 / 2)
    assert mean < high < 0.8 * 16 * 2.0


def test_of_two_workers_the_later_one_counts():
    graph = TaskGraph.build("two", [[], []])
    cluster = Cluster.local(2)
    (middle,) = quantiles(graph, plan_for(graph, cluster), cluster, noisy(2), (0.5,), draws=1000)
    assert middle == pytest.approx(2.0 ** (0.5449 / 1.2816), rel=0.08)  # the 70.7 % quantile of one


def test_the_same_seed_draws_the_same_runs():
    graph = TaskGraph.build("g", [[], [0], [0], [1, 2]])
    first, again, other = (makespans(graph, plan_for(graph), ONE, noisy(4), seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(first, np.sort(first))
    assert len(first) == draws_for(4)


def test_few_draws_of_a_large_graph_say_nearly_the_same():
    graph = TaskGraph.build("bag", [[] for _ in range(60)])
    plan, estimates = plan_for(graph), noisy(60)
    many = np.array(quantiles(graph, plan, ONE, estimates, draws=600))
    few = np.array([quantiles(graph, plan, ONE, estimates, draws=ENOUGH // 2, seed=s) for s in range(10)]).mean(axis=0)
    assert few == pytest.approx(many, rel=0.02)


@pytest.mark.parametrize("n", [0, 1, 100, 1000, 10_000, 50_000, 10**6])
def test_the_work_is_bounded(n):
    assert 4 <= draws_for(n) <= 200
    assert draws_for(n) == 4 or draws_for(n) * n <= LIMIT


def test_a_plan_gets_its_interval_where_durations_vary_and_are_seconds():
    graph = TaskGraph.build("g", [[], [0], [0], [1, 2]], duration=np.ones(4))
    plan, cluster = plan_for(graph), Cluster.local(2)
    done = complete(plan_for(graph, cluster), graph, cluster, noisy(4))
    assert done.interval is not None
    assert done.interval[0] < done.makespan < done.interval[1]
    assert complete(plan, graph, ONE, noisy(4), with_interval=False).interval is None
    assert complete(plan, graph, ONE, Estimates.of(np.ones(4))).interval is None
    assert complete(plan, graph, ONE, replace(noisy(4), has_seconds=False)).interval is None
    assert run_planner(find_planner("heft"), graph, ONE, estimate(graph)).interval is None


def test_the_makespan_is_the_middle_of_the_runs_that_could_be():
    """Of eight noisy workers the last one counts: more than the makespan of means, which the timeline shows."""
    graph, cluster = TaskGraph.build("fan", [*([] for _ in range(16)), list(range(16))]), Cluster.local(8)
    varied = noisy(17)
    plan = complete(plan_for(graph, cluster, varied), graph, cluster, varied)
    (middle,) = quantiles(graph, plan, cluster, varied, (0.5,))
    assert plan.makespan == middle
    assert plan.interval[0] < middle < plan.interval[1]
    ended = float(plan.timeline.end.max())
    assert ended == pytest.approx(3.0)
    assert middle > 1.2 * ended
    assert plan.lower_bound == pytest.approx(3.0), "of the means"
    alone = complete(plan, graph, cluster, varied, with_interval=False)
    assert alone.makespan == pytest.approx(3.0)
    sure = complete(plan, graph, cluster, Estimates.of(np.ones(17)))
    assert (sure.makespan, sure.interval) == (pytest.approx(3.0), None)


def test_an_empty_graph_takes_no_time():
    graph = TaskGraph.build("empty", [])
    assert quantiles(graph, plan_for(graph), ONE, noisy(0)) == (0.0, 0.0)


class Turns(Policy):
    def __init__(self):
        self.ready = []

    def on_ready(self, task, worker):
        self.ready.append(task)
        return NONE

    def on_idle(self, worker):
        return self.ready.pop() if self.ready else NONE


def test_a_policy_is_made_anew_for_each_run():
    graph = TaskGraph.build("g", [[], [0], [0], [1, 2]])
    assert quantiles(graph, Turns, ONE, noisy(4)) == pytest.approx(quantiles(graph, plan_for(graph), ONE, noisy(4)))


def test_service_levels_order_plans():
    graph = TaskGraph.build("g", [[], [0], [0], [1, 2]])
    plan = plan_for(graph)
    assert at_service_level(graph, plan, ONE, noisy(4)) == 4.0
    half, most = (at_service_level(graph, plan, ONE, noisy(4), sla) for sla in (0.5, 0.95))
    assert 4.0 < half < most
    assert at_service_level(graph, Turns, ONE, noisy(4), "average") == 4.0


@pytest.mark.parametrize("wrong", ["p90", "", 0.0, 1.0, 90, -0.5])
def test_what_is_no_service_level_is_refused(wrong):
    graph = TaskGraph.build("one", [[]])
    with pytest.raises(ValueError, match=r"service level|between 0 and 1"):
        at_service_level(graph, plan_for(graph), ONE, noisy(1), wrong)
