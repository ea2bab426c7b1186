"""Work stealing as Dask's scheduler does it, once a second. Part of `dagnb.planners.dask`.

Tasks that wait at a worker lie on a ladder of fifteen steps by cost of moving ÷ cost of computing; the cheapest are
offered first to workers with little to do, and move where they are expected to start earlier. The rules are those of
`distributed.stealing.WorkStealing` (2026.8): `steal_time_ratio`, `balance`, `_get_thief`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest
from math import log2

from .dask_books import BANDWIDTH, Believed, Books

#: Seconds added to every transfer.
LATENCY = 0.1
#: Steps of the ladder.
STEPS = 15
#: Of so many busiest workers tasks are taken when none counts as saturated.
VICTIMS = 10


class Stealing:
    """The ladders of all workers, and the balancing over them.

    chance    [n] in which order tasks of one step are looked at: in the scheduler that of a set
    """

    def __init__(self, books: Books, chance: Sequence[float]) -> None:
        self._books, self._chance = books, chance
        self._ladder: list[list[dict[int, None]]] = [[{} for _ in range(STEPS)] for _ in books.workers]
        self._step: dict[int, tuple[int, int]] = {}  # task → worker and step

    def put(self, task: int, worker: Believed) -> None:
        """A task was sent to a worker: it can be stolen until it starts."""
        needed = self._books.needed(task)
        step = 0
        if needed:
            compute = self._books.duration(task)
            if not compute:
                return
            moving = sum(self._books.size[d] for d in needed) / BANDWIDTH + LATENCY
            step = max(1, round(log2(moving / compute) + 6))
            if step >= STEPS:
                return
        self._ladder[worker.index][step][task] = None
        self._step[task] = worker.index, step

    def drop(self, task: int) -> None:
        """It has finished, or moved."""
        worker, step = self._step.pop(task, (0, 0))
        self._ladder[worker][step].pop(task, None)

    def balance(self, waits: Callable[[int], bool]) -> Iterator[tuple[int, Believed]]:
        """Tasks that move, and to whom. `waits` says whether a task has not started."""
        books = self._books
        occupied = [books.occupancy(w) for w in books.workers]
        count = [len(w.processing) for w in books.workers]
        total = books.total
        thieves = [w for w in books.workers if books.unoccupied(w, occupied[w.index], count[w.index], total)]
        if not thieves or len(thieves) == len(books.workers):
            return
        victims = self._victims(thieves, occupied, total)
        for step in range(STEPS):
            for victim in victims:
                for task in sorted(self._ladder[victim.index][step], key=self._chance.__getitem__):
                    if not thieves:
                        return
                    if books.on[task] is not victim or not waits(task):
                        self.drop(task)
                        continue
                    thief = min(
                        thieves,
                        key=lambda w: (occupied[w.index] / w.threads + books.transfer(task, w), w.stored),
                    )
                    compute = books.duration(task)
                    here, there = books.transfer(task, victim), books.transfer(task, thief)
                    if occupied[thief.index] + there + compute > occupied[victim.index] - (here + compute) / 2:
                        continue
                    self.drop(task)
                    occupied[victim.index] -= compute + here
                    occupied[thief.index] += compute + there
                    count[thief.index] += 1
                    yield task, thief
                    if not books.unoccupied(thief, occupied[thief.index], count[thief.index], total):
                        thieves.remove(thief)

    def _victims(self, thieves: list[Believed], occupied: list[float], total: float) -> list[Believed]:
        """Whom tasks are taken from: saturated workers, else the busiest."""
        books = self._books
        saturated = []
        for w in books.workers:
            p, threads = len(w.processing), w.threads
            pending = occupied[w.index] * (p - threads) / (p * threads) if p > threads else 0.0
            if w not in thieves and 0.4 < pending > 1.9 * total / books.threads:
                saturated.append(w)
        busiest = nlargest(VICTIMS, books.workers, key=lambda w: occupied[w.index])
        found = saturated or [
            w for w in busiest if occupied[w.index] > 0.2 and len(w.processing) > w.threads and w not in thieves
        ]
        return sorted(found, key=lambda w: occupied[w.index], reverse=True)
