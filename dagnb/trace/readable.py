"""Readable events, one class each, as `dagnb.trace.events` tells them. A run that nobody reads needs none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .records import RecordKind

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A worker began with a task."""

    task: int
    worker: int
    at: float
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A task returned: it ran from `start` to `at`, `fetch` of it for its inputs; `upload` sent `size` bytes."""

    task: int
    worker: int
    at: float
    start: float
    fetch: float = 0.0
    upload: float = 0.0
    size: float = 0.0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task raised, or killed its workers."""

    task: int
    worker: int
    at: float
    start: float
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class TaskSkipped:
    """Something the task needs failed."""

    task: int
    at: float


@dataclass(frozen=True, slots=True)
class TaskCancelled:
    """The run was cancelled before the task was done."""

    task: int
    at: float


@dataclass(frozen=True, slots=True)
class TaskReused:
    """The value was there from an earlier run."""

    task: int
    at: float


@dataclass(frozen=True, slots=True)
class OutputPreloaded:
    """A worker fetched the output of `task` from `start` to `at`, ahead of the task there that needs it."""

    task: int
    worker: int
    at: float
    start: float
    size: float = 0.0


@dataclass(frozen=True, slots=True)
class CopyFinished:
    """A duplicate of `task` ran from `start` to `at` on `worker`, and another copy of it had been first."""

    task: int
    worker: int
    at: float
    start: float


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker was launched at `start` for this run and could begin at `at`; `cold` where its process had to start."""

    worker: int
    at: float
    start: float
    cold: bool = True


@dataclass(frozen=True, slots=True)
class WorkerGivenUp:
    """A worker cannot be started again: others have from `at` on what the plan names for it."""

    worker: int
    at: float


@dataclass(frozen=True, slots=True)
class TaskRetried:
    """A try of `task` failed: it ran from `start` to `at`. There will be another, when its pause is over."""

    task: int
    worker: int
    at: float
    start: float
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class WorkerCommitted:
    """All records of this worker so far are final, but for the task that it is at."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker died: its records since its last commit did not happen."""

    worker: int


Aside = OutputPreloaded | CopyFinished | WorkerStarted | WorkerGivenUp | TaskRetried

Event = (
    TaskStarted
    | TaskFinished
    | TaskFailed
    | TaskSkipped
    | TaskCancelled
    | TaskReused
    | Aside
    | WorkerCommitted
    | WorkerLost
)


def event_of(record: np.void) -> Event:
    """The readable event of one packed record. Raises ValueError for a kind that is not known."""
    task, worker, attempt = int(record["task"]), int(record["worker"]), int(record["attempt"])
    at, start = float(record["at"]), float(record["start"])
    match RecordKind(int(record["kind"])):
        case RecordKind.STARTED:
            return TaskStarted(task, worker, at, attempt)
        case RecordKind.FINISHED:
            fetch, upload, size = float(record["fetch"]), float(record["upload"]), float(record["size"])
            return TaskFinished(task, worker, at, start, fetch, upload, size, attempt)
        case RecordKind.FAILED:
            return TaskFailed(task, worker, at, start, attempt)
        case RecordKind.SKIPPED:
            return TaskSkipped(task, at)
        case RecordKind.CANCELLED:
            return TaskCancelled(task, at)
        case RecordKind.CACHED:
            return TaskReused(task, at)
        case kind:
            return _aside_of(kind, record)


def _aside_of(
    kind: Literal[RecordKind.PRELOADED, RecordKind.COPIED, RecordKind.BEGUN, RecordKind.GIVEN_UP, RecordKind.RETRIED],
    record: np.void,
) -> Aside:
    task, worker, at, start = int(record["task"]), int(record["worker"]), float(record["at"]), float(record["start"])
    match kind:
        case RecordKind.PRELOADED:
            return OutputPreloaded(task, worker, at, start, float(record["size"]))
        case RecordKind.COPIED:
            return CopyFinished(task, worker, at, start)
        case RecordKind.BEGUN:
            return WorkerStarted(worker, at, start, cold=int(record["attempt"]) == 1)
        case RecordKind.GIVEN_UP:
            return WorkerGivenUp(worker, at)
        case RecordKind.RETRIED:
            return TaskRetried(task, worker, at, start, int(record["attempt"]))
