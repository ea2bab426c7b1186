"""Deal: the tasks of a few workers are given out among them anew, while the rest of a plan stands still. For `search`.

Balancing two workers often takes a trade of one task for two or three, which single moves do not find: each of them
alone makes things worse. Here many ways are tried for the price of weighing one plan, because only the tasks of those
workers are looked at. What stands still is what the shifting bottleneck procedure keeps of it, heads and tails:

    head    when the inputs of a task are where
    tail    what follows a task at the least

Adams, Balas and Zawack (1988), The shifting bottleneck procedure for job shop scheduling, Management Science 34(3),
doi 10.1287/mnsc.34.3.391.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

#: Ways that are tried in one deal, and what placing a task on one lane costs, in tasks rehearsed.
WAYS, LOOKING = 8, 0.5

#: Of two ways with equal ends the more even one is taken: the weight of that.
EVEN = 1e-6

#: [tasks dealt] (task, worker, start)
Dealt = list[tuple[int, int, float]]


@dataclass(frozen=True, slots=True)
class Dealer:
    """What dealing has to know of a graph on a cluster.

    deps        [n] what each task needs
    transfer    [n] seconds until its output is on another worker
    length      [workers][n] seconds that it takes there
    tail        [n] seconds that follow its end at the least
    threads     [workers]
    up          when workers have started
    """

    deps: Sequence[Sequence[int]]
    transfer: Sequence[float]
    length: Sequence[Sequence[float]]
    tail: Sequence[float]
    threads: Sequence[int]
    up: float

    def deal(
        self,
        worker: Sequence[int],
        start: Sequence[float],
        end: Sequence[float],
        among: Collection[int],
        since: float,
        chance: random.Random,
    ) -> tuple[Dealt, float]:
        """(the best of a few ways, what that has cost); what `among` have done until `since` stays."""
        pool = [task for task, w in enumerate(worker) if w in among and end[task] > since]
        lanes = [(at, w) for w in sorted(among) for at in self._free(w, worker, end, since)]
        ways = [self._way(self._order(pool, start, chance), lanes, worker, end) for _ in range(WAYS)]
        return min(ways, key=lambda way: way[0])[1], WAYS * LOOKING * len(pool) * len(lanes)

    def _free(self, w: int, worker: Sequence[int], end: Sequence[float], since: float) -> list[float]:
        """From when each thread of a worker is free; for several threads a guess, as plans name none."""
        threads = self.threads[w]
        ends = sorted(e for e, on in zip(end, worker, strict=True) if on == w and e <= since)[-threads:]
        return [max(self.up, e) for e in ends] + [self.up] * (threads - len(ends))

    def _order(self, pool: Sequence[int], start: Sequence[float], chance: random.Random) -> list[int]:
        """The tasks with their starts shuffled, each behind those that it needs."""
        given = [start[task] for task in pool]
        chance.shuffle(given)
        key: dict[int, float] = {}
        for task, at in zip(pool, given, strict=True):  # in the order of their numbers, which is topological
            key[task] = max([at, *[key[u] for u in self.deps[task] if u in key]])
        return sorted(pool, key=key.__getitem__)

    def _way(
        self, order: Sequence[int], lanes: Sequence[tuple[float, int]], worker: Sequence[int], end: Sequence[float]
    ) -> tuple[float, Dealt]:
        """(how long the run will be at the least, the tasks in this order where each ends first)."""
        free, on = [at for at, _ in lanes], [w for _, w in lanes]
        moved: dict[int, tuple[int, float]] = {}  # task → (worker, end)
        found: Dealt = []
        longest = 0.0
        for task in order:
            needed = [(*(moved.get(u) or (worker[u], end[u])), self.transfer[u]) for u in self.deps[task]]
            best, lane, begun = float("inf"), 0, 0.0
            for k, w in enumerate(on):
                at = free[k]
                for holder, there, travels in needed:
                    if holder != w:
                        there += travels  # noqa: PLW2901  a copy
                    if there > at:  # noqa: PLR1730  max() is slow, and this is the innermost line
                        at = there
                if at + self.length[w][task] < best:
                    best, lane, begun = at + self.length[w][task], k, at
            moved[task] = on[lane], best
            found.append((task, on[lane], begun))
            if best > begun:
                free[lane] = best
            longest = max(longest, best + self.tail[task])
        return longest + EVEN * sum(at * at for at in free) / max(longest, EVEN), found
