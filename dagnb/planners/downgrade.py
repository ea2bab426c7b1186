"""Moving the tasks of a schedule to smaller workers within their slack. Part of `dagnb.planners.cheapest`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.plan import Plan
    from dagnb.trace.timeline import Timeline

Floats = NDArray[np.float64]


class Downgrade:
    """One schedule, and what its tasks would take elsewhere.

    Tasks leave their worker only for one that the schedule does not use, so that those who stay are never delayed.
    """

    def __init__(
        self,
        graph: TaskGraph,
        cluster: Cluster,
        lengths: Sequence[Floats],
        transfer: Floats,
        base: Plan,
        run: Timeline,
    ) -> None:
        self._graph = graph
        self._length: list[list[float]] = [column.tolist() for column in lengths]
        self._memory = [w.memory for w in cluster.workers]
        self._transfer: list[float] = transfer.tolist()
        self._home: list[int] = base.columns.worker.tolist()
        self._start: list[float] = run.start.tolist()
        self._end: list[float] = run.end.tolist()
        self._order: list[int] = np.lexsort((np.arange(len(graph)), run.start)).tolist()
        used = set(self._home)
        others: dict[tuple[float, ...], list[int]] = {}
        for w, spec in enumerate(cluster.workers):
            if w not in used:
                others.setdefault((spec.memory, spec.speed, spec.cpus, spec.price), []).append(w)
        self._sizes = list(others.values())
        self._up = cluster.startup
        start, children = graph.children
        self._child_start, self._children = start.tolist(), children.tolist()
        self._dep_start, self._deps = graph.dep_start.tolist(), graph.deps.tolist()

    def run(self, limit: float, share: float, stay: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
        """Worker and order of all tasks.

        limit    seconds by which all is to end
        share    the part of its slack that a task may take
        stay     [n] tasks that do not move
        """
        moved = self._latest(limit)
        worker, start, end = list(self._home), list(self._start), list(self._end)
        free = {w: self._up for size in self._sizes for w in size}
        last = dict.fromkeys(set(self._home), 0.0)
        fixed = stay.tolist()
        for task in self._order:
            mine = self._home[task]
            own = self._length[mine][task]
            begin = max(self._ready(task, mine, worker, end), last[mine])
            choice = mine
            if own and not fixed[task]:
                bound = min(moved[task], begin + own + share * max(0.0, moved[task] - begin - own))
                cost = own * self._memory[mine]
                for other in self._candidates(task, worker, free):
                    length = self._length[other][task]
                    if length * self._memory[other] >= cost:
                        continue
                    at = max(self._ready(task, other, worker, end), free[other])
                    if at + length <= bound:
                        choice, cost, begin, own = other, length * self._memory[other], at, length
            worker[task], start[task], end[task] = choice, begin, begin + own
            if choice == mine:
                last[mine] = end[task]
            else:
                free[choice] = end[task]
        position = np.empty(len(start), np.int64)
        position[self._order] = np.arange(len(start))
        sequence: list[int] = np.lexsort((position, np.array(start))).tolist()
        return worker, sequence

    def _candidates(self, task: int, worker: list[int], free: dict[int, float]) -> Iterator[int]:
        """Of each size the worker that is free first, and those that hold an input."""
        holders = {worker[d] for d in self._deps[self._dep_start[task] : self._dep_start[task + 1]]}
        for size in self._sizes:
            first = min(size, key=free.__getitem__)
            yield first
            for w in size:
                if w in holders and w != first:
                    yield w

    def _latest(self, limit: float) -> list[float]:
        """When each task has to end if it moves, so that its output has to travel to all that need it."""
        n = len(self._order)
        moved = [limit] * n
        home = [limit] * n  # the same for a task that stays
        after: dict[int, float] = {}  # worker → latest start of the task that follows there
        for task in reversed(self._order):
            mine = self._home[task]
            for child in self._children[self._child_start[task] : self._child_start[task + 1]]:
                begin = home[child] - self._length[self._home[child]][child]
                away = begin - self._transfer[task]
                home[task] = min(home[task], begin if self._home[child] == mine else away)
                moved[task] = min(moved[task], away)
            if self._length[mine][task]:
                home[task] = min(home[task], after.get(mine, limit))
                after[mine] = home[task] - self._length[mine][task]
        return moved

    def _ready(self, task: int, on: int, worker: list[int], end: list[float]) -> float:
        """When all inputs of a task are on a worker."""
        needed = self._deps[self._dep_start[task] : self._dep_start[task + 1]]
        return max([end[d] + (self._transfer[d] if worker[d] != on else 0.0) for d in needed], default=self._up)
