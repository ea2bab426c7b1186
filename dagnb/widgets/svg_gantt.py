"""The Gantt chart as a still picture: a row per worker, what was planned above what happened."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dagnb.planning.words import plural

from .svg import Picture, num, path, rect, text
from .svg_asides import beside, beside_legend
from .svg_axis import Axis, Rows, Track, last_moment, ran
from .svg_bars import bars, bins_of
from .wording import shorten, text_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .theme import Theme

#: More tasks than these are drawn as bins.
BARS = 600

#: Rows that a chart may have; beyond it workers share them.
ROWS = 128

#: Kinds that the legend names.
NAMED = 7


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
    actual = actual if actual is not None and ran(actual).any() else None
    if actual is not None and not has_seconds:
        planned, has_seconds = None, True
    shown = [timeline for timeline in (planned, actual) if timeline is not None and ran(timeline).any()]
    if not shown:
        return Picture(0, 0, ())
    names = _names(workers, shown)
    rows = min(len(names), ROWS)
    height = min(30.0, max(6.0, 900 / rows)) if len(shown) > 1 else min(22.0, max(4.0, 720 / rows))
    left = min(120.0, max(text_width(name, 11) for name in names) + 12)
    axis = Axis(left, width - left - 8, max(last_moment(timeline) for timeline in shown), has_seconds)
    tracks = _tracks(planned if planned in shown else None, actual, height)
    parts = [*_grid(axis, names, rows, height, theme)]
    for track in tracks:
        draw = bars if len(graph) <= BARS else bins_of
        within = Rows(len(names), rows, height)
        parts += draw(graph, track, axis, within, theme)
        if rows == len(names) and len(track.timeline.asides) <= BARS:
            parts += beside(graph, track, axis, within, theme)
    parts += _ends(tracks, axis, rows * height, theme)
    below = 46 if len(tracks) > 1 else 36 if not has_seconds else 22
    kinds, kinds_width, bottom = _kinds(graph, rows * height + below, left, width, theme)
    told = beside_legend([track.timeline for track in tracks], left, bottom + 5, theme)
    return Picture(max(width, kinds_width), bottom + (19 if told else 0), (*parts, *kinds, *told))


def _names(workers: Sequence[str], shown: Sequence[Timeline]) -> list[str]:
    most = max(int(max(t.worker.max(), t.asides["worker"].max(initial=0))) for t in shown) + 1
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
        end = last_moment(track.timeline)
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
