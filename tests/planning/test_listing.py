"""What list planners share: mean costs by hand, orders that keep dependencies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.listing import by_priority, mean_costs, transfers
from dagnb.testing import scattered


def test_means_are_over_workers_and_over_pairs_of_workers():
    cluster = Cluster(
        (WorkerSpec(WorkerId("fast"), speed=2.0), WorkerSpec(WorkerId("slow"))),
        bandwidth=10.0,
        latency=1.0,
        overhead=0.5,
    )
    estimates = Estimates.of(np.array([4.0, 0.0]), np.array([20.0, 0.0]))
    transfer = transfers(cluster, estimates)
    assert transfer.tolist() == [3.0, 1.0]
    duration, travel = mean_costs(cluster, estimates, transfer)
    assert duration.tolist() == [3.5, 0.0]  # (2 + 4) / 2 and the overhead; nothing for a task of length zero
    assert travel.tolist() == [1.5, 0.5]  # of four pairs two are of one worker


@given(st.integers(0, 10**6), st.integers(0, 60))
def test_an_order_by_priority_keeps_dependencies(seed, n):
    graph = TaskGraph.build("g", scattered(n, seed))
    priority = np.random.default_rng(seed).integers(0, 5, n).astype(float)
    order = by_priority(graph, priority)
    position = {task: i for i, task in enumerate(order)}
    assert sorted(order) == list(range(n))
    assert all(position[u] < position[i] for i in range(n) for u in graph.dependencies(i))


@pytest.mark.parametrize(("priority", "order"), [([1, 3, 2, 9], [1, 2, 0, 3]), ([5, 1, 1, 9], [0, 3, 1, 2])])
def test_of_what_could_come_next_the_largest_priority_comes_first(priority, order):
    graph = TaskGraph.build("g", [[], [], [], [0]])
    assert by_priority(graph, np.array(priority, float)) == order
