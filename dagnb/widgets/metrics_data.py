"""The figures behind the metric plots, as plain columns: from a graph and up to two timelines, for Bokeh and for SVG.

Every column is finite, so that it may travel as JSON. Times are seconds since submission, sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.trace.events import TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.phases import Phases
    from dagnb.trace.timeline import Timeline

Floats = NDArray[np.float64]

#: Points of a curve over time.
BINS = 120
#: Bins over which tasks are counted: those that end together shall not look like lightning.
WINDOW = 9
#: Dots of the scatter plot; of more tasks every k-th is drawn.
DOTS = 2_000
#: Kinds that have bars of their own; those with the most work.
KINDS = 10
#: What a task spends its time on, in the order in which it happens.
PARTS = ("wait", "download", "execute", "upload")


@dataclass(frozen=True, eq=False, slots=True)
class Curves:
    """A timeline over time: [BINS] each, at the middle of every bin.

    at      seconds since submission
    busy    workers at work, on average over the bin
    rate    tasks that ended, per second, over WINDOW bins around
    moved   bytes that have travelled between workers so far
    held    bytes of outputs that somebody still needs
    """

    at: Floats
    busy: Floats
    rate: Floats
    moved: Floats
    held: Floats

    @classmethod
    def of(cls, graph: TaskGraph, timeline: Timeline, last: float, now: float) -> Curves:
        """The curves from 0 to `last`; nothing is said of what lies behind `now`, where a live run stands."""
        edges = np.linspace(0.0, max(last, 1e-9), BINS + 1)
        begun = ~np.isnan(timeline.start) & (timeline.worker >= 0)
        end = np.where(np.isnan(timeline.end), now, timeline.end)
        done = begun & ~np.isnan(timeline.end)
        width = edges[1] - edges[0]
        seen = max(1, int(np.searchsorted(edges[:-1], now, "right")))
        ended = np.sort(timeline.end[done])
        at, size, freed = _travels(graph, timeline)
        return cls(
            ((edges[:-1] + edges[1:]) / 2)[:seen],
            (np.diff(_covered(timeline.start[begun], end[begun], edges)) / width)[:seen],
            _rate(ended, edges)[:seen],
            _steps(at, size, edges)[:seen],
            np.maximum(_steps(*_held(timeline, freed), edges), 0.0)[:seen],
        )

    def columns(self) -> dict[str, list[float]]:
        """As a data source wants them."""
        return {name: getattr(self, name).tolist() for name in ("at", "busy", "rate", "moved", "held")}


def _covered(start: Floats, end: Floats, edges: Floats) -> Floats:
    """Seconds of work before each edge, over all intervals."""
    starts, ends = np.sort(start), np.sort(np.maximum(end, start))
    before, after = np.searchsorted(starts, edges), np.searchsorted(ends, edges)
    sums_start, sums_end = np.concatenate([[0.0], np.cumsum(starts)]), np.concatenate([[0.0], np.cumsum(ends)])
    covered: Floats = (edges * before - sums_start[before]) - (edges * after - sums_end[after])
    return covered


def _rate(ended: Floats, edges: Floats) -> Floats:
    """Ends per second around each bin; at the borders the window is cut."""
    half, bins = WINDOW // 2, len(edges) - 1
    low = np.maximum(np.arange(bins) - half, 0)
    high = np.minimum(np.arange(bins) + half + 1, bins)
    count = np.searchsorted(ended, edges, "right")
    count[0] = 0  # what ended at 0 counts too
    found: Floats = (count[high] - count[low]) / (edges[high] - edges[low])
    return found


def _travels(graph: TaskGraph, timeline: Timeline) -> tuple[Floats, Floats, Floats]:
    """(when, bytes) of every output on every worker that it travelled to, and [n] when nobody needs it any more."""
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    needed, there = graph.deps, (timeline.start + timeline.fetch.astype(np.float64))[owner]
    freed = np.full(len(graph), -np.inf)
    np.maximum.at(freed, needed, np.where(np.isnan(timeline.end[owner]), np.inf, timeline.end[owner]))
    target, source = timeline.worker[owner], timeline.worker[needed]
    far = np.flatnonzero((target >= 0) & (source >= 0) & (target != source) & ~np.isnan(there))
    far = far[np.argsort(there[far], kind="stable")]
    _, first = np.unique(needed[far].astype(np.int64) * 65_536 + target[far], return_index=True)
    moved = far[first]
    return there[moved], timeline.size[needed[moved]], freed


def _held(timeline: Timeline, freed: Floats) -> tuple[Floats, Floats]:
    """(when, change) of the bytes that somebody still needs; outputs that nobody needs are not counted."""
    made = np.flatnonzero((timeline.state == TaskState.DONE) & (freed > -np.inf))
    gone = made[np.isfinite(freed[made])]
    return (
        np.concatenate([timeline.end[made], freed[gone]]),
        np.concatenate([timeline.size[made], -timeline.size[gone]]),
    )


def _steps(at: Floats, change: Floats, edges: Floats) -> Floats:
    """Sum of the changes up to the right edge of each bin."""
    order = np.argsort(at, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(change[order])])
    found: Floats = total[np.searchsorted(at[order], edges[1:], "right")]
    return found


def kinds_shown(graph: TaskGraph, timeline: Timeline | None) -> list[int]:
    """Numbers of the kinds that have bars: all, or those with the most work (without a timeline: the most tasks)."""
    if len(graph.kinds) <= KINDS:
        return list(range(len(graph.kinds)))
    work = np.ones(len(graph)) if timeline is None else np.nan_to_num(timeline.end - timeline.start)
    weight = np.bincount(graph.kind, work, len(graph.kinds))
    return sorted(np.argsort(-weight, kind="stable")[:KINDS].tolist())


def bars(graph: TaskGraph, phases: Phases | None, kinds: Sequence[int]) -> dict[str, list[float]]:
    """Mean seconds that a task of each kind spends on each part; of those that have ended, 0 where none has."""
    found = {part: [0.0] * len(kinds) for part in PARTS}
    for place, kind in enumerate(kinds):
        mine = graph.kind == kind
        for part in PARTS if phases is not None else ():
            values = getattr(phases, part)[mine & ~np.isnan(phases.execute)]  # type: ignore[union-attr]  # see above
            found[part][place] = float(np.nanmean(values)) if len(values) and not np.isnan(values).all() else 0.0
    return found


def dots(planned: Phases | None, actual: Phases | None) -> NDArray[np.int64]:
    """Tasks whose execution is known planned and actual, and above 0: the axes are logarithmic."""
    if planned is None or actual is None:
        return np.zeros(0, np.int64)
    both = np.flatnonzero((planned.execute > 0) & (actual.execute > 0))
    return both[:: -(-len(both) // DOTS) or 1]


def reach(*timelines: Timeline | None) -> float:
    """The last moment that any of them knows; 0 before anything has begun."""
    moments = [
        float(np.nanmax(column))
        for line in timelines
        if line is not None
        for column in (line.start, line.end)
        if not np.isnan(column).all()
    ]
    return max([0.0, *moments])
