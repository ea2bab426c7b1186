"""Several runs at once take turns on a worker: none waits until a longer one has ended.

Redis keeps the book of what each live run was served, in µs of all workers (`turns.lua`), so that they divide
themselves over the runs, and that a run on which one of them is stuck in a long task gets less of the others. A new run
begins with what the least served one has had, and is gone to first. Who has worked in a run for TURN looks; where
another run has something for it and was served less, it

    1. commits what is done and gives back what is ready, in one numbered request (`Outbox.flush`, leaves): what is
       named for this slot goes to its own queue, all to the head, and it is given nothing more;
    2. takes the answer: now it owns nothing there, and `own` is empty;
    3. joins the other run; when it comes back it begins as a successor would: all that is needed lies in the store.

So a slot owns something in one run only, that of its last request, and `recover` looks only there; `sync` refuses a
request that would break this. A rolled back leave is a gap in the numbers, like any other lost request.

A task is never interrupted. A run with copies is not left, because their values may lie in this worker only; nor is one
while an outcome of a stream that was tried early waits here: the work would be done twice.
"""

from __future__ import annotations

from time import perf_counter_ns as now
from typing import TYPE_CHECKING

from .keys import DAGNB
from .scripts import script

if TYPE_CHECKING:
    from .loop import Loop
    from .wire import Wire

#: ns of work in one run before the others are looked at.
TURN = 100_000_000
#: What a stay must last, in times of what opening the run took; as much as that itself where another run is new.
WORTH_IT = 4


class Turns:
    """What one worker knows of the live runs of its slot."""

    def __init__(self, wire: Wire, slot: int) -> None:
        self.wire, self.slot = wire, slot
        self.joined: set[str] = set()  # live runs, as far as known, in which it has been
        self.several = False  # whether more than one was live at the last look
        self._told = 0  # ns at work in the present run that are in the book; opening it counts as work
        self._ahead = 0  # ns of the next stay that are in the book already
        self._worth = 0  # when opening this run has been worth it

    def entered(self, run: str, arrived: int) -> int:
        """A run was opened, which began at `arrived`; when to look at the others."""
        tick = now()
        opening = tick - arrived
        self._told, self._ahead = self._ahead - opening, 0
        self._worth = tick + WORTH_IT * opening
        self.joined.add(run)
        return tick + max(TURN, opening)

    def due(self, run: str, work: int) -> str:
        """The run to leave this one for; empty to stay. `work`: ns at work in this one."""
        return self._ask(run, work, "new" if now() < self._worth else "less")[0]

    def missed(self, run: str = "", work: int = 0) -> str:
        """A run that waits for this slot, which has nothing to do in `run`; empty if there is none.

        No word need say so: that went with a predecessor, or was heard elsewhere. A run in which this worker never was
        is joined in any case; from no run at all, the oldest.
        """
        found, *live = self._ask(run, work, "any")
        self.joined.intersection_update(live)
        if found:
            return found
        strange = [name for name in live if name not in self.joined]
        return next(iter(strange if run else [*strange, *live]), "")

    def _ask(self, run: str, work: int, mode: str) -> list[str]:
        new, self._told = work - self._told, work
        words = (self.slot, run, new // 1000, mode, now(), TURN // 1000)
        found = [word.decode() for word in self.wire.call("EVAL", script("turns"), 1, DAGNB, *words)]
        self.several = len(found) > 2  # the first is where to go
        self._ahead = TURN if found[0] else 0
        return found


def gives_way(loop: Loop) -> bool:
    """Leave the run where another one waits; True when it was left, or has ended."""
    loop.turn = now() + TURN
    if loop.copies is not None or (loop.streams is not None and loop.streams.outcomes):
        return False
    if loop.pending and loop.absorb():
        return True
    if not loop.desk.gives_way(loop.run_id, loop.total):
        return False
    outbox = loop.outbox
    while True:
        outbox.flush(loop.lap(), dry=True, leaves=True)
        if loop.absorb() or not (loop.ready or outbox.done or outbox.skipped or outbox.urgent):
            return True
