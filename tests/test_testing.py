"""The checker finds what is wrong with a schedule, and the catalogue is what it says it is."""

from __future__ import annotations

import numpy as np
import pytest

from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.planner import find_planner, run_planner
from dagnb.testing import check_schedule, cut_rows, sample_graphs
from dagnb.trace.events import TaskState

CLUSTER = Cluster.local(3, bandwidth=3e7, latency=0.05, overhead=0.01)


def earlier(timeline, graph):
    """A task begins before its input has ended."""
    task = int(np.flatnonzero(np.diff(graph.dep_start))[0])
    timeline.start[task] -= 1.0
    timeline.end[task] -= 1.0


def shorter(timeline, _):
    timeline.end[-1] -= 0.5


def elsewhere(timeline, _):
    timeline.worker[0] = (timeline.worker[0] + 1) % len(CLUSTER)


def crowded(timeline, _):
    """Two tasks of one worker at the same time."""
    mine = np.flatnonzero(timeline.worker == timeline.worker[0])
    first, second = mine[np.argsort(timeline.start[mine])][-2:]
    shift = timeline.start[second] - timeline.start[first] - 0.001
    timeline.start[first] += shift
    timeline.end[first] += shift


def unfinished(timeline, _):
    timeline.state[2] = TaskState.RUNNING


def teleported(timeline, graph):
    """All fetches take no time: values arrive before they can have travelled."""
    fetched = timeline.fetch > 0
    timeline.start[fetched] += timeline.fetch[fetched] * 0
    timeline.end[fetched] -= timeline.fetch[fetched]
    timeline.fetch[:] = 0


def nobody(timeline, _):
    timeline.worker[1] = -1


@pytest.mark.parametrize("mutate", [earlier, shorter, elsewhere, crowded, unfinished, teleported, nobody])
def test_a_schedule_that_cannot_be_is_found_out(mutate):
    graph = sample_graphs()["layered"]
    plan = run_planner(find_planner("heft", preload=False), graph, CLUSTER, estimate(graph))
    check_schedule(graph, plan, CLUSTER, estimate(graph), plan.timeline)
    assert plan.timeline.fetch.any()
    mutate(plan.timeline, graph)
    with pytest.raises(AssertionError):
        check_schedule(graph, plan, CLUSTER, estimate(graph), plan.timeline)


def test_the_catalogue_grows_with_its_scale():
    small, large = sample_graphs(), sample_graphs(scale=4)
    assert list(small) == list(large)
    assert sum(map(len, large.values())) > 3 * sum(map(len, small.values()))
    assert {"empty", "one"} == {name for name in small if len(small[name]) == len(large[name])}
    assert all(a.fingerprint == b.fingerprint for a, b in zip(small.values(), sample_graphs().values(), strict=True))


def test_cut_rows_has_the_optimum_that_it_claims():
    """The cut itself is a schedule: rows are full, and every input ends before its task starts."""
    graph, cluster, best = cut_rows(rows=3, tasks=30, seed=1)
    assert graph.duration.sum() == pytest.approx(3 * best)
    assert len(cluster) == 3
    assert len(graph.deps) > 20
