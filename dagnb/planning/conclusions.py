"""Conclusions: what was off in a run, in words, the most costly first; "as planned" when nothing was.

A cause is named when it passes two thresholds. It must be large for what it is: durations of a kind 1.2×, transfers and
a slow worker 1.3×, more where the estimates themselves scatter. It must matter: 5 % of the makespan or of all work,
and 20 ms. What it cost is computed, not guessed: the plan is simulated with this one thing as it was and all else as
planned. A better plan is named only when making it, and simulating it with the measured durations, saves more than 5 %.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dagnb.trace.events import RecordKind, TaskState

from .causes import FLOOR, in_durations, matters, without_consequence
from .causes_between import in_attempts, in_starts, in_transfers, in_waiting
from .finding import Finding
from .phases import by_kind
from .words import percent, plural, seconds, several

if TYPE_CHECKING:
    from .evidence import Evidence

#: A better plan is worth a word from this share of the makespan on.
WORTH = 0.05
#: A makespan is as planned up to this share, where the plan has no interval that is wider.
CLOSE = 0.1
#: Kinds that are named in the comparison of shapes.
NAMED = 3


def conclude(e: Evidence) -> tuple[Finding, ...]:
    """The findings, in the order in which a reader wants them."""
    if not len(e.graph) or not (e.done.any() or e.complete):
        return (Finding("unfinished", "nothing has run to its end yet"),)
    found = [f for look in (in_starts, in_attempts) for f in look(e)]
    if e.has_seconds:
        found += [*in_durations(e), *in_transfers(e)]
    explained = sum(f.seconds for f in found if f.kind == "start-up" and math.isfinite(f.seconds))
    found += [f for f in in_waiting(e) if f.kind == "model" or explained < 0.5 * f.seconds]
    found.sort(key=lambda f: -abs(f.seconds) if math.isfinite(f.seconds) else 0.0)
    if e.has_seconds:
        found = [without_consequence(f, e.planned.makespan) for f in found]
        if e.complete and not found:
            found = [_as_planned(e)]
    found = _with_saving(e, found)
    return (*_unfinished(e), *_given_up(e), *_neutral(e), *found)


def _as_planned(e: Evidence) -> Finding:
    """Nothing was off; or something was, and no single cause passes for it."""
    took, planned = e.actual.makespan, e.planned.makespan
    said = f"{seconds(took)}, planned {seconds(planned)}"
    figures = {"took": took, "planned": planned}
    low, high = e.plan.interval or (planned, planned)
    slack = max(CLOSE * planned, FLOOR)
    if low - slack <= took <= high + slack:
        return Finding("as planned", f"as planned: {said}", "", math.nan, figures)
    off = percent(took / planned - 1) if planned > 0 else ""
    text = f"the run took {said} ({off}), and no single cause stands out: many small differences add up"
    return Finding("unexplained", text, "plan with what was measured", took - planned, figures)


def _with_saving(e: Evidence, found: list[Finding]) -> list[Finding]:
    """Add what planning anew would save to the first finding that it could mend, or as a finding of its own."""
    better = e.remade
    if better is None or better[1] <= WORTH or e.replayed is None:
        return found
    planner, share = better
    saved = share * e.replayed.makespan
    if saved < matters(e.replayed.makespan):
        return found
    advice = f"re-plan with {planner} would save {share:.0%}".replace("%", " %")
    for i, finding in enumerate(found):
        if finding.kind in ("duration", "transfer", "machine", "worker", "noise"):
            figures = {**finding.figures, "saving": share}
            return [*found[:i], replace(finding, advice=advice, figures=figures), *found[i + 1 :]]
    text = f"with what is known now another plan is {seconds(saved)} shorter"
    return [*found, Finding("placement", text, advice, math.nan, {"saving": share}, planner)]


def _unfinished(e: Evidence) -> list[Finding]:
    if e.complete:
        return []
    count = e.actual.counts
    ended = sum(count[s] for s in (TaskState.DONE, TaskState.CACHED))
    others = [f"{count[s]:,} {s.name.lower()}" for s in (TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED)]
    gone = several([word for word in others if not word.startswith("0 ")])
    text = f"{ended:,} of {plural(len(e.graph), 'task')} have run" + (f" ({gone})" if gone else "")
    return [Finding("unfinished", f"{text}: this compares those", "", math.nan, {"done": float(ended)})]


def _given_up(e: Evidence) -> list[Finding]:
    """Workers that could not be started again: what the plan named for them ran elsewhere."""
    asides = e.actual.asides
    gone = {int(a["worker"]): float(a["at"]) for a in asides[asides["kind"] == RecordKind.GIVEN_UP]}
    if not gone:
        return []
    moved = int((np.isin(e.planned.worker, list(gone)) & (e.actual.worker != e.planned.worker) & e.done).sum())
    names = several([e.name(worker) for worker in sorted(gone)])
    which = f"worker{'s' * (len(gone) > 1)} {names} could not be started again (from {seconds(min(gone.values()))} on)"
    text = f"{which}: {plural(moved, 'task')} planned there ran elsewhere"
    figures = {"tasks": float(moved), "workers": float(len(gone))}
    return [Finding("given up", text, "%dag status shows why", math.nan, figures, names)]


def _neutral(e: Evidence) -> list[Finding]:
    """A plan in task units: who had which part of the work, planned and actual."""
    if e.has_seconds:
        return []
    rows = by_kind(e.graph, e.before, e.after)
    work = sum(row.actual["execute"] for row in rows)
    planned = np.bincount(e.graph.kind, e.planned.end - e.planned.start, len(e.graph.kinds))
    shares = {
        row.kind: (row.actual["execute"] / work, planned[e.graph.kinds.index(row.kind)] / max(planned.sum(), 1e-300))
        for row in rows
        if work > 0
    }
    off = sorted(shares, key=lambda kind: -abs(shares[kind][0] - shares[kind][1]))[:NAMED]
    parts = [f"{kind} is {shares[kind][0]:.0%} of the work, in the plan {shares[kind][1]:.0%}" for kind in off]
    shape = ("; only its shape can be compared: " + ", ".join(parts).replace("%", " %")) if parts else ""
    text = f"the plan is in task units, because nobody has said how long tasks take{shape}"
    advice = "plan with what was measured, or declare est=… for the tasks"
    figures = {f"share of {kind}": shares[kind][0] for kind in off}
    return [Finding("neutral", text, advice, math.nan, figures)]
