"""One lane against a list of everything placed on it; what a placer is told to do, it does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.listing import transfers
from dagnb.planning.placement import Lane, Placed, Placer, occupied, preloads
from dagnb.planning.plan import Annotations
from dagnb.testing import sample_clusters, scattered

eighths = st.integers(0, 200).map(lambda k: k / 8)


def first_fit(busy, ready, duration):
    begin = ready
    for start, stop in sorted(busy):
        if begin + duration <= start:
            break
        begin = max(begin, stop)
    return begin


@settings(max_examples=200)
@given(st.lists(st.tuples(eighths, eighths.filter(bool)), max_size=25))
def test_a_lane_finds_the_first_gap_that_there_is(tasks):
    """Eighths of a second are exact in floating point, so equal means equal."""
    lane, busy = Lane(0, 0.0), []
    for ready, duration in tasks:
        begin, gap = (ready, -1) if ready >= lane.free else lane.fit(ready, duration)
        assert begin == first_fit(busy, ready, duration)
        lane.fill(gap, begin, begin + duration, shortest=1 / 8)
        busy.append((begin, begin + duration))
        assert lane.begins == sorted(lane.begins)
        assert lane.ends == sorted(lane.ends)
        assert lane.free == max(stop for _, stop in busy)


def test_a_task_in_the_middle_leaves_a_gap_on_either_side():
    lane = Lane(0, 0.0)
    lane.fill(-1, 10.0, 11.0, shortest=1.0)
    lane.fill(0, 4.0, 6.0, shortest=1.0)
    assert (lane.begins, lane.ends) == ([0.0, 6.0], [4.0, 10.0])
    assert lane.fit(0.0, 4.0) == (0.0, 0)
    assert lane.fit(1.0, 4.0) == (6.0, 1)
    assert lane.fit(0.0, 5.0) == (11.0, -1)


@pytest.mark.parametrize(("start", "end", "left"), [(0.0, 9.5, []), (0.5, 10.0, []), (0.5, 5.0, [(5.0, 10.0)])])
def test_a_gap_that_is_too_short_for_what_is_to_come_is_forgotten(start, end, left):
    lane = Lane(0, 0.0)
    lane.fill(-1, 10.0, 11.0, shortest=1.0)
    lane.fill(0, start, end, shortest=1.0)
    assert list(zip(lane.begins, lane.ends, strict=True)) == left


def placer(seed, n, cluster):
    chance = np.random.default_rng(seed)
    graph = TaskGraph.build("g", scattered(n, seed))
    estimates = Estimates.of(chance.exponential(1.0, n) + 1e-3, chance.exponential(3e7, n))
    return graph, estimates, Placer(graph, cluster, estimates, transfers(cluster, estimates))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from(["equal", "network", "speeds"]))
def test_a_task_goes_where_it_has_to(seed, n, machines):
    cluster = sample_clusters()[machines]
    graph, estimates, placing = placer(seed, n, cluster)
    only = np.random.default_rng(seed).integers(-1, len(cluster), n).tolist()
    placed = placing.place(range(n), only=only)
    assert all(w == wanted for w, wanted in zip(placed.worker, only, strict=True) if wanted >= 0)
    possible(graph, cluster, estimates, placed)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from(["equal", "network", "speeds"]))
def test_backwards_is_the_same_in_a_mirror(seed, n, machines):
    """Time is reversed: what ended at e starts at the makespan − e, and then the schedule is possible forwards."""
    cluster = sample_clusters()[machines]
    graph, estimates, placing = placer(seed, n, cluster)
    mirrored = placing.place(range(n - 1, -1, -1), backward=True)
    span = max(mirrored.end)
    start, end = [span - e for e in mirrored.end], [span - s for s in mirrored.start]
    possible(graph, cluster, estimates, Placed(mirrored.worker, start, end))


def test_what_is_ahead_decides_between_workers():
    graph = TaskGraph.build("g", [[]])
    cluster = Cluster((WorkerSpec(WorkerId("fast"), speed=2.0), WorkerSpec(WorkerId("slow"))))
    placing = Placer(graph, cluster, Estimates.of(np.array([4.0])), np.zeros(1))
    assert [column.tolist() for column in placing.columns] == [[2.0], [4.0]]
    assert placing.place([0], onward=[[0.0, 0.0]]) == Placed([0], [0.0], [2.0])
    assert placing.place([0], onward=[[3.0, 0.0]]) == Placed([1], [0.0], [4.0])


def possible(graph, cluster, estimates, placed):
    transfer, slack = transfers(cluster, estimates), 1e-9
    for i in range(len(graph)):
        takes = occupied(cluster.workers[placed.worker[i]], cluster, estimates)[i]
        assert placed.end[i] - placed.start[i] == pytest.approx(takes)
        for u in graph.dependencies(i):
            there = placed.end[u] + transfer[u] * (placed.worker[u] != placed.worker[i])
            assert placed.start[i] >= there - slack
    for w in range(len(cluster)):
        mine = sorted((placed.start[i], placed.end[i]) for i in range(len(graph)) if placed.worker[i] == w)
        assert all(after >= before - slack for (_, before), (after, _) in pairwise(mine))


def test_tasks_with_the_same_inputs_share_what_is_said_of_them():
    graph = TaskGraph.build("g", [[], [], [0, 1], [0, 1], [1], [0]])
    found = preloads(graph, [0, 0, 1, 1, 1, 0], np.array([1.0, 2.0, 0, 0, 0, 0]))
    assert found == {2: Annotations(preload=(0, 1)), 3: Annotations(preload=(0, 1)), 4: Annotations(preload=(1,))}
    assert found[2] is found[3]
    assert preloads(graph, [0] * 6, np.ones(6)) == {}
