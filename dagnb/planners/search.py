"""Local search for `auto`: a plan is changed a little, again and again, and kept where the rehearsal is no slower.

What changes is where a task runs and its key: among ready tasks the smallest key starts first. The changes are

    move      one to three tasks to other workers, mostly such as the makespan hangs on
    swap      two tasks trade workers, and perhaps keys
    shift     one to three tasks earlier or later
    shake     all or some keys a little, and every task placed anew where it finishes first
    window    the same for the tasks of one stretch of time, the others staying where they are
    deal      the tasks of two or three workers given out among them anew (`dagnb.planners.deal`)
    turn      backwards from the end and forwards again, each task as late, then as early as it can be

`turn` is the forward-backward pass of Li and Willis (1992), An iterative scheduling technique for resource-constrained
project scheduling, EJOR 56(3), doi 10.1016/0377-2217(92)90320-9. Which change is tried next depends on what the changes
have achieved so far on this graph; the seed decides the rest. No clock: the same seed and work give the same plan.

Of plans that are equally long the more even one is preferred, in which fewer workers end late: where several workers
end last, no single change shortens the run, and the way to a shorter one leads over plans of the same length.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dagnb.planning.fit import fitting
from dagnb.planning.placement import Placed, Placer
from dagnb.planning.rehearsal import NEVER, Rehearsal

from .deal import Dealer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates

#: A makespan this much longer, relatively, is the same: rounding.
ROUNDING = 1e-9

#: Placing a task costs as much as rehearsing so many.
PLACING = 2.0

#: Starting a rehearsal costs as much as rehearsing this part of the tasks; a change costs as much as so many tasks.
STARTING, CHANGING = 0.06, 8.0

#: What a success adds to the weight of a change, what is left of weights when every task was rehearsed once, the least
#: weight, and how fast the cost of a change is learnt.
REWARD, FADING, LEAST, LEARNING = 1.0, 0.99, 0.2, 0.1

#: A plan of the same length may be less even by so much, as a part of the square of its length, but rarely is by much.
UNEVEN = 0.3

#: How often three workers deal, and how often only what they do from some time on.
THREE, LATER = 0.25, 0.5

Change = tuple[Sequence[int], Sequence[float]]


class Search:
    """The best plan so far, and ways to a better one.

    makespan       of the best, by rehearsal
    worker, key    [n] of the best
    evaluations    plans that were weighed
    work           what that has cost, in tasks rehearsed
    """

    def __init__(
        self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, transfer: NDArray[np.float64], seed: int = 0
    ) -> None:
        self.makespan = NEVER
        self.worker: Sequence[int] = [0] * len(graph)
        self.key: Sequence[float] = [0.0] * len(graph)
        self.evaluations = 0
        self.work = 0.0
        self._workers = len(cluster)
        fits = fitting(graph, cluster)
        self._homes = None if fits is None else [np.flatnonzero(row).tolist() for row in fits]
        self._rehearsal = Rehearsal(graph, cluster, estimates, transfer)
        self._placer = Placer(graph, cluster, estimates, transfer)
        self._transfer: list[float] = transfer.tolist()
        self._start: list[float] = []
        self._end: list[float] = []
        self._squares = 0.0  # of the workers' last ends
        self._deps = _rows(graph.dep_start.tolist(), graph.deps.tolist())
        self._users = _rows(*(column.tolist() for column in graph.children))
        threads = [w.threads for w in cluster.workers]
        length, tail = self._rehearsal.length, self._rehearsal.tail
        self._dealer = Dealer(self._deps, self._transfer, length, tail, threads, cluster.startup)
        self._chance = random.Random(seed)
        self._critical: list[int] = []
        self._changes = [self._move, self._swap, self._shift, self._shake, self._window, self._deal, self._turn]
        # What the changes are worth: their share of the work. Dealing is dear, for when nothing else helps any more.
        self.weight = [LEAST if change == self._deal else 1.0 for change in self._changes]
        self._cost = [1.0] * len(self._changes)  # of one trial, on average

    def offer(self, worker: Sequence[int], key: Sequence[float]) -> float:
        """Weigh a plan, and keep it if it is shorter, or as short and about as even. Returns how much shorter."""
        n = len(worker)
        before, tasks = self.makespan, self._rehearsal.tasks
        span = self._rehearsal.run(worker, key, before * (1 + ROUNDING))
        self.evaluations += 1
        self.work += self._rehearsal.tasks - tasks + STARTING * n + CHANGING
        if span == NEVER:
            return 0.0
        squares = sum(e * e for e in self._last_ends(worker, self._rehearsal.end))
        self.work += STARTING * n
        if span >= before * (1 - ROUNDING):
            more = UNEVEN * (self._chance.random() * span) ** 2
            if squares > self._squares * (1 + ROUNDING) + more:
                return 0.0
        self.makespan, self.worker, self.key, self._squares = span, worker, key, squares
        self._start, self._end = self._rehearsal.start, self._rehearsal.end
        self._critical = []
        return before - span

    def draw(self, order: Sequence[int]) -> float:
        """Place all tasks by earliest finish in this order, and `offer` that."""
        placed = self._place(order)
        return self.offer(placed.worker, placed.start)

    def improve(self, work: float, target: float) -> None:
        """Change and weigh until `work` is spent or the makespan is `target` or less."""
        weight, cost = self.weight, self._cost
        numbers = range(len(weight))
        while self.work < work and self.makespan > target:
            (which,) = self._chance.choices(numbers, [w / c for w, c in zip(weight, cost, strict=True)])
            before = self.work
            gained = self.offer(*self._changes[which]())
            cost[which] += (self.work - before - cost[which]) * LEARNING
            faded = FADING ** ((self.work - before) / len(self.worker))
            for i in numbers:
                weight[i] = max(LEAST, weight[i] * faded)
            if gained > self.makespan * ROUNDING:
                weight[which] += REWARD

    # --- changes ----------------------------------------------------------------------------------------------------

    def _move(self) -> Change:
        chance, worker = self._chance, list(self.worker)
        tasks = self._few()
        for task in tasks:
            draw = chance.random()
            beside = self._deps[task] if draw < 0.25 else self._users[task] if draw < 0.4 else ()
            worker[task] = self.worker[chance.choice(beside)] if beside else self._home(task)
        return worker, self._shifted(tasks[0]) if chance.random() < 0.4 else self.key

    def _swap(self) -> Change:
        chance, worker = self._chance, list(self.worker)
        one, other = self._task(), chance.randrange(len(worker))
        worker[one], worker[other] = worker[other], worker[one]
        if chance.random() < 0.5:
            return worker, self.key
        key = list(self.key)
        key[one], key[other] = key[other], key[one]
        return worker, key

    def _shift(self) -> Change:
        return self.worker, self._shifted(*self._few())

    def _shake(self) -> Change:
        return self._placed(self._shaken())

    def _window(self) -> Change:
        chance = self._chance
        begin = chance.random() * self.makespan
        end = begin + (0.05 + 0.4 * chance.random()) * self.makespan
        share = chance.random()
        spans = zip(self.worker, self._start, self._end, strict=True)
        only = [-1 if e >= begin and s <= end and chance.random() < share else w for w, s, e in spans]
        return self._placed(self._shaken() if chance.random() < 0.5 else self._start, only)

    def _deal(self) -> Change:
        chance, some = self._chance, self._chance.randrange
        last = self._last_ends(self.worker, self._end)
        among = {self.worker[self._task()], min(some(self._workers), some(self._workers), key=last.__getitem__)}
        if len(among) == 1 or chance.random() < THREE:
            among.add(some(self._workers))
        since = chance.random() * self.makespan if chance.random() < LATER else 0.0
        dealt, cost = self._dealer.deal(self.worker, self._start, self._end, among, since, chance)
        self.work += cost
        worker, key = list(self.worker), list(self._start)
        for task, w, at in dealt:
            worker[task], key[task] = w, at
        return worker, key

    def _turn(self) -> Change:
        end = self._end
        order = sorted(range(len(end)), key=lambda i: (-end[i], -i))
        left = self._place(order, backward=True).end
        order = sorted(range(len(end)), key=lambda i: (-left[i], i))
        placed = self._place(order)
        return placed.worker, placed.start

    # --- parts of them ----------------------------------------------------------------------------------------------

    def _last_ends(self, worker: Sequence[int], end: Sequence[float]) -> list[float]:
        """When each worker has done all that is its own."""
        last = [0.0] * self._workers
        for w, e in zip(worker, end, strict=True):
            if e > last[w]:  # noqa: PLR1730  max() is slow
                last[w] = e
        return last

    def _task(self) -> int:
        """A task to change: most often one that the makespan hangs on."""
        if self._chance.random() < 0.3:
            return self._chance.randrange(len(self.worker))
        if not self._critical:
            self._critical = self._hanging()
        return self._chance.choice(self._critical)

    def _home(self, task: int) -> int:
        """Any worker that has what the task needs."""
        return self._chance.randrange(self._workers) if self._homes is None else self._chance.choice(self._homes[task])

    def _few(self) -> list[int]:
        """One to three tasks to change."""
        return [self._task() for _ in range(1 + int(self._chance.random() * 2.5))]

    def _hanging(self) -> list[int]:
        """The tasks that the makespan hangs on: from the last backwards to what each one waited for."""
        start, end, worker = self._start, self._end, self.worker
        before = {(worker[i], end[i]): i for i in range(len(end)) if end[i] > start[i]}
        self.work += STARTING * len(end)
        task = end.index(max(end))
        found = [task]
        while True:
            arrived, last = -1.0, -1
            for u in self._deps[task]:
                at = end[u] + (self._transfer[u] if worker[u] != worker[task] else 0.0)
                if at > arrived:
                    arrived, last = at, u
            if arrived < start[task]:  # its worker was busy
                last = before.get((worker[task], start[task]), -1)
            if last < 0:
                return found
            task = last
            found.append(task)

    def _shifted(self, *tasks: int) -> list[float]:
        """Keys with those of `tasks` moved by up to a fifth of the makespan, more often forwards."""
        key = list(self.key)
        for task in tasks:
            key[task] = self._start[task] + (self._chance.random() - 0.6) * 0.25 * self.makespan
        return key

    def _shaken(self) -> list[float]:
        """Starts disturbed, all a little or a few by much; a task stays behind those it needs."""
        chance, key = self._chance, list(self._start)
        n = len(key)
        if chance.random() < 0.5:
            much = 0.1 * self.makespan * chance.random()
            key = [k + (chance.random() - 0.5) * much for k in key]
        else:
            for _ in range(1 + chance.randrange(max(1, n // 12))):
                key[chance.randrange(n)] += (chance.random() - 0.6) * 0.5 * self.makespan
        for task, needed in enumerate(self._deps):
            if needed:
                key[task] = max([key[task], *[key[u] for u in needed]])
        return key

    def _placed(self, key: Sequence[float], only: Sequence[int] | None = None) -> Change:
        """Every task by earliest finish in the order of `key`; the smaller number first, so dependencies hold."""
        placed = self._place(sorted(range(len(key)), key=lambda i: (key[i], i)), only)
        return placed.worker, placed.start

    def _place(self, order: Sequence[int], only: Sequence[int] | None = None, *, backward: bool = False) -> Placed:
        self.work += PLACING * len(order)
        return self._placer.place(order, only=only, backward=backward)


def _rows(start: list[int], flat: list[int]) -> list[list[int]]:
    return [flat[a:b] for a, b in pairwise(start)]
