"""Obeying a plan: what workers do with it at run time, as a policy of the simulator.

A worker takes, among what is ready and its own or nobody's, the task with the smallest (priority, order, number).
Of what is nobody's, whoever finished its last dependency may take one first, for inputs are there; the rest go to
whoever is free.

Groups: of the tasks without a worker that share a number, the first that is ready is anybody's; whoever takes it has
the others for its own. Duplicates: each worker of a task has it among its own. Streams: for tasks with a named worker;
one that anybody may take has nobody to send to, so that its inputs come as always.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from .policy import NONE, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .assignment import Annotations
    from .cluster import Cluster
    from .engine import Engine
    from .plan import Plan


class ObeyPlan(Policy):
    """The policy of a plan. Tasks are handled by rank: their place in the order (priority, order, number)."""

    def __init__(self, plan: Plan, cluster: Cluster) -> None:
        columns = plan.columns
        by_rank = np.lexsort((columns.order, columns.priority))  # stable, so the number decides last
        rank = np.empty(len(columns), np.int64)
        rank[by_rank] = np.arange(len(columns))
        number = np.array([*(cluster.index[worker] for worker in columns.ids), NONE])
        self._task: list[int] = by_rank.tolist()
        self._rank: list[int] = rank.tolist()
        self._worker: list[int] = number[columns.worker].tolist()
        self._preload: dict[int, tuple[int, ...]] = {}
        self._copies: dict[int, list[int]] = {}  # task → workers that have a copy
        self._kept: set[int] = set()
        self._group: dict[int, int] = {}
        self._taken: dict[int, int] = {}  # group → its worker
        self._held: dict[int, list[int]] = {}  # group of which one task is shared → ranks of the others that are ready
        self._read(columns.notes, cluster)
        self._own: list[list[int]] = [[] for _ in cluster.workers]  # heaps of ranks
        self._fresh: list[list[int]] = [[] for _ in cluster.workers]  # nobody's, made ready here just now
        self._shared: list[int] = []  # heap of ranks: nobody's
        self._engine: Engine

    def _read(self, notes: Mapping[int, Annotations], cluster: Cluster) -> None:
        """Annotations by what they are for."""
        streams, prewarm = {}, []
        for task, note in notes.items():
            worker = self._worker[task]
            if note.preload:
                self._preload[task] = note.preload
            if note.duplicate:
                self._copies[task] = [cluster.index[other] for other in note.duplicate]
            if note.keep_local:
                self._kept.add(task)
            if note.group is not None and worker < 0:
                self._group[task] = note.group
            if note.stream and worker >= 0:
                streams[task] = note.stream
                self._preload[task] = tuple(d for d in note.preload if d not in note.stream)
            if note.prewarm is not None and worker >= 0:
                prewarm.append((note.prewarm, worker))
        self.twice, self.streams, self.prewarm = self._copies.keys(), streams, prewarm

    def begin(self, engine: Engine) -> None:
        """Keep the engine: it sends inputs ahead, and knows who needs what."""
        self._engine = engine

    def on_ready(self, task: int, worker: int) -> int:
        """To its worker, once what is preloaded has arrived; else to the finisher and then to anybody."""
        mine = self._worker[task]
        if self._copies:
            self._hand_out(task)
        if mine >= 0:
            if self._preload and self._sent_ahead(task, mine):
                return NONE
            heappush(self._own[mine], self._rank[task])
            return mine
        if task in self._group:
            return self._joined(task)
        if worker >= 0:
            self._fresh[worker].append(self._rank[task])
        else:
            heappush(self._shared, self._rank[task])
        return worker

    def on_loaded(self, task: int, worker: int) -> int:
        """Now it is ready there."""
        heappush(self._own[worker], self._rank[task])
        return worker

    def on_instant(self, task: int, worker: int) -> int:
        """Its own worker, else that of the last input."""
        mine = self._worker[task]
        if mine < 0 and task in self._group:
            mine = self._taken.get(self._group[task], NONE)
        return mine if mine >= 0 else max(worker, 0)

    def on_idle(self, worker: int) -> int:
        """What it just made ready, else the first of its own and the shared."""
        own = self._own[worker]
        if self._fresh[worker]:
            return self._continue(worker)
        shared = self._shared
        if shared and not (own and own[0] < shared[0]):
            task = self._task[heappop(shared)]
            if self._group and task in self._group:
                self._take(self._group[task], worker)
            return task
        return self._task[heappop(own)] if own else NONE

    def spare(self) -> bool:
        """Only what is shared can go to somebody who was not woken."""
        return bool(self._shared)

    def backlog(self) -> int:
        """What is shared: of each group one task."""
        return len(self._shared)

    def keeps(self, task: int, worker: int) -> bool:  # noqa: ARG002  others look at both
        """Only what says so: workers commit what they have before each task that is long, its large inputs included."""
        return task in self._kept

    def _hand_out(self, task: int) -> None:
        """Every further worker of a task has it among its own."""
        for worker in self._copies.get(task, ()):
            heappush(self._own[worker], self._rank[task])
            self._engine.wake(worker)

    def _joined(self, task: int) -> int:
        """A task of a group is its worker's; before there is one, the first is anybody's and the others wait for it."""
        group, rank = self._group[task], self._rank[task]
        worker = self._taken.get(group, NONE)
        if worker >= 0:
            heappush(self._own[worker], rank)
        elif group in self._held:
            self._held[group].append(rank)
        else:
            self._held[group] = []
            heappush(self._shared, rank)
        return worker

    def _take(self, group: int, worker: int) -> None:
        self._taken[group] = worker
        for rank in self._held.pop(group):
            heappush(self._own[worker], rank)

    def _continue(self, worker: int) -> int:
        """The best of what became ready here just now, unless the worker's own comes first; the rest is anybody's."""
        fresh, own = self._fresh[worker], self._own[worker]
        best = min(fresh)
        for rank in fresh:
            if rank != best or (own and own[0] < best):
                heappush(self._shared, rank)
        fresh.clear()
        return self._task[heappop(own) if own and own[0] < best else best]

    def _sent_ahead(self, task: int, worker: int) -> bool:
        """Whether inputs that the plan preloads are still under way."""
        objects = self._preload.get(task, ())
        return bool(objects) and self._engine.load(task, worker, objects)
