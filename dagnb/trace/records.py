"""The packed form of events, without numpy: what a worker needs to write them.

`dagnb.trace.events` reads them. A record is 48 bytes, little endian; times are seconds since the run was submitted.
"""

from __future__ import annotations

import struct
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

#: A short record: end and start on the worker's clock in ns, task. It stands for a FINISHED one of the batch's worker,
#: first attempt, without fetching, of PLAIN_SIZE bytes; most tasks of a graph of small ones are like that.
SHORT_FORMAT = "qqi"
#: Before the short records: what their clock said when the run was submitted.
ZERO = struct.Struct("<q")
#: Bytes that a number counts as.
PLAIN_SIZE = 8.0

Record = tuple[float, float, float, float, float, int, int, int, int]


def pack_batch(
    purpose: int, worker: int, records: list[Record], short: list[int] | None = None, zero: int = 0
) -> bytes:
    """One stream entry; `short` is flat: end, start, task, end, …"""
    flat = [field for record in records for field in record]
    full = struct.pack("<" + RECORD_FORMAT * len(records), *flat)
    if not short:
        return BATCH_HEAD.pack(purpose, worker, 0) + full
    count = len(short) // 3
    head = BATCH_HEAD.pack(purpose, worker, count) + ZERO.pack(zero)
    return head + struct.pack("<" + SHORT_FORMAT * count, *short) + full
