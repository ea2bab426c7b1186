"""Causes that lie in the durations: a slow worker, a busy machine, a kind of task that takes longer or scatters.

They are looked for in this order, and what one of them explains is taken out of what the next one looks at: five kinds
that all take twice as long are one busy machine, not five findings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .finding import Finding
from .words import grew, plural, seconds, several, times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .evidence import Evidence
    from .phases import Floats, Mask

#: A kind is off from this ratio on (either way), unless its own spread explains more.
OFF = 1.2
#: All kinds are off alike when none is further than this from what they have in common.
ALIKE = 1.2
#: A worker is slow when the same kinds take this much longer there than elsewhere …
SLOW = 1.3
#: … on so many tasks at least.
ENOUGH = 3
#: Kinds with less than this share of the planned work have no say about the machine.
SAY = 0.05
#: A difference matters from this share of the makespan (or of all work) on …
SHARE = 0.05
#: … and from so many seconds on: below it, clocks and schedulers make the differences.
FLOOR = 0.02
#: A call is an outlier from this many times the median of its kind on, planned durations taken into account.
OUTLIER = 2.0


@dataclass(frozen=True, slots=True)
class Off:
    """One kind (or all) that is off: its ratio, and the tasks that say so."""

    ratio: float
    tasks: Mask


def matters(of: float) -> float:
    """Seconds from which a difference matters to a makespan (or an amount of work) of `of` seconds."""
    return max(FLOOR, SHARE * of)


def in_durations(e: Evidence) -> Iterator[Finding]:
    """What was off in the durations. Only for a plan in seconds."""
    known = e.done & (e.before.execute > 0)
    if not known.any():
        return
    expected = np.where(known, e.before.execute, 0.0)
    slow = _slow_workers(e, known, expected)
    for worker, off in slow.items():
        yield _say_worker(e, worker, off)
        expected[off.tasks] *= off.ratio
    common = _common(e, known, expected)
    if common is not None:
        yield _say_machine(e, common)
        expected *= common.ratio
    for kind in range(len(e.graph.kinds)):
        mine = known & (e.graph.kind == kind)
        if mine.any():
            yield from _of_kind(e, kind, mine, expected)


# --- a worker -------------------------------------------------------------------------------------------------------


def _slow_workers(e: Evidence, known: Mask, expected: Floats) -> dict[int, Off]:
    """Workers on which the same kinds take longer than on the others; single long calls make no worker slow."""
    found: dict[int, Off] = {}
    workers = np.unique(e.actual.worker[known]).tolist()
    ratio = np.divide(e.after.execute, expected, out=np.ones(len(known)), where=known)
    for worker in workers if len(workers) > 1 else ():
        here, there = known & (e.actual.worker == worker), known & (e.actual.worker != worker)
        judged = here & np.isin(e.graph.kind, np.unique(e.graph.kind[there]))
        elsewhere = ratio.copy()
        for kind in np.unique(e.graph.kind[judged]).tolist():
            elsewhere[e.graph.kind == kind] = np.median(ratio[there & (e.graph.kind == kind)])
        if judged.sum() >= ENOUGH and (elsewhere[judged] > 0).all():
            times_slower = float(np.median((ratio / np.where(judged, elsewhere, 1.0))[judged]))
            late = float((e.after.execute - expected * elsewhere)[judged].sum())
            slower_than_planned = float(np.median(ratio[judged])) >= OFF
            if times_slower >= SLOW and slower_than_planned and late >= matters(float(expected[known].sum())):
                found[worker] = Off(times_slower, here)
    return found if len(found) < max(len(workers) / 2, 1.5) else {}


def _say_worker(e: Evidence, worker: int, off: Off) -> Finding:
    name = e.name(worker)
    return Finding(
        "worker",
        f"on worker {name} tasks take {times(off.ratio)} what the same kinds take elsewhere",
        "look what else runs there; give the plan a cluster whose speeds say so",
        e.effect(e.with_actual(off.tasks, np.zeros_like(off.tasks))),
        {"ratio": off.ratio, "tasks": int(off.tasks.sum())},
        name,
    )


# --- the machine ----------------------------------------------------------------------------------------------------


def _common(e: Evidence, known: Mask, expected: Floats) -> Off | None:
    """The ratio that all kinds have in common, when there are several and it is off."""
    work = np.bincount(e.graph.kind[known], expected[known], len(e.graph.kinds))
    took = np.bincount(e.graph.kind[known], e.after.execute[known], len(e.graph.kinds))
    voices = work >= SAY * work.sum()
    if voices.sum() < 2 or not (took[voices] > 0).all():
        return None
    ratios = took[voices] / work[voices]
    ratio = float(took[voices].sum() / work[voices].sum())
    alike = bool((np.maximum(ratios / ratio, ratio / ratios) <= ALIKE).all())
    off = max(ratio, 1 / ratio) >= OFF and abs(took.sum() - work.sum()) >= matters(float(work.sum()))
    if not (alike and off) or max(_explained(e, known, ratio), 0) > 0.5:
        return None
    return Off(ratio, known)


def _explained(e: Evidence, known: Mask, ratio: float) -> float:
    """Share of the work whose inputs grew with its durations: then it is the data, not the machine."""
    total, found = float(e.before.execute[known].sum()), 0.0
    for kind in np.unique(e.graph.kind[known]).tolist():
        mine = known & (e.graph.kind == kind)
        if _because_of_inputs(e.input_growth(mine), ratio):
            found += float(e.before.execute[mine].sum())
    return found / total if total > 0 else 0.0


def _say_machine(e: Evidence, off: Off) -> Finding:
    slow = off.ratio > 1
    return Finding(
        "machine",
        f"everything takes {times(off.ratio)} what was planned, all kinds alike: "
        + ("the machine was busy, or is slower than the estimates say" if slow else "the machine was faster"),
        "run again when it is quiet, or plan with what was measured" if slow else "plan with what was measured",
        e.effect(e.with_actual(off.tasks, np.zeros_like(off.tasks))),
        {"ratio": off.ratio},
    )


# --- a kind ---------------------------------------------------------------------------------------------------------


def _of_kind(e: Evidence, kind: int, mine: Mask, expected: Floats) -> Iterator[Finding]:
    """A kind that takes longer or shorter than expected, or as long on average and every call differently."""
    planned, took = float(expected[mine].sum()), float(e.after.execute[mine].sum())
    ratio = took / planned if took > 0 else 0.0
    all_work = float(expected[e.done].sum())
    off = max(ratio, 1 / ratio if ratio else math.inf) >= max(OFF, _spread(e, mine))
    scatter = e.after.execute[mine] / expected[mine]
    outlier = _outlier(scatter)
    if off and abs(took - planned) >= matters(all_work):
        yield _say_kind(e, kind, mine, ratio, scatter)
    elif outlier > 1:
        effect = e.effect(e.with_actual(mine, np.zeros_like(mine)))
        if abs(effect) >= matters(e.planned.makespan):
            yield _say_noise(e, kind, mine, scatter, effect)


def _spread(e: Evidence, mine: Mask) -> float:
    """How far the mean of these tasks may be off by chance (two deviations), as a ratio."""
    p50, p90 = e.estimates.p50[mine], e.estimates.p90[mine]
    if not (p50 > 0).all():
        return 1.0
    deviation = float(np.sqrt(np.mean(np.log(np.maximum(p90 / p50, 1.0)) ** 2))) / 1.2816
    return math.exp(2 * deviation / math.sqrt(int(mine.sum())))


def _outlier(scatter: Floats) -> float:
    """The largest ratio ÷ the middle one, if that makes it an outlier; 0 else."""
    middle = float(np.median(scatter))
    most = float(scatter.max()) / middle if middle > 0 else 0.0
    return most if len(scatter) >= ENOUGH and most >= OUTLIER else 0.0


def _because_of_inputs(growth: float, ratio: float) -> bool:
    """Whether inputs that grew so much go the same way as the durations, and far enough to explain them."""
    if not (math.isfinite(growth) and growth > 0 and ratio > 0):
        return False
    far, way = math.log(ratio), math.log(growth)
    return abs(way) >= math.log(OFF) and far * way > 0 and abs(way) >= abs(far) / 3


def _say_kind(e: Evidence, kind: int, mine: Mask, ratio: float, scatter: Floats) -> Finding:
    name = e.graph.kinds[kind]
    growth = e.input_growth(mine)
    middle = float(np.median(scatter))
    figures = {"ratio": ratio, "tasks": float(mine.sum()), "median": middle}
    advice = "plan with what was measured"
    if _because_of_inputs(growth, ratio):
        why = f" because its inputs {grew(growth)}"
        figures["inputs"] = growth
    elif _outlier(scatter) and max(middle, 1 / middle) < OFF:
        why = f" because of single calls: {_longest(e, mine, scatter)}, while half of them take what was planned"
        advice = "its durations scatter: plan with an interval, or look what those calls have in common"
    else:
        why = _elsewhere(e, mine, ratio)
    return Finding(
        "duration",
        f"{name} takes {times(ratio)} what was planned{why}",
        advice,
        e.effect(e.with_actual(mine, np.zeros_like(mine))),
        figures,
        name,
    )


def _elsewhere(e: Evidence, mine: Mask, ratio: float) -> str:
    """What the timeline says where inputs and single calls do not explain a kind."""
    where = np.unique(e.actual.worker[mine])
    others = len(np.unique(e.actual.worker[e.done]))
    if int(mine.sum()) >= ENOUGH and len(where) == 1 < others:
        return f" (all of it ran on worker {e.name(int(where[0]))})"
    return "" if int(mine.sum()) == 1 else f", all {plural(int(mine.sum()), 'call')} together" if ratio > 0 else ""


def _longest(e: Evidence, mine: Mask, scatter: Floats) -> str:
    tasks = np.flatnonzero(mine)
    far = np.argsort(-scatter)[: int((scatter >= OUTLIER * np.median(scatter)).sum())]
    worst = tasks[far[0]]
    return f"{several([e.graph.keys[t] for t in tasks[far].tolist()])} ({seconds(float(e.after.execute[worst]))})"


def _say_noise(e: Evidence, kind: int, mine: Mask, scatter: Floats, effect: float) -> Finding:
    name = e.graph.kinds[kind]
    return Finding(
        "noise",
        f"{name} takes what was planned on average, but its calls differ: {_longest(e, mine, scatter)}, "
        f"{times(float(scatter.max()))} of what was planned for it",
        "plan with an interval, or look what those calls have in common",
        effect,
        {"largest": float(scatter.max()), "median": float(np.median(scatter))},
        name,
    )


def without_consequence(found: Finding, makespan: float) -> Finding:
    """The finding, with a word when it changed nothing about the makespan."""
    if math.isfinite(found.seconds) and abs(found.seconds) < 0.01 * makespan:
        return replace(found, text=f"{found.text}, without changing the makespan")
    return found
