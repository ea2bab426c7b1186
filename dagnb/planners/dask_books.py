"""What Dask's scheduler believes of its workers: durations, occupancy, replicas. Part of `dagnb.planners.dask`.

It never sees true durations or speeds. A prefix (our kind) is taken for `UNKNOWN` seconds until one of its tasks has
finished, then for a moving average; a task found running for over twice that makes the average unknown again.
Names and rules are those of `distributed.scheduler` (2026.8): `_get_prefix_duration`, `_calc_occupancy`,
`is_unoccupied`, `get_comm_cost`, `_task_slots_available`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates

#: Seconds that a task of an unknown prefix is taken for (`distributed.scheduler.unknown-task-duration`).
UNKNOWN = 0.5
#: Bytes per second that the scheduler believes in (`distributed.scheduler.bandwidth`).
BANDWIDTH = 100e6


class Believed:
    """One worker in the scheduler's books.

    processing    tasks that were sent to it and have not finished, in order
    counts        kind → how many of them
    needs         object → how many of them need it and it is not here
    incoming      bytes of those objects
    has           objects here
    stored        bytes of those
    """

    __slots__ = ("counts", "has", "incoming", "index", "needs", "processing", "stored", "threads")

    def __init__(self, index: int, threads: int) -> None:
        self.index, self.threads = index, threads
        self.processing: dict[int, None] = {}
        self.counts: dict[int, int] = {}
        self.needs: dict[int, int] = {}
        self.has: set[int] = set()
        self.incoming = self.stored = 0.0


class Books:
    """The scheduler's view of all workers and tasks.

    workers     [w]
    on          [n] worker that processes a task, None before and after
    holders     [n] workers that hold its output
    """

    def __init__(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, saturation: float) -> None:
        n = len(graph)
        self.workers = [Believed(i, spec.threads) for i, spec in enumerate(cluster.workers)]
        self.threads = sum(w.threads for w in self.workers)
        self.kind: list[int] = graph.kind.tolist()
        self.size: list[float] = estimates.size.tolist()
        self.on: list[Believed | None] = [None] * n
        self.holders: list[list[Believed]] = [[] for _ in range(n)]
        self._saturation = saturation
        self._start: list[int] = graph.dep_start.tolist()
        self._deps: list[int] = graph.deps.tolist()
        self._waiters: list[int] = [0] * n
        for dep in self._deps:
            self._waiters[dep] += 1
        self._average: dict[int, float] = {}
        self._longest: dict[int, float] = {}
        self._counts: dict[int, int] = {}
        self._incoming = 0.0

    # --- what is known ---------------------------------------------------------------------------------------------

    def needed(self, task: int) -> list[int]:
        """The dependencies of a task."""
        return self._deps[self._start[task] : self._start[task + 1]]

    def duration(self, task: int) -> float:
        """Seconds that a task of this kind is taken for."""
        return self._duration(self.kind[task])

    def _duration(self, kind: int) -> float:
        average = self._average.get(kind, -1.0)
        if average >= 0:
            return average
        longest = self._longest.get(kind, 0.0)
        return 2 * longest if longest > 0 else UNKNOWN

    def took(self, task: int, seconds: float) -> None:
        """A task of this kind has finished."""
        old = self._average.get(self.kind[task], -1.0)
        self._average[self.kind[task]] = seconds if old < 0 else 0.5 * seconds + 0.5 * old

    def runs_for(self, task: int, seconds: float) -> None:
        """A heartbeat: a task of this kind has been running for so long."""
        kind = self.kind[task]
        self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))
        if seconds > 2 * self._average.get(kind, -1.0):
            self._average[kind] = -1.0

    # --- load ------------------------------------------------------------------------------------------------------

    def occupancy(self, worker: Believed) -> float:
        """Seconds of work, transfers included, that a worker has before it."""
        work = sum(self._duration(kind) * count for kind, count in worker.counts.items())
        return work + worker.incoming / BANDWIDTH

    @property
    def total(self) -> float:
        """The same over all workers."""
        work = sum(self._duration(kind) * count for kind, count in self._counts.items())
        return work + self._incoming / BANDWIDTH

    def transfer(self, task: int, worker: Believed) -> float:
        """Seconds to bring the inputs of a task that a worker lacks."""
        has, size = worker.has, self.size
        return sum(size[d] for d in self.needed(task) if d not in has) / BANDWIDTH

    def unoccupied(self, worker: Believed, occupancy: float, processing: int, total: float) -> bool:
        """Whether a worker has less to do than others, so that it may steal."""
        return processing < worker.threads or occupancy < worker.threads * (total / self.threads) / 2

    def slots(self, worker: Believed) -> int:
        """How many more root-like tasks a worker is sent."""
        return max(math.ceil(self._saturation * worker.threads), 1) - len(worker.processing)

    def start_time(self, task: int, worker: Believed) -> tuple[float, float]:
        """`worker_objective`: when the task would start there; at a tie, where less is stored."""
        return self.occupancy(worker) / worker.threads + self.transfer(task, worker), worker.stored

    # --- what changes it -------------------------------------------------------------------------------------------

    def assign(self, task: int, worker: Believed) -> None:
        """The task is processed by a worker from now on."""
        kind = self.kind[task]
        worker.processing[task] = None
        worker.counts[kind] = worker.counts.get(kind, 0) + 1
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self.on[task] = worker
        for dep in self.needed(task):
            if dep in worker.has:
                continue
            if dep not in worker.needs:
                worker.incoming += self.size[dep]
                self._incoming += self.size[dep]
            worker.needs[dep] = worker.needs.get(dep, 0) + 1

    def withdraw(self, task: int) -> Believed:
        """The task has finished, or is taken away; returns the worker."""
        worker, kind = self.on[task], self.kind[task]
        assert worker is not None
        self.on[task] = None
        del worker.processing[task]
        for counts in (worker.counts, self._counts):
            counts[kind] -= 1
            if not counts[kind]:
                del counts[kind]
        for dep in self.needed(task):
            if worker.needs.get(dep, 0) > 1:
                worker.needs[dep] -= 1
            else:
                self._arrived(worker, dep)
        return worker

    def store(self, task: int, worker: Believed) -> None:
        """The output of a task is on a worker."""
        if task not in worker.has:
            self._arrived(worker, task)
            worker.has.add(task)
            worker.stored += self.size[task]
            self.holders[task].append(worker)

    def consumed(self, objects: Iterable[int]) -> None:
        """One consumer of each has finished: after the last one it is forgotten everywhere."""
        for dep in objects:
            self._waiters[dep] -= 1
            if not self._waiters[dep]:
                for worker in self.holders[dep]:
                    worker.has.discard(dep)
                    worker.stored -= self.size[dep]
                self.holders[dep] = []

    def _arrived(self, worker: Believed, dep: int) -> None:
        """Nothing is on its way for this object any more."""
        if worker.needs.pop(dep, 0):
            worker.incoming -= self.size[dep]
            self._incoming -= self.size[dep]
