"""The engine for plans that ask for more: tasks that run twice, inputs that stream, outputs that are written or wait.

duplicates     every copy runs to its end; the first is the task, the others are asides; a copy that has not begun
               when the task is done is dropped; each worker that ran one holds the output
streams        a consumer is ready when the producers it streams from have started. The first piece takes the latency;
               it ends no earlier than the last piece reaches it, latency + PIECE ÷ bandwidth after the producer's
               end. A producer that is done before the consumer starts is an input like any other
large outputs  with a finite `Cluster.publish` a worker writes an output above INLINE bytes before its next task, and
               it is seen by others then; an output that the policy keeps is written beside other work when the first
               task elsewhere asks for it
"""

from __future__ import annotations

from heapq import heappush
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dagnb.trace.events import RecordKind

from .engine import Engine, Kind
from .network import Store
from .policy import NONE, Policy

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimates import Estimates


class Copy(NamedTuple):
    """One run of a task that runs twice."""

    task: int
    worker: int
    start: float
    end: float
    fetch: float


class AnnotatedEngine(Engine):
    """The same run, with all that annotations mean."""

    _network: Store

    def __init__(self, graph: TaskGraph, policy: Policy, cluster: Cluster, estimates: Estimates) -> None:
        super().__init__(graph, policy, cluster, estimates)
        self._twice = {task for task in policy.twice if self._duration[task] > 0}
        self._copies: list[Copy] = []
        self._tried: set[tuple[int, int]] = set()  # (task, worker) of each copy
        self._over = bytearray(len(graph))  # tasks that run twice and are done
        self._followers: dict[int, list[int]] = {}  # producer → consumers that stream from it
        self._slow = set(self._twice)  # tasks that need more than the plain engine does
        self._publishes = min(cluster.publish, cluster.keep) < float("inf")
        self._kept = graph.kept if cluster.keep < float("inf") else frozenset()
        self._plumb(policy)

    def _connect(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> Store:
        return Store(graph, cluster, estimates, self.where, self.end)

    def _plumb(self, policy: Policy) -> None:
        """A stream counts when its producer starts: it leaves the list of what counts at the end."""
        whole = [length > 0 and task not in self._twice for task, length in enumerate(self._duration)]
        for task, producers in policy.streams.items():
            for producer in sorted(set(producers)) if whole[task] else ():
                if whole[producer]:
                    self._followers.setdefault(producer, []).append(task)
                    self._network.streams.add((task, producer))
                    self._slow |= {task, producer}
        if not self._followers:
            return
        owner = np.repeat(np.arange(len(whole)), np.diff(self._child_start)).tolist()
        edges = zip(owner, self._children, strict=True)
        stays = np.array([(child, parent) not in self._network.streams for parent, child in edges], bool)
        kept = np.bincount(np.array(owner)[stays], minlength=len(whole))
        self._children = np.array(self._children)[stays].tolist()
        self._child_start = np.concatenate([[0], np.cumsum(kept)]).tolist()

    def _offer(self, woken: list[int]) -> None:
        """Until nobody is woken any more: a task that starts may wake whoever streams from it."""
        offered = 0
        while offered < len(woken):
            late = woken[offered:]
            offered = len(woken)
            self._round(late)

    def _round(self, woken: list[int]) -> None:
        super()._offer(woken)

    # --- a task begins ----------------------------------------------------------------------------------------------

    def _feed(self, worker: int) -> None:
        free, slow = self._free, self._slow
        if not slow:
            super()._feed(worker)
            return
        while free[worker]:
            task = self._policy.on_idle(worker)
            if task < 0:
                break
            if self._over[task] or (task, worker) in self._tried:
                continue  # a copy that nobody needs any more
            free[worker] -= 1
            self._open -= 1
            self._begin(task, worker)

    def _begin(self, task: int, worker: int) -> None:
        network, now = self._network, self.now
        fetch = network.bring(task, worker, now)
        end = max(now + fetch + self._length[worker][task], network.until)
        first = self.where[task] == NONE
        if first:
            self.where[task], self.start[task], self.fetch[task], self.end[task] = worker, now, fetch, end
            self.log.append(task)
        if task in self._twice:
            self._tried.add((task, worker))
            self._copies.append(Copy(task, worker, now, end, fetch))
            heappush(self._heap, (end, Kind.ENDED, len(self._copies) - 1))
        else:
            heappush(self._heap, (end, Kind.FINISHED, task))
        for child in self._followers.get(task, ()) if first else ():
            self._missing[child] -= 1
            if not self._missing[child]:
                self._woken.extend(self._ready(child, NONE))

    # --- and ends ---------------------------------------------------------------------------------------------------

    def _finish(self, task: int, worker: int, woken: list[int]) -> None:
        if self._publishes and worker >= 0 and self._duration[task] > 0 and (seconds := self._upload(task, worker)):
            self.upload[task] = seconds
            self._free[worker] -= 1
            self._open -= 1
            heappush(self._heap, (self.now + seconds, Kind.SENT, task))
        else:
            super()._finish(task, worker, woken)

    def _upload(self, task: int, worker: int) -> float:
        """Seconds for which the worker is kept by what the task has left to write; the user keeps what nobody needs."""
        if self._policy.keeps(task, worker):
            return 0.0
        return self._network.upload(task, self.now, kept=task in self._kept)

    def _other(self, kind: int, what: int, woken: list[int]) -> None:
        if kind == Kind.ENDED:
            self._ended(self._copies[what], woken)
        elif kind == Kind.SENT:
            worker = self.where[what]
            self._release(worker, woken)
            super()._finish(what, worker, woken)
        else:
            super()._other(kind, what, woken)

    def _ended(self, copy: Copy, woken: list[int]) -> None:
        """One of several copies: the first is the task."""
        task, worker, start, end, fetch = copy
        self._release(worker, woken)
        if self._over[task]:
            self._network.arrived[task, worker] = min(end, self._network.arrived.get((task, worker), end))
            self.asides.append((end, start, 0.0, task, worker, RecordKind.COPIED, 0))
            return
        self._over[task] = 1
        if worker != self.where[task]:
            self.first[task] = (self.where[task], self.start[task])
        self.where[task], self.start[task], self.fetch[task], self.end[task] = worker, start, fetch, end
        self._finish(task, worker, woken)

    def _release(self, worker: int, woken: list[int]) -> None:
        """A thread is free again."""
        self._free[worker] += 1
        self._open += 1
        woken.append(worker)
