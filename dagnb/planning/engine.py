"""The engine of the simulator: discrete events, for every plan and policy, by the rules that workers follow.

    time ──►            on_ready(task)          a task has all it needs
    heap of (time, …)   on_loaded(task)         what was sent ahead for it has arrived
    finished, loaded,   on_idle(worker) → task  a worker has a free thread
    worker up, tick     on_tick()               every `Policy.tick` seconds

The rules. A worker never idles while a task that is its own or nobody's is ready. It fetches missing inputs when a task
starts (the fetch is part of the task), or ahead of it where the plan preloads; an object travels to a worker once,
taking latency + bytes ÷ bandwidth; links do not disturb each other. A task then takes the overhead of the cluster plus
its duration ÷ speed of the worker. A task of length zero occupies nobody. All that happens at one time is known before
anybody is offered work, and ties fall to the smaller number: the same input gives the same run.

Not modelled yet: duplicates, prewarming, and clusters that grow; a plan may carry them.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from dagnb.errors import PlanError

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimator import Estimates

#: Nobody: no worker, or no task.
NONE = -1

#: What a heap entry means; at equal times the smaller is handled first.
_FINISHED, _INSTANT, _LOADED, _UP, _TICK = range(5)

#: Ticks in a row with nothing under way after which a policy is taken to have given up.
PATIENCE = 1000


class Policy:
    """Who runs what next. Obeying a plan is one policy, an online scheduler is another.

    tick    seconds between calls of `on_tick`; 0 for never
    """

    tick: float = 0.0

    def begin(self, engine: Engine) -> None:
        """Before the first task; keep `engine` to ask it for `now`, `where`, `load`."""

    def on_ready(self, task: int, worker: int) -> int:
        """`task` has all it needs; `worker` finished the last of it (-1: it is busy, or nobody). Returns whom to wake.

        The finisher has a free thread and is offered work at once, whoever is woken.
        """
        raise NotImplementedError

    def on_idle(self, worker: int) -> int:
        """The task that `worker` starts now, or -1."""
        raise NotImplementedError

    def on_loaded(self, task: int, worker: int) -> int:
        """What `Engine.load` sent ahead has reached `worker`. Returns whom to wake."""
        raise NotImplementedError

    def on_instant(self, task: int, worker: int) -> int:  # noqa: ARG002  a plan names the worker of a task
        """The worker that holds the outcome of a task of length zero."""
        return max(worker, 0)

    def on_tick(self) -> Iterable[int]:
        """Reconsider. Returns whom to wake."""
        return ()

    def spare(self) -> bool:
        """Whether an idle worker that was not woken might still be given something."""
        return True


class Engine:
    """One simulated run. After `run`, the columns hold what happened.

    now      seconds since submission
    start    [n] and `end`, `fetch`, `where` (number of the worker)
    moved    bytes that travelled between workers
    log      task i when it started, ~i when it finished, in order
    """

    def __init__(self, graph: TaskGraph, policy: Policy, cluster: Cluster, estimates: Estimates) -> None:
        n, workers = len(graph), cluster.workers
        self.now = 0.0
        self.start, self.end, self.fetch, self.where = [0.0] * n, [0.0] * n, [0.0] * n, [NONE] * n
        self.moved = 0.0
        self.log: list[int] = []
        self._policy, self._cluster = policy, cluster
        self._duration: list[float] = estimates.mean.tolist()
        self._size: list[float] = estimates.size.tolist()
        self._slowness = [1 / w.speed for w in workers]
        self._free = [0] * len(workers)
        self._open = 0  # free threads over all workers
        self._heap: list[tuple[float, int, int]] = [(cluster.startup, _UP, w) for w in range(len(workers))]
        self._arrived: dict[tuple[int, int], float] = {}  # (object, worker) → when it is there
        self._awaited: dict[int, int] = {}  # task → worker for which something is under way
        self._vain = 0  # ticks in a row with nothing under way
        self._travels = cluster.latency > 0 or bool(estimates.size.any())
        self._missing = np.diff(graph.dep_start).tolist()
        self._roots = graph.roots.tolist()
        self._child_start, self._children = (column.tolist() for column in graph.children)
        self._dep_start, self._deps = graph.dep_start.tolist(), graph.deps.tolist()
        if policy.tick > 0:
            self._heap.append((policy.tick, _TICK, 0))

    def run(self) -> None:
        """Until every task is done. Raises PlanError when the policy leaves some for ever."""
        heap, free, where = self._heap, self._free, self.where
        self._policy.begin(self)
        woken = [w for task in self._roots for w in self._ready(task, NONE)]
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
            woken = []
        done = len(self.log) // 2
        if done < len(where):
            raise PlanError(f"{len(where) - done} of {len(where)} tasks are never started\n  mend the planner's policy")

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
        self.fetch[task] = fetch = self._bring(task, holder) if self._travels else 0.0
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
            woken.append(self._policy.on_loaded(what, self._awaited.pop(what)))
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
        free, on_idle = self._free, self._policy.on_idle
        while free[worker]:
            task = on_idle(worker)
            if task < 0:
                break
            free[worker] -= 1
            self._open -= 1
            self.where[task] = worker
            self.start[task] = self.now
            fetch = self._bring(task, worker) if self._travels else 0.0
            self.fetch[task] = fetch
            end = self.now + fetch + self._cluster.overhead + self._duration[task] * self._slowness[worker]
            self.end[task] = end
            self.log.append(task)
            heappush(self._heap, (end, _FINISHED, task))

    # --- the network ------------------------------------------------------------------------------------------------

    def _bring(self, task: int, worker: int) -> float:
        """Seconds until all inputs of a task that starts now are on its worker."""
        arrived, where, now = self._arrived, self.where, self.now
        wait, size, missing = 0.0, 0.0, []
        for needed in self._deps[self._dep_start[task] : self._dep_start[task + 1]]:
            if where[needed] == worker:
                continue
            at = arrived.get((needed, worker))
            if at is None:
                missing.append(needed)
                size += self._size[needed]
            elif at - now > wait:
                wait = at - now
        if missing:
            self.moved += size
            wait = max(wait, self._cluster.latency + size / self._cluster.bandwidth)
            for needed in missing:
                arrived[needed, worker] = now + wait
        return wait

    def load(self, task: int, worker: int, objects: Iterable[int], since: float = 0.0) -> bool:
        """Send objects to `worker` ahead of `task`, each from `since` on or as soon as it exists.

        True when some are under way: `on_loaded` is called when the last arrives. False when all are there.
        """
        latest = self.now
        for needed in objects:
            if self.where[needed] == worker:
                continue
            at = self._arrived.get((needed, worker))
            if at is None:
                self.moved += self._size[needed]
                transfer = self._cluster.latency + self._size[needed] / self._cluster.bandwidth
                at = self._arrived[needed, worker] = max(since, self.end[needed]) + transfer
            latest = max(latest, at)
        if latest > self.now:
            self._awaited[task] = worker
            heappush(self._heap, (latest, _LOADED, task))
        return latest > self.now
