"""Workers that were stopped (SIGSTOP) and are not woken: nothing of theirs would ever come, and nobody would know.

What is seen as stopped at two looks is killed, so that its slot is recovered as after any death. Its task is not to
blame. A process under a debugger is in another state (`t`) and is left alone.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dagnb.runtime.watch import state_of

if TYPE_CHECKING:
    from dagnb.runtime.slots import Slots

#: Seconds between two looks. The watch over memory stops a worker for a twentieth of one.
INTERVAL = 2.0


@dataclass(slots=True)
class Frozen:
    """Looks at all workers of `slots` now and then."""

    slots: Slots
    #: When to look next, in seconds of the monotonic clock; infinity while there is nobody to look at.
    next: float = float("inf")
    #: Processes that were stopped at the last look.
    seen: set[int] = field(default_factory=set)

    def tick(self, now: float) -> None:
        """Look, if it is time."""
        living = [slot for slot in self.slots.slots.values() if slot.child is not None]
        if not living:
            self.next = float("inf")
        elif self.next > now + INTERVAL:
            self.next = now + INTERVAL
        elif now >= self.next:
            self.next = now + INTERVAL
            stopped = {slot.child.pid: slot for slot in living if slot.child and state_of(slot.child.pid) == "T"}
            for pid in stopped.keys() & self.seen:
                slot = stopped[pid]
                self.slots.log(f"worker {slot.number} (pid {pid}) has been stopped for {INTERVAL:g} s; it is replaced")
                slot.excused = True
                if slot.child is not None:
                    slot.child.send(signal.SIGKILL)
            self.seen = set(stopped)
