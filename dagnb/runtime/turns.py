"""Several runs at once take turns on a worker: none waits until a longer one has ended.

Who has worked in a run for TURN looks whether another one has something for it, or was never looked into. If so it
commits what is done, gives back what it owns and has not run (what a plan names for it to its own queue), and goes to
the next run in the order in which they were submitted; it comes back in its turn. Short runs never meet this.

Runs with copies, groups, streams or a single worker are not left: there, what is done here may lie nowhere else.
"""

from __future__ import annotations

from time import perf_counter_ns as now
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .loop import Loop

#: ns at work in one run before the others are looked at; longer where to come back takes long.
TURN, WORTH_IT = 200_000_000, 9


def next_look(began: int) -> int:
    """When to look, for a worker that began to open the run at `began` and has just done so."""
    tick = now()
    return tick + max(TURN, WORTH_IT * (tick - began))


def gives_way(loop: Loop) -> bool:
    """Leave the run where another waits; True when it was left or has ended. The last answer is taken in any case."""
    loop.turn = now() + TURN
    if loop.annotated or loop.graph.single:
        return False
    if loop.pending and loop.absorb():
        return True
    if not loop.desk.elsewhere(loop.run_id):
        return False
    outbox = loop.outbox
    while True:
        outbox.flush(loop.lap(), dry=True, leaves=True)
        if loop.absorb():
            return True
        if not (loop.ready or outbox.done or outbox.skipped or outbox.urgent):
            return True
