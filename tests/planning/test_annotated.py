"""Duplicates, streams, groups and outputs that must be written: each rule in the smallest graph that shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.plan import Annotations, Assignment, Plan
from dagnb.planning.simulator import complete, forecast, simulate
from dagnb.testing import check_schedule, scattered
from dagnb.trace.readable import CopyFinished, OutputPreloaded
from dagnb.trace.timeline import Timeline
from tests.planning.runs import W, planned, rows, run

MB = 1e6

# --- durations by worker --------------------------------------------------------------------------------------------


def test_durations_are_those_of_the_worker_by_speed_and_memory():
    small = WorkerSpec(W[0], memory=1e9)
    cluster = Cluster((small, WorkerSpec(W[1], memory=2e9), WorkerSpec(W[2], speed=2.0)))
    estimates = Estimates(*(np.ones(3),) * 3, np.zeros(3), ("declared",) * 3, True, share=1.0, exponent=1.0)
    graph, plan = TaskGraph.build("g", [[], [], []]), planned(0, 1, 2)
    done = complete(plan, graph, cluster, estimates)
    assert [done.timeline[i].end for i in range(3)] == [2.0, 1.0, 0.5]
    check_schedule(graph, plan, cluster, estimates, done.timeline)
    assert done.lower_bound <= done.makespan


# --- duplicates -----------------------------------------------------------------------------------------------------


def unequal(*speeds, **network):
    return Cluster(tuple(WorkerSpec(W[i], speed=s) for i, s in enumerate(speeds)), **network)


def test_of_two_copies_the_first_to_finish_is_the_task_and_the_other_runs_to_its_end():
    found = run([[], [0]], planned(0, 1, t0={"duplicate": (W[1],)}), unequal(1.0, 2.0), [2, 2])
    assert rows(found) == [(1, 0.0, 1.0), (1, 1.0, 2.0)]
    (aside,) = found.timeline.asides
    assert (aside["start"], aside["at"], aside["worker"], aside["task"]) == (0.0, 2.0, 0, 0)
    assert found.gb_seconds == pytest.approx(2.0 * (1 + 1 + 2))  # the copy costs what it costs


def test_a_copy_that_has_not_begun_when_the_task_is_done_is_dropped():
    plan = planned(1, 0, t0={"duplicate": (W[0],)})
    plan = Plan((plan.assignments[0], Assignment(W[0], 0, -1.0)))  # w0 is at task 1 first
    found = run([[], []], plan, Cluster.local(2), [1, 3])
    assert rows(found) == [(1, 0.0, 1.0), (0, 0.0, 3.0)]
    assert not len(found.timeline.asides)


def test_a_worker_that_ran_a_copy_holds_the_output():
    cluster = unequal(1.0, 2.0, bandwidth=10.0, latency=0.5)
    alone = run([[], [0], [0]], planned(0, 0, 1), cluster, [2, 1, 1], [10, 0, 0])
    copied = run([[], [0], [0]], planned(0, 0, 1, t0={"duplicate": (W[1],)}), cluster, [2, 1, 1], [10, 0, 0])
    assert rows(alone)[2] == (1, 2.0, 4.0)
    assert rows(copied) == [(1, 0.0, 1.0), (0, 2.0, 3.0), (1, 1.0, 1.5)]  # w0 has ended its own copy by then
    assert (alone.bytes_moved, copied.bytes_moved) == (10.0, 0.0)


def test_a_copy_fetches_its_own_inputs():
    cluster = Cluster.local(2, bandwidth=10.0)
    found = run([[], [0]], planned(0, 0, t1={"duplicate": (W[1],)}), cluster, [1, 1], [10, 0])
    assert rows(found)[1] == (0, 1.0, 2.0)
    assert found.bytes_moved == 10.0
    assert found.makespan == 2.0  # nobody waits for the copy, which ends at 3


def test_a_duplicate_that_anybody_may_take_runs_once_on_each_worker():
    found = run([[]], planned(None, t0={"duplicate": (W[0], W[1])}), Cluster.local(2), [1])
    assert len(found.timeline.asides) == 1


# --- groups ---------------------------------------------------------------------------------------------------------


def test_a_group_follows_the_worker_that_took_the_first_of_it():
    deps = [[], [], [0], [0], [0]]
    free = run(deps, planned(*[None] * 5), Cluster.local(3), [1, 5, 1, 1, 1])
    together = planned(*[None] * 5, **{f"t{i}": {"group": 7} for i in (2, 3, 4)})
    tied = run(deps, together, Cluster.local(3), [1, 5, 1, 1, 1])
    assert [w for w, _, _ in rows(free)[2:]] == [0, 2, 0]
    assert rows(tied)[2:] == [(0, 1.0, 2.0), (0, 2.0, 3.0), (0, 3.0, 4.0)]


def test_a_named_worker_comes_before_a_group():
    deps, notes = [[], [], [0, 1]], {f"t{i}": {"group": 0} for i in range(3)}
    found = run(deps, planned(0, None, 1, **notes), Cluster.local(2), [1] * 3)
    assert rows(found)[2] == (1, 1.0, 2.0)


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_starts_with_its_producer_and_ends_after_its_last_piece():
    cluster = Cluster.local(2, bandwidth=1e7, latency=0.25)
    found = run([[], [0]], planned(0, 1, t1={"stream": (0,)}), cluster, [2, 1], [100 * MB, 0])
    assert rows(found) == [(0, 0.0, 2.0), (1, 0.0, pytest.approx(2.25 + (1 << 20) / 1e7))]
    assert found.timeline[1].fetch == 0.25
    assert found.bytes_moved == 100 * MB


def test_a_stream_that_comes_too_late_or_to_nobody_is_an_input_like_others():
    cluster = Cluster.local(2, bandwidth=1e8)
    late = run([[], [0], []], Plan((
        Assignment(W[0], 0), Assignment(W[1], 1, 1.0, Annotations(stream=(0,))), Assignment(W[1], 0, 0.0),
    )), cluster, [1, 1, 3], [100 * MB, 0, 0])  # fmt: skip
    assert rows(late)[1] == (1, 3.0, 5.0)
    nobody = run([[], [0]], planned(0, None, t1={"stream": (0,)}), cluster, [1, 1], [100 * MB, 0])
    assert rows(nobody)[1] == (0, 1.0, 2.0)


def test_on_the_same_worker_a_stream_waits_for_the_thread():
    found = run([[], [0]], planned(0, 0, t1={"stream": (0,)}), Cluster.local(1), [1, 1])
    assert rows(found)[1] == (0, 1.0, 2.0)


def test_streams_in_a_row_end_one_after_the_other():
    plan = planned(0, 1, 2, t1={"stream": (0,)}, t2={"stream": (1,)})
    found = run([[], [0], [1]], plan, Cluster.local(3), [3, 1, 1])
    assert [(start, end) for _, start, end in rows(found)] == [(0, 3), (0, 3), (0, 3)]


# --- outputs that must be written -----------------------------------------------------------------------------------

STORE = Cluster.local(2, bandwidth=1e8, publish=1e8)


def test_a_large_output_keeps_its_worker_until_it_is_written():
    found = run([[], [0], []], planned(0, 1, 0), STORE, [1, 1, 1], [100 * MB, 0, 0])
    assert rows(found) == [(0, 0.0, 1.0), (1, 2.0, 4.0), (0, 2.0, 3.0)]
    assert found.timeline[0].upload == 1.0
    small = run([[], [0], []], planned(0, 1, 0), STORE, [1, 1, 1], [65536, 0, 0])
    assert rows(small)[2] == (0, 1.0, 2.0)


def test_large_outputs_are_written_wherever_they_are_needed():
    """A worker commits all it has before a long task begins: what follows on the same worker waits for that."""
    found = run([[], [0], [1]], planned(0, 0, 0), STORE, [1, 1, 1], [100 * MB, 100 * MB, 100 * MB])
    assert rows(found) == [(0, 0.0, 1.0), (0, 2.0, 3.0), (0, 4.0, 5.0)]
    kept = run([[], [0]], planned(0, 0, t0={"keep_local": True}), STORE, [1, 1], [100 * MB, 0])
    assert rows(kept)[1] == (0, 1.0, 2.0)


def test_what_the_user_keeps_is_written_at_a_rate_of_its_own():
    """Task 0 is kept and needed: both; task 1 is only kept; task 2 neither."""
    graph = replace(TaskGraph.build("g", [[], [0], []]), kept=frozenset({0, 1}))
    cluster = Cluster.local(1, publish=1e8, keep=0.5e8)
    found = forecast(graph, planned(0, 0, 0), cluster, Estimates.of(np.ones(3), np.full(3, 100 * MB)))
    assert found.timeline.upload.tolist() == [3.0, 2.0, 1.0]
    assert found.timeline.start.tolist() == [0.0, 4.0, 7.0]
    assert found.timeline.end.tolist() == [1.0, 5.0, 8.0]


def test_a_kept_output_is_written_when_somebody_elsewhere_asks():
    found = run([[], [0], []], planned(0, 1, 0, t0={"keep_local": True}), STORE, [1, 1, 1], [100 * MB, 0, 0])
    assert rows(found) == [(0, 0.0, 1.0), (1, 1.0, 4.0), (0, 1.0, 2.0)]
    assert found.timeline[0].upload == 0.0


def test_what_is_preloaded_is_an_event():
    graph, plan = TaskGraph.build("g", [[], [0]]), planned(0, 1, t1={"preload": (0,)})
    estimates = Estimates.of(np.ones(2), np.array([100 * MB, 0.0]))
    events = list(simulate(graph, plan, Cluster.local(2, bandwidth=1e8), estimates))
    assert [e for e in events if isinstance(e, OutputPreloaded)] == [OutputPreloaded(0, 1, 2.0, 1.0, 100 * MB)]
    assert [e.at for e in events] == sorted(e.at for e in events)


# --- any plan at all ------------------------------------------------------------------------------------------------

CLUSTERS = {
    "store": Cluster.local(3, bandwidth=1e8, latency=0.01, publish=5e7, overhead=0.01),
    "speeds": Cluster(
        tuple(WorkerSpec(W[i], speed=s, threads=t) for i, (s, t) in enumerate([(2.0, 1), (1.0, 2), (0.5, 1)])),
        bandwidth=1e8,
        startup=0.25,
    ),
    "cold": Cluster.local(3, bandwidth=1e8, startup=0.5, keep_alive=0.0, elastic=True),
    "warm": Cluster.local(3, bandwidth=1e8, startup=0.5, warm=0.125, keep_alive=1.0, elastic=True, publish=1e8),
    "alive": Cluster(
        tuple(WorkerSpec(W[i], threads=i + 1) for i in range(3)), startup=0.5, keep_alive=0.75, elastic=True
    ),
}


def any_plan(graph, cluster, chance):
    """Workers, priorities and annotations thrown at random."""
    ids = [None, *(w.id for w in cluster.workers)]
    assignments = []
    for i in range(len(graph)):
        worker = ids[chance.integers(len(ids))]
        needed = graph.dependencies(i)
        some = [tuple(int(d) for d in needed if chance.random() < 0.5) for _ in range(2)]
        others = tuple(w.id for w in cluster.workers if w.id != worker and chance.random() < 0.3)
        note = Annotations(
            preload=some[0] if chance.random() < 0.4 else (),
            keep_local=bool(chance.random() < 0.3),
            duplicate=others if chance.random() < 0.3 else (),
            prewarm=float(chance.choice([0.0, 0.5, 2.0])) if chance.random() < 0.2 else None,
            group=int(chance.integers(3)) if chance.random() < 0.3 else None,
            stream=some[1] if chance.random() < 0.3 else (),
        )
        assignments.append(Assignment(worker, i, float(chance.integers(4)), note if chance.random() < 0.7 else None))
    return Plan(tuple(assignments))


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(0, 25), st.sampled_from(list(CLUSTERS)))
def test_any_annotations_at_all_give_a_possible_schedule(seed, n, machines):
    """The plan may be silly, the schedule must be possible, be the same again, and fold from its events."""
    cluster, chance = CLUSTERS[machines], np.random.default_rng(seed)
    graph = TaskGraph.build("any", scattered(n, seed))
    estimates = Estimates.of(chance.choice([0.0, 0.5, 1.0, 1.7], n), chance.choice([0.0, 1e4, 1e6, 5e7], n))
    plan = any_plan(graph, cluster, chance)
    found = forecast(graph, plan, cluster, estimates)
    check_schedule(graph, plan, cluster, estimates, found.timeline)
    assert forecast(graph, plan, cluster, estimates).timeline.same_as(found.timeline)
    events = list(simulate(graph, plan, cluster, estimates))
    assert Timeline.of(n, events).same_as(found.timeline)
    moments = [event.at for event in events]
    assert moments == sorted(moments)
    copies = [event for event in events if isinstance(event, CopyFinished)]
    assert len({(c.task, c.worker) for c in copies}) == len(copies)
    assert all(c.at >= found.timeline.end[c.task] for c in copies)
