"""The page of marks: which task runs in which slot, one memory write per task and no Redis.

A worker writes its line before it calls a task; when the worker has died, the supervisor reads what to blame.

    bytes 0–7     number of the running task, all ones when none runs
    bytes 8–39    run id, ASCII, padded with zeros
    bytes 40–47   when it started: nanoseconds of CLOCK_MONOTONIC; 0 where the worker spares itself this second write
    byte 48       1 while the task is only tried: nobody owns it yet (`dagnb.runtime.streams`)
    byte 49       1 while the run has functions with a timeout (`dagnb.runtime.deadlines`)
    bytes 50–55   free
    bytes 56–63   until when the task may run, on the same clock; 0 for any time
    bytes 64–71   the run in which the slot wants work, 0 when it has enough (`dagnb.runtime.hunger`)
    bytes 72–127  free
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

#: Bytes of one slot's line: two cache lines, so that workers do not slow each other down.
LINE = 128
#: Slots on the page; the file is sparse, unused lines cost nothing.
SLOTS = 4096
#: The byte that says that a task is only tried.
EARLY = 48
#: The byte that says that the run has timeouts; where the start and, two words on, the deadline of a task stand.
TIMED, CLOCK = 49, 40
#: Where the word begins that says that a slot wants work.
HUNGER = 64
#: No task runs.
NONE = (1 << 64) - 1
_EMPTY = NONE.to_bytes(8, "little") + bytes(LINE - 8)


@dataclass(frozen=True, slots=True)
class Mark:
    """What one slot was doing: `task` None when nothing; `start` in seconds of the monotonic clock.

    `early`: the task was only tried, and is not to blame: it belongs to nobody. `timed`: tasks of this run may have a
    `deadline`, in seconds of the same clock, 0 while this one has none.
    """

    task: int | None
    run: str
    start: float
    early: bool = False
    timed: bool = False
    deadline: float = 0.0


class Marks:
    """The page as the supervisor and `status` see it."""

    def __init__(self, file: str | os.PathLike[str], *, create: bool = False) -> None:
        file = Path(file)
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
        try:
            if create:
                os.ftruncate(descriptor, SLOTS * LINE)
            self._page = mmap.mmap(descriptor, SLOTS * LINE)
        finally:
            os.close(descriptor)

    def read(self, slot: int) -> Mark:
        """What the slot is doing."""
        line = self._page[slot * LINE : (slot + 1) * LINE]
        task = int.from_bytes(line[:8], "little")
        run = line[8:40].rstrip(b"\0").decode("ascii", "replace")
        start, deadline = (int.from_bytes(line[i : i + 8], "little") / 1e9 for i in (CLOCK, CLOCK + 16))
        return Mark(None if task == NONE else task, run, start, bool(line[EARLY]), bool(line[TIMED]), deadline)

    def clear(self, slot: int) -> None:
        """The slot does nothing."""
        self._page[slot * LINE : (slot + 1) * LINE] = _EMPTY

    def line(self, slot: int) -> memoryview:
        """The line itself, for its worker to write into."""
        return memoryview(self._page)[slot * LINE : (slot + 1) * LINE]

    def hunger(self, slot: int) -> memoryview:
        """One word: of its own slot for a worker to write, of the others for it to read."""
        return memoryview(self._page)[slot * LINE + HUNGER : (slot + 1) * LINE].cast("Q")
