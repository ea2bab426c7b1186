"""Simulate: a plan or a policy on a cluster becomes the events that a run would emit, and the figures that follow.

For a forecast the durations are estimates; to judge the model alone they are those that a run has measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.graph.analysis import lower_bound
from dagnb.trace.events import COMMIT, RECORD, Batch, Event, RecordKind, TaskFinished, TaskStarted
from dagnb.trace.timeline import Timeline

from .engine import Engine, Policy
from .estimator import Estimates
from .obey import ObeyPlan
from .plan import Plan

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Forecast:
    """A simulated run, folded.

    timeline       where and when every task ran
    makespan       seconds from submission to the last end
    bytes_moved    between workers
    gb_seconds     memory of the worker × time from start to end, over all tasks that occupied one
    cold_starts    workers that ran something and had to be started for it
    """

    timeline: Timeline
    makespan: float
    bytes_moved: float
    gb_seconds: float
    cold_starts: int


def simulate(graph: TaskGraph, how: Plan | Policy, cluster: Cluster, durations: Estimates | Floats) -> Iterator[Event]:
    """The events of a simulated run, in order of time.

    `how` is a plan (PlanError when it does not fit) or a policy; `durations` are estimates, or seconds [n].
    """
    estimates = durations if isinstance(durations, Estimates) else Estimates.of(durations)
    engine = _played(graph, how, cluster, estimates)
    size = estimates.size.tolist()
    for entry in engine.log:
        if entry >= 0:
            yield TaskStarted(entry, engine.where[entry], engine.start[entry])
        else:
            i = ~entry
            yield TaskFinished(i, engine.where[i], engine.end[i], engine.start[i], engine.fetch[i], 0.0, size[i])


def forecast(graph: TaskGraph, how: Plan | Policy, cluster: Cluster, durations: Estimates | Floats) -> Forecast:
    """The same run folded into a timeline, and its figures; the events are packed and never become objects."""
    estimates = durations if isinstance(durations, Estimates) else Estimates.of(durations)
    engine = _played(graph, how, cluster, estimates)
    timeline = _folded(engine, estimates)
    memory = np.array([w.memory for w in cluster.workers]) / 1e9
    occupied = np.where(estimates.mean > 0, timeline.end - timeline.start, 0.0)
    used = np.unique(timeline.worker[estimates.mean > 0])
    return Forecast(
        timeline,
        makespan=float(timeline.end.max(initial=0.0)),
        bytes_moved=engine.moved,
        gb_seconds=float(occupied @ memory[timeline.worker]),
        cold_starts=len(used) if cluster.startup > 0 else 0,
    )


def complete(plan: Plan, graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> Plan:
    """The plan with its simulated figures, as users hold it. Raises PlanError when it does not fit."""
    began = time.perf_counter()
    run = forecast(graph, plan, cluster, estimates)
    best = best_possible(graph, cluster, estimates)
    return replace(
        plan,
        has_seconds=estimates.has_seconds,
        estimates_fingerprint=estimates.fingerprint,
        makespan=run.makespan,
        lower_bound=min(best, run.makespan),  # above it by rounding at the most
        gb_seconds=run.gb_seconds,
        bytes_moved=run.bytes_moved,
        cold_starts=run.cold_starts,
        timeline=run.timeline,
        planning_time=(plan.planning_time or 0.0) + time.perf_counter() - began,
    )


def best_possible(graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> float:
    """Seconds below which no plan on this cluster can come."""
    cluster = in_units_of(estimates, cluster)
    speeds = np.repeat([w.speed for w in cluster.workers], [w.threads for w in cluster.workers])
    bound = lower_bound(graph, estimates.mean, speeds, cluster.overhead)
    return bound + cluster.startup if bound > 0 else 0.0


def in_units_of(estimates: Estimates, cluster: Cluster) -> Cluster:
    """The cluster to plan with: where times are task units, its seconds (latency, overhead, start-up) mean nothing."""
    if estimates.has_seconds:
        return cluster
    return replace(cluster, latency=0.0, overhead=0.0, startup=0.0, bandwidth=float("inf"))


def _played(graph: TaskGraph, how: Plan | Policy, cluster: Cluster, estimates: Estimates) -> Engine:
    if isinstance(how, Plan):
        how.validate(graph, cluster)
        how = ObeyPlan(how, cluster)
    engine = Engine(graph, how, in_units_of(estimates, cluster), estimates)
    engine.run()
    return engine


def _folded(engine: Engine, estimates: Estimates) -> Timeline:
    """The timeline of a finished run: each task's last event says all of it."""
    records = np.zeros(len(estimates), RECORD)
    records["kind"], records["attempt"] = RecordKind.FINISHED, 1
    records["task"], records["worker"] = np.arange(len(estimates)), engine.where
    records["start"], records["at"] = engine.start, engine.end
    records["fetch"], records["size"] = engine.fetch, estimates.size
    timeline = Timeline(len(estimates))
    for worker in np.unique(records["worker"]).tolist():
        timeline.apply_batch(Batch(COMMIT, worker, records[records["worker"] == worker]))
    return timeline
