"""The packed form of events, without numpy: what a worker needs to write them.

`dagnb.trace.events` reads them. A record is 48 bytes, little endian; times are seconds since the run was submitted.
"""

from __future__ import annotations

import struct
from enum import IntEnum


class RecordKind(IntEnum):
    """The `kind` of a packed record; the numbers are part of the protocol with the browser."""

    STARTED = 1
    FINISHED = 2
    FAILED = 3
    SKIPPED = 4
    CANCELLED = 5
    CACHED = 6


#: at, start, fetch, upload, size, task, worker, kind, attempt.
RECORD_FORMAT = "ddffdiHBBxxxxxxxx"

#: Head of a packed batch: purpose (`PROVISIONAL`, `COMMIT`, `RETRACTION`), worker.
BATCH_HEAD = struct.Struct("<BxH4x")
PROVISIONAL, COMMIT, RETRACTION = 0, 1, 2

Record = tuple[float, float, float, float, float, int, int, int, int]


def pack_batch(purpose: int, worker: int, records: list[Record]) -> bytes:
    """One stream entry."""
    flat = [field for record in records for field in record]
    return BATCH_HEAD.pack(purpose, worker) + struct.pack("<" + RECORD_FORMAT * len(records), *flat)
