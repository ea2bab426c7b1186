"""Rehearsal: the simulator in small, for planners that weigh thousands of plans. It knows one case and is quick at it.

The case: every task has a worker, inputs travel as soon as they exist (`preload`), workers run from the start. There it
says what the simulator says (a test holds the two together); else it is a guess, and the simulator has the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.graph.analysis import upward_rank

from .placement import kinds_of

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimator import Estimates

Floats = NDArray[np.float64]

#: More than any makespan.
NEVER = float("inf")


class Rehearsal:
    """One graph on one cluster, to be run again and again under other plans.

    start, end    [n] of the last run that came to its end
    length        [workers][n] seconds that each task takes there, infinite where it does not fit
    tail          [n] seconds that follow a task at the least
    tasks         tasks started over all runs: what they have cost
    runs          how many there were
    """

    def __init__(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, transfer: Floats) -> None:
        n = len(graph)
        self.start, self.end = [0.0] * n, [0.0] * n
        self.tasks = self.runs = 0
        columns, kind = kinds_of(graph, cluster, estimates)
        as_lists: list[list[float]] = [column.tolist() for column in columns]
        self.length = [as_lists[k] for k in kind]
        self.tail = _tails(graph, np.min(columns, axis=0))
        self._threads = [w.threads for w in cluster.workers]
        self._up = cluster.startup
        self._transfer: list[float] = transfer.tolist()
        self._missing = np.diff(graph.dep_start).tolist()
        starts, children = graph.children
        cut = starts.tolist()
        flat = children.tolist()
        self._children = [flat[cut[i] : cut[i + 1]] for i in range(n)]
        self._roots = graph.roots.tolist()

    def run(  # noqa: C901, PLR0912, PLR0915  one loop: a call per task or edge would double what it costs
        self, worker: Sequence[int], key: Sequence[float], limit: float = NEVER
    ) -> float:
        """The makespan when `worker[i]` runs task i, and among what is ready the task of the smallest `key` first.

        Infinite as soon as it is certain to be `limit` or more, or a task has a worker that is too small for it; then
        `start` and `end` stay those of an earlier run.
        """
        n, children, transfer, tail, length = len(worker), self._children, self._transfer, self.tail, self.length
        start, end, there = [0.0] * n, [0.0] * n, [0.0] * n
        missing, free = self._missing[:], [0] * len(length)
        own: list[list[tuple[float, int]]] = [[] for _ in length]  # heaps of what is ready
        heap = [(self._up, -1)]  # task t ends; t + n has its inputs; -1: workers are up
        for t in self._roots:
            if length[worker[t]][t]:
                heappush(own[worker[t]], (key[t], t))
            else:
                heappush(heap, (0.0, t))
        woken: list[int] = []
        span, begun = 0.0, 0
        while heap:
            now, t = heappop(heap)
            if 0 <= t < n:
                span = now
                w = worker[t]
                if length[w][t]:
                    free[w] += 1
                    woken.append(w)
                sent = now + transfer[t]
                for c in children[t]:
                    if worker[c] == w:
                        if now > there[c]:  # noqa: PLR1730  max() is slow, and this is the innermost line
                            there[c] = now
                    elif sent > there[c]:
                        there[c] = sent
                    missing[c] -= 1
                    if not missing[c]:
                        at = there[c]
                        v = worker[c]
                        if not length[v][c]:
                            start[c], end[c] = now, at
                            heappush(heap, (at, c))
                        elif at > now:
                            heappush(heap, (at, c + n))
                        else:
                            heappush(own[v], (key[c], c))
                            woken.append(v)
            elif t >= n:
                t -= n
                w = worker[t]
                heappush(own[w], (key[t], t))
                woken.append(w)
            else:
                free = self._threads[:]
                woken.extend(range(len(free)))
            if heap and heap[0][0] == now:
                continue
            for w in woken:
                mine = own[w]
                while mine and free[w]:
                    t = heappop(mine)[1]
                    free[w] -= 1
                    start[t] = now
                    end[t] = at = now + length[w][t]
                    begun += 1
                    if at + tail[t] >= limit:
                        self.tasks += begun
                        self.runs += 1
                        return NEVER
                    heappush(heap, (at, t))
            woken.clear()
        self.tasks += n
        self.runs += 1
        if span >= limit:
            return NEVER
        self.start, self.end = start, end
        return span


def _tails(graph: TaskGraph, fastest: Floats) -> list[float]:
    """[n] what follows a task at the least: the longest way from its end, nothing travelling."""
    found: list[float] = (upward_rank(graph, fastest) - fastest).tolist()
    return found
