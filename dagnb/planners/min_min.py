"""min_min: of all tasks that are ready, the one that can be over first goes where it is over first.

Ibarra and Kim (1977), Heuristic algorithms for scheduling independent tasks on nonidentical processors, JACM 24(2), doi
10.1145/322003.322011; the name from Maheswaran et al. (1999), Dynamic mapping of a class of independent tasks onto
heterogeneous computing systems, JPDC 59(2), doi 10.1006/jpdc.1999.1581.

Here tasks depend on one another: a task is ready as soon as all that it needs has been placed, and all ready tasks are
one batch. Nothing is inserted into gaps.

The textbook looks at every pair of a ready task and a worker in every step. Here the pairs wait in heaps:

    of one kind of worker   only the lane that is free first can win, whatever the task
    tasks it would wait for     by ready + length, and by ready, to know when that is over
    tasks that wait for it      by length

and one such set of heaps for every worker, with the tasks that find their largest input there.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING

import numpy as np

from dagnb.errors import PlanError
from dagnb.planning.listing import drawn, transfers
from dagnb.planning.placement import Inputs, Lane, Placed, kinds_of
from dagnb.planning.simulator import in_units_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan

#: Tasks × sets of heaps above which it takes minutes.
MOST = 20_000_000


@dataclass(frozen=True)
class MinMin:
    """The least of all earliest ends first. Raises PlanError where tasks × workers are too many for it."""

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """Place one ready task after the other."""
        if len(graph) * len(cluster) > MOST:
            raise PlanError(
                f"min_min does not plan {len(graph)} tasks for {len(cluster)} workers: it would take minutes\n"
                "  take heft, or fewer workers"
            )
        cluster = in_units_of(estimates, cluster)
        transfer = transfers(cluster, estimates)
        batch = Batch(graph, cluster, estimates, transfer)
        placed = batch.place()
        return drawn(graph, cluster, estimates, transfer, placed, batch.order, planner="min_min")


class Pairs:
    """Ready tasks, and the lanes of one kind that they could go to.

    length    [n] of every task here
    ready     when the inputs of a task are here
    """

    def __init__(self, lanes: list[Lane], length: list[float]) -> None:
        self.length = length
        self.ready: dict[int, float] = {}
        self._lanes = [(lane.free, i, lane) for i, lane in enumerate(lanes)]  # a heap; entries may be out of date
        heapify(self._lanes)
        self._coming: list[tuple[float, int]] = []  # heap by ready
        self._ends: list[tuple[float, int]] = []  # the same tasks by ready + length
        self._here: list[tuple[float, int]] = []  # heap by length

    def add(self, task: int, ready: float) -> None:
        """A task that has its inputs here at `ready`."""
        self.ready[task] = ready
        heappush(self._coming, (ready, task))
        heappush(self._ends, (ready + self.length[task], task))

    def lane(self) -> Lane:
        """The lane that is free first."""
        lanes = self._lanes
        while lanes[0][0] != lanes[0][2].free:
            heapreplace(lanes, (lanes[0][2].free, *lanes[0][1:]))
        return lanes[0][2]

    def best(self, placed: list[bool]) -> tuple[float, int]:
        """(end, task) of the pair that is over first; infinity and -1 when there are no tasks."""
        if not self._ends and not self._here:
            return float("inf"), -1
        free, coming, ends, here, ready = self.lane().free, self._coming, self._ends, self._here, self.ready
        while coming and coming[0][0] <= free:
            task = heappop(coming)[1]
            if not placed[task]:
                heappush(here, (self.length[task], task))
        while ends and (placed[ends[0][1]] or ready[ends[0][1]] <= free):
            heappop(ends)
        while here and placed[here[0][1]]:
            heappop(here)
        first = ends[0] if ends else (float("inf"), -1)
        return min(first, (free + here[0][0], here[0][1])) if here else first


class Batch:
    """The ready tasks of a graph, and the schedule as far as it stands.

    order    tasks as they were placed
    """

    def __init__(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, transfer: NDArray[np.float64]) -> None:
        self.order: list[int] = []
        self._start = [0.0] * len(graph)
        self._placed = [False] * len(graph)
        self._inputs = Inputs(graph, transfer)
        self._missing: list[int] = np.diff(graph.dep_start).tolist()
        self._cut, self._users = (column.tolist() for column in graph.children)
        self._busy: list[bool] = (estimates.mean > 0).tolist()
        columns, kind = kinds_of(graph, cluster, estimates)
        length = [column.tolist() for column in columns]
        own = [[Lane(i, cluster.startup) for _ in range(w.threads)] for i, w in enumerate(cluster.workers)]
        self._own = [Pairs(lanes, length[k]) for lanes, k in zip(own, kind, strict=True)]
        self._kinds = [
            Pairs([lane for lanes, of in zip(own, kind, strict=True) if of == k for lane in lanes], length[k])
            for k in range(len(columns))
        ]
        self._enter(graph.roots.tolist())

    def place(self) -> Placed:
        """One pair after the other, the one that is over first."""
        choices = [*self._own, *self._kinds]  # at a tie a task stays with its inputs
        placed = self._placed
        while len(self.order) < len(placed):
            (end, task), pairs = min([(p.best(placed), i) for i, p in enumerate(choices)])
            lane = choices[pairs].lane()
            begin, lane.free = max(lane.free, choices[pairs].ready[task]), end
            self._enter(self._settle(task, lane.worker, begin, end))
        return Placed(self._inputs.worker, self._start, self._inputs.end)

    def _enter(self, ready: list[int]) -> None:
        """Tasks join the batch; those of length zero are over at once, which may let others join."""
        while ready:
            task = ready.pop()
            elsewhere, nearest, there = self._inputs.of(task)
            if not self._busy[task]:
                holder = self._holder(task, max(nearest, 0))
                at = there if holder == nearest else elsewhere
                ready += self._settle(task, holder, at, at)
                continue
            for pairs in self._kinds:
                pairs.add(task, elsewhere)
            if nearest >= 0:
                self._own[nearest].add(task, there)

    def _holder(self, task: int, wanted: int) -> int:
        """For a task of length zero: this worker, or the first that has what the task needs."""
        if self._own[wanted].length[task] < float("inf"):
            return wanted
        return next(w for w, pairs in enumerate(self._own) if pairs.length[task] < float("inf"))

    def _settle(self, task: int, worker: int, begin: float, end: float) -> list[int]:
        """Write a task down; returns those that need nothing else."""
        self.order.append(task)
        self._placed[task] = True
        self._start[task], self._inputs.end[task], self._inputs.worker[task] = begin, end, worker
        found = []
        for user in self._users[self._cut[task] : self._cut[task + 1]]:
            self._missing[user] -= 1
            if not self._missing[user]:
                found.append(user)
        return found
