"""Replay: measured durations in the simulator, and how near that comes to runs on real workers."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planners.heft import Heft
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.replay import measured, replay
from dagnb.planning.simulator import forecast
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.testing import sample_clusters, sample_graphs
from dagnb.trace.readable import TaskFailed, TaskFinished, TaskSkipped
from dagnb.trace.timeline import Timeline
from tests.runtime.dags import Sketch, free_plan


@pytest.mark.parametrize("name", ["layered", "random", "fan", "zero_length"])
@pytest.mark.parametrize("machines", ["equal", "speeds", "threads"])
def test_a_simulated_run_replays_to_itself(name, machines):
    """The model explains its own runs: nothing is left as an error."""
    graph, cluster = sample_graphs()[name], sample_clusters()[machines]
    estimates = Estimates.of(np.nan_to_num(graph.duration), np.nan_to_num(graph.size))
    plan = Heft().plan(graph, cluster, estimates)
    run = forecast(graph, plan, cluster, estimates)
    assert measured(graph, cluster, run.timeline).mean == pytest.approx(estimates.mean, rel=1e-5, abs=1e-6)
    assert replay(graph, plan, cluster, run.timeline).makespan == pytest.approx(run.makespan, rel=1e-5)


def test_what_did_not_run_takes_no_time():
    graph = TaskGraph.build("g", [[], [0], [1], []])
    events = [TaskFinished(0, 0, 2.5, 1.0, 0.5, 0.0, 10.0), TaskFailed(1, 0, 4.0, 3.0), TaskSkipped(2, 4.0)]
    found = measured(graph, Cluster.local(1), Timeline.of(4, events))
    assert found.mean.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert found.size.tolist() == [10.0, 0.0, 0.0, 0.0]


def test_a_duration_on_a_fast_worker_counts_for_more():
    fast = Cluster((WorkerSpec(WorkerId("w0"), speed=4.0),))
    timeline = Timeline.of(1, [TaskFinished(0, 0, 2.0, 1.0)])
    assert measured(TaskGraph.build("g", [[]]), fast, timeline).mean.tolist() == [4.0]


def test_a_timeline_of_another_graph_is_refused():
    with pytest.raises(ValueError, match=r"a timeline of 3 tasks is not one of 'g', which has 2\n.*replay"):
        replay(TaskGraph.build("g", [[], []]), free_plan(TaskGraph.build("g", [[], []])), Cluster.local(2), Timeline(3))


def nap(seconds: float, *_needed: float) -> float:
    time.sleep(seconds)
    return seconds


def napping(deps: list[list[int]], seed: int) -> TaskGraph:
    """Tasks asleep for 20 to 60 ms."""
    chance, sketch = np.random.default_rng(seed), Sketch("naps")
    tasks: list = []
    for needed in deps:
        tasks.append(sketch(nap, float(chance.uniform(0.02, 0.06)), *(tasks[d] for d in needed)))
    return sketch.graph()


@pytest.fixture(scope="module")
def pool():
    found = LocalPool.connect()
    graph = napping([[], []], 0)
    start(graph, free_plan(graph), found).wait(60)  # the workers are up, and know the function
    return found


@pytest.mark.alone
@pytest.mark.parametrize(
    ("deps", "named"),
    [
        ([[], *([0] for _ in range(12)), list(range(1, 13))], False),
        ([[], *([0] for _ in range(12)), list(range(1, 13))], True),
        ([[i - 1] if i else [] for i in range(12)], False),
        ([[], [], [0], [0, 1], [1], [2, 3], [3, 4], [5], [5, 6], [6], [7, 8, 9]], False),
    ],
)
def test_the_error_of_the_model_on_real_runs_is_small(pool, deps, named):
    """The best of a few, without the start: a busy machine is no error of the model."""
    errors: list[float] = []
    while len(errors) < 10 and min(errors, default=1.0) > 0.05:
        graph, cluster = napping(deps, len(errors)), Cluster.local(2)
        known = Estimates.of(np.full(len(graph), 0.04))
        plan = Heft().plan(graph, cluster, known) if named else free_plan(graph)
        run = start(graph, plan, pool).wait(60)
        errors.append(abs(replay(graph, plan, cluster, run.timeline).span / run.timeline.makespan - 1))
    assert min(errors) <= 0.05, errors
