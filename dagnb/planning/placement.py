"""Placement by earliest finish with insertion: the inner loop that list planners share.

Instead of all placed tasks only the idle *gaps* between them are kept. A gap shorter than the shortest task still to
come is forgotten, and a worker where inputs + duration alone cannot win is not looked at: near constant cost per task
and worker.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .plan import Annotations

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimator import Estimates

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Lane:
    """One thread of a worker: the time from which it is free for good, and the gaps before that, ascending."""

    worker: int
    slowness: float
    free: float
    begins: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def fit(self, ready: float, duration: float) -> tuple[float, int]:
        """Start and number of the first gap that holds the task; gap -1 when it has to go to the end."""
        begins, ends = self.begins, self.ends
        for gap in range(bisect_left(ends, ready + duration), len(ends)):
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
    """Worker number and start of every task, if nobody ever starts early; the simulator has the last word on times."""

    worker: list[int]
    start: list[float]


def place(graph: TaskGraph, cluster: Cluster, estimates: Estimates, transfer: Floats, order: Sequence[int]) -> Placed:
    """Every task, in the given topological order, where it finishes first."""
    lanes = [Lane(i, 1 / w.speed, cluster.startup) for i, w in enumerate(cluster.workers) for _ in range(w.threads)]
    inputs = Inputs(graph, transfer)
    worker, end = inputs.worker, inputs.end
    start = [0.0] * len(graph)
    length: list[float] = estimates.mean.tolist()
    shortest = _shortest_to_come(estimates.mean[order])
    overhead = cluster.overhead
    for position, task in enumerate(order):
        elsewhere, latest, second, local = inputs.of(task)
        best, best_lane, best_gap = float("inf"), lanes[0], -1
        need = length[task]
        fixed = overhead if need else 0.0
        for lane in lanes:
            ready = elsewhere
            if local and lane.worker in local:
                ready = second if lane.worker == latest else elsewhere
                if local[lane.worker] > ready:  # noqa: PLR1730  max() is slow, and this is the innermost line
                    ready = local[lane.worker]
            duration = need * lane.slowness + fixed
            if ready + duration >= best:
                continue
            begin, gap = lane.free, -1
            if ready >= begin or not duration:
                begin = ready
            elif lane.ends and lane.ends[-1] >= ready + duration:
                begin, gap = lane.fit(ready, duration)
            if begin + duration < best:
                best, best_lane, best_gap, start[task] = begin + duration, lane, gap, begin
        worker[task], end[task] = best_lane.worker, best
        if need:
            best_lane.fill(best_gap, start[task], best, shortest[position] * best_lane.slowness + overhead)
    return Placed(worker, start)


class Inputs:
    """When the inputs of a task are where: asked once per task, not once per task and worker."""

    def __init__(self, graph: TaskGraph, transfer: Floats) -> None:
        self.worker = [0] * len(graph)
        self.end = [0.0] * len(graph)
        self._start, self._deps = graph.dep_start.tolist(), graph.deps.tolist()
        self._transfer: list[float] = transfer.tolist()
        self._travels = bool(transfer.any())

    def of(self, task: int) -> tuple[float, int, float, dict[int, float]]:
        """(when the last is anywhere, its worker, when the last from another worker is there, latest end by worker).

        The dictionary is empty where it makes no difference: no inputs, or an instant network.
        """
        needed = self._deps[self._start[task] : self._start[task + 1]]
        end, worker = self.end, self.worker
        if not self._travels or not needed:
            return max([end[u] for u in needed], default=0.0), -1, 0.0, {}
        if len(needed) == 1:  # so common that it has a way of its own
            (u,) = needed
            return end[u] + self._transfer[u], worker[u], 0.0, {worker[u]: end[u]}
        local: dict[int, float] = {}
        sent: dict[int, float] = {}
        for u in needed:
            w, at = worker[u], end[u]
            if at > local.get(w, -1.0):
                local[w] = at
            if at + self._transfer[u] > sent.get(w, -1.0):
                sent[w] = at + self._transfer[u]
        latest = max(sent, key=sent.__getitem__)
        second = max([at for w, at in sent.items() if w != latest], default=0.0)
        return sent[latest], latest, second, local


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
    objects: dict[int, list[int]] = {}
    for task, needed in zip(owner[remote].tolist(), graph.deps[remote].tolist(), strict=True):
        objects.setdefault(task, []).append(needed)
    return {task: Annotations(preload=tuple(found)) for task, found in objects.items()}
