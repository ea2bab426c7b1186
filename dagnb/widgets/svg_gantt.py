"""The Gantt chart as a still picture: a row per worker, what was planned above what happened.

Bars are coloured by kind. Few tasks are bars; many are bins, as high as the share of the bin in which the worker was
busy, so that the picture stays small and gaps stay true.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dagnb.trace.events import TaskState

from .critical import critical_chain
from .svg import Picture, glyphs, num, path, rect, text
from .wording import digits, plural, seconds, shorten, text_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .theme import Theme

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

#: More tasks than these are drawn as bins; up to so many bars say what they are under the pointer.
BARS, TITLED = 600, 150

#: Rows and bins that a chart may have.
ROWS, CELLS = 128, 3_600

#: Kinds that the legend names.
NAMED = 7

#: Opacity of planned bars where actual ones stand below them.
GHOST = 0.45


@dataclass(frozen=True, slots=True)
class Axis:
    """Time to pixels: `left` at 0, `width` pixels for `span`; in seconds, or in task units."""

    left: float
    width: float
    span: float
    has_seconds: bool

    def x(self, at: float) -> float:
        """Where a moment is."""
        return self.left + self.width * at / self.span

    def say(self, at: float) -> str:
        """A moment in words."""
        if self.has_seconds and at >= 60 and at % 60 == 0 and at < 3600:
            return f"{at / 60:g} min"
        return seconds(at) if self.has_seconds else digits(at)

    def ticks(self) -> list[float]:
        """Round moments, about one in 110 pixels."""
        rough = self.span / max(2, self.width / 110)
        power = 10.0 ** math.floor(math.log10(rough))
        steps = (1, 2, 5, 10)
        if self.has_seconds and 10 <= rough < 43_200:  # minutes and hours have sixties
            power, steps = (1.0, (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43_200))
        step = next((s * power for s in steps if s * power >= rough), rough)
        return [i * step for i in range(int(self.span / step * (1 + 1e-9)) + 1)]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the chart: one per worker, or several workers in each when they are many."""

    workers: int
    rows: int
    height: float

    def of(self, worker: Ints) -> Ints:
        """The row of each worker."""
        return worker.astype(np.int64) * self.rows // self.workers


@dataclass(frozen=True, slots=True)
class Track:
    """A strip inside every row: the bars of one timeline."""

    timeline: Timeline
    top: float
    height: float
    ghost: bool


def gantt_picture(
    graph: TaskGraph,
    planned: Timeline | None,
    actual: Timeline | None,
    workers: Sequence[str],
    theme: Theme,
    *,
    width: float = 960.0,
    has_seconds: bool = True,
) -> Picture:
    """The chart of a plan, of a run, or of both. `has_seconds` is False while the plan is in task units.

    A plan in task units is left out when there is a run to show: the two have no common axis.
    """
    actual = actual if actual is not None and _ran(actual).any() else None
    if actual is not None and not has_seconds:
        planned, has_seconds = None, True
    shown = [timeline for timeline in (planned, actual) if timeline is not None and _ran(timeline).any()]
    if not shown:
        return Picture(0, 0, ())
    names = _names(workers, shown)
    rows = min(len(names), ROWS)
    height = min(30.0, max(6.0, 900 / rows)) if len(shown) > 1 else min(22.0, max(4.0, 720 / rows))
    left = min(120.0, max(text_width(name, 11) for name in names) + 12)
    axis = Axis(left, width - left - 8, max(_last(timeline) for timeline in shown) * 1.02, has_seconds)
    tracks = _tracks(planned if planned in shown else None, actual, height)
    parts = [*_grid(axis, names, rows, height, theme)]
    for track in tracks:
        draw = _bars if len(graph) <= BARS else _bins
        parts += draw(graph, track, axis, Rows(len(names), rows, height), theme)
    parts += _ends(tracks, axis, rows * height, theme)
    below = 46 if len(tracks) > 1 else 36 if not has_seconds else 22
    kinds, kinds_width, bottom = _kinds(graph, rows * height + below, left, width, theme)
    return Picture(max(width, kinds_width), bottom, (*parts, *kinds))


def _ran(timeline: Timeline) -> NDArray[np.bool_]:
    """[n] what a worker has begun."""
    found: NDArray[np.bool_] = ~np.isnan(timeline.start) & (timeline.worker >= 0)
    return found


def _last(timeline: Timeline) -> float:
    """The last moment that is known; never 0."""
    moments = np.concatenate([timeline.start, timeline.end])
    return max(float(np.nanmax(moments)), 1e-9)


def _names(workers: Sequence[str], shown: Sequence[Timeline]) -> list[str]:
    most = max(int(timeline.worker.max()) for timeline in shown) + 1
    return [*workers, *(f"w{i}" for i in range(len(workers), most))]


def _tracks(planned: Timeline | None, actual: Timeline | None, height: float) -> list[Track]:
    pad = min(3.0, height / 8)
    if planned is None or actual is None:
        alone = planned if planned is not None else actual
        assert alone is not None
        return [Track(alone, pad, height - 2 * pad, ghost=False)]
    upper = (height - 2 * pad) * 0.36
    return [
        Track(planned, pad, upper - 1, ghost=True),
        Track(actual, pad + upper, height - 2 * pad - upper, ghost=False),
    ]


# -- the frame ------------------------------------------------------------------------


def _grid(axis: Axis, names: Sequence[str], rows: int, height: float, theme: Theme) -> Iterator[str]:
    bottom, right = rows * height, axis.left + axis.width
    stripes = (
        f"M{num(axis.left)},{num(row * height)}H{num(right)}v{num(height)}H{num(axis.left)}z"
        for row in range(0, rows, 2)
    )
    yield path(stripes, fill=theme.stripe)
    ticks = axis.ticks()
    yield path((f"M{num(axis.x(t))},0V{num(bottom + 4)}" for t in ticks), stroke=theme.border, stroke_width=0.75)
    for t in ticks:
        yield text(axis.x(t), bottom + 17, axis.say(t), font_size=10, fill=theme.quiet, text_anchor="middle")
    if not axis.has_seconds:
        yield text(right, bottom + 30, "task units, not seconds", font_size=10, fill=theme.quiet, text_anchor="end")
    every = max(1, math.ceil(12 / height)) if rows == len(names) else 0
    for row in range(0, rows, every) if every else ():
        y = (row + 0.5) * height + 4
        yield text(axis.left - 8, y, shorten(names[row], 108, 11), font_size=11, fill=theme.quiet, text_anchor="end")
    if not every:
        yield text(axis.left - 8, 12, plural(len(names), "worker"), font_size=10, fill=theme.quiet, text_anchor="end")


def _ends(tracks: Sequence[Track], axis: Axis, bottom: float, theme: Theme) -> Iterator[str]:
    """When it was to end, and when it ended."""
    last = 0.0
    for track in tracks:
        end = _last(track.timeline)
        dashes: dict[str, str | float] = {"stroke_dasharray": "3 3"} if track.ghost else {}
        yield path([f"M{num(axis.x(end))},0V{num(bottom + 4)}"], stroke=theme.text, stroke_width=1, **dashes)
        if len(tracks) > 1:
            words = f"{'planned' if track.ghost else 'actual'} {axis.say(end)}"
            y = bottom + (30 if not last else 42 if abs(axis.x(last) - axis.x(end)) < 130 else 30)
            x = min(max(axis.x(end), axis.left + 50), axis.left + axis.width - 50)
            yield text(x, y, words, font_size=10, fill=theme.text, text_anchor="middle")
            last = end


def _kinds(graph: TaskGraph, y: float, x: float, room: float, theme: Theme) -> tuple[list[str], float, float]:
    """What the colours mean: the most frequent kinds. Returns the parts, their width, and where they end."""
    if len(graph.kinds) < 2:
        return [], 0.0, y
    y += 4
    parts: list[str] = []
    count = np.bincount(graph.kind, minlength=len(graph.kinds))
    often = np.argsort(-count, kind="stable")
    for kind in often[:NAMED].tolist():
        words = shorten(f"{graph.kinds[kind]} ×{count[kind]:,}", 150, 11)
        if x + text_width(words, 11) + 32 > room:
            break
        parts += [
            rect(x, y, 10, 10, rx=2, fill=theme.kind(kind)),
            text(x + 15, y + 9, words, font_size=11, fill=theme.quiet),
        ]
        x += 15 + text_width(words, 11) + 16
    left = len(graph.kinds) - len(parts) // 2
    if left:
        parts.append(text(x, y + 9, f"+{left} more", font_size=11, fill=theme.quiet))
    return parts, x, y + 14


# -- few tasks: bars ------------------------------------------------------------------

#: x, y, width, height
Box = tuple[float, float, float, float]


def _bars(graph: TaskGraph, track: Track, axis: Axis, rows: Rows, theme: Theme) -> Iterator[str]:
    """A bar per task, gathered by kind into one path; transfers pale, critical ones underlined, failures marked."""
    line = track.timeline
    box = _boxes(track, axis, rows)
    for kind in range(min(len(graph.kinds), len(theme.kinds))):
        same = (_outline(at) for i, at in box.items() if graph.kind[i] % len(theme.kinds) == kind)
        yield path(same, fill=theme.kind(kind), fill_opacity=GHOST if track.ghost else 1)
    if not track.ghost:
        fetch = _fetches(line, axis, box)
        yield path(map(_outline, fetch.values()), fill=theme.page, fill_opacity=0.5)
        yield from _labels(graph, box, fetch, theme)
    under = (box[i] for i in critical_chain(graph, line) if i in box)
    marks = (f"M{num(x)},{num(y + h)}h{num(w)}" for x, y, w, h in under)
    yield path(marks, stroke=theme.critical, stroke_width=1.5 if track.ghost else 2)
    yield from _failures(line, box, theme)
    if len(box) <= TITLED:
        for i, at in box.items():
            yield rect(*at, _say(graph, line, i, axis, ghost=track.ghost), fill="#fff", fill_opacity=0)


def _boxes(track: Track, axis: Axis, rows: Rows) -> dict[int, Box]:
    """Where the bar of each task is that a worker has begun; those that still run reach to the last known moment."""
    line, found = track.timeline, {}
    now = _last(line)
    for task in np.flatnonzero(_ran(line)).tolist():
        x, end = axis.x(float(line.start[task])), float(line.end[task])
        width = axis.x(now if math.isnan(end) else end) - x
        y = int(rows.of(line.worker[task])) * rows.height + track.top
        # A hairline between bars that follow one another; a task of no time is still seen.
        found[task] = x, y, max(0.6, width - 0.6 if width > 3 else width), track.height
    return found


def _outline(box: Box) -> str:
    x, y, w, h = box
    return f"M{num(x)},{num(y)}h{num(w)}v{num(h)}h{num(-w)}z"


def _fetches(line: Timeline, axis: Axis, box: dict[int, Box]) -> dict[int, Box]:
    """The part of each bar that went into fetching inputs, where there is a pixel to see."""
    scale = axis.width / axis.span
    part = {i: (x, y, min(w, float(line.fetch[i]) * scale), h) for i, (x, y, w, h) in box.items()}
    return {i: at for i, at in part.items() if at[2] >= 1}


def _labels(graph: TaskGraph, box: dict[int, Box], fetch: dict[int, Box], theme: Theme) -> Iterator[str]:
    """Names in the bars that have room for them, in black or white, whichever is read better."""
    by_ink: dict[str, list[str]] = {}
    for i, (x, y, w, h) in box.items():
        pale = fetch[i][2] if i in fetch else 0.0
        room = w - pale - 8
        words = shorten(graph.keys[i], room, 10) if h >= 12 and room >= 20 else ""
        if len(words) > 4 or words == graph.keys[i]:
            ink = theme.ink(theme.kind(int(graph.kind[i])))
            by_ink.setdefault(ink, []).append(text(x + pale + 4, y + h / 2 + 3.5, words))
    for ink, labels in by_ink.items():
        yield f'<g font-size="10" fill="{ink}">' + "".join(labels) + "</g>"


def _failures(line: Timeline, box: dict[int, Box], theme: Theme) -> Iterator[str]:
    failed = [box[i] for i in np.flatnonzero(line.state == TaskState.FAILED).tolist() if i in box]
    yield path(map(_outline, failed), fill="none", stroke=theme.strong[TaskState.FAILED], stroke_width=2)
    if failed:
        yield glyphs(theme, TaskState.FAILED, [(x + w, y + h / 2) for x, y, w, h in failed])


def _say(graph: TaskGraph, line: Timeline, task: int, axis: Axis, *, ghost: bool) -> str:
    start, end = float(line.start[task]), float(line.end[task])
    state = "planned" if ghost else TaskState(line.state[task]).name.lower()
    until = "" if math.isnan(end) else f" – {axis.say(end)} ({axis.say(end - start)})"
    return f"{graph.keys[task]}: {state} {axis.say(start)}{until}"


# -- many tasks: bins -----------------------------------------------------------------


def _bins(graph: TaskGraph, track: Track, axis: Axis, rows: Rows, theme: Theme) -> Iterator[str]:
    """Bins as high as they are busy, in the colour of the kind that fills most of them."""
    line = track.timeline
    tasks = np.flatnonzero(_ran(line))
    bins = int(min(240, max(24, CELLS // 2 // rows.rows)))
    most, busy = _fill(line, tasks, graph.kind[tasks] % len(theme.kinds), rows, axis.span / bins, bins)
    level = np.round(busy * track.height * 2) / 2
    bottom = track.top + track.height
    shape = f"translate({num(axis.left)},0) scale({axis.width / bins:.4g},1)"  # bins are whole numbers: short paths
    for kind in range(len(theme.kinds)):
        runs = _runs(np.where(most == kind, level, 0.0))
        pieces = (f"M{a},{num(row * rows.height + bottom)}v{num(-h)}h{b - a}v{num(h)}z" for row, a, b, h in runs)
        yield path(pieces, transform=shape, fill=theme.kind(kind), fill_opacity=GHOST if track.ghost else 1)
    yield from _failed_bins(line, tasks[line.state[tasks] == TaskState.FAILED], axis, rows, track, theme)


def _fill(line: Timeline, tasks: Ints, kind: Ints, rows: Rows, size: float, bins: int) -> tuple[Ints, Floats]:
    """[rows, bins] the kind that fills most of each bin (-1: idle), and the share that is busy."""
    start = line.start[tasks] / size
    end = np.where(np.isnan(line.end[tasks]), _last(line), line.end[tasks]) / size
    kinds = int(kind.max(initial=0)) + 1
    share = np.zeros((rows.rows * kinds, bins))
    first, last = (np.clip(edge.astype(np.int64), 0, bins - 1) for edge in (start, end))
    count = last - first + 1
    task = np.repeat(np.arange(len(tasks)), count)
    at = first[task] + np.arange(len(task)) - (np.cumsum(count) - count)[task]
    covered = np.minimum(end[task], at + 1) - np.maximum(start[task], at)
    np.add.at(share, (rows.of(line.worker[tasks])[task] * kinds + kind[task], at), np.maximum(covered, 0))
    by_kind = share.reshape(rows.rows, kinds, bins) * rows.rows / rows.workers
    busy = np.minimum(by_kind.sum(axis=1), 1.0)
    return np.where(busy > 0.01, by_kind.argmax(axis=1), -1), busy


def _runs(level: Floats) -> Iterator[tuple[int, int, int, float]]:
    """Row, first, end and height of stretches of equal height above 0."""
    for row, heights in enumerate(level):
        edges = [0, *(np.flatnonzero(np.diff(heights)) + 1).tolist(), len(heights)]
        for a, b in itertools.pairwise(edges):
            if heights[a] > 0:
                yield row, a, b, float(heights[a])


def _failed_bins(line: Timeline, failed: Ints, axis: Axis, rows: Rows, track: Track, theme: Theme) -> Iterator[str]:
    """Marks of failures, at most one in 12 pixels of a row, and no more than 200."""
    places: dict[tuple[int, int], tuple[float, float]] = {}
    for i in failed.tolist():
        x, row = axis.x(float(line.end[i])), int(rows.of(line.worker[i]))
        places.setdefault((row, int(x // 12)), (x, row * rows.height + track.top + track.height / 2))
    if places:
        yield glyphs(theme, TaskState.FAILED, list(places.values())[:200])
