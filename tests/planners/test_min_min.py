"""min_min: by hand, against the textbook, and what it refuses."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.errors import PlanError
from dagnb.graph.graph import TaskGraph
from dagnb.planners.min_min import MOST, Batch, MinMin
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.listing import transfers
from dagnb.planning.planner import run_planner
from dagnb.testing import layered, sample_clusters, scattered


def test_by_hand_short_tasks_first():
    # 3, 1, 2, 4 on two workers: 1 on w0 0–1, 2 on w1 0–2, 3 on w0 1–4, 4 on w1 2–6; the best would be 5.
    graph = TaskGraph.build("bag", [[] for _ in range(4)])
    plan = run_planner(MinMin(), graph, Cluster.local(2), Estimates.of(np.array([3.0, 1.0, 2.0, 4.0])))
    assert [a.worker for a in plan.assignments] == ["w0", "w0", "w1", "w1"]
    assert [a.order for a in plan.assignments] == [1, 0, 0, 1]
    assert plan.makespan == 6.0


def test_by_hand_each_task_where_it_is_over_first():
    # 6 and 6 on speeds 3 and 1: 0–2 and 2–4 on the fast one, for on the slow one 6 is later.
    cluster = Cluster((WorkerSpec(WorkerId("slow")), WorkerSpec(WorkerId("fast"), speed=3.0)))
    plan = run_planner(MinMin(), TaskGraph.build("bag", [[], []]), cluster, Estimates.of(np.array([6.0, 6.0])))
    assert [a.worker for a in plan.assignments] == ["fast", "fast"]
    assert plan.makespan == 4.0


def textbook(graph, cluster, estimates):
    """Ends when every pair of a ready task and a worker is looked at in every step."""
    transfer = transfers(cluster, estimates)
    free, end, where = [cluster.startup] * len(cluster), {}, {}

    def finish(i, w):
        ready = max((end[u] + transfer[u] * (where[u] != w) for u in graph.dependencies(i)), default=0.0)
        if not estimates.mean[i]:
            return ready
        return max(free[w], ready) + estimates.mean[i] / cluster.workers[w].speed + cluster.overhead

    while len(end) < len(graph):
        ready = [i for i in range(len(graph)) if i not in end and all(u in end for u in graph.dependencies(i))]
        at, i, _, w = min((finish(i, w), i, free[w], w) for i in ready for w in range(len(cluster)))
        end[i], where[i] = at, w
        if estimates.mean[i]:
            free[w] = at
    return [end[i] for i in range(len(graph))]


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from(["equal", "network", "speeds", "one"]))
def test_heaps_find_what_the_textbook_finds(seed, n, machines):
    """Of workers where a task would be over at the same time, both take the one that has idled longest."""
    chance, cluster = np.random.default_rng(seed), sample_clusters()[machines]
    graph = TaskGraph.build("g", scattered(n, seed))
    estimates = Estimates.of(chance.exponential(1.0, n) + 1e-3, np.zeros(n))
    placed = Batch(graph, cluster, estimates, transfers(cluster, estimates)).place()
    assert placed.end == pytest.approx(textbook(graph, cluster, estimates))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_inputs_that_travel_are_counted_as_the_textbook_counts_them(seed, n):
    """Workers of different speeds, so that no two choices are equal."""
    chance = np.random.default_rng(seed)
    cluster = Cluster(tuple(WorkerSpec(WorkerId(f"w{i}"), speed=1 + 0.37 * i) for i in range(3)), bandwidth=1e8)
    graph = TaskGraph.build("g", scattered(n, seed))
    estimates = Estimates.of(chance.exponential(1.0, n) + 1e-3, chance.exponential(3e7, n))
    placed = Batch(graph, cluster, estimates, transfers(cluster, estimates)).place()
    assert placed.end == pytest.approx(textbook(graph, cluster, estimates))


def test_it_refuses_by_name_what_would_take_minutes():
    graph = TaskGraph.build("bag", [[] for _ in range(MOST // 1000 + 1)])
    with pytest.raises(PlanError, match="min_min does not plan 20001 tasks for 1000 workers"):
        MinMin().plan(graph, Cluster.local(1000), Estimates.of(np.ones(len(graph))))


def test_twenty_thousand_equal_tasks_on_sixteen_workers():
    """All ends are equal here, which is where a lazy heap of pairs would look at every task again and again."""
    graph = TaskGraph.build("big", layered(4, 5000))
    began = time.perf_counter()
    MinMin().plan(graph, Cluster.local(16), Estimates.of(np.ones(len(graph))))
    assert time.perf_counter() - began < 15  # generous: 0.7 s on a quiet machine
