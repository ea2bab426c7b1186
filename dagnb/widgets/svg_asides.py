"""What happens beside the tasks, in the rows of a Gantt chart: copies, failed tries, fetches ahead, workers' lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagnb.trace.events import TaskState
from dagnb.trace.records import RecordKind

from .svg import num, path, rect, text
from .svg_axis import Axis, Box, Rows, Track, outline
from .wording import text_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .theme import Theme

#: What each is called in the legend, in the order in which they stand there.
NAMES = {
    RecordKind.COPIED: "copy that came second",
    RecordKind.RETRIED: "failed, tried again",
    RecordKind.PRELOADED: "fetched ahead",
    RecordKind.BEGUN: "worker starting",
    RecordKind.GIVEN_UP: "worker given up",
}

#: Lines of a hatched bar are so far apart.
HATCH = 4.0


def beside(graph: TaskGraph, track: Track, axis: Axis, rows: Rows, theme: Theme) -> Iterator[str]:
    """Start-ups are grey, copies hatched in an outline of their kind's colour, fetches ahead thin below them.

    Failed tries are like copies, in the colour of what has failed.
    """
    found: dict[int, list[tuple[Box, int]]] = {}
    asides = track.timeline.asides
    lanes = rows.of(asides["worker"]).tolist()
    for aside, lane in zip(asides, lanes, strict=True):
        x = axis.x(float(aside["start"]))
        y = lane * rows.height + track.top
        box = (x, y, max(0.6, axis.x(float(aside["at"])) - x), track.height)
        found.setdefault(int(aside["kind"]), []).append((box, int(aside["task"])))
    begun = ((x, y + 0.3 * h, w, 0.4 * h) for (x, y, w, h), _ in found.get(RecordKind.BEGUN, ()))
    yield path(map(outline, begun), fill=theme.edge)
    gone = (_cross(x, y, h) for (x, y, _, h), _ in found.get(RecordKind.GIVEN_UP, ()))
    yield path(gone, stroke=theme.strong[TaskState.FAILED], stroke_width=1.5)
    for box, task in found.get(RecordKind.COPIED, ()):
        yield _copy(box, theme.kind(int(graph.kind[task])))
    for box, _ in found.get(RecordKind.RETRIED, ()):
        yield _copy(box, theme.strong[TaskState.FAILED])
    ahead = ((x, y + h + 0.5, w, 1.5) for (x, y, w, h), _ in found.get(RecordKind.PRELOADED, ()))
    yield path(map(outline, ahead), fill=theme.strong[TaskState.RUNNING])  # between the rows


def _cross(x: float, y: float, h: float) -> str:
    """Where a worker was given up."""
    r = min(h, 10.0) / 2
    middle = y + h / 2
    corners = (x - r, middle - r, 2 * r, 2 * r), (x - r, middle + r, 2 * r, -2 * r)
    return "".join(f"M{num(a)},{num(b)}l{num(c)},{num(d)}" for a, b, c, d in corners)


def _copy(box: Box, colour: str) -> str:
    x, y, w, h = box
    lines: list[str] = []
    at = x
    while at < x + w and len(lines) < 200:
        rise = min(h, x + w - at)
        lines.append(f"M{num(at)},{num(y + h)}l{num(rise)},{num(-rise)}")
        at += HATCH
    frame = path([outline(box)], fill=colour, fill_opacity=0.18, stroke=colour, stroke_width=1)
    return frame + path(lines, stroke=colour, stroke_width=1)


def beside_legend(shown: Sequence[Timeline], x: float, y: float, theme: Theme) -> list[str]:
    """What the marks mean, for those that occur."""
    kinds = {int(kind) for timeline in shown for kind in timeline.asides["kind"]}
    parts: list[str] = []
    for kind, words in NAMES.items():
        if kind not in kinds:
            continue
        if kind in (RecordKind.COPIED, RecordKind.RETRIED):
            colour = theme.quiet if kind == RecordKind.COPIED else theme.strong[TaskState.FAILED]
            parts.append(_copy((x, y, 10.0, 10.0), colour))
        elif kind == RecordKind.PRELOADED:
            parts.append(rect(x, y + 4.5, 10, 1.5, fill=theme.strong[TaskState.RUNNING]))
        elif kind == RecordKind.GIVEN_UP:
            parts.append(path([_cross(x + 5, y, 10.0)], stroke=theme.strong[TaskState.FAILED], stroke_width=1.5))
        else:
            parts.append(rect(x, y + 3, 10, 4, fill=theme.edge))
        parts.append(text(x + 15, y + 9, words, font_size=11, fill=theme.quiet))
        x += 15 + text_width(words, 11) + 16
    return parts
