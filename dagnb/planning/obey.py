"""Obeying a plan: what workers do with it at run time, as a policy of the simulator.

A worker takes, among what is ready and its own or nobody's, the task with the smallest (priority, order, number).
Of what is nobody's, whoever finished its last dependency may take one first, for inputs are there; the rest go to
whoever is free.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from .engine import NONE, Engine, Policy

if TYPE_CHECKING:
    from .cluster import Cluster
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
        self._preload = {task: note.preload for task, note in columns.notes.items()}
        self._own: list[list[int]] = [[] for _ in cluster.workers]  # heaps of ranks
        self._fresh: list[list[int]] = [[] for _ in cluster.workers]  # nobody's, made ready here just now
        self._shared: list[int] = []  # heap of ranks: nobody's
        self._engine: Engine | None = None

    def begin(self, engine: Engine) -> None:
        """Keep the engine: it sends inputs ahead."""
        self._engine = engine

    def on_ready(self, task: int, worker: int) -> int:
        """To its worker, once what is preloaded has arrived; else to the finisher and then to anybody."""
        mine = self._worker[task]
        if mine >= 0:
            if self._preload and self._sent_ahead(task, mine):
                return NONE
            heappush(self._own[mine], self._rank[task])
            return mine
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
        return mine if mine >= 0 else max(worker, 0)

    def on_idle(self, worker: int) -> int:
        """What it just made ready, else the first of its own and the shared."""
        own = self._own[worker]
        if self._fresh[worker]:
            return self._continue(worker)
        shared = self._shared
        if shared and not (own and own[0] < shared[0]):
            return self._task[heappop(shared)]
        return self._task[heappop(own)] if own else NONE

    def spare(self) -> bool:
        """Only what is shared can go to somebody who was not woken."""
        return bool(self._shared)

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
        return bool(objects) and self._engine is not None and self._engine.load(task, worker, objects)
