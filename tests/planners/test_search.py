"""The local search: it keeps the best, counts what it does, and stops where it was told to."""

from __future__ import annotations

import numpy as np
import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planners.search import Search
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates
from dagnb.planning.listing import drawn, transfers
from dagnb.planning.placement import Placed
from dagnb.planning.simulator import forecast
from dagnb.testing import sample_clusters, scattered


def begun(seed=0, n=40, cluster=None):
    chance = np.random.default_rng(seed)
    cluster = cluster or sample_clusters()["network"]
    graph = TaskGraph.build("g", scattered(n, seed))
    estimates = Estimates.of(chance.exponential(1.0, n) + 1e-3, chance.exponential(3e7, n))
    search = Search(graph, cluster, estimates, transfers(cluster, estimates), seed)
    search.offer([0] * n, [float(i) for i in range(n)])
    return graph, cluster, estimates, search


def test_it_keeps_a_plan_that_is_no_worse():
    graph = TaskGraph.build("bag", [[], []])
    cluster, estimates = Cluster.local(2), Estimates.of(np.array([2.0, 1.0]))
    search = Search(graph, cluster, estimates, np.zeros(2))
    assert search.offer([0, 0], [0.0, 1.0]) == float("inf")
    assert search.offer([0, 1], [0.0, 1.0]) == 1.0
    assert search.offer([1, 1], [0.0, 1.0]) == 0.0
    assert (search.makespan, search.worker, search.evaluations) == (2.0, [0, 1], 3)
    assert search.offer([1, 0], [0.0, 1.0]) == 0.0  # as good, and taken: what follows may start elsewhere
    assert search.worker == [1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_what_it_claims_is_what_the_simulator_says(seed):
    graph, cluster, estimates, search = begun(seed)
    before = search.makespan
    search.improve(work=4000, target=0.0)
    assert search.makespan < before
    order = np.argsort(np.array(search.key), kind="stable").tolist()
    placed = Placed(list(search.worker), list(search.key), [])
    plan = drawn(graph, cluster, estimates, transfers(cluster, estimates), placed, order)
    assert forecast(graph, plan, cluster, estimates).makespan == pytest.approx(search.makespan)


def test_it_stops_at_the_target_and_where_the_work_is_spent():
    *_, search = begun()
    weighed = search.evaluations
    search.improve(work=1e9, target=search.makespan)
    assert search.evaluations == weighed
    search.improve(work=500, target=0.0)
    assert 500 <= search.work < 500 + 10 * 40  # the last change may go over it
    assert all(weight > 0 for weight in search.weight)


@pytest.mark.parametrize("change", range(7))
def test_every_change_is_a_plan_of_all_tasks(change):
    graph, cluster, _, search = begun(change)
    for _ in range(20):
        worker, key = search._changes[change]()
        assert len(worker) == len(key) == len(graph)
        assert set(worker) <= set(range(len(cluster)))
        assert np.isfinite(key).all()
        search.offer(worker, key)
