"""Timeouts: a worker writes on its page until when its task may run; the supervisor looks, and ends it.

Only functions with a timeout write (`timed`), and only in runs that have such does the supervisor look: the worker says
so on its page when it comes to the run, and rings. A task that is late is interrupted by a signal, which raises
`TimedOut` in it where Python runs; one that does not react within SOFT seconds, because it is in C code or catches
everything, is ended with its worker. No other task pays: the signal counts only behind the deadline that is written
there, and before the worker is ended it is stopped, to see that it is still at it.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from dagnb.runtime.watch import still

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagnb.runtime.marks import Mark, Marks
    from dagnb.runtime.slot import Slot
    from dagnb.runtime.slots import Slots

#: Seconds between two looks at workers whose tasks may have a deadline.
INTERVAL = 0.1
#: Seconds that a late task has to react to the signal.
SOFT = 0.5
#: The signal.
LATE = signal.SIGUSR1
#: Where a clock has the start of the running task and its deadline, in ns; the latter is 0 where there is none.
START, DEADLINE = 0, 2


class CancelledTask(BaseException):
    """Raised inside a task when its run is cancelled."""


class TimedOut(BaseException):
    """Raised inside a task that is late; `failing` gives it the name that the user reads."""


def timed(function: Callable[..., Any], timeout: float, clock: memoryview) -> Callable[..., Any]:
    """`function` with a deadline, `timeout` seconds after each call, that stands on the page while it runs."""
    span = int(timeout * 1e9)

    def call(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter_ns()
        clock[START] = began
        clock[DEADLINE] = began + span
        try:
            return function(*args, **kwargs)
        finally:
            clock[DEADLINE] = clock[START] = 0

    return call


def interrupter(clock: memoryview) -> Callable[..., None]:
    """What a worker does when the signal comes: it may come after the task has ended."""

    def late(*_: object) -> None:
        if 0 < clock[DEADLINE] <= perf_counter_ns():
            raise TimedOut

    return late


@dataclass(slots=True)
class Deadlines:
    """Looks at the workers of `slots` in runs that have timeouts."""

    slots: Slots
    marks: Marks
    #: When to look next, in seconds of the monotonic clock; infinity while no run has timeouts.
    next: float = float("inf")

    def ring(self) -> None:
        """A worker has come to a run with timeouts, or may have."""
        self.next = 0.0

    def tick(self, now: float) -> None:
        """Look, if it is time."""
        if now < self.next:
            return
        self.next = float("inf")
        for slot in self.slots.slots.values():
            mark = self.marks.read(slot.number)
            if slot.child is not None and mark.timed:
                self.next = min(self.next, self._look(slot, mark, now))

    def _look(self, slot: Slot, mark: Mark, now: float) -> float:
        """What is to be done about one worker; when to look again."""
        child = slot.child
        if child is None or mark.task is None or not mark.deadline:
            return now + INTERVAL
        if now < mark.deadline:
            return min(mark.deadline, now + INTERVAL)
        if slot.late != mark.deadline:  # not told yet: a deadline is never the same twice
            slot.late, slot.warned = mark.deadline, now
            child.send(LATE)
        elif now >= slot.warned + SOFT:
            self._end(slot, mark)
        return now + INTERVAL if now >= slot.warned + SOFT else min(slot.warned + SOFT, now + INTERVAL)

    def _end(self, slot: Slot, mark: Mark) -> None:
        """Kill the worker, unless its task has ended in this very moment."""
        if slot.child is None:
            return
        slot.child.send(signal.SIGSTOP)
        still(slot.child.pid)
        if self.marks.read(slot.number) == mark:
            slot.overdue = True
            slot.child.send(signal.SIGKILL)
        else:
            slot.child.send(signal.SIGCONT)
