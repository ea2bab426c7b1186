"""dask: the plan that dask.distributed's scheduler would end up with, found by running its policy in the simulator.

Rocklin (2015), Dask: parallel computation with blocked algorithms and task scheduling, SciPy,
doi 10.25080/majora-7b98e3ed-013; the policy is that of `distributed` 2026.8 with its default settings:

    priorities     `dask.order` on the keys that the graph has as a Dask graph
    root-like      a task of a group over twice as large as the cluster, with few dependencies, waits in one queue; a
                   worker is sent ceil(1.1 × threads) tasks at most
    other tasks    go to that holder of an input where they are expected to start first: occupancy ÷ threads + missing
                   bytes ÷ bandwidth; without inputs to the least occupied worker, in turn among the idle
    durations      learned while running: half a second, then a moving average by kind (`dask_books`)
    stealing       once a second (`dask_steal`)

The scheduler is online and knows neither durations nor speeds in advance: estimates only say what happens next. Some
of what it does is chance: sets go by hashes that differ from process to process, and stealing by a clock that began
before the graph came. So several runs are drawn, and the plan is the one whose makespan is in the middle.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dagnb.planning.listing import transfers
from dagnb.planning.placement import preloads
from dagnb.planning.plan import Plan
from dagnb.planning.policy import NONE, Policy
from dagnb.planning.simulator import forecast
from dagnb.planning.stage import in_units_of, play

from .dask_books import Believed, Books
from .dask_steal import Stealing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.engine import Engine
    from dagnb.planning.estimator import Estimates

#: Tasks up to which `dask.order` is asked: it takes seconds for 20,000 and minutes for 100,000.
ORDERED = 10_000
#: Root-like tasks depend on fewer groups, and fewer tasks, than this (`rootish-taskgroup`).
FEW = 5
#: Below so many idle workers the least occupied is looked for, above they take turns.
SMALL = 20
#: Seconds between heartbeats of up to ten workers; every second one balances.
BEAT = 0.5
#: Heartbeats that one simulated run may take: with longer tasks they come at longer intervals, which changes little.
BEATS = 20_000


#: Runs that are drawn at most, and simulated tasks that drawing may take in all.
DRAWS, BUDGET = 9, 3000


@dataclass(frozen=True)
class Dask:
    """The real policy, simulated.

    saturation    `distributed.scheduler.worker-saturation`
    stealing      `distributed.scheduler.work-stealing`
    seed          of what is chance
    """

    saturation: float = 1.1
    stealing: bool = True
    seed: int = 0

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """Run the policy, and write down where and in which order it started the tasks."""
        cluster = in_units_of(estimates, cluster)
        order = priorities(graph)
        draws = max(1, min(DRAWS, BUDGET // max(len(graph), 1)))
        found = [self._drawn(graph, cluster, estimates, order, draw) for draw in range(draws)]
        if draws == 1:
            return replace(found[0][1], evaluations=1)
        middle = statistics.median_low(makespan for makespan, _ in found)
        plans = [plan for _, plan in found]
        times = [forecast(graph, plan, cluster, estimates).makespan for plan in plans]
        best = min(range(draws), key=lambda k: abs(times[k] - middle))
        return replace(plans[best], evaluations=2 * draws)

    def _drawn(
        self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, order: list[int], draw: int
    ) -> tuple[float, Plan]:
        """One run: its makespan, and the plan that repeats it."""
        chance = np.random.default_rng((self.seed, draw))
        policy = DaskPolicy(graph, cluster, estimates, order, chance, self.saturation, stealing=self.stealing)
        engine = play(graph, policy, cluster, estimates)
        transfer = transfers(cluster, estimates, published=False)
        facts = {
            "saturation": self.saturation,
            "stealing": self.stealing,
            "order": "dask.order" if len(graph) <= ORDERED else "depth first",
            "beat": policy.tick,
        }
        plan = Plan.build(
            graph, cluster, estimates,
            worker=engine.where,
            sequence=[entry for entry in engine.log if entry >= 0],
            annotations=preloads(graph, engine.where, transfer),
            planner="dask",
            parameters=facts,
            seed=self.seed,
        )  # fmt: skip
        return max(engine.end, default=0.0), plan


class DaskPolicy(Policy):
    """The scheduler's decisions, for the engine of the simulator.

    The engine tells what became ready before it offers work, so that decisions are taken when a worker is first asked:
    what finished, then what became ready in the order of priorities, then the queue. The worker itself goes on with
    what it was sent before, for it does not wait for the scheduler.
    """

    def __init__(
        self,
        graph: TaskGraph,
        cluster: Cluster,
        estimates: Estimates,
        order: list[int],
        chance: np.random.Generator,
        saturation: float = 1.1,
        *,
        stealing: bool = True,
    ) -> None:
        lots = chance.random(len(graph)).tolist()
        self.books = Books(graph, cluster, estimates, saturation)
        self.stealing = Stealing(self.books, lots) if stealing else None
        self._priority = order
        self._arrival = _arrivals(graph, order, lots)
        self._rootish = _rootish(graph, self.books.threads)
        self._ready: list[list[tuple[int, int]]] = [[] for _ in self.books.workers]  # heaps (priority, task)
        self._started = [False] * len(graph)
        self._running: dict[int, None] = {}
        self._runnable: list[int] = []
        self._queue: list[tuple[int, int]] = []
        self._seen = self._sent = 0
        self._open = 0  # tasks in the heaps
        work = float(sum(estimates.mean.tolist()) / min(w.speed for w in cluster.workers))
        self._beat = max(BEAT, work / len(cluster) / BEATS)
        self._beats = int(chance.integers(2))
        self.tick = self._beat * chance.uniform(0.01, 1.0)  # when its clock first strikes, after the graph has come

    def begin(self, engine: Engine) -> None:
        """Keep the engine: it knows the time, sends inputs and says where tasks ran."""
        self._engine = engine

    # --- what the engine asks ----------------------------------------------------------------------------------------

    def on_ready(self, task: int, worker: int) -> int:
        """Decided when all that happens now is known."""
        self._runnable.append(task)
        return worker

    def on_loaded(self, task: int, worker: int) -> int:
        """The inputs of a task are there; it may have been stolen meanwhile."""
        held = self.books.workers[worker]
        for dep in self.books.needed(task):
            self.books.store(dep, held)
        if self.books.on[task] is held and not self._started[task]:
            self._wait(task, held)
        return worker

    def on_idle(self, worker: int) -> int:
        """What waits here, before the scheduler hears of anything: a worker that has work does not ask for some."""
        task = self._next(worker)
        if self._runnable or self._seen < len(self._engine.log):
            self._settle()
        return task if task != NONE else self._next(worker)

    def _next(self, worker: int) -> int:
        """Start the task of the smallest priority among those that are ready here."""
        ready = self._ready[worker]
        while ready:
            _, task = heappop(ready)
            self._open -= 1
            if self.books.on[task] is self.books.workers[worker] and not self._started[task]:
                self._started[task] = True
                self._running[task] = None
                return task
        return NONE

    def on_tick(self) -> Iterable[int]:
        """Heartbeats say how long tasks have been running; every second time work is stolen."""
        self._settle()
        self._beats += 1
        self.tick = self._beat
        for task in self._running:
            self.books.runs_for(task, self._engine.now - self._engine.start[task])
        if self._beats % 2 or self.stealing is None:
            return ()
        moves = list(self.stealing.balance(lambda task: not self._started[task]))
        for task, thief in moves:
            self.books.withdraw(task)
            self._send(task, thief)
        return [thief.index for _, thief in moves]

    def spare(self) -> bool:
        """Whether tasks wait at a worker that was not woken."""
        return self._open > 0 or bool(self._runnable)

    # --- what the scheduler does -------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Take note of what has finished since, then place what became ready."""
        log, engine, books = self._engine.log, self._engine, self.books
        for position in range(self._seen, len(log)):
            if log[position] >= 0:
                continue
            task = ~log[position]
            if books.on[task] is not None:
                books.took(task, engine.end[task] - engine.start[task] - engine.fetch[task])
                books.withdraw(task)
                self._running.pop(task, None)
                if self.stealing is not None:
                    self.stealing.drop(task)
            books.store(task, books.workers[engine.where[task]])
            books.consumed(books.needed(task))
        self._seen = len(log)
        runnable, self._runnable = self._runnable, []
        order = self._arrival if not self._sent else self._priority
        for task in sorted(runnable, key=order.__getitem__):
            self._decide(task)
        self._open_slots()

    def _decide(self, task: int) -> None:
        """Send a task to a worker, or queue it."""
        books = self.books
        if self._rootish[task]:
            free = [w for w in books.workers if books.slots(w) > 0]
            if free:
                self._send(task, min(free, key=lambda w: len(w.processing) / w.threads))
            else:
                heappush(self._queue, (self._priority[task], task))
        elif needed := books.needed(task):
            holders = list(dict.fromkeys(w for dep in needed for w in books.holders[dep]))
            best = holders[0] if len(holders) == 1 else min(holders, key=lambda w: books.start_time(task, w))
            self._send(task, best)
        else:
            self._send(task, self._any())

    def _any(self) -> Believed:
        """For a task without inputs: the least occupied worker, in turn among those with nothing to do."""
        books, total = self.books, self.books.total
        idle = [w for w in books.workers if books.unoccupied(w, books.occupancy(w), len(w.processing), total)]
        pool = idle or books.workers
        if len(pool) >= SMALL:
            return pool[self._sent % len(pool)]
        turn = [pool[(k + self._sent) % len(pool)] for k in range(len(pool))]
        least = min(pool, key=books.occupancy)
        return least if books.occupancy(least) else next(w for w in turn if not books.occupancy(w))

    def _open_slots(self) -> None:
        """Root-like tasks that wait go to workers that have room."""
        while self._queue:
            free = [w for w in self.books.workers if self.books.slots(w) > 0]
            if not free:
                break
            _, task = heappop(self._queue)
            self._send(task, min(free, key=lambda w: len(w.processing) / w.threads))

    def _send(self, task: int, worker: Believed) -> None:
        """The worker fetches the inputs at once, and then the task waits for a thread."""
        self._sent += 1
        self.books.assign(task, worker)
        if self.stealing is not None:
            self.stealing.put(task, worker)
        if not self._engine.load(task, worker.index, self.books.needed(task)):
            self._wait(task, worker)

    def _wait(self, task: int, worker: Believed) -> None:
        heappush(self._ready[worker.index], (self._priority[task], task))
        self._open += 1


def priorities(graph: TaskGraph) -> list[int]:
    """[n] `dask.order` of the graph with the keys of `dask_keys`, which break its ties; of a large one, depth first."""
    if len(graph) > ORDERED:
        return _depth_first(graph)
    from dask._task_spec import Task, TaskRef
    from dask.order import order

    keys = dask_keys(graph)
    tasks = {key: Task(key, len, *(TaskRef(keys[d]) for d in graph.dependencies(i))) for i, key in enumerate(keys)}
    found: Mapping[Any, Any] = order(cast("Any", tasks))
    return [int(found[key]) for key in keys]


def _arrivals(graph: TaskGraph, priority: list[int], chance: list[float]) -> list[int]:
    """[n] the order in which the scheduler comes to the tasks of a new graph: from the sinks down, last found first.

    Among the inputs of one task it goes by the hashes of their keys.
    """
    start, deps = graph.dep_start.tolist(), graph.deps.tolist()
    place = [NONE] * len(graph)
    todo = sorted(graph.sinks.tolist(), key=priority.__getitem__, reverse=True)
    found = [False] * len(graph)
    given = 0
    while todo:
        task = todo.pop()
        place[task] = given
        given += 1
        new = [d for d in deps[start[task] : start[task + 1]] if not found[d]]
        for d in new:
            found[d] = True
        todo += sorted(new, key=chance.__getitem__)
    return place


def _depth_first(graph: TaskGraph) -> list[int]:
    """[n] what `dask.order` is at heart: finish what was begun before anything new; iterative, for long chains."""
    start, deps = graph.dep_start.tolist(), graph.deps.tolist()
    place = [NONE] * len(graph)
    given = 0
    for sink in graph.sinks.tolist():
        todo = [sink]
        while todo:
            task = todo[-1]
            missing = [d for d in deps[start[task] : start[task + 1]] if place[d] == NONE]
            if place[task] == NONE and not missing:
                place[task] = given
                given += 1
            if missing:
                todo += reversed(missing)
            else:
                todo.pop()
    return place


def dask_keys(graph: TaskGraph) -> list[str]:
    """The keys that the tasks have as a Dask graph: `kind-number`, so that Dask's prefix is the kind."""
    kinds = ["".join(c if c.isalnum() else "_" for c in kind) or "task" for kind in graph.kinds]
    return [f"{kinds[kind]}-{task}" for task, kind in enumerate(graph.kind.tolist())]


def _rootish(graph: TaskGraph, threads: int) -> list[bool]:
    """[n] `is_rootish`: of a group much larger than the cluster, with few or no dependencies."""
    kinds = len(graph.kinds)
    length = np.bincount(graph.kind, minlength=kinds)
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    pairs = np.unique(graph.kind[owner].astype(np.int64) * kinds + graph.kind[graph.deps])
    groups = np.bincount(pairs // max(kinds, 1), minlength=kinds)
    tasks = np.bincount(pairs // max(kinds, 1), weights=length[pairs % max(kinds, 1)], minlength=kinds)
    found: list[bool] = ((length > 2 * threads) & (groups < FEW) & (tasks < FEW))[graph.kind].tolist()
    return found
