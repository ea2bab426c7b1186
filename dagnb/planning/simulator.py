"""Simulate: a plan or a policy on a cluster becomes the events that a run would emit, and the figures that follow.

For a forecast the durations are estimates; to judge the model alone they are those that a run has measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.graph.analysis import lower_bound
from dagnb.trace.events import COMMIT, RECORD, Batch, RecordKind
from dagnb.trace.readable import Event, TaskFinished, TaskStarted, event_of
from dagnb.trace.timeline import Timeline

from .cost import gb_seconds, worker_seconds
from .estimates import Estimates
from .interval import centred
from .plan import Plan
from .stage import in_units_of, play

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .engine import Engine
    from .policy import Policy

__all__ = ["Forecast", "best_possible", "complete", "forecast", "in_units_of", "simulate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Forecast:
    """A simulated run, folded. Seconds and bytes.

    timeline         where and when every task ran, and beside that: starts of workers, preloads, second copies
    makespan         from submission to the last end
    bytes_moved      between workers
    gb_seconds       memory of the worker × time, over tasks and copies that occupied one, and over starts
    worker_seconds   from the launch of a worker to its last end, over all launches of workers that were of use
    cold_starts      workers that had to be started, as often as they had to
    """

    timeline: Timeline
    makespan: float
    bytes_moved: float
    gb_seconds: float
    worker_seconds: float
    cold_starts: int

    @property
    def span(self) -> float:
        """From the first start to the last end."""
        return self.timeline.makespan


def simulate(graph: TaskGraph, how: Plan | Policy, cluster: Cluster, durations: Estimates | Floats) -> Iterator[Event]:
    """The events of a simulated run, in order of time.

    `how` is a plan (PlanError when it does not fit) or a policy; `durations` are estimates, or seconds [n].
    """
    estimates = durations if isinstance(durations, Estimates) else Estimates.of(durations)
    engine = _played(graph, how, cluster, estimates)
    yield from sorted((*_told(engine, estimates), *_beside(engine)), key=attrgetter("at"))


def forecast(graph: TaskGraph, how: Plan | Policy, cluster: Cluster, durations: Estimates | Floats) -> Forecast:
    """The same run folded into a timeline, and its figures; the events are packed and never become objects."""
    estimates = durations if isinstance(durations, Estimates) else Estimates.of(durations)
    engine = _played(graph, how, cluster, estimates)
    timeline = _folded(engine, estimates)
    where, start, end = _occupied(engine, estimates, timeline)
    begun = timeline.asides[timeline.asides["kind"] == RecordKind.BEGUN]
    return Forecast(
        timeline,
        makespan=float(timeline.end.max(initial=0.0)),
        bytes_moved=engine.moved,
        gb_seconds=gb_seconds(cluster, where, end - start, begun),
        worker_seconds=worker_seconds(where, end, begun),
        cold_starts=int((begun["attempt"] == 1).sum()),
    )


def complete(
    plan: Plan, graph: TaskGraph, cluster: Cluster, estimates: Estimates, *, with_interval: bool = True
) -> Plan:
    """The plan with its simulated figures, as users hold it. Raises PlanError when it does not fit.

    Where durations vary, the makespan is the middle of many simulated runs, and the timeline one run with the means: it
    may end before, because there nobody waits for a task that happens to be slow.

    `with_interval=False` leaves out the interval, which takes these many runs: the makespan is that of the means then.
    """
    began = time.perf_counter()
    run = forecast(graph, plan, cluster, estimates)
    best = best_possible(graph, cluster, estimates)
    sure = centred(graph, plan, cluster, estimates) if with_interval else None
    makespan = sure[1] if sure else run.makespan
    return replace(
        plan,
        has_seconds=estimates.has_seconds,
        estimates_fingerprint=estimates.fingerprint,
        makespan=makespan,
        lower_bound=min(best, makespan),  # above it by rounding, or where more than half of all runs are shorter
        interval=(sure[0], sure[2]) if sure else None,
        gb_seconds=run.gb_seconds,
        worker_seconds=run.worker_seconds,
        bytes_moved=run.bytes_moved,
        cold_starts=run.cold_starts,
        timeline=run.timeline,
        planning_time=(plan.planning_time or 0.0) + time.perf_counter() - began,
    )


def best_possible(graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> float:
    """Seconds below which no plan on this cluster can come; but for one that streams, where neighbours overlap."""
    cluster = in_units_of(estimates, cluster)
    busy = estimates.mean > 0
    if not busy.any():
        return 0.0
    # What a worker does at its best, over all tasks, is at least what it does for any of them.
    sorts = {(w.speed, w.memory): w for w in cluster.workers}
    speed = {sort: float((estimates.mean[busy] / estimates.on(w)[busy]).max()) for sort, w in sorts.items()}
    speeds = np.repeat([speed[w.speed, w.memory] for w in cluster.workers], [w.threads for w in cluster.workers])
    begin = cluster.startup if cluster.elastic else cluster.startup + cluster.warm
    return lower_bound(graph, estimates.mean, speeds, cluster.overhead) + begin


def _played(graph: TaskGraph, how: Plan | Policy, cluster: Cluster, estimates: Estimates) -> Engine:
    if isinstance(how, Plan):
        how.validate(graph, cluster)
    return play(graph, how, cluster, estimates)


# --- from the engine to a timeline ----------------------------------------------------------------------------------


def _told(engine: Engine, estimates: Estimates) -> Iterator[Event]:
    """Starts and ends of tasks. Of copies the first start is told, and the end of the one that won."""
    size = estimates.size.tolist()
    for entry in engine.log:
        if entry >= 0:
            worker, start = engine.first.get(entry) or (engine.where[entry], engine.start[entry])
            yield TaskStarted(entry, worker, start)
        else:
            i = ~entry
            upload = engine.upload.get(i, 0.0)
            yield TaskFinished(i, engine.where[i], engine.end[i], engine.start[i], engine.fetch[i], upload, size[i])


def _beside(engine: Engine) -> Iterator[Event]:
    """What happened beside the tasks, as events."""
    for record in _asides(engine):
        yield event_of(record)


def _asides(engine: Engine) -> NDArray[np.void]:
    """What happened beside the tasks, as records in order of time."""
    records = np.zeros(len(engine.asides), RECORD)
    if engine.asides:
        names = ("at", "start", "size", "task", "worker", "kind", "attempt")
        for name, column in zip(names, zip(*engine.asides, strict=True), strict=True):
            records[name] = column
    return records


def _folded(engine: Engine, estimates: Estimates) -> Timeline:
    """The timeline of a finished run: each task's last event says all of it."""
    records = np.zeros(len(estimates), RECORD)
    records["kind"], records["attempt"] = RecordKind.FINISHED, 1
    records["task"], records["worker"] = np.arange(len(estimates)), engine.where
    records["start"], records["at"] = engine.start, engine.end
    records["fetch"], records["size"] = engine.fetch, estimates.size
    if engine.upload:
        records["upload"][list(engine.upload)] = list(engine.upload.values())
    timeline = Timeline(len(estimates))
    for worker in np.unique(records["worker"]).tolist():
        timeline.apply_batch(Batch(COMMIT, worker, records[records["worker"] == worker]))
    if engine.asides:
        timeline.apply_batch(Batch(COMMIT, 0, _asides(engine)))
    return timeline


def _occupied(engine: Engine, estimates: Estimates, timeline: Timeline) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Worker, start and end of all that kept a worker busy: tasks with their uploads, and copies that came second."""
    busy = np.flatnonzero(estimates.mean > 0)
    end = timeline.end.copy()
    for task, seconds in engine.upload.items():
        end[task] += seconds
    copies = timeline.asides[timeline.asides["kind"] == RecordKind.COPIED]
    where = np.concatenate([timeline.worker[busy], copies["worker"]]).astype(np.int32)
    return where, np.concatenate([timeline.start[busy], copies["start"]]), np.concatenate([end[busy], copies["at"]])
