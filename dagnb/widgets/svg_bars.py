"""What fills the rows of a Gantt chart.

Bars are coloured by kind. Few tasks are bars; many are bins, as high as the share of the bin in which the worker was
busy, so that the picture stays small and gaps stay true.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from dagnb.trace.critical import critical_chain
from dagnb.trace.events import TaskState

from .svg import glyphs, num, path, rect, text
from .svg_axis import Axis, Box, Rows, Track, last_moment, outline, ran
from .wording import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .theme import Theme

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

#: Up to so many bars say what they are under the pointer.
TITLED = 150

#: Bins that a chart may have.
CELLS = 2_600

#: Opacity of planned bars where actual ones stand below them.
GHOST = 0.45


def bars(graph: TaskGraph, track: Track, axis: Axis, rows: Rows, theme: Theme) -> Iterator[str]:
    """A bar per task, gathered by kind into one path; transfers pale, critical ones underlined, failures marked."""
    line = track.timeline
    box = _boxes(track, axis, rows)
    for kind in range(min(len(graph.kinds), len(theme.kinds))):
        same = (outline(at) for i, at in box.items() if graph.kind[i] % len(theme.kinds) == kind)
        yield path(same, fill=theme.kind(kind), fill_opacity=GHOST if track.ghost else 1)
    if not track.ghost:
        fetch = _fetches(line, axis, box)
        yield path(map(outline, fetch.values()), fill=theme.page, fill_opacity=0.5)
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
    now = last_moment(line)
    for task in np.flatnonzero(ran(line)).tolist():
        x, end = axis.x(float(line.start[task])), float(line.end[task])
        width = axis.x(now if math.isnan(end) else end) - x
        y = int(rows.of(line.worker[task])) * rows.height + track.top
        # A hairline between bars that follow one another; a task of no time is still seen.
        found[task] = x, y, max(0.6, width - 0.6 if width > 3 else width), track.height
    return found


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
    yield path(map(outline, failed), fill="none", stroke=theme.strong[TaskState.FAILED], stroke_width=2)
    if failed:
        yield glyphs(theme, TaskState.FAILED, [(x + w, y + h / 2) for x, y, w, h in failed])


def _say(graph: TaskGraph, line: Timeline, task: int, axis: Axis, *, ghost: bool) -> str:
    start, end = float(line.start[task]), float(line.end[task])
    state = "planned" if ghost else TaskState(line.state[task]).name.lower()
    until = "" if math.isnan(end) else f" – {axis.say(end)} ({axis.say(end - start)})"
    return f"{graph.keys[task]}: {state} {axis.say(start)}{until}"


# -- many tasks: bins -----------------------------------------------------------------


def bins_of(graph: TaskGraph, track: Track, axis: Axis, rows: Rows, theme: Theme) -> Iterator[str]:
    """Bins as high as they are busy, in the colour of the kind that fills most of them."""
    line = track.timeline
    tasks = np.flatnonzero(ran(line))
    bins = int(min(240, max(24, CELLS // 2 // rows.rows)))
    most, busy = fill(line, tasks, graph.kind[tasks].astype(np.int64) % len(theme.kinds), rows, axis.last / bins, bins)
    level = np.round(busy * track.height * 2) / 2
    bottom = track.top + track.height
    size = (axis.x(axis.last) - axis.left) / bins  # bins are whole numbers: short paths
    shape = f"translate({num(axis.left)},0) scale({size:.4g},1)"
    for kind in range(len(theme.kinds)):
        runs = stretches(np.where(most == kind, level, 0.0))
        pieces = (f"M{a},{num(row * rows.height + bottom)}v{num(-h)}h{b - a}v{num(h)}z" for row, a, b, h in runs)
        yield path(pieces, transform=shape, fill=theme.kind(kind), fill_opacity=GHOST if track.ghost else 1)
    yield from _failed_bins(line, tasks[line.state[tasks] == TaskState.FAILED], axis, rows, track, theme)


def fill(line: Timeline, tasks: Ints, kind: Ints, rows: Rows, size: float, bins: int) -> tuple[Ints, Floats]:
    """[rows, bins] the kind that fills most of each bin (-1: idle), and the share that is busy."""
    start = line.start[tasks] / size
    end = np.where(np.isnan(line.end[tasks]), last_moment(line), line.end[tasks]) / size
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


def stretches(level: Floats) -> Iterator[tuple[int, int, int, float]]:
    """Row, first, end and height of stretches of equal height above 0."""
    for row, heights in enumerate(level):
        edges = [0, *(np.flatnonzero(np.diff(heights)) + 1).tolist(), len(heights)]
        for a, b in itertools.pairwise(edges):
            if heights[a] > 0:
                yield row, a, b, float(heights[a])


def _failed_bins(line: Timeline, failed: Ints, axis: Axis, rows: Rows, track: Track, theme: Theme) -> Iterator[str]:
    """Marks of failures, at most one in 12 pixels of a row, and no more than 100."""
    places: dict[tuple[int, int], tuple[float, float]] = {}
    for i in failed.tolist():
        x, row = axis.x(float(line.end[i])), int(rows.of(line.worker[i]))
        places.setdefault((row, int(x // 12)), (x, row * rows.height + track.top + track.height / 2))
    if places:
        yield glyphs(theme, TaskState.FAILED, list(places.values())[:100])
