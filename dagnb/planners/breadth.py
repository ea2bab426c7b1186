"""Breadth-first assignment by the shape of the graph: the first step of `uniform` and `non_uniform`.

    roots     groups of one long and two short tasks, each to the worker with least to do
    1 → 1     the same worker
    1 → N     short children with large outputs stay with their parent, three at most; the others as roots do
    N → 1     the worker that holds most of the input

Long and short are above and below the mean of the siblings; a task that is neither goes alone.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from dagnb.graph.analysis import levels
from dagnb.planning.placement import occupied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates

#: Children that stay with their parent in a fan-out, and tasks of a group.
STAY = GROUP = 3


class Breadth:
    """One assignment: `worker` and `sequence` are what `Plan.build` wants."""

    def __init__(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, members: Sequence[int]) -> None:
        self._graph = graph
        self._length: list[float] = occupied(cluster.workers[members[0]], cluster, estimates).tolist()
        self._size: list[float] = estimates.size.tolist()
        self._load = dict.fromkeys(members, 0.0)
        self.worker = [members[0]] * len(graph)
        level = levels(graph)
        self.sequence: list[int] = np.argsort(level, kind="stable").tolist()
        degree: list[int] = np.diff(graph.dep_start).tolist()
        for _, tasks in groupby(self.sequence, level.__getitem__):
            self._level(list(tasks), degree)

    def _level(self, tasks: list[int], degree: Sequence[int]) -> None:
        roots = [t for t in tasks if degree[t] == 0]
        self._spread(roots)
        only = [t for t in tasks if degree[t] == 1]
        parent = {t: self._graph.dependencies(t)[0] for t in only}
        for above, siblings in groupby(sorted(only, key=parent.__getitem__), parent.__getitem__):
            self._fan_out(above, list(siblings))
        for task in tasks:
            if degree[task] > 1:
                self._give(task, self._most_input(task))

    def _fan_out(self, parent: int, siblings: list[int]) -> None:
        """1 → 1 and 1 → N."""
        here = self.worker[parent]
        if len(siblings) == 1 and len(self._graph.dependents(parent)) == 1:
            self._give(siblings[0], here)
            return
        long, size = self._mean(siblings, self._length), self._mean(siblings, self._size)
        stay = [t for t in siblings if self._length[t] < long and self._size[t] > size][:STAY]
        for task in stay:
            self._give(task, here)
        kept = set(stay)
        self._spread([t for t in siblings if t not in kept])

    def _spread(self, tasks: list[int]) -> None:
        """Groups of one long and two short tasks to whoever has least to do."""
        for group in self._groups(tasks):
            to = min(self._load, key=self._load.__getitem__)
            for task in group:
                self._give(task, to)

    def _groups(self, tasks: list[int]) -> Iterator[list[int]]:
        mean = self._mean(tasks, self._length)
        long = [t for t in tasks if self._length[t] >= mean]
        short = [t for t in tasks if self._length[t] < mean]
        for k, task in enumerate(long):
            yield [task, *short[(GROUP - 1) * k : (GROUP - 1) * (k + 1)]]
        rest = short[(GROUP - 1) * len(long) :]
        for k in range(0, len(rest), GROUP):
            yield rest[k : k + GROUP]

    def _most_input(self, task: int) -> int:
        """Where most bytes of the input are; where sizes are not known, most of the inputs."""
        held: dict[int, tuple[float, int]] = {}
        for needed in self._graph.dependencies(task):
            size, count = held.get(self.worker[needed], (0.0, 0))
            held[self.worker[needed]] = size + self._size[needed], count + 1
        return max(held, key=lambda w: (held[w], -self._load[w], -w))

    def _give(self, task: int, worker: int) -> None:
        self.worker[task] = worker
        self._load[worker] += self._length[task]

    @staticmethod
    def _mean(tasks: list[int], column: list[float]) -> float:
        return sum(column[t] for t in tasks) / max(len(tasks), 1)
