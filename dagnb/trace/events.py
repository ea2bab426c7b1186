"""What happened, real or simulated: the union of events, and the packed form in which workers send them.

The simulator and the workers emit the same events. All times are seconds since the run was submitted, from one clock.

    readable                         packed (RECORD, 48 bytes)
    TaskStarted                      kind STARTED   at = start
    TaskFinished                     kind FINISHED  at = end, start, fetch, upload, size
    TaskFailed                       kind FAILED    at = end, start
    TaskSkipped, TaskCancelled, …    kind SKIPPED …  at
    OutputPreloaded                  kind PRELOADED  at = there, start, size, task = whose output
    CopyFinished                     kind COPIED     at = end, start
    WorkerStarted                    kind BEGUN      at = ready, start = launched, attempt = 1 cold, 0 warm
    WorkerGivenUp                    kind GIVEN_UP   at
    TaskRetried                      kind RETRIED    at = end of the try, start

A worker's records are *provisional* until it commits: what it ran is then durable. If the worker dies first, its open
records are retracted and the tasks run again. A `Batch` is the records of one message, with that flag.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .records import (
    BATCH_HEAD,
    COMMIT,
    PLAIN_SIZE,
    PROVISIONAL,
    RECORD_FORMAT,
    RETRACTION,
    SHORT_HEAD,
    RecordKind,
    TaskState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from .readable import Event

#: One record as it travels, as numpy sees it (`RECORD_FORMAT`).
RECORD = np.dtype(
    {
        "names": ["at", "start", "fetch", "upload", "size", "task", "worker", "kind", "attempt"],
        "formats": ["<f8", "<f8", "<f4", "<f4", "<f8", "<i4", "<u2", "u1", "u1"],
        "offsets": [0, 8, 16, 20, 24, 32, 36, 38, 39],
        "itemsize": struct.calcsize("<" + RECORD_FORMAT),
    }
)


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """The records of one message of one worker."""

    purpose: int
    worker: int
    records: NDArray[np.void]

    @classmethod
    def unpack(cls, data: bytes) -> Batch:
        """From the bytes of one stream entry. Raises ValueError when they are not whole records."""
        if len(data) < BATCH_HEAD.size:
            raise ValueError(f"a batch has at least {BATCH_HEAD.size} bytes, not {len(data)}")
        purpose, worker, short = BATCH_HEAD.unpack_from(data)
        if not short:
            return cls(purpose, worker, np.frombuffer(data, RECORD, offset=BATCH_HEAD.size))
        first = BATCH_HEAD.size + SHORT_HEAD.size
        zero, breaks = SHORT_HEAD.unpack_from(data, BATCH_HEAD.size) if len(data) >= first else (0, 0)
        rest = first + 16 * breaks + 12 * short
        if len(data) < rest:
            raise ValueError(f"a batch of {short} short records has more than {len(data)} bytes")
        brief = _expanded(data, first, breaks, short, worker, zero)
        return cls(purpose, worker, np.concatenate([brief, np.frombuffer(data, RECORD, offset=rest)], dtype=RECORD))

    def pack(self) -> bytes:
        """The bytes that `unpack` reads."""
        return BATCH_HEAD.pack(self.purpose, self.worker, 0) + self.records.tobytes()

    def events(self) -> Iterator[Event]:
        """The same, one readable event after the other."""
        from .readable import WorkerCommitted, WorkerLost, event_of

        for record in self.records:
            yield event_of(record)
        if self.purpose == COMMIT:
            yield WorkerCommitted(self.worker)
        elif self.purpose == RETRACTION:
            yield WorkerLost(self.worker)


def _expanded(data: bytes, first: int, breaks: int, short: int, worker: int, zero: int) -> NDArray[np.void]:
    """Short records (`Shorts`) as full ones."""
    at, other = np.frombuffer(data, "<i8", 2 * breaks, first).reshape(-1, 2).T
    end = np.frombuffer(data, "<i8", short, first + 16 * breaks)
    start = np.concatenate([end[:1], end[:-1]])
    within = (at >= 0) & (at < short)  # the last break may be of what is told next
    start[at[within]] = other[within]
    records = np.zeros(short, RECORD)
    records["at"], records["start"] = (end - zero) * 1e-9, (start - zero) * 1e-9
    records["task"] = np.frombuffer(data, "<i4", short, first + 16 * breaks + 8 * short)
    records["worker"], records["size"] = worker, PLAIN_SIZE
    records["kind"], records["attempt"] = RecordKind.FINISHED, 1
    return records


class EventSource(Protocol):
    """Whoever emits events: a live run, a replayed one, a simulation.

    Batches and not single events, because workers send them packed: 10,000 tasks arrive in a few dozen batches.
    """

    def subscribe(self, callback: Callable[[Batch], None], /) -> Callable[[], None]:
        """Call `callback` with every batch from the first on, from another thread; returns how to stop."""
        ...


__all__ = [
    "COMMIT",
    "PROVISIONAL",
    "RECORD",
    "RETRACTION",
    "Batch",
    "EventSource",
    "RecordKind",
    "TaskState",
]
