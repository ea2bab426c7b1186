"""The rehearsal says what the simulator says, for the plans that it knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.listing import drawn, transfers
from dagnb.planning.placement import Placed
from dagnb.planning.rehearsal import NEVER, Rehearsal
from dagnb.planning.simulator import forecast
from dagnb.testing import sample_clusters, scattered

#: Clusters whose workers run from the start: what a rehearsal knows.
FIXED = [name for name, cluster in sample_clusters().items() if not cluster.elastic and cluster.publish == float("inf")]


def any_plan(seed, n, cluster, *, zeros=0.0):
    """A random graph, its estimates, and any worker and key for every task."""
    chance = np.random.default_rng(seed)
    graph = TaskGraph.build("g", scattered(n, seed))
    length = np.where(chance.random(n) < zeros, 0.0, chance.exponential(1.0, n) + 1e-3)
    estimates = Estimates.of(length, chance.exponential(3e7, n))
    return graph, estimates, chance.integers(len(cluster), size=n).tolist(), chance.random(n).tolist()


def simulated(graph, cluster, estimates, worker, key):
    order = np.argsort(np.array(key), kind="stable").tolist()
    plan = drawn(graph, cluster, estimates, transfers(cluster, estimates), Placed(worker, key, []), order)
    return forecast(graph, plan, cluster, estimates).timeline


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from(FIXED))
def test_it_says_what_the_simulator_says(seed, n, machines):
    cluster = sample_clusters()[machines]
    graph, estimates, worker, key = any_plan(seed, n, cluster)
    rehearsal = Rehearsal(graph, cluster, estimates, transfers(cluster, estimates))
    timeline = simulated(graph, cluster, estimates, worker, key)
    assert rehearsal.run(worker, key) == pytest.approx(timeline.end.max())
    assert rehearsal.start == pytest.approx(timeline.start.tolist())
    assert rehearsal.end == pytest.approx(timeline.end.tolist())


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_tasks_of_length_zero_occupy_nobody(seed, n):
    cluster = Cluster.local(3, bandwidth=float("inf"))
    graph, estimates, worker, key = any_plan(seed, n, cluster, zeros=0.4)
    rehearsal = Rehearsal(graph, cluster, estimates, transfers(cluster, estimates))
    assert rehearsal.run(worker, key) == pytest.approx(simulated(graph, cluster, estimates, worker, key).end.max())


def test_by_hand_a_worker_never_waits_for_a_better_task():
    #   a (2) → b (2)   on w0, w1, sending takes 1; c (5) on w1 has the larger key but is ready at once
    graph = TaskGraph.build("g", [[], [0], []])
    estimates = Estimates.of(np.array([2.0, 2.0, 5.0]), np.full(3, 10.0))
    cluster = Cluster.local(2, bandwidth=10.0)
    rehearsal = Rehearsal(graph, cluster, estimates, transfers(cluster, estimates))
    assert rehearsal.run([0, 1, 1], [0.0, 1.0, 2.0]) == 7.0
    assert (rehearsal.start, rehearsal.end) == ([0.0, 5.0, 0.0], [2.0, 7.0, 5.0])


def test_it_gives_up_as_soon_as_a_limit_cannot_be_kept():
    graph = TaskGraph.build("g", [[i - 1] if i else [] for i in range(100)])
    cluster = Cluster((WorkerSpec(WorkerId("fast"), speed=2.0), WorkerSpec(WorkerId("slow"))))
    rehearsal = Rehearsal(graph, cluster, Estimates.of(np.ones(100)), np.zeros(100))
    all_fast = rehearsal.run([0] * 100, range(100))
    assert all_fast == 50.0
    before = rehearsal.tasks
    assert rehearsal.run([1] * 100, range(100), all_fast) == NEVER
    assert rehearsal.tasks - before == 1  # the first on the slow worker has settled it
    assert rehearsal.run([0] * 100, range(100), all_fast) == NEVER  # a limit is not to be reached either
    assert rehearsal.end[-1] == 50.0  # as of the run that came to its end
