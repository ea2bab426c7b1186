"""Placement by earliest finish with insertion: the inner loop that list planners share.

Instead of all placed tasks only the idle *gaps* between them are kept. A gap shorter than the shortest task still to
come is forgotten, and a worker where inputs + duration alone cannot win is not looked at: near constant cost per task
and worker.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .fit import fitting
from .plan import Annotations

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster, WorkerSpec
    from .estimator import Estimates

Floats = NDArray[np.float64]


#: Longer than any schedule.
_NEVER = float("inf")

#: Gaps of a lane that are tried for one task. Where there are more, most are too short for anything still to come.
LOOKED_AT = 64

#: Lanes to look at in turn, by kind of worker: (kind, [n] length of every task there, lanes).
Route = list[tuple[int, list[float], list["Lane"]]]


def occupied(worker: WorkerSpec, cluster: Cluster, estimates: Estimates) -> Floats:
    """[n] seconds for which each task occupies a thread of this worker, overhead included, inputs being there."""
    seconds: Floats = np.where(estimates.mean > 0, estimates.on(worker) + cluster.overhead, 0.0)
    return seconds


def kinds_of(graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> tuple[list[Floats], list[int]]:
    """([kinds][n] seconds as `occupied` has them, [workers] their kinds); tasks take equally long on those of one kind.

    Infinite where a worker has not what a task needs. Raises PlanError for a task that has no worker at all.
    """
    fits = fitting(graph, cluster)
    sized = fits is not None
    number: dict[tuple[float, float, float], int] = {}
    kind = [number.setdefault((w.speed, w.memory, w.cpus if sized else 0.0), len(number)) for w in cluster.workers]
    firsts = [kind.index(k) for k in range(len(number))]
    columns = [occupied(cluster.workers[first], cluster, estimates) for first in firsts]
    if fits is not None:
        columns = [np.where(fits[:, w], column, _NEVER) for w, column in zip(firsts, columns, strict=True)]
    return columns, kind


@dataclass(slots=True)
class Lane:
    """One thread of a worker: the time from which it is free for good, and the gaps before that, ascending."""

    worker: int
    free: float
    begins: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def fit(self, ready: float, duration: float) -> tuple[float, int]:
        """Start and number of the first gap that holds the task; gap -1 when it has to go to the end.

        Of very many gaps only the first that it could reach are looked at.
        """
        begins, ends = self.begins, self.ends
        first = bisect_left(ends, ready + duration)
        for gap in range(first, min(first + LOOKED_AT, len(ends))):
            begin = max(ready, begins[gap])
            if begin + duration <= ends[gap]:
                return begin, gap
        return self.free, -1

    def fill(self, gap: int, start: float, end: float, shortest: float) -> None:
        """Put a task there; what is left of the gap stays if a task of length `shortest` could use it."""
        begins, ends = self.begins, self.ends
        if gap < 0:
            if start > self.free and start - self.free >= shortest:
                begins.append(self.free)
                ends.append(start)
            self.free = end
            return
        left = start > begins[gap] and start - begins[gap] >= shortest
        right = ends[gap] > end and ends[gap] - end >= shortest
        if left and right:
            begins.insert(gap + 1, end)
            ends.insert(gap, start)
        elif left:
            ends[gap] = start
        elif right:
            begins[gap] = end
        else:
            del begins[gap], ends[gap]


@dataclass(frozen=True, slots=True)
class Placed:
    """Worker number, start and end of every task, if nobody ever starts early; the simulator has the last word."""

    worker: list[int]
    start: list[float]
    end: list[float]


class Placer:
    """Places the tasks of one graph on one cluster, as often as wanted.

    Where a task is ready is two numbers: there, on the worker from which its last input would come, and elsewhere. So
    workers of one kind differ in nothing but their lanes, and the first of them that is free in time ends the search.

    columns, kind    as in `kinds_of`: a task is never placed where it does not fit
    """

    def __init__(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, transfer: Floats) -> None:
        self._graph, self._cluster, self._transfer = graph, cluster, transfer
        self.columns, self.kind = kinds_of(graph, cluster, estimates)
        self._length: list[list[float]] = [column.tolist() for column in self.columns]
        self._least: Floats = np.min(self.columns, axis=0)

    def place(
        self,
        order: Sequence[int],
        *,
        only: Mapping[int, int] | Sequence[int] | None = None,
        onward: Sequence[Sequence[float]] | None = None,
        backward: bool = False,
    ) -> Placed:
        """Every task, in the given order, where it finishes first.

        order      every task behind those it needs
        only       [n] the worker that a task must go to, which has what it needs, or -1
        onward     [n][kinds] seconds that are added to the end of a task when workers are compared
        backward   time runs backwards: `order` is the other way round, and an end is what is left of the run
        """
        alone, routes = self._lanes()
        inputs = Inputs(self._graph, self._transfer, backward=backward)
        worker, end = inputs.worker, inputs.end
        start = [0.0] * len(worker)
        shortest = _shortest_to_come(self._least[order])
        more = 0.0
        for position, task in enumerate(order):
            elsewhere, latest, ready = inputs.of(task)
            route = routes[latest]
            if only is not None and only[task] >= 0:
                route = alone[only[task]]
                ready = ready if only[task] == latest else elsewhere
            best = lead = _NEVER
            best_lane, best_gap, begun = route[0][2][0], -1, ready
            for kind, length, lanes in route:
                duration = length[task]
                if onward is not None:
                    more = onward[task][kind]
                bound = ready + duration
                if bound + more < lead:
                    for lane in lanes:
                        begin, gap, ends = lane.free, -1, lane.ends
                        if ready >= begin or not duration:
                            begin = ready
                        elif ends and ends[-1] >= bound:
                            begin, gap = lane.fit(ready, duration)
                        if begin + duration + more < lead:
                            best, best_lane, best_gap, begun = begin + duration, lane, gap, begin
                            lead = best + more
                            if begin == ready:
                                break
                ready = elsewhere  # all but the first of a route
            worker[task], start[task], end[task] = best_lane.worker, begun, best
            if best > begun:
                best_lane.fill(best_gap, begun, best, shortest[position])
        return Placed(worker, start, end)

    def _lanes(self) -> tuple[list[Route], list[Route]]:
        """Per worker: the way through its own lanes, and that through its own and then everybody's.

        At the end of the second list, where -1 finds it, stands everybody's alone.
        """
        up = self._cluster.startup
        own = [[Lane(i, up) for _ in range(w.threads)] for i, w in enumerate(self._cluster.workers)]
        alone: list[Route] = [[(k, self._length[k], lanes)] for k, lanes in zip(self.kind, own, strict=True)]
        everybody: Route = [
            (k, length, [lane for kind, lanes in zip(self.kind, own, strict=True) if kind == k for lane in lanes])
            for k, length in enumerate(self._length)
        ]
        return alone, [*([*mine, *everybody] for mine in alone), everybody]


def place(graph: TaskGraph, cluster: Cluster, estimates: Estimates, transfer: Floats, order: Sequence[int]) -> Placed:
    """Every task once, in the given topological order, where it finishes first."""
    return Placer(graph, cluster, estimates, transfer).place(order)


class Inputs:
    """When the inputs of a task are where: asked once per task, not once per task and worker.

    backward   a task's dependents are what it waits for, and its own output is what travels
    """

    def __init__(self, graph: TaskGraph, transfer: Floats, *, backward: bool = False) -> None:
        self.worker = [0] * len(graph)
        self.end = [0.0] * len(graph)
        start, needed = graph.children if backward else (graph.dep_start, graph.deps)
        self._start, self._deps = start.tolist(), needed.tolist()
        self._transfer: list[float] = transfer.tolist()
        self._travels = bool(transfer.any())
        self._backward = backward

    def of(self, task: int) -> tuple[float, int, float]:
        """(when all inputs can be anywhere, the worker that is nearest, when they are there).

        Nearest is who holds the input that would come last: nobody else is better off than anybody. -1 where it makes
        no difference: no inputs, or an instant network.
        """
        needed = self._deps[self._start[task] : self._start[task + 1]]
        end, worker, transfer = self.end, self.worker, self._transfer
        if not self._travels or not needed:
            at = max([end[u] for u in needed], default=0.0)
            return at, -1, at
        if len(needed) == 1:  # so common that it has a way of its own
            (u,) = needed
            return end[u] + transfer[task if self._backward else u], worker[u], end[u]
        last, nearest, second = -1.0, -1, 0.0  # second: the last from any other worker
        for u in needed:
            at = end[u] + transfer[task if self._backward else u]
            if at > last:
                if worker[u] != nearest:
                    second, nearest = last, worker[u]
                last = at
            elif at > second and worker[u] != nearest:
                second = at
        return last, nearest, max([second, *[end[u] for u in needed if worker[u] == nearest]])


def _shortest_to_come(length: Floats) -> list[float]:
    """[n] the shortest task that has a length among those placed later than position i."""
    later = np.append(np.where(length > 0, length, np.inf)[1:], np.inf)
    found: list[float] = np.minimum.accumulate(later[::-1])[::-1].tolist()
    return found[: len(length)]


def preloads(graph: TaskGraph, worker: Sequence[int], transfer: Floats) -> dict[int, Annotations]:
    """What each task has to fetch from other workers, where that takes time."""
    where = np.array(worker, np.int32)
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    remote = (where[owner] != where[graph.deps]) & (transfer[graph.deps] > 0)
    tasks, needed = owner[remote], graph.deps[remote].tolist()
    first = np.flatnonzero(np.diff(tasks, prepend=-1)).tolist()  # the inputs of a task stand together
    ends = [*first[1:], len(needed)]
    known: dict[tuple[int, ...], Annotations] = {}  # tasks with the same inputs share what is said of them
    found: dict[int, Annotations] = {}
    for task, begin, end in zip(tasks[first].tolist(), first, ends, strict=False):
        objects = tuple(needed[begin:end])
        if objects not in known:
            known[objects] = Annotations(preload=objects)
        found[task] = known[objects]
    return found
