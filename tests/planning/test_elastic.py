"""Workers that come and go: when they are launched, cold or warm, what that costs, and who gets what."""

from __future__ import annotations

import numpy as np
import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerSpec
from dagnb.planning.estimator import estimate
from dagnb.planning.simulator import forecast, simulate
from dagnb.trace.events import RecordKind
from dagnb.trace.readable import WorkerStarted
from tests.planning.runs import Queue, W, planned, rows, run


def elastic(workers=2, **facts):
    return Cluster.local(workers, elastic=True, **{"startup": 1.0, "keep_alive": 2.0, "warm": 0.25} | facts)


def starts(found):
    """(worker, launched, ready, cold) in order of time."""
    begun = found.timeline.asides[found.timeline.asides["kind"] == RecordKind.BEGUN]
    return [(int(a["worker"]), float(a["start"]), float(a["at"]), bool(a["attempt"])) for a in begun]


def test_a_worker_is_launched_when_the_first_task_that_names_it_is_ready():
    found = run([[], [0]], planned(0, 1), elastic(), [3, 1])
    assert starts(found) == [(0, 0.0, 1.0, True), (1, 4.0, 5.0, True)]
    assert rows(found) == [(0, 1.0, 4.0), (1, 5.0, 6.0)]
    assert found.cold_starts == 2
    assert found.worker_seconds == 4.0 + 2.0
    assert found.gb_seconds == pytest.approx(2.0 * (1 + 3 + 1 + 1))


def test_a_fixed_cluster_starts_with_the_run_and_prewarming_changes_nothing():
    cluster = Cluster.local(2, startup=1.0)
    plain, early = (run([[], [0]], planned(0, 1, **n), cluster, [3, 1]) for n in ({}, {"t1": {"prewarm": 2.5}}))
    assert rows(plain) == rows(early) == [(0, 1.0, 4.0), (1, 4.0, 5.0)]
    assert starts(plain) == starts(early) == [(0, 0.0, 1.0, True), (1, 0.0, 1.0, True)]
    assert (plain.worker_seconds, plain.cold_starts) == (4.0 + 5.0, 2)
    used = run([[]], planned(0), cluster, [1])
    assert (used.cold_starts, used.worker_seconds) == (1, 2.0)  # w1 was of no use


def test_after_a_short_pause_a_worker_is_warm_and_after_a_long_one_cold():
    deps = [[], [], [0, 1]]
    short = run(deps, planned(0, 1, 0), elastic(), [1, 2, 1])
    assert starts(short)[2:] == [(0, 3.0, 3.25, False)]
    assert rows(short)[2] == (0, 3.25, 4.25)
    long = run(deps, planned(0, 1, 0), elastic(), [1, 3, 1])  # the pause is as long as it is kept alive: stopped
    assert starts(long)[2:] == [(0, 4.0, 5.0, True)]
    assert (short.cold_starts, long.cold_starts) == (2, 3)
    assert long.worker_seconds == 2.0 + 4.0 + 2.0  # w0 twice


def test_without_a_pause_nothing_is_started():
    found = run([[], [0], [1]], planned(0, 0, 0), elastic(keep_alive=0.0), [1, 1, 1])
    assert found.cold_starts == 1
    assert found.makespan == 4.0


def test_a_worker_that_stopped_has_lost_what_it_held():
    cluster = elastic(bandwidth=10.0, keep_alive=1.0)
    found = run([[], [], [0, 1]], planned(0, 1, 0), cluster, [1, 5, 1], [10, 0, 0])
    assert found.bytes_moved == 10.0
    assert rows(found)[2] == (0, 7.0, 9.0)
    kept = run([[], [], [0, 1]], planned(0, 1, 0), elastic(bandwidth=10.0, keep_alive=9.0), [1, 5, 1], [10, 0, 0])
    assert kept.bytes_moved == 0.0


def test_a_prewarmed_worker_is_there_in_time():
    late = run([[], [0]], planned(0, 1), elastic(warm=0.0), [3, 1])
    early = run([[], [0]], planned(0, 1, t1={"prewarm": 3.0}), elastic(warm=0.0), [3, 1])
    assert (late.makespan, early.makespan) == (6.0, 5.0)
    assert starts(early) == [(0, 0.0, 1.0, True), (1, 3.0, 4.0, True)]
    much_too_early = run([[], [0]], planned(0, 1, t1={"prewarm": 0.0}), elastic(warm=0.0), [3, 1])
    assert starts(much_too_early)[-1] == (1, 4.0, 5.0, True)
    assert much_too_early.cold_starts == 3


def test_what_is_anybodys_goes_to_the_finisher_then_to_who_is_idle_then_to_a_new_worker():
    found = run([[], [0], [0], [0]], planned(*[None] * 4), elastic(4, warm=0.0), [1, 2, 2, 2])
    assert rows(found) == [(0, 1.0, 2.0), (0, 2.0, 4.0), (1, 3.0, 5.0), (2, 3.0, 5.0)]
    assert found.cold_starts == 3  # w3 is not needed
    idle = run([[], [], [0], [2], [2]], planned(0, 1, 0, None, None), elastic(4, warm=0.0), [1, 1, 1, 2, 2])
    assert [w for w, _, _ in rows(idle)[3:]] == [0, 1]
    assert idle.cold_starts == 2


def test_more_tasks_than_workers_wait_in_one_queue():
    found = run([[] for _ in range(6)], planned(*[None] * 6), elastic(2), [1] * 6)
    assert found.makespan == 4.0
    assert found.cold_starts == 2


def test_one_worker_of_several_threads_is_launched_for_as_many_tasks():
    cluster = Cluster(tuple(WorkerSpec(W[i], threads=3) for i in range(3)), startup=1.0, elastic=True)
    found = run([[] for _ in range(4)], planned(*[None] * 4), cluster, [1] * 4)
    assert found.cold_starts == 2
    assert found.makespan == 2.0


def test_what_is_preloaded_travels_once_the_worker_is_up():
    cluster = elastic(bandwidth=10.0)
    found = run([[], [0]], planned(0, 1, t1={"preload": (0,)}), cluster, [1, 1], [10, 0])
    assert rows(found)[1] == (1, 4.0, 5.0)  # launched at 2, up at 3, there at 4: receiving is no pause


def test_the_events_tell_of_every_start():
    graph, plan = TaskGraph.build("g", [[], [], [0, 1]]), planned(0, 1, 0)
    events = list(simulate(graph, plan, elastic(), np.array([1.0, 2.0, 1.0])))
    told = [event for event in events if isinstance(event, WorkerStarted)]
    assert told == [WorkerStarted(0, 1.0, 0.0), WorkerStarted(1, 1.0, 0.0), WorkerStarted(0, 3.25, 3.0, cold=False)]


def test_where_seconds_are_unknown_starting_costs_nothing():
    graph = TaskGraph.build("g", [[], [0]])
    assert forecast(graph, planned(0, 1), elastic(), estimate(graph)).makespan == 2.0


def test_workers_are_launched_for_any_policy():
    graph = TaskGraph.build("g", [[], [], [], [0, 1, 2]])
    found = forecast(graph, Queue(), elastic(4), np.ones(4))
    assert found.cold_starts == 3
    assert found.makespan == 3.0
