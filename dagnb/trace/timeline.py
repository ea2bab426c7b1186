"""Timeline: events folded into one row per task. Plan against actual is two of these.

A row is what is known of a task *now*; an event replaces the whole row, so the last one that speaks of a task wins.
Rows told by a worker are provisional until that worker commits; if it is lost instead, they go back to waiting. What a
worker has only begun stays provisional through a commit: a beginning is told together with the end of what came before.

`Timeline.apply` is the specification, one readable event at a time; `Timeline.apply_batch` is the same in numpy, for
the tens of thousands of records that a run sends. The tests, and the reader in `js/`, hold themselves to both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self, assert_never

import numpy as np
from numpy.typing import NDArray

from .events import COMMIT, PROVISIONAL, RECORD, RETRACTION, Batch, RecordKind, TaskState
from .readable import (
    Aside,
    CopyFinished,
    Event,
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Tasks = NDArray[np.int32]
Floats = NDArray[np.float64]

#: State after a record, by its kind; the hot path looks it up for all records at once.
STATE_OF = np.zeros(max(RecordKind) + 1, np.uint8)
STATE_OF[RecordKind.STARTED] = TaskState.RUNNING
STATE_OF[RecordKind.FINISHED] = TaskState.DONE
STATE_OF[RecordKind.FAILED] = TaskState.FAILED
STATE_OF[RecordKind.SKIPPED] = TaskState.SKIPPED
STATE_OF[RecordKind.CANCELLED] = TaskState.CANCELLED
STATE_OF[RecordKind.CACHED] = TaskState.CACHED
STATE_OF[RecordKind.RETRIED] = TaskState.WAITING

#: `worker` of a task that no worker has touched.
NOBODY = -1


class Span(NamedTuple):
    """One row of a timeline: a task, where it ran and when (seconds since submission, NaN while unknown; bytes)."""

    task: int
    state: TaskState = TaskState.WAITING
    start: float = float("nan")
    end: float = float("nan")
    fetch: float = 0.0
    upload: float = 0.0
    size: float = 0.0
    worker: int = NOBODY
    attempt: int = 0

    @property
    def duration(self) -> float:
        """Seconds from start to end, NaN while it has not both."""
        return self.end - self.start


class Timeline:
    """Columns over tasks; row i is what is known of task i.

    state     [n] u1  `TaskState`
    start     [n] f8  seconds since submission, NaN before
    end       [n] f8  seconds since submission, NaN before; also the moment a task was skipped, cancelled or reused
    fetch     [n] f4  seconds of start … end that went into its inputs
    upload    [n] f4  seconds of sending its output
    size      [n] f8  bytes of its output
    worker    [n] i4  number of the worker, -1 for nobody
    attempt   [n] u1  1 for the first, 0 before it
    asides    [k] RECORD  what happened beside the rows: outputs preloaded, copies that came second, workers started
                          or given up, tries that were followed by another; it stays whatever becomes of the worker

    One thread folds; others may read the columns, and may see a batch half applied.
    """

    def __init__(self, tasks: int) -> None:
        self.state = np.zeros(tasks, np.uint8)
        self.start = np.full(tasks, np.nan)
        self.end = np.full(tasks, np.nan)
        self.fetch = np.zeros(tasks, np.float32)
        self.upload = np.zeros(tasks, np.float32)
        self.size = np.zeros(tasks)
        self.worker = np.full(tasks, NOBODY, np.int32)
        self.attempt = np.zeros(tasks, np.uint8)
        self._claimant = np.full(tasks, NOBODY, np.int32)  # worker whose commit would make the row final
        self._asides: list[NDArray[np.void]] = []
        self._open: dict[int, list[Tasks]] = {}  # what each worker has said since its last commit

    @classmethod
    def of(cls, tasks: int, events: Iterable[Event]) -> Self:
        """The timeline of `tasks` tasks after all `events`."""
        timeline = cls(tasks)
        for event in events:
            timeline.apply(event)
        return timeline

    def __len__(self) -> int:
        return len(self.state)

    def __getitem__(self, task: int) -> Span:
        """The row of one task."""
        return Span(
            int(range(len(self))[task]),
            TaskState(self.state[task]),
            float(self.start[task]),
            float(self.end[task]),
            float(self.fetch[task]),
            float(self.upload[task]),
            float(self.size[task]),
            int(self.worker[task]),
            int(self.attempt[task]),
        )

    # --- folding: the specification ---------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Fold one event. Raises ValueError when it speaks of a task that is not here."""
        match event:
            case TaskStarted(task, worker, at, attempt):
                self._claim(Span(task, TaskState.RUNNING, at, worker=worker, attempt=attempt))
            case TaskFinished(task, worker, at, start, fetch, upload, size, attempt):
                self._claim(Span(task, TaskState.DONE, start, at, fetch, upload, size, worker, attempt))
            case TaskFailed(task, worker, at, start, attempt):
                self._claim(Span(task, TaskState.FAILED, start, at, worker=worker, attempt=attempt))
            case TaskSkipped(task, at):
                self._write(Span(task, TaskState.SKIPPED, end=at))
            case TaskCancelled(task, at):
                self._write(Span(task, TaskState.CANCELLED, end=at))
            case TaskReused(task, at):
                self._write(Span(task, TaskState.CACHED, end=at))
            case TaskRetried(task, attempt=attempt):
                self._aside(event)
                self._write(Span(task, TaskState.WAITING, attempt=attempt))
            case OutputPreloaded() | CopyFinished() | WorkerStarted() | WorkerGivenUp():
                self._aside(event)
            case WorkerCommitted(worker):
                self._commit(worker)
            case WorkerLost(worker):
                for task in self._settle(worker):
                    self._write(Span(int(task)))
            case _:
                assert_never(event)

    def _claim(self, row: Span) -> None:
        """A row that stands only until its worker commits or is lost."""
        self._write(row)
        self._claimant[row.task] = row.worker
        self._open.setdefault(row.worker, []).append(np.array([row.task], np.int32))

    def _write(self, row: Span) -> None:
        """Replace the row of a task by one that is final."""
        task = row.task
        if not 0 <= task < len(self):
            raise _stranger(task, len(self))
        self.state[task], self.attempt[task], self.worker[task] = row.state, row.attempt, row.worker
        self.start[task], self.end[task] = row.start, row.end
        self.fetch[task], self.upload[task], self.size[task] = row.fetch, row.upload, row.size
        self._claimant[task] = NOBODY

    def _aside(self, event: Aside) -> None:
        """Something that happened beside the rows."""
        task, start, size, attempt = 0, event.at, 0.0, 0
        match event:
            case OutputPreloaded(task, start=start, size=size):
                kind = RecordKind.PRELOADED
            case CopyFinished(task, start=start):
                kind = RecordKind.COPIED
            case WorkerStarted(start=start, cold=cold):
                kind, attempt = RecordKind.BEGUN, int(cold)
            case WorkerGivenUp():
                kind = RecordKind.GIVEN_UP
            case TaskRetried(task, start=start, attempt=attempt):
                kind = RecordKind.RETRIED
            case _:
                assert_never(event)
        if not 0 <= task < max(len(self), 1):
            raise _stranger(task, len(self))
        row = (event.at, start, 0.0, 0.0, size, task, event.worker, kind, attempt)
        self._asides.append(np.array([row], RECORD))

    def _settle(self, worker: int) -> Tasks:
        """Close the books of a worker; returns the tasks whose rows were still its own, ascending."""
        said = self._open.pop(worker, None)
        if not said:
            return np.zeros(0, np.int32)
        tasks = np.unique(np.concatenate(said))
        own: Tasks = tasks[self._claimant[tasks] == worker]
        self._claimant[own] = NOBODY
        return own

    def _commit(self, worker: int) -> None:
        """What this worker has ended is final; what it is at stays open."""
        settled = self._settle(worker)
        running: Tasks = settled[self.state[settled] == TaskState.RUNNING]
        if len(running):
            self._claimant[running] = worker
            self._open[worker] = [running]

    # --- folding: the hot path --------------------------------------------------------------------------------------

    def apply_batch(self, batch: Batch) -> Tasks:
        """Fold a whole batch, as `apply` would fold its events; returns the tasks whose rows it touched, ascending.

        Raises ValueError, and changes nothing, for a record of an unknown kind or of a task that is not here.
        """
        if batch.purpose not in (PROVISIONAL, COMMIT, RETRACTION):
            msg = f"a batch of purpose {batch.purpose} is not known"
            raise ValueError(msg)
        tasks = self._fold(batch.records) if len(batch.records) else np.zeros(0, np.int32)
        if batch.purpose == COMMIT:
            self._commit(batch.worker)
        elif batch.purpose == RETRACTION and len(lost := self._settle(batch.worker)):
            self._forget(lost)
            tasks = np.concatenate([tasks, lost])
        return np.unique(tasks)

    def apply_batches(self, batches: Sequence[Batch]) -> None:
        """Fold many batches, as `apply_batch` would one after the other: what a late reader has to catch up with.

        Raises ValueError as that does; then some of them may have been folded.
        """
        together: list[Batch] = []
        for batch in batches:
            if batch.purpose in (PROVISIONAL, COMMIT):
                together.append(batch)
                continue
            self._apply_together(together)
            together = []
            self.apply_batch(batch)
        self._apply_together(together)

    def _apply_together(self, batches: Sequence[Batch]) -> None:
        """Fold batches among which nothing is taken back: all rows at once, then the commits.

        A commit covers what its worker had said up to there: rows that were written for the last time before it.
        """
        if len(batches) < 2:
            for batch in batches:
                self.apply_batch(batch)
            return
        records = np.concatenate([batch.records for batch in batches], dtype=RECORD)
        ends = np.cumsum([len(batch.records) for batch in batches])
        if len(records):
            self._fold(records)
        last = np.full(len(self), -1)
        rows = np.flatnonzero(_of_rows(records["kind"]))
        last[records["task"][rows]] = rows
        commits = {batch.worker: int(end) for batch, end in zip(batches, ends, strict=True) if batch.purpose == COMMIT}
        for worker, end in commits.items():
            own = self._settle(worker)
            open_rows: Tasks = own[(last[own] >= end) | (self.state[own] == TaskState.RUNNING)]
            if len(open_rows):
                self._claimant[open_rows] = worker
                self._open[worker] = [open_rows]

    def _fold(self, records: NDArray[np.void]) -> Tasks:
        """Rows from records. Where a task occurs twice the last assignment stays, as numpy promises."""
        tasks, kind = records["task"], records["kind"]
        if tasks.min() < 0 or tasks.max() >= max(len(self), 1):
            raise _stranger(int(tasks.min() if tasks.min() < 0 else tasks.max()), len(self))
        if kind.min() < 1 or kind.max() > max(RecordKind):
            msg = f"a record of kind {int(kind.min() if kind.min() < 1 else kind.max())} is not known"
            raise ValueError(msg)
        if kind.max() > RecordKind.CACHED:
            self._asides.append(_told(records[kind > RecordKind.CACHED]))
            rows = _of_rows(kind)
            if not rows.any():
                return np.zeros(0, np.int32)
            records, tasks, kind = records[rows], tasks[rows], kind[rows]
        started, finished = kind == RecordKind.STARTED, kind == RecordKind.FINISHED
        retried = kind == RecordKind.RETRIED
        by_worker = kind <= RecordKind.FAILED
        worker = np.where(by_worker, records["worker"].astype(np.int32), NOBODY)
        self.state[tasks] = STATE_OF[kind]
        self.start[tasks] = np.where(started, records["at"], np.where(by_worker, records["start"], np.nan))
        self.end[tasks] = np.where(started | retried, np.nan, records["at"])
        for name in ("fetch", "upload", "size"):
            getattr(self, name)[tasks] = np.where(finished, records[name], 0)
        self.worker[tasks] = self._claimant[tasks] = worker
        self.attempt[tasks] = np.where(by_worker | retried, records["attempt"], 0)
        for one in np.unique(worker[by_worker]).tolist():
            self._open.setdefault(one, []).append(tasks[worker == one])
        return np.array(tasks, np.int32)

    def _forget(self, tasks: Tasks) -> None:
        """These did not happen: back to waiting."""
        self.state[tasks] = TaskState.WAITING
        self.start[tasks] = self.end[tasks] = np.nan
        self.fetch[tasks] = self.upload[tasks] = self.size[tasks] = 0
        self.worker[tasks] = NOBODY
        self.attempt[tasks] = 0

    # --- reading ----------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[TaskState, int]:
        """How many tasks are in each state; every state is there."""
        found = np.bincount(self.state, minlength=len(TaskState)).tolist()
        return {state: found[state] for state in TaskState}

    @property
    def makespan(self) -> float:
        """Seconds from the first start to the last end of what ran; 0 before anything has ended."""
        ran = ~np.isnan(self.start) & ~np.isnan(self.end)
        if not ran.any():
            return 0.0
        return float(self.end[ran].max() - np.nanmin(self.start))

    @property
    def asides(self) -> NDArray[np.void]:
        """[k] records of what happened beside the rows, in the order in which it was told."""
        if len(self._asides) > 1:
            self._asides = [np.concatenate(self._asides, dtype=RECORD)]  # keeps the padding
        return self._asides[0] if self._asides else np.zeros(0, RECORD)

    @property
    def provisional(self) -> NDArray[np.bool_]:
        """[n] whose rows would be taken back if their worker were lost now."""
        return np.not_equal(self._claimant, NOBODY)

    def batch(self) -> Batch:
        """All that has ended, packed as one committed batch: how a timeline is stored, and sent to a late reader."""
        tasks = np.flatnonzero(~np.isnan(self.end) & (self.state >= TaskState.DONE)).astype(np.int32)
        records = np.zeros(len(tasks), RECORD)
        kind_of = np.zeros(len(TaskState), np.uint8)
        kind_of[STATE_OF[1 : RecordKind.CACHED + 1]] = np.arange(1, RecordKind.CACHED + 1)
        records["task"], records["kind"], records["at"] = tasks, kind_of[self.state[tasks]], self.end[tasks]
        records["worker"] = np.maximum(self.worker[tasks], 0)
        for name in ("start", "fetch", "upload", "size", "attempt"):
            records[name] = getattr(self, name)[tasks]
        return Batch(COMMIT, 0, np.concatenate([self.asides, records], dtype=RECORD))  # a try, then what came of it

    def same_as(self, other: object) -> bool:
        """Whether every column equals that of `other`, NaN equal to NaN, and so do the asides."""
        return (
            isinstance(other, Timeline)
            and np.array_equal(self.asides, other.asides)
            and all(
                np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")
                for mine, theirs in zip(self.columns().values(), other.columns().values(), strict=True)
            )
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name, in the order of the class's docstring."""
        return {name: getattr(self, name) for name in COLUMNS}


#: Names of the columns of a timeline, in order.
COLUMNS = ("state", "start", "end", "fetch", "upload", "size", "worker", "attempt")


@dataclass(frozen=True, eq=False, slots=True)
class Deviation:
    """How one timeline differs from another, by task; NaN where a task did not run in both.

    start       [n] seconds by which it began later
    duration    [n] seconds by which it took longer
    makespan    ratio of the makespans, NaN when the first has none
    """

    start: Floats
    duration: Floats
    makespan: float


def compare(planned: Timeline, actual: Timeline) -> Deviation:
    """Actual against planned. Raises ValueError when they are of different graphs."""
    if len(planned) != len(actual):
        msg = f"a timeline of {len(planned)} tasks cannot be compared with one of {len(actual)}"
        raise ValueError(msg)
    ratio = actual.makespan / planned.makespan if planned.makespan > 0 else float("nan")
    longer = (actual.end - actual.start) - (planned.end - planned.start)
    return Deviation(actual.start - planned.start, longer, ratio)


def _of_rows(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which records change the row of their task; the others happened beside the rows."""
    changes: NDArray[np.bool_] = (kind <= RecordKind.CACHED) | (kind == RecordKind.RETRIED)
    return changes


def _told(records: NDArray[np.void]) -> NDArray[np.void]:
    """Records of asides without what their kind says nothing of: two that tell the same are equal."""
    told = np.zeros(len(records), RECORD)
    for name in ("at", "worker", "kind"):
        told[name] = records[name]
    preloaded, begun = records["kind"] == RecordKind.PRELOADED, records["kind"] == RecordKind.BEGUN
    given_up = records["kind"] == RecordKind.GIVEN_UP
    told["start"] = np.where(given_up, records["at"], records["start"])
    told["size"] = np.where(preloaded, records["size"], 0)
    told["task"] = np.where(begun | given_up, 0, records["task"])
    retried = records["kind"] == RecordKind.RETRIED
    told["attempt"] = np.where(retried, records["attempt"], begun & (records["attempt"] == 1))
    return told


def _stranger(task: int, tasks: int) -> ValueError:
    return ValueError(f"an event speaks of task {task}, but there are tasks 0 to {tasks - 1} only")
