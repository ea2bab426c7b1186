"""What runs cost: known answers, and the same from a forecast and from its timeline."""

from __future__ import annotations

import numpy as np
import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.cost import Costs, costs
from dagnb.planning.estimator import Estimates
from dagnb.planning.plan import Plan
from dagnb.planning.simulator import forecast
from dagnb.testing import sample_graphs
from dagnb.trace.readable import CopyFinished, TaskFinished, WorkerCommitted, WorkerStarted
from dagnb.trace.timeline import Timeline

SIZES = Cluster((WorkerSpec(WorkerId("a"), memory=1e9), WorkerSpec(WorkerId("b"), memory=4e9)))


def test_a_known_run():
    """Worker a from submission to 3; worker b launched at 1, ready at 2, at work to 5, and again from 8 to 9.5."""
    timeline = Timeline.of(
        4,
        [
            TaskFinished(0, 0, at=3.0, start=1.0, size=100.0),
            WorkerStarted(1, at=2.0, start=1.0),
            TaskFinished(1, 1, at=4.0, start=2.0, upload=1.0, size=10.0),
            WorkerStarted(1, at=8.5, start=8.0),
            TaskFinished(2, 1, at=9.5, start=9.0),
            WorkerCommitted(0),
            WorkerCommitted(1),
        ],
    )
    graph = TaskGraph.build("g", [[], [0], [0, 1], [2]])
    found = costs(timeline, SIZES, graph)
    assert found.worker_seconds == pytest.approx(3.0 + (5.0 - 1.0) + (9.5 - 8.0))
    assert found.gb_seconds == pytest.approx(1 * 2.0 + 4 * (2.0 + 1.0 + 0.5) + 4 * (1.0 + 0.5))
    assert found.cold_starts == 2
    assert found.bytes_moved == 100.0, "once to the other worker, though two tasks there need it"
    assert costs(timeline, SIZES).bytes_moved == 0.0


def test_a_second_copy_costs_too():
    events = [TaskFinished(0, 0, at=1.0, start=0.0), CopyFinished(0, 1, at=2.0, start=0.0), WorkerCommitted(0)]
    found = costs(Timeline.of(1, events), SIZES)
    assert found == Costs(gb_seconds=1.0 + 8.0, worker_seconds=3.0, cold_starts=0, bytes_moved=0.0)


def test_nothing_has_run_and_nothing_is_owed():
    assert costs(Timeline(3), SIZES, TaskGraph.build("g", [[], [], []])) == Costs(0.0, 0.0, 0, 0.0)


@pytest.mark.parametrize("elastic", [False, True])
def test_a_forecast_and_its_timeline_cost_the_same(elastic):
    on = Cluster(SIZES.workers, startup=0.5, elastic=elastic, keep_alive=2.0, bandwidth=1e3, latency=0.01)
    chance = np.random.default_rng(0)
    for graph in sample_graphs().values():
        n = len(graph)
        estimates = Estimates.of(chance.uniform(0.1, 2.0, n), chance.uniform(0, 1e3, n))
        plan = Plan.build(graph, on, estimates, worker=chance.integers(0, 2, n), sequence=range(n))
        run = forecast(graph, plan, on, estimates)
        found = costs(run.timeline, on, graph)
        assert found.gb_seconds == pytest.approx(run.gb_seconds)
        assert found.worker_seconds == pytest.approx(run.worker_seconds)
        assert found.cold_starts == run.cold_starts
        if not elastic:  # there, who has stopped forgets what was sent to him
            assert found.bytes_moved == pytest.approx(run.bytes_moved)
