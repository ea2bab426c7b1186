"""The watch over the memory of sized workers: every 100 ms, from outside, by what is resident.

RLIMIT_DATA refuses most of what is too much, inside the task (`dagnb.runtime.resources`). The watch sees the rest:
shared memory, mapped files, and processes that a task has started. It kills only while a task runs, and only when that
very task is still at it with the worker stopped: those before and after it are never blamed.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagnb.runtime.marks import Mark, Marks
    from dagnb.runtime.slot import Slot
    from dagnb.runtime.slots import Slots

#: Seconds between two looks.
INTERVAL = 0.1
#: Seconds that a signal to stop may take.
STOPS = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


@dataclass(slots=True)
class Watch:
    """Looks at the workers of `slots` that have a limit."""

    slots: Slots
    marks: Marks
    #: When to look next, in seconds of the monotonic clock; infinity while there is nobody to look at.
    next: float = float("inf")

    def tick(self, now: float) -> None:
        """Look, if it is time."""
        watched = [slot for slot in self.slots.slots.values() if slot.up and self.slots.resources(slot).memory]
        if not watched:
            self.next = float("inf")
        elif now >= self.next or self.next > now + INTERVAL:
            self.next = now + INTERVAL
            for slot in watched:
                self._look(slot)

    def _look(self, slot: Slot) -> None:
        child, limit = slot.child, self.slots.resources(slot).memory
        mark = self.marks.read(slot.number)
        if child is None or limit is None or slot.peak or mark.task is None:
            return
        if family(child.pid) <= limit + slot.bare:
            return
        child.send(signal.SIGSTOP)
        if (peak := self._still(child.pid, slot.number, mark)) > limit + slot.bare:
            slot.peak = peak - slot.bare
            child.send(signal.SIGKILL)
        else:
            child.send(signal.SIGCONT)

    def _still(self, pid: int, number: int, mark: Mark) -> int:
        """Bytes that the stopped worker and its children take; 0 when the task has ended meanwhile."""
        still(pid)
        if self.marks.read(number) != mark:
            return 0
        return family(pid, exact=True)


def resident(pid: int) -> int:
    """Bytes of physical memory that a process has mapped, 0 when it is gone."""
    with suppress(OSError, ValueError, IndexError):
        return int((_PROC / str(pid) / "statm").read_bytes().split()[1]) * _PAGE
    return 0


def family(pid: int, *, exact: bool = False) -> int:
    """The same for a process and all that it has started; `exact` counts what they share once, and takes longer."""
    found, todo = 0, [pid]
    several = False
    while todo:
        one = todo.pop()
        found += resident(one)
        theirs = children(one)
        several = several or bool(theirs)
        todo += theirs
    if exact and several:
        return _proportional(pid)
    return found


def children(pid: int) -> list[int]:
    """What a process has started and not seen end."""
    found: list[int] = []
    with suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            with suppress(OSError, ValueError):
                found += map(int, (thread / "children").read_bytes().split())
    return found


def _proportional(pid: int) -> int:
    """Resident bytes of a family, shared pages counted once."""
    found, todo = 0, [pid]
    while todo:
        one = todo.pop()
        todo += children(one)
        with suppress(OSError, ValueError, StopIteration):
            lines = (_PROC / str(one) / "smaps_rollup").read_text().splitlines()
            found += 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return found


def still(pid: int) -> None:
    """Wait until a process that was sent SIGSTOP has stopped."""
    end = time.monotonic() + STOPS
    while state_of(pid) not in {"T", "Z", ""} and time.monotonic() < end:
        time.sleep(0.0005)


def state_of(pid: int) -> str:
    """The letter that the system has for what a process does (man 5 proc); empty when it is gone."""
    with suppress(OSError, IndexError):
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    return ""
