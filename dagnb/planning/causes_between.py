"""Causes that lie between the tasks: transfers, workers that came late, waiting, tasks that ran again."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .causes import OFF, matters
from .finding import Finding
from .phases import Phases, travelling
from .words import byte_count, plural, seconds, several

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .evidence import Evidence
    from .phases import Floats, Mask

#: Bytes and bandwidth are off from this ratio on.
SLOW = 1.3
#: Mean seconds of a task below which coordination is the first suspect for time that nothing explains.
SHORT = 0.005


def in_transfers(e: Evidence) -> Iterator[Finding]:
    """Transfers that cost time which was not planned, or less: other bytes, or another network. For a plan in seconds.

    What is fetched ahead of its task shows as waiting, so that the cost is asked of the simulator.
    """
    nothing = np.zeros_like(e.done)
    planned, objects_planned = e.moved(e.planned, e.planned.size)
    moved, objects = e.moved(e.actual, e.actual.size)
    took, figures = travelling(e.actual), {"bytes_planned": planned, "bytes": moved}
    if not _alike(moved, planned):
        effect = e.effect(e.with_actual(nothing, e.done))
        if abs(effect) >= matters(e.planned.makespan):
            more = f", {objects} outputs in place of {objects_planned}" if objects > OFF * objects_planned else ""
            text = f"transfers: {byte_count(moved)} travelled in place of {byte_count(planned)}{more}"
            advice = "plan with the sizes that were measured, or keep those tasks with their inputs"
            yield Finding("transfer", text, advice, effect, figures)
    real, expected = _pace(moved, took, objects, e), _pace(planned, travelling(e.planned), objects_planned, e)
    speed = e.cluster.bandwidth * real / expected if math.isfinite(expected) else real
    if math.isfinite(speed) and speed > 0 and not _alike(speed, e.cluster.bandwidth):
        effect = e.effect(e.with_actual(nothing), replace(e.cluster, bandwidth=speed))
        if abs(effect) >= matters(e.planned.makespan):
            promised = byte_count(e.cluster.bandwidth)
            text = f"transfers: {byte_count(moved)} travelled at {byte_count(speed)}/s in place of {promised}/s"
            advice = f"plan with a cluster of bandwidth={speed:.2g}"
            yield Finding("transfer", text, advice, effect, {**figures, "bandwidth": speed, "seconds": took})


def _pace(moved: float, took: float, objects: int, e: Evidence) -> float:
    """Bytes per second of so many transfers; infinite where none took time."""
    took -= objects * e.cluster.latency
    return moved / took if took > 0 and moved > 0 else math.inf


def _alike(a: float, b: float) -> bool:
    return max(a, b) <= SLOW * min(a, b)


def in_starts(e: Evidence) -> Iterator[Finding]:
    """The whole run, or single workers, that began late."""
    ran = ~np.isnan(e.actual.start) & (e.actual.worker >= 0)
    if not ran.any():
        return
    first = float(e.actual.start[ran].min())
    planned = _first(e, e.planned.worker >= 0) if e.has_seconds else 0.0
    limit = matters(e.planned.makespan if e.has_seconds else e.actual.makespan)
    if first - planned >= limit:
        yield Finding(
            "start-up",
            f"the first task began {seconds(first)} after submission, planned {seconds(planned)}: {_why_late(e, None)}",
            _start_advice(e, "the workers"),
            math.nan,  # nothing of the makespan, which counts from the first start on
            {"late": first - planned, "planned": planned},
        )
    for worker in np.unique(e.actual.worker[ran]).tolist():
        late = _late(e, worker, first)
        if late >= limit:
            yield _say_late(e, worker, late)


def _first(e: Evidence, which: Mask) -> float:
    return float(np.nanmin(np.where(which, e.planned.start, np.nan))) if which.any() else 0.0


def _late(e: Evidence, worker: int, first: float) -> float:
    """Seconds for which work lay ready for a worker before it began with its first, beyond what the plan says."""
    here = e.actual.worker == worker
    began = float(np.nanmin(np.where(here, e.actual.start, np.nan)))
    task = int(np.flatnonzero(here & (e.actual.start == began))[0])
    expected = e.planned.worker == worker
    planned = _first(e, expected) - _first(e, e.planned.worker >= 0) if e.has_seconds and expected.any() else 0.0
    ready = max(float(e.after.ready[task]), first)
    return began - max(ready, first + planned)


def _say_late(e: Evidence, worker: int, late: float) -> Finding:
    name = e.name(worker)
    effect = math.nan
    if e.replayed is not None and e.complete:
        effect = max(0.0, min(late, e.actual.makespan - e.replayed.makespan))
    return Finding(
        "start-up",
        f"worker {name} began {seconds(late)} late: {_why_late(e, worker)}",
        _start_advice(e, "it"),
        effect,
        {"late": late},
        name,
    )


def _start_advice(e: Evidence, who: str) -> str:
    ahead = ", a `prewarm` in the plan starts them ahead" if e.cluster.elastic else ""
    return f"the next run finds {who} running{ahead}"


def _why_late(e: Evidence, worker: int | None) -> str:
    """What the run says of the start of a worker, or of the first of all."""
    who = "its worker" if worker is None else "it"
    workers = [worker] if worker is not None else np.unique(e.actual.worker[e.actual.worker >= 0]).tolist()
    told = [found for w in workers if (found := e.started(w)) is not None]
    if told:
        launched, ready, cold = min(told, key=lambda t: t[1])
        word = "cold" if cold else "warm"
        return f"{who} had to be started ({word}, {seconds(ready - launched)})"
    return f"{who} had to be started, or was at another run"


def in_waiting(e: Evidence) -> Iterator[Finding]:
    """What the run took beyond the same durations in the simulator, when no late worker explains it."""
    if e.replayed is None or not e.complete:
        return
    beyond = e.actual.makespan - e.replayed.makespan
    if abs(beyond) < matters(e.replayed.makespan):
        return
    planned, tasks = e.replayed.makespan, int(e.done.sum())
    mean = float(e.after.execute[e.done].mean()) if tasks else 0.0
    figures = {"beyond": beyond, "replayed": planned}
    if beyond < 0:
        text = f"the run took {seconds(-beyond)} less than its own durations take in the simulator"
        yield Finding("model", text, "the cluster it was planned for is slower than the real one", beyond, figures)
        return
    waited = float(np.nansum(np.maximum(e.after.wait - _waits(e), 0.0)[e.done]))
    figures["waited"] = waited
    text = f"tasks waited {seconds(waited)} in all beyond what their own durations explain"
    if mean < SHORT:
        text += f": with tasks of {seconds(mean)} that is coordination, {seconds(beyond / max(1, tasks))} for each"
        advice = "give each task more to do"
    else:
        text += ": other runs or other programs held the workers up"
        advice = "run again when the machine is quiet"
    yield Finding("waiting", text, advice, beyond, figures)


def _waits(e: Evidence) -> Floats:
    assert e.replayed is not None
    return Phases.of(e.graph, e.replayed).wait


def in_attempts(e: Evidence) -> Iterator[Finding]:
    """Tasks that ran more than once."""
    again = np.flatnonzero(e.actual.attempt > 1).tolist()
    if not again:
        return
    names = several([e.graph.keys[i] for i in again])
    most = int(e.actual.attempt[again].max())
    lost = float(np.nansum(e.after.wait[again] - np.nan_to_num(e.before.wait[again])))
    text = f"{names} ran again ({plural(most, 'time')} at most): a worker was lost, or the task was retried"
    if lost > 0:
        text += f"; they waited {seconds(lost)} longer"
    advice = f"%dag logs {e.graph.name} tells why"
    figures = {"tasks": float(len(again)), "attempts": float(most), "waited": lost}
    yield Finding("retried", text, advice, math.nan, figures, plural(len(again), "task"))
