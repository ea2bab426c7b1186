"""Clustering at run time: short tasks stay with a large input when moving that would take longer than running them.

A worker whose task has made a large value often has several consumers of it ready. Given away, they would begin
elsewhere once the value was written and read; here they begin one after the other, at once. So each stays whose turn
here comes sooner, by measured sizes, durations and bytes per second; and the commit that would send the value out waits
for those that stay, because afterwards nobody may need it any more. It waits no longer than moving would have taken;
where the plan says `keep_local`, no longer than the time that may pass between two commits (COMMIT).

Only tasks known to be short take part: a longer one is announced, and before that everything is committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .arena import Shared
from .values import INLINE, Encoded, Remote, size_of

if TYPE_CHECKING:
    from .loop import Loop

#: Bytes per ns at which values are written, and read, as long as nothing was measured.
RATE = 1.0


class Moved:
    """What large values have cost on their way out of this worker."""

    def __init__(self, local: tuple[int, ...]) -> None:
        self.local = frozenset(local)  # tasks whose output shall stay here, as the plan says
        self.size = self.time = 0

    def add(self, size: int, time: int) -> None:
        """Bytes, and the ns that writing them took."""
        self.size += size
        self.time += time

    def cost(self, size: int) -> float:
        """Expected ns until so many bytes are written here and read elsewhere."""
        rate = self.size / self.time if self.time else RATE
        return 2 * size / rate


def worth_moving(loop: Loop, given: list[int], stay: int, length: float) -> list[int]:
    """Of ready tasks that could be given away, in their order, those that begin sooner elsewhere.

    given    their ranks
    stay     ready tasks that come before them here
    length   ns that a short task takes
    """
    graph = loop.graph
    ahead, found = stay * length, []
    for rank in given:
        task = graph.by_rank[rank] if graph.by_rank else rank
        moving = 0.0
        if loop.pace[graph.function_of[task]] <= 0:
            needed = graph.needs(task)
            moving = loop.outbox.moved.cost(sum(_held(loop, d) for d in needed if d in loop.heavy))
        if ahead + length > moving:
            found.append(rank)
        else:
            ahead += length
    return found


def used_first(loop: Loop, task: int, length: float, longest: float) -> bool:
    """Whether what becomes ready by a large value runs before everything else that is ready here.

    Its memory is free then for the value that is made next, and still in the processor's cache: to fill a megabyte
    takes a third of the time. Only where no task is named for anybody, and where it delays the others by little.

    length    ns that a short task takes
    longest   ns by which they may be delayed
    """
    graph = loop.graph
    if graph.route is not None or not _held(loop, task):
        return False
    users = graph.users(task)
    return len(users) * length <= longest and all(loop.pace[graph.function_of[c]] <= 0 for c in users)


def awaits_readers(loop: Loop, length: float, longest: float) -> bool:
    """Whether a large value that nobody else needs is about to be used up here: then it had better not leave.

    length    ns that a short task takes
    longest   ns that may be waited for them where the plan says so
    """
    graph, outbox = loop.graph, loop.outbox
    for task, users in loop.heavy.items():
        if outbox.local[task] or not (size := _held(loop, task)):
            continue
        ready = [c for c in graph.users(task) if loop.here[c]]
        limit = longest if task in outbox.moved.local else outbox.moved.cost(size)
        short = all(loop.pace[graph.function_of[c]] <= 0 for c in ready)
        if short and len(ready) == users and users * length <= limit:
            return True
    return False


def _held(loop: Loop, task: int) -> int:
    """Bytes of a large value as it was made here, 0 for any other."""
    value = loop.values[task]
    if type(value) in (Remote, Shared, Encoded):
        return 0
    size = size_of(value)
    return size if size > INLINE else 0
