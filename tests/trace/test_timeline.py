"""Events folded into rows: the readable specification, the hot path, and that they are the same."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.trace.events import COMMIT, PROVISIONAL, RECORD, RETRACTION, Batch, RecordKind, TaskState
from dagnb.trace.readable import (
    CopyFinished,
    OutputPreloaded,
    TaskCancelled,
    TaskFailed,
    TaskFinished,
    TaskRetried,
    TaskReused,
    TaskSkipped,
    TaskStarted,
    WorkerCommitted,
    WorkerGivenUp,
    WorkerLost,
    WorkerStarted,
)
from dagnb.trace.records import Shorts, pack_batch
from dagnb.trace.timeline import Span, Timeline, compare

TASKS, WORKERS = 6, 3


def batch(purpose, worker, *records):
    """Records are (kind, task, at) or (kind, task, at, more); a worker speaks for itself unless told otherwise."""
    packed = np.zeros(len(records), RECORD)
    for row, (kind, task, at, *more) in zip(packed, records, strict=True):
        row["kind"], row["task"], row["at"], row["worker"], row["attempt"] = kind, task, at, worker, 1
        for name, value in (more[0] if more else {}).items():
            row[name] = value
    return Batch(purpose, worker, packed)


seconds = st.floats(0, 1e6, width=32)
record = st.tuples(
    st.sampled_from(list(RecordKind)),
    st.integers(0, TASKS - 1),
    seconds,
    st.fixed_dictionaries(
        {
            "start": seconds,
            "fetch": seconds,
            "upload": seconds,
            "size": seconds,
            "worker": st.integers(0, WORKERS - 1),
            "attempt": st.integers(1, 255),
        }
    ),
)
batches = st.builds(
    lambda purpose, worker, records: batch(purpose, worker, *records),
    st.sampled_from([PROVISIONAL, COMMIT, RETRACTION]),
    st.integers(0, WORKERS - 1),
    st.lists(record, max_size=6),
)


@settings(max_examples=200)
@given(st.lists(batches, max_size=6))
def test_a_batch_folds_like_its_events_one_by_one(sent):
    fast, slow = Timeline(TASKS), Timeline(TASKS)
    for one in sent:
        before = [fast[i] for i in range(TASKS)]
        changed = fast.apply_batch(Batch.unpack(one.pack()))
        for event in one.events():
            slow.apply(event)
        assert fast.same_as(slow)
        assert np.array_equal(fast.provisional, slow.provisional)
        differ = {i for i in range(TASKS) if repr(fast[i]) != repr(before[i])}
        assert differ <= set(changed.tolist())
        assert changed.tolist() == sorted(set(changed.tolist()))


@settings(max_examples=100)
@given(st.lists(batches, max_size=8), st.lists(batches, max_size=3))
def test_many_batches_fold_together_as_one_after_the_other(sent, later):
    together, slow = Timeline(TASKS), Timeline(TASKS)
    together.apply_batches(sent)
    for one in sent:
        slow.apply_batch(one)
    assert together.same_as(slow)
    assert np.array_equal(together.provisional, slow.provisional)
    together.apply_batches(later)  # what is open has to be taken back, or settled, as before
    for one in later:
        slow.apply_batch(one)
    for worker in range(WORKERS):
        together.apply(WorkerLost(worker))
        slow.apply(WorkerLost(worker))
    assert together.same_as(slow)


def test_what_happened_beside_the_rows_opens_no_row_again():
    """A copy that came second is told after the commit of the first; then the first one's worker dies."""
    first = batch(COMMIT, 0, (RecordKind.FINISHED, 1, 2.0, {"start": 1.0, "worker": 0}))
    second = batch(PROVISIONAL, 1, (RecordKind.COPIED, 1, 3.0, {"start": 1.5, "worker": 1}))
    timeline = Timeline(TASKS)
    timeline.apply_batches([first, second, batch(RETRACTION, 0)])
    assert timeline[1].state == TaskState.DONE


@settings(max_examples=60)
@given(st.lists(batches, max_size=6))
def test_what_a_worker_said_since_its_commit_is_gone_when_it_is_lost(sent):
    timeline = Timeline(TASKS)
    for one in sent:
        timeline.apply_batch(one)
    open_rows = timeline.provisional
    for worker in range(WORKERS):
        timeline.apply(WorkerLost(worker))
    assert not timeline.provisional.any()
    for task in np.flatnonzero(open_rows):
        assert repr(timeline[int(task)]) == repr(Span(int(task)))


def test_the_life_of_a_task_by_hand():
    timeline = Timeline(2)
    timeline.apply(TaskStarted(0, worker=1, at=2.0))
    assert timeline[0].state is TaskState.RUNNING
    assert (timeline[0].start, timeline[0].worker, timeline[0].attempt) == (2.0, 1, 1)
    timeline.apply(TaskFinished(0, worker=1, at=5.0, start=2.0, fetch=0.5, upload=0.25, size=100.0))
    assert timeline[0] == (0, TaskState.DONE, 2.0, 5.0, 0.5, 0.25, 100.0, 1, 1)
    assert timeline[0].duration == 3.0
    assert timeline[-1].task == 1
    assert timeline.makespan == 3.0


def test_a_lost_worker_takes_back_its_own_and_nothing_else():
    timeline = Timeline(4)
    timeline.apply_batch(batch(COMMIT, 0, (RecordKind.FINISHED, 0, 1.0)))
    timeline.apply_batch(batch(PROVISIONAL, 0, (RecordKind.FINISHED, 1, 2.0), (RecordKind.STARTED, 2, 2.0)))
    timeline.apply_batch(batch(PROVISIONAL, 1, (RecordKind.FINISHED, 3, 2.0)))
    changed = timeline.apply_batch(batch(RETRACTION, 0))
    assert changed.tolist() == [1, 2]
    assert [timeline[i].state for i in range(4)] == [
        TaskState.DONE,
        TaskState.WAITING,
        TaskState.WAITING,
        TaskState.DONE,
    ]


def test_a_task_that_went_on_elsewhere_survives_the_loss_of_its_first_worker():
    timeline = Timeline(1)
    timeline.apply(TaskStarted(0, worker=0, at=1.0))
    timeline.apply(TaskStarted(0, worker=1, at=2.0, attempt=2))
    timeline.apply(WorkerLost(0))
    assert timeline[0].state is TaskState.RUNNING
    assert timeline[0].worker == 1


def test_after_a_commit_only_what_is_running_is_taken_back():
    timeline = Timeline(2)
    timeline.apply(TaskFinished(1, worker=0, at=0.5, start=0.1))
    timeline.apply(TaskStarted(0, worker=0, at=1.0))
    timeline.apply(WorkerCommitted(0))
    assert timeline[0].state is TaskState.RUNNING
    timeline.apply(WorkerLost(0))
    assert timeline[0].state is TaskState.WAITING
    assert timeline[1].state is TaskState.DONE


def test_what_nobody_ran_is_counted_but_not_timed():
    events = [TaskSkipped(0, 9.0), TaskCancelled(1, 9.0), TaskReused(2, 0.1), TaskFailed(3, 0, 4.0, 1.0)]
    timeline = Timeline.of(5, events)
    expected = {
        TaskState.SKIPPED: 1,
        TaskState.CANCELLED: 1,
        TaskState.CACHED: 1,
        TaskState.FAILED: 1,
        TaskState.WAITING: 1,
    }
    assert timeline.counts == dict.fromkeys(TaskState, 0) | expected
    assert timeline.makespan == 3.0


def test_an_empty_timeline_has_nothing():
    timeline = Timeline(0)
    assert timeline.makespan == 0.0
    assert sum(timeline.counts.values()) == 0
    assert len(timeline.apply_batch(batch(COMMIT, 0))) == 0
    with pytest.raises(IndexError):
        timeline[0]


@pytest.mark.parametrize("task", [-1, 3, 2**31 - 1])
def test_a_task_that_is_not_there_is_refused_and_nothing_changes(task):
    timeline = Timeline(3)
    with pytest.raises(ValueError, match=f"task {task}"):
        timeline.apply(TaskSkipped(task, 1.0))
    with pytest.raises(ValueError, match=f"task {task}"):
        timeline.apply_batch(batch(COMMIT, 0, (RecordKind.FINISHED, 0, 1.0), (RecordKind.FINISHED, task, 1.0)))
    assert timeline.same_as(Timeline(3))
    assert not timeline.provisional.any()


@pytest.mark.parametrize("kind", [0, max(RecordKind) + 1, 255])
def test_an_unknown_kind_of_record_is_refused_and_nothing_changes(kind):
    timeline = Timeline(3)
    with pytest.raises(ValueError, match=f"kind {kind}"):
        timeline.apply_batch(batch(COMMIT, 0, (RecordKind.FINISHED, 0, 1.0), (kind, 1, 1.0)))
    assert timeline.same_as(Timeline(3))


def test_an_unknown_purpose_is_refused():
    with pytest.raises(ValueError, match="purpose 9"):
        Timeline(1).apply_batch(batch(9, 0))


@settings(max_examples=50)
@given(st.lists(batches, max_size=6))
def test_what_has_ended_can_be_stored_as_one_batch(sent):
    timeline = Timeline(TASKS)
    for one in sent:
        timeline.apply_batch(one)
    again = Timeline(TASKS)
    again.apply_batch(Batch.unpack(timeline.batch().pack()))
    for i in np.flatnonzero(timeline.state >= TaskState.DONE):
        assert repr(again[int(i)]) == repr(timeline[int(i)])


def test_comparing_plan_and_actual():
    planned = Timeline.of(2, [TaskFinished(0, 0, 2.0, 0.0), TaskFinished(1, 0, 4.0, 2.0)])
    actual = Timeline.of(2, [TaskFinished(0, 0, 3.0, 0.0), TaskFinished(1, 0, 6.0, 3.0)])
    difference = compare(planned, actual)
    assert difference.start.tolist() == [0.0, 1.0]
    assert difference.duration.tolist() == [1.0, 1.0]
    assert difference.makespan == 1.5
    with pytest.raises(ValueError, match="2 tasks cannot be compared with one of 3"):
        compare(planned, Timeline(3))


def test_twenty_thousand_records_take_a_moment():
    """Generous: the point is that no record becomes an object."""
    records = np.zeros(20_000, RECORD)
    records["task"], records["kind"] = np.tile(np.arange(10_000), 2), np.repeat([1, 2], 10_000)
    timeline = Timeline(10_000)
    began = time.perf_counter()
    assert len(timeline.apply_batch(Batch(PROVISIONAL, 0, records))) == 10_000
    assert len(timeline.apply_batch(Batch(RETRACTION, 0, records[:0]))) == 10_000
    assert time.perf_counter() - began < 0.4


def test_short_records_are_finished_ones_of_their_worker():
    short = shorts([(5_000, 2_000, 4), (9_000, 5_000, 6)])
    data = pack_batch(COMMIT, 3, [(9.0, 9.0, 0, 0, 0, 7, 3, RecordKind.STARTED, 1)], short, 1_000)
    batch = Batch.unpack(data)
    first, second, third, committed = batch.events()
    assert first == TaskFinished(4, 3, pytest.approx(4e-6), pytest.approx(1e-6), size=8.0)
    assert second == TaskFinished(6, 3, pytest.approx(8e-6), pytest.approx(4e-6), size=8.0)
    assert third == TaskStarted(7, 3, 9.0)
    assert committed == WorkerCommitted(3)
    for cut in (10, 30):
        with pytest.raises(ValueError, match="short records"):
            Batch.unpack(data[:cut])


def shorts(records):
    """As the loop of a worker puts them together: it only says where a task does not begin when the last one ended."""
    found, last = Shorts(), None
    for end, start, task in records:
        if start != last:
            found.begin(start)
        found.ends.append(end)
        found.tasks.append(task)
        last = end
    return found


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 99)), max_size=30), st.integers(0, 30))
def test_short_records_come_back_as_they_were(steps, cut):
    """Also in two messages: the second begins where the first has ended, or where somebody says."""
    records, clock = [], 1_000
    for pause, length, task in steps:
        records.append((clock + pause + length, clock + pause, task))
        clock += pause + length
    one = shorts(records[:cut])
    assert list(one) == records[:cut]
    read = Batch.unpack(pack_batch(COMMIT, 0, [], one, 1_000)).records
    one.clear()
    for end, start, task in records[cut:]:
        one.begin(start)
        one.ends.append(end)
        one.tasks.append(task)
    one.begin(77)  # of what is told next
    read = np.concatenate([read, Batch.unpack(pack_batch(COMMIT, 0, [], one, 1_000)).records])
    told = [(round(r["at"] * 1e9) + 1_000, round(r["start"] * 1e9) + 1_000, int(r["task"])) for r in read]
    assert told == records


def test_a_try_that_failed_is_told_and_its_task_waits_again():
    timeline = Timeline.of(2, [TaskStarted(0, 1, 1.0), TaskRetried(0, 1, 2.0, 1.0)])
    assert timeline[0]._replace(start=0.0, end=0.0) == Span(0, TaskState.WAITING, 0.0, 0.0, attempt=1)
    timeline.apply(WorkerLost(1))
    assert timeline[0].attempt == 1, "the try was committed"
    for event in (TaskStarted(0, 0, 3.0, 2), TaskFinished(0, 0, 4.0, 3.0, attempt=2)):
        timeline.apply(event)
    assert timeline[0].duration == 1.0, "the duration of a task is that of its last try"
    again = Timeline(2)
    again.apply_batch(Batch.unpack(timeline.batch().pack()))
    assert again.same_as(timeline)
    assert list(again.batch().events()) == [
        TaskRetried(0, 1, 2.0, 1.0),
        TaskFinished(0, 0, 4.0, 3.0, attempt=2),
        WorkerCommitted(0),
    ]


def test_asides_stand_beside_the_rows():
    events = [
        WorkerStarted(1, 0.5, 0.1, cold=True),
        OutputPreloaded(0, 1, 1.5, 1.0, 100.0),
        CopyFinished(2, 0, 3.0, 2.0),
        WorkerGivenUp(1, 3.5),
        WorkerLost(1),
    ]
    timeline = Timeline.of(3, events)
    assert timeline.counts[TaskState.WAITING] == 3
    kinds = [RecordKind.BEGUN, RecordKind.PRELOADED, RecordKind.COPIED, RecordKind.GIVEN_UP]
    assert timeline.asides["kind"].tolist() == kinds
    assert list(timeline.batch().events()) == [*events[:4], WorkerCommitted(0)]
    again = Timeline(3)
    again.apply_batch(Batch.unpack(timeline.batch().pack()))
    assert again.same_as(timeline)
    assert not again.same_as(Timeline(3))
