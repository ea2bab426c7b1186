"""The checker of schedules: whether a simulated timeline could really happen. It knows nothing of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dagnb.trace.events import RecordKind

from .assignment import Annotations
from .network import INLINE, PIECE
from .simulator import best_possible, in_units_of

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .cluster import Cluster
    from .estimates import Estimates
    from .plan import Plan

#: What rounding may do to a time, relative to the makespan.
ROUNDING = 1e-9


def check_schedule(graph: TaskGraph, plan: Plan, cluster: Cluster, estimates: Estimates, timeline: Timeline) -> None:
    """That a simulated timeline could really happen. Raises AssertionError; it knows nothing of the engine.

    Every task once and on a worker of its own, as long as that takes for it; inputs there before it computes; no more
    tasks at once than threads, copies and uploads counted; workers that have been started; nothing faster than the best
    possible.
    """
    cluster = in_units_of(estimates, cluster)
    span = float(timeline.end.max(initial=0.0))
    slack = ROUNDING * (1 + span)
    _check_rows(plan, cluster, estimates, timeline, slack)
    _check_inputs(graph, plan, cluster, estimates, timeline, slack)
    busy = _busy(cluster, estimates, timeline)
    _check_threads(cluster, busy, slack)
    (_check_launches if cluster.elastic else _check_up)(plan, cluster, timeline, busy, slack)
    if any(a.annotations and a.annotations.stream for a in plan.assignments):
        return  # tasks that need one another overlap: the bound says nothing
    bound = best_possible(graph, cluster, estimates)
    assert span >= bound - slack, f"a makespan of {span} is below the lower bound {bound}"


def _check_rows(plan: Plan, cluster: Cluster, estimates: Estimates, timeline: Timeline, slack: float) -> None:
    length = [estimates.on(w) for w in cluster.workers]
    for i, assignment in enumerate(plan.assignments):
        row = timeline[i]
        assert row.state == row.state.DONE, f"task {i} is {row.state.name}"
        assert 0 <= row.worker < len(cluster), f"task {i} ran on worker {row.worker}"
        note, worker = assignment.annotations or Annotations(), cluster.workers[row.worker].id
        assert assignment.worker in (None, worker) or worker in note.duplicate, (
            f"task {i} ran on {worker}, planned on {assignment.worker}"
        )
        seconds = float(length[row.worker][i])
        computing = seconds + cluster.overhead if seconds else 0.0
        more = row.duration - row.fetch - computing
        assert more >= -slack - 1e-6 * row.fetch, f"task {i} took {row.duration}"
        assert note.stream or more <= slack + 1e-6 * row.fetch, f"task {i} took {row.duration}"


def _check_inputs(
    graph: TaskGraph, plan: Plan, cluster: Cluster, estimates: Estimates, timeline: Timeline, slack: float
) -> None:
    """Inputs have ended, and have travelled if they were elsewhere: for the first task on a worker that needs them."""
    computing = timeline.start + timeline.fetch  # when a task has its inputs
    seen = timeline.end + timeline.upload  # when others can know of it
    asides = timeline.asides
    cold = asides[(asides["kind"] == RecordKind.BEGUN) & (asides["attempt"] == 1)] if cluster.elastic else asides[:0]
    copies = {(int(a["task"]), int(a["worker"])): float(a["at"]) for a in asides[asides["kind"] == RecordKind.COPIED]}
    there: dict[tuple[int, int], float] = {}
    streamed: set[tuple[int, int]] = set()
    for i in range(len(graph)):
        note = plan.assignments[i].annotations or Annotations()
        worker = int(timeline.worker[i])
        for needed in graph.dependencies(i):
            if needed in note.stream and timeline.start[i] < seen[needed] - slack:
                assert timeline.start[i] >= timeline.start[needed] - slack, f"task {i} started before {needed}"
                assert timeline.end[i] >= timeline.end[needed] - slack, f"task {i} ended before its stream {needed}"
                streamed.add((needed, worker))
                continue
            assert timeline.start[i] >= seen[needed] - slack, f"task {i} started before {needed} had ended"
            launches = cold["start"][cold["worker"] == worker]
            lost = bool(((launches > timeline.end[needed]) & (launches < timeline.start[i])).any())
            if (timeline.worker[needed] != worker or lost) and (needed, worker) not in copies:
                place = (needed, worker)
                there[place] = min(there.get(place, np.inf), float(computing[i]))
    for (needed, worker), at in there.items():
        size = float(estimates.size[needed])
        writing = size / cluster.publish if size > INLINE and (needed, worker) not in streamed else 0.0
        size = min(size, PIECE) if (needed, worker) in streamed else size
        travelled = timeline.end[needed] + writing + cluster.latency + size / cluster.bandwidth
        assert at >= travelled - slack - 1e-6 * travelled, f"the output of {needed} was too early on worker {worker}"


def _busy(cluster: Cluster, estimates: Estimates, timeline: Timeline) -> list[list[tuple[float, float]]]:
    """By worker: (from, to) of all that kept a thread of it busy."""
    found: list[list[tuple[float, float]]] = [[] for _ in cluster.workers]
    for i in np.flatnonzero(estimates.mean > 0):
        found[timeline.worker[i]].append((float(timeline.start[i]), float(timeline.end[i] + timeline.upload[i])))
    for copy in timeline.asides[timeline.asides["kind"] == RecordKind.COPIED]:
        found[copy["worker"]].append((float(copy["start"]), float(copy["at"])))
    return [sorted(spells) for spells in found]


def _check_threads(cluster: Cluster, busy: list[list[tuple[float, float]]], slack: float) -> None:
    for worker, mine in zip(cluster.workers, busy, strict=True):
        # `upload` is kept in 4 bytes, hence the second slack
        moments = [(end - slack - 1e-6 * end, -1) for _, end in mine] + [(start + slack, 1) for start, _ in mine]
        running = np.cumsum([change for _, change in sorted(moments)])
        assert running.max(initial=0) <= worker.threads, f"{worker.id} runs {running.max()} tasks at once"


def _check_up(_: Plan, cluster: Cluster, __: Timeline, busy: list[list[tuple[float, float]]], slack: float) -> None:
    """All workers start with the run."""
    for worker, mine in zip(cluster.workers, busy, strict=True):
        assert all(start >= cluster.startup - slack for start, _ in mine), f"{worker.id} ran before it was up"


def _check_launches(
    plan: Plan, cluster: Cluster, timeline: Timeline, busy: list[list[tuple[float, float]]], slack: float
) -> None:
    """Workers of an elastic cluster: started before they work, cold after a long pause, warm after a short one."""
    asides = timeline.asides
    slack += 1e-6 * float(timeline.upload.max(initial=0))  # kept in 4 bytes
    fetching = (timeline.fetch > 0) & (timeline.end - timeline.start <= timeline.fetch * (1 + 1e-6))  # of length zero
    touched = [(a.worker, a.annotations.prewarm) for a in plan.assignments if a.annotations]
    for number, worker in enumerate(cluster.workers):
        mine = asides[asides["worker"] == number]
        begun, ahead = mine[mine["kind"] == RecordKind.BEGUN], mine[mine["kind"] == RecordKind.PRELOADED]
        spells = [*busy[number], *((float(a["start"]), float(a["at"])) for a in ahead)]
        spells += [(float(a["at"]),) * 2 for a in begun]
        spells += [(at, at) for name, at in touched if name == worker.id and at is not None]
        for a in begun:
            delay = cluster.startup if a["attempt"] else cluster.warm
            assert abs(a["at"] - a["start"] - delay) <= slack, f"{worker.id} took {a['at'] - a['start']} to start"
        for a in begun[begun["attempt"] == 1][1:]:
            assert _pause(spells, a["start"], -slack) >= cluster.keep_alive - slack, f"{worker.id} stopped too early"
        receiving = fetching & (timeline.worker == number)
        spells += zip(timeline.start[receiving].tolist(), timeline.end[receiving].tolist(), strict=True)
        for start, _ in busy[number]:
            starting = (begun["start"] < start - slack) & (begun["at"] > start + slack)
            assert (begun["at"] <= start + slack).any(), f"{worker.id} ran before it was started"
            assert not starting.any(), f"{worker.id} ran before it was up"
            longest = slack if cluster.warm > 0 else cluster.keep_alive + slack
            assert _pause(spells, start, slack) <= longest, f"{worker.id} ran after a pause without a start"


def _pause(spells: list[tuple[float, float]], at: float, slack: float) -> float:
    """Seconds since something was to do; what happened within `slack` of `at` counts if that is positive."""
    ends = [min(end, at) for start, end in spells if start < at - abs(slack) or start == end <= at + slack]
    return at - max(ends, default=-np.inf)
