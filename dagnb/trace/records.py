"""The packed form of events, without numpy: what a worker needs to write them.

`dagnb.trace.events` reads them. A record is 48 bytes, little endian; times are seconds since the run was submitted.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from enum import IntEnum


class TaskState(IntEnum):
    """The life of a task, in the order in which it is drawn."""

    WAITING = 0  #: needs something that is not there yet
    READY = 1  #: could run
    RUNNING = 2  #: a worker is at it
    DONE = 3  #: its value is there
    FAILED = 4  #: it raised, or its workers died
    SKIPPED = 5  #: something it needs failed
    CANCELLED = 6  #: the run was cancelled before it
    CACHED = 7  #: its value was reused


class RecordKind(IntEnum):
    """The `kind` of a packed record; the numbers are part of the protocol with the browser."""

    STARTED = 1
    FINISHED = 2
    FAILED = 3
    SKIPPED = 4
    CANCELLED = 5
    CACHED = 6
    #: Beside the tasks' own lives: these leave rows as they are.
    PRELOADED = 7
    COPIED = 8
    BEGUN = 9
    GIVEN_UP = 10
    #: A try that failed and is followed by another: told beside the rows, and the row is that of a waiting task again.
    RETRIED = 11


#: at, start, fetch, upload, size, task, worker, kind, attempt.
RECORD_FORMAT = "ddffdiHBBxxxxxxxx"

#: Head of a packed batch: purpose (`PROVISIONAL`, `COMMIT`, `RETRACTION`), worker, how many short records follow first.
BATCH_HEAD = struct.Struct("<BxHI")
PROVISIONAL, COMMIT, RETRACTION = 0, 1, 2

#: Before the short records: what their clock said when the run was submitted, and how many breaks there are.
SHORT_HEAD = struct.Struct("<qI")
#: Bytes that a number counts as.
PLAIN_SIZE = 8.0

Record = tuple[float, float, float, float, float, int, int, int, int]


class Shorts:
    """Short records: each stands for a FINISHED one of the batch's worker, first attempt, without fetching, PLAIN_SIZE.

    Most tasks of a graph of small ones are like that, and begin when the one before ends: so a record is an end and a
    task, 12 bytes, and a *break* says where the start is another. Columns, because to format 2,000 records one by one
    took half a microsecond each.

    ends    ns, by the worker's clock
    tasks   [n] likewise
    breaks  position, start in ns, position, …
    """

    __slots__ = ("breaks", "ends", "tasks")

    def __init__(self) -> None:
        self.ends, self.tasks = array("q"), array("i")
        self.breaks = array("q")

    def begin(self, start: int) -> None:
        """The next one does not begin when the last one ended."""
        breaks, at = self.breaks, len(self.ends)
        if breaks and breaks[-2] == at:
            breaks[-1] = start
        else:
            breaks.extend((at, start))

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """End, start and task of each."""
        starts = dict(zip(self.breaks[::2], self.breaks[1::2], strict=True))
        last = 0
        for at, (end, task) in enumerate(zip(self.ends, self.tasks, strict=True)):
            yield end, starts.get(at, last), task
            last = end

    def clear(self) -> None:
        """In place: the hot loop holds on to the columns. The next one begins when the last one ended."""
        last = self.ends[-1:] or self.breaks[-1:]
        for column in (self.ends, self.tasks, self.breaks):
            del column[:]
        if last:
            self.begin(last[0])

    def pack(self, zero: int) -> bytes:
        """`zero`: what the clock said when the run was submitted."""
        head = SHORT_HEAD.pack(zero, len(self.breaks) // 2)
        return b"".join((head, self.breaks, self.ends, self.tasks))


def pack_batch(purpose: int, worker: int, records: list[Record], short: Shorts | None = None, zero: int = 0) -> bytes:
    """One stream entry."""
    flat = [field for record in records for field in record]
    full = struct.pack("<" + RECORD_FORMAT * len(records), *flat)
    if not short:
        return BATCH_HEAD.pack(purpose, worker, 0) + full
    return BATCH_HEAD.pack(purpose, worker, len(short)) + short.pack(zero) + full
