"""Dealing: the tasks of a few workers given out among them anew."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planners.deal import Dealer
from dagnb.planners.search import Search
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates
from dagnb.planning.listing import transfers
from dagnb.testing import sample_clusters, scattered

#: Sample clusters whose workers run from the start: what a rehearsal knows.
FIXED = ["one", "equal", "network", "speeds", "threads"]


def test_one_task_is_traded_for_two():
    """14 and 12 s become 13 and 13 s, which no move or swap of single tasks does without making it longer first."""
    length = [7.0, 3.0, 4.0, 5.0, 5.0, 1.0, 1.0]
    worker, start, end = [0, 0, 0, 1, 1, 1, 1], [0, 7, 10, 0, 5, 10, 11], [7, 10, 14, 5, 10, 11, 12]
    dealer = Dealer([()] * 7, [0.0] * 7, [length] * 2, [0.0] * 7, [1, 1], 0.0)
    chance, found = random.Random(0), []
    for _ in range(10):
        dealt, cost = dealer.deal(worker, start, end, {0, 1}, 0.0, chance)
        found.append(max(at + length[task] for task, _, at in dealt))
        assert cost > 0
    assert min(found) == 13.0


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(2, 40),
    st.sampled_from(["one", "equal", "network", "speeds", "threads"]),
    st.floats(0, 1),
)
def test_what_is_dealt_could_run_like_that(seed, n, machines, part):
    cluster = sample_clusters()[machines]
    chance, graph = np.random.default_rng(seed), TaskGraph.build("g", scattered(n, seed))
    estimates = Estimates.of(chance.exponential(1.0, n), chance.exponential(3e7, n))
    transfer = transfers(cluster, estimates)
    search = Search(graph, cluster, estimates, transfer, seed)
    search.offer(chance.integers(len(cluster), size=n).tolist(), chance.random(n).tolist())
    among, since = {0, len(cluster) - 1}, part * search.makespan
    worker, end = list(search.worker), list(search._end)
    dealt, _ = search._dealer.deal(worker, search._start, end, among, since, random.Random(seed))
    assert sorted(task for task, _, _ in dealt) == [i for i in range(n) if worker[i] in among and end[i] > since]
    length = search._rehearsal.length
    for task, w, at in dealt:
        assert w in among
        for u in graph.dependencies(task):
            assert at >= end[u] + (transfer[u] if worker[u] != w else 0.0) - 1e-9, (
                "in the order in which they are dealt"
            )
        worker[task], end[task] = w, at + length[w][task]


def test_a_bag_that_fills_all_workers_is_packed():
    """Only packings without any gap take 13 s, and the longest first takes 14; some seeds may fail, most find one."""
    lengths = [8, *[7] * 5, 6, *[5] * 5, *[4] * 5, *[3] * 2, *[1] * 4]
    assert sum(lengths) == 8 * 13
    graph, cluster = TaskGraph.build("bag", [[]] * len(lengths)), Cluster.local(8)
    found = []
    for seed in range(4):
        search = Search(graph, cluster, Estimates.of(np.array(lengths, float)), np.zeros(len(lengths)), seed)
        search.draw(list(range(len(lengths))))
        assert search.makespan == 14.0
        search.improve(work=400_000, target=13.0)
        found.append(search.makespan)
    assert sum(makespan == 13.0 for makespan in found) >= 3
