"""The engine for elastic clusters: workers are launched when there is work for them, and stop when there is none.

    launch        when the first task that names the worker is ready, at the time of its `prewarm`, or for a task
                  that names nobody when no running worker is idle: the smallest number first
    cold, warm    decided at the launch. A worker that never ran, or has paused for `keep_alive` or longer, starts cold:
                  `startup` seconds, with empty hands. One that has paused for less takes `warm` seconds. One that was
                  at work until this very moment goes on
    asides        every cold start; warm ones where they take time

A task that names nobody goes, in this order, to the worker that finished its last input, to the smallest idle worker
that runs, to one that is launched for it; whoever is free first takes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappush
from typing import TYPE_CHECKING

from dagnb.trace.events import RecordKind

from .annotated import AnnotatedEngine
from .engine import Kind
from .policy import NONE, Policy

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimates import Estimates


class ElasticEngine(AnnotatedEngine):
    """The same run, with workers that come and go."""

    def __init__(self, graph: TaskGraph, policy: Policy, cluster: Cluster, estimates: Estimates) -> None:
        super().__init__(graph, policy, cluster, estimates)
        workers = len(cluster.workers)
        self._threads = [w.threads for w in cluster.workers]
        self._idle = [-float("inf")] * workers  # since when nobody works there
        self._starting = [False] * workers
        self._up_at = [0.0] * workers  # of the last launch
        self._cold = [True] * workers  # whether it was
        self._launched = [0.0] * workers
        self._common = [False] * workers  # whether it starts for what is anybody's
        self._pending = 0  # tasks that are ready and have not begun

    def _agenda(self) -> list[tuple[float, int, int]]:
        agenda = [(0.0, int(Kind.LAUNCH), NONE)]  # at submission the roots are offered, though nobody is up
        agenda += [(at, int(Kind.LAUNCH), worker) for at, worker in self._policy.prewarm]
        heapify(agenda)
        return agenda

    # --- workers ----------------------------------------------------------------------------------------------------

    def _stopped(self, worker: int) -> bool:
        pause = self.now - self._idle[worker]
        return not self._starting[worker] and not self._at_work(worker) and 0 < pause >= self._cluster.keep_alive

    def _at_work(self, worker: int) -> bool:
        return self._idle[worker] >= 0 and self._free[worker] < self._threads[worker]

    def _rouse(self, worker: int) -> bool:
        """Whether the worker can begin with a task now; if not it is launched, or is starting already."""
        if self._starting[worker]:
            return False
        if self._at_work(worker) or self.now <= self._idle[worker]:
            return True
        if self._stopped(worker):
            self._launch(worker, self._cluster.startup, cold=True)
        elif self._cluster.warm > 0:
            self._launch(worker, self._cluster.warm, cold=False)
        else:
            return True
        return False

    def _launch(self, worker: int, delay: float, *, cold: bool) -> None:
        self._starting[worker], self._cold[worker] = True, cold
        self._launched[worker], self._up_at[worker] = self.now, self.now + delay
        self._open -= self._free[worker]
        self._free[worker] = 0
        if cold:
            self._network.forget(worker, self.now)
        heappush(self._heap, (self.now + delay, Kind.UP, worker))

    def load(self, task: int, worker: int, objects: Iterable[int], since: float = 0.0) -> bool:
        """As in the engine; a worker that does not run is launched for it, and it receives once it is up."""
        wanted = tuple(objects)
        self._rouse(worker)
        under_way = super().load(task, worker, wanted, max(since, self._up_at[worker]))
        if under_way:  # who receives does not pause
            there = max(self._network.arrived.get((needed, worker), 0.0) for needed in wanted)
            self._idle[worker] = max(self._idle[worker], there)
        return under_way

    # --- what happens -----------------------------------------------------------------------------------------------

    def _other(self, kind: int, what: int, woken: list[int]) -> None:
        if kind == Kind.UP:
            self._starting[what] = self._common[what] = False
            self._idle[what] = max(self._idle[what], self.now)
            begun = (self.now, self._launched[what], 0.0, 0, what, RecordKind.BEGUN, int(self._cold[what]))
            self.asides.append(begun)
            super()._other(kind, what, woken)
        elif kind == Kind.LAUNCH:
            if what != NONE:
                self._prewarm(what)
        elif kind == Kind.INSTANT:
            holder = self.where[what]
            goes_on = self._free[holder] > 0 and (self._at_work(holder) or self._idle[holder] >= self.now)
            self._finish(what, holder if goes_on else NONE, woken)
            if goes_on:
                woken.append(holder)
        else:
            super()._other(kind, what, woken)

    def _prewarm(self, worker: int) -> None:
        """Launched in any case; in a pause it counts as needed, so that the pause begins anew."""
        if self._stopped(worker):
            self._launch(worker, self._cluster.startup, cold=True)
        elif not self._starting[worker] and not self._at_work(worker):
            self._idle[worker] = max(self._idle[worker], self.now)

    def _ready(self, task: int, worker: int) -> tuple[int, ...]:
        self._pending += self._duration[task] > 0
        return super()._ready(task, worker)

    def _begin(self, task: int, worker: int) -> None:
        self._pending -= self.where[task] == NONE
        super()._begin(task, worker)

    def _finish(self, task: int, worker: int, woken: list[int]) -> None:
        if worker >= 0:
            self._idle[worker] = max(self._idle[worker], self.now)
        super()._finish(task, worker, woken)

    def _release(self, worker: int, woken: list[int]) -> None:
        self._idle[worker] = max(self._idle[worker], self.now)
        super()._release(worker, woken)

    def _tell_starts(self) -> None:
        """Told when they came up."""

    # --- who gets what ----------------------------------------------------------------------------------------------

    def _round(self, woken: list[int]) -> None:
        """Give work to those who were woken; for what is anybody's take who runs, then launch who does not."""
        for worker in woken:
            if worker >= 0 and self._rouse(worker):
                self._feed(worker)
        workers = range(len(self._free))
        for running in (True, False):
            for worker in workers:
                if self._wanted() <= 0:
                    return
                if self._starting[worker] or self._stopped(worker) == running:
                    continue
                if self._free[worker] == 0 and self._at_work(worker):
                    continue
                if self._rouse(worker):
                    self._feed(worker)
                else:
                    self._common[worker] = True

    def _wanted(self) -> int:
        """Tasks that are anybody's and for which no worker is being started."""
        backlog = self._policy.backlog()
        if backlog == NONE:
            backlog = self._pending if self._policy.spare() else 0
        return backlog and backlog - sum(self._threads[w] for w, common in enumerate(self._common) if common)
