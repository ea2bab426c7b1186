"""The engine of the simulator: discrete events, for every plan and policy, by the rules that workers follow.

    time ──►            on_ready(task)          a task has all it needs
    heap of (time, …)   on_loaded(task)         what was sent ahead for it has arrived
    finished, loaded,   on_idle(worker) → task  a worker has a free thread
    worker up, tick     on_tick()               every `Policy.tick` seconds

The rules. A worker never idles while a task that is its own or nobody's is ready. It fetches missing inputs when a task
starts (the fetch is part of the task), or ahead of it where the plan preloads; an object travels to a worker once,
taking latency + bytes ÷ bandwidth; links do not disturb each other. A task then takes the overhead of the cluster plus
its duration on that worker (`Estimates.on`: speed, memory). A task of length zero occupies nobody. All that happens at
one time is known before anybody is offered work, and ties fall to the smaller number: same input, same run.

Here stands what every run needs, and nothing else on its hot path. `annotated` adds duplicates, streams and delayed
output, `elastic` clusters whose workers come and go; `stage.play` takes the smallest engine that will do.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from dagnb.errors import PlanError
from dagnb.trace.events import RecordKind

from .network import Aside, Network
from .policy import NONE, Policy

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimates import Estimates

__all__ = ["NONE", "Engine", "Policy"]


class Kind(IntEnum):
    """What a heap entry means; at equal times the smaller is handled first."""

    FINISHED = 0  #: a task
    ENDED = 1  #: one of several copies of a task
    SENT = 2  #: the output of a task is in the store
    INSTANT = 3  #: a task of length zero
    LOADED = 4  #: what was sent ahead
    UP = 5  #: a worker
    LAUNCH = 6  #: a worker is to be started in any case
    TICK = 7


_FINISHED, _INSTANT, _LOADED, _UP, _TICK = (
    int(kind) for kind in (Kind.FINISHED, Kind.INSTANT, Kind.LOADED, Kind.UP, Kind.TICK)
)

#: Ticks in a row with nothing under way after which a policy is taken to have given up.
PATIENCE = 1000


class Engine:
    """One simulated run. After `run`, the columns hold what happened.

    now      seconds since submission
    start    [n] and `end`, `fetch`, `where` (number of the worker)
    upload   seconds by task, for those whose worker was kept busy with writing their output
    log      task i when it started, ~i when others could know that it has finished, in order
    first    task → (worker, start) of the copy that began first, where that is not the one that won
    asides   what happened beside the tasks, by time once the run is over
    """

    def __init__(self, graph: TaskGraph, policy: Policy, cluster: Cluster, estimates: Estimates) -> None:
        n, workers = len(graph), cluster.workers
        self.now = 0.0
        self.start, self.end, self.fetch, self.where = [0.0] * n, [0.0] * n, [0.0] * n, [NONE] * n
        self.upload: dict[int, float] = {}
        self.first: dict[int, tuple[int, float]] = {}
        self.log: list[int] = []
        self.asides: list[Aside] = []
        self._policy, self._cluster = policy, cluster
        self._duration: list[float] = estimates.mean.tolist()
        self._length = lengths(cluster, estimates)
        self._network = self._connect(graph, cluster, estimates)
        self._travels = self._network.travels
        self._free = [0] * len(workers)
        self._open = 0  # free threads over all workers
        self._woken: list[int] = []  # who is to be offered work before time goes on
        self._vain = 0  # ticks in a row with nothing under way
        self._missing = np.diff(graph.dep_start).tolist()
        self._roots = graph.roots.tolist()
        self._child_start, self._children = (column.tolist() for column in graph.children)
        self._heap = self._agenda()
        if policy.tick > 0:
            heappush(self._heap, (policy.tick, _TICK, 0))

    def _connect(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> Network:
        return Network(graph, cluster, estimates, self.where, self.end)

    def _agenda(self) -> list[tuple[float, int, int]]:
        """What is certain before the run: all workers start at submission, or are called to work then."""
        begin = self._cluster.startup + self._cluster.warm
        return [(begin, _UP, w) for w in range(len(self._free))]

    @property
    def moved(self) -> float:
        """Bytes that travelled between workers."""
        return self._network.moved

    def run(self) -> None:
        """Until every task is done. Raises PlanError when the policy leaves some for ever."""
        heap, free, where, woken = self._heap, self._free, self.where, self._woken
        self._policy.begin(self)
        for task in self._roots:
            woken += self._ready(task, NONE)
        while heap:
            self.now = now = heap[0][0]
            while heap and heap[0][0] == now:
                _, kind, what = heappop(heap)
                if kind == _FINISHED:
                    worker = where[what]
                    free[worker] += 1
                    self._open += 1
                    woken.append(worker)
                    self._finish(what, worker, woken)
                else:
                    self._other(kind, what, woken)
            self._offer(woken)
            woken.clear()
        done = len(self.log) // 2
        if done < len(where):
            raise PlanError(f"{len(where) - done} of {len(where)} tasks are never started\n  mend the planner's policy")
        self._close()

    def children(self, task: int) -> list[int]:
        """Tasks that need this one, streams left out."""
        found: list[int] = self._children[self._child_start[task] : self._child_start[task + 1]]
        return found

    def wake(self, worker: int) -> None:
        """Offer work to this worker too before time goes on: for a policy that wakes several at once."""
        self._woken.append(worker)

    # --- what happens -----------------------------------------------------------------------------------------------

    def _finish(self, task: int, worker: int, woken: list[int]) -> None:
        self.log.append(~task)
        missing = self._missing
        for child in self._children[self._child_start[task] : self._child_start[task + 1]]:
            missing[child] -= 1
            if not missing[child]:
                woken.extend(self._ready(child, worker))

    def _ready(self, task: int, worker: int) -> tuple[int, ...]:
        """A task has all it needs; returns the worker to wake."""
        if self._duration[task] > 0:
            return (self._policy.on_ready(task, worker),)
        holder = self.where[task] = self._policy.on_instant(task, worker)
        self.start[task] = self.now
        self.fetch[task] = fetch = self._network.bring(task, holder, self.now) if self._travels else 0.0
        self.end[task] = self.now + fetch
        self.log.append(task)
        heappush(self._heap, (self.end[task], _INSTANT, task))
        return ()

    def _other(self, kind: int, what: int, woken: list[int]) -> None:
        """The rarer entries of the heap."""
        if kind == _INSTANT:
            holder = self.where[what]
            self._finish(what, holder if self._free[holder] else NONE, woken)
            woken.append(holder)
        elif kind == _LOADED:
            task, worker = divmod(what, len(self._free))  # a task that moves may have something under way to several
            woken.append(self._policy.on_loaded(task, worker))
        elif kind == _UP:
            self._free[what] = threads = self._cluster.workers[what].threads
            self._open += threads
            woken.append(what)
        else:
            self._tick(woken)

    def _tick(self, woken: list[int]) -> None:
        self._vain = 0 if self._heap else self._vain + 1
        if len(self.log) < 2 * len(self.where) and self._vain < PATIENCE:
            woken.extend(self._policy.on_tick())
            heappush(self._heap, (self.now + self._policy.tick, _TICK, 0))

    def _offer(self, woken: list[int]) -> None:
        """Give work to those who were woken, then to whoever is idle."""
        for worker in woken:
            if worker >= 0 and self._free[worker]:
                self._feed(worker)
        spare = self._policy.spare
        if self._open and spare():
            for worker, free in enumerate(self._free):
                if free:
                    self._feed(worker)
                    if not spare():
                        break

    def _feed(self, worker: int) -> None:
        free, on_idle, length = self._free, self._policy.on_idle, self._length[worker]
        while free[worker]:
            task = on_idle(worker)
            if task < 0:
                break
            free[worker] -= 1
            self._open -= 1
            self.where[task] = worker
            self.start[task] = self.now
            fetch = self._network.bring(task, worker, self.now) if self._travels else 0.0
            self.fetch[task] = fetch
            self.end[task] = end = self.now + fetch + length[task]
            self.log.append(task)
            heappush(self._heap, (end, _FINISHED, task))

    def load(self, task: int, worker: int, objects: Iterable[int], since: float = 0.0) -> bool:
        """Send objects to `worker` ahead of `task`, each from `since` on or as soon as it exists.

        True when some are under way: `on_loaded` is called when the last arrives. False when all are there.
        """
        latest = self._network.send(objects, worker, since)
        if latest > self.now:
            heappush(self._heap, (latest, _LOADED, task * len(self._free) + worker))
        return latest > self.now

    # --- the end ----------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Put the asides in order. Of workers that start with the run only those that were of use are told of."""
        self.asides += self._network.asides
        if self._cluster.startup > 0:
            self._tell_starts()
        self.asides.sort(key=lambda aside: aside[0])

    def _tell_starts(self) -> None:
        used = {self.where[task] for task, length in enumerate(self._duration) if length > 0}
        used |= {worker for _, _, _, _, worker, kind, _ in self.asides if kind == RecordKind.COPIED}
        up = self._cluster.startup
        self.asides += [(up, 0.0, 0.0, 0, worker, RecordKind.BEGUN, 1) for worker in sorted(used)]


def lengths(cluster: Cluster, estimates: Estimates) -> list[list[float]]:
    """By worker: seconds that each task occupies it, without its inputs. Workers of the same sort share a list."""
    sorts: dict[tuple[float, float], list[float]] = {}
    for spec in cluster.workers:
        if (spec.speed, spec.memory) not in sorts:
            sorts[spec.speed, spec.memory] = (estimates.on(spec) + cluster.overhead).tolist()
    return [sorts[spec.speed, spec.memory] for spec in cluster.workers]
