"""A comparison as a still picture: a row per plan with its figures and a small Gantt, all on one axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.planning.words import byte_count, digits, plural, seconds

from .compared import Bars, Entry, small_gantts
from .svg import Picture, num, page, path, rect, text
from .svg_axis import Axis
from .theme import THEMES, Theme
from .wording import clean, shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows of a picture; those beyond it are counted.
ROWS = 48
#: Where columns end, in pixels, and where the chart begins.
COLUMNS = {"planner": 150, "workers": 204, "makespan": 282, "gap": 336, "moved": 404, "locality": 460}
CHART = 484
WIDTH = 900.0
#: Height of the line of heads.
HEAD = 24.0


def compare_svg(
    name: str,
    kind: NDArray[np.integer[Any]],
    entries: Sequence[Entry],
    best: int,
    *,
    theme: Theme = THEMES["light"],
) -> str:
    """The plans of one DAG. `best` is the number of the row to mark, -1 for none."""
    shown = entries[:ROWS]
    spans = [entry.plan.makespan or 0.0 for entry in shown if entry.plan is not None]
    highs = [entry.plan.interval[1] for entry in shown if entry.plan is not None and entry.plan.interval]
    has_seconds = all(entry.plan.has_seconds for entry in shown if entry.plan is not None)
    axis = Axis(CHART, WIDTH - CHART, max([*spans, *highs, 1e-9]), has_seconds)
    parts = list(_heads(axis, theme))
    y = HEAD
    for i, (entry, bars) in enumerate(zip(shown, small_gantts(shown, kind), strict=True)):
        height = max(26.0, min(46.0, 4.0 * bars.lanes + 6))
        parts += _row(entry, bars, axis, (y, height), theme, best=i == best, odd=bool(i % 2))
        y += height
    if len(entries) > ROWS:
        parts.append(text(0, y + 16, f"and {plural(len(entries) - ROWS, 'more row')}", font_size=11, fill=theme.quiet))
        y += 22
    parts += _ticks(axis, y, theme)
    units = "" if has_seconds else " · in task units, nothing is known in seconds yet"
    head = f"{clean(name, 80)} · {plural(len(entries), 'plan')} compared{units}"
    return page(head, _described(entries, best), [Picture(WIDTH, y + 18, tuple(parts))], theme)


def _described(entries: Sequence[Entry], best: int) -> str:
    if best < 0:
        return "No planner has made a plan."
    plan, entry = entries[best].plan, entries[best]
    span = "" if plan is None or plan.makespan is None else f": {_say(plan.makespan, has_seconds=plan.has_seconds)}"
    return f"Best: {entry.planner} on {entry.label} workers{span}"


def _say(value: float, *, has_seconds: bool) -> str:
    return seconds(value) if has_seconds else digits(value)


def _heads(axis: Axis, theme: Theme) -> Iterator[str]:
    look: dict[str, str | float] = {"font_size": 11, "fill": theme.quiet}
    yield text(22, 14, "planner", **look)
    for name, right in list(COLUMNS.items())[1:]:
        yield text(right, 14, name, text_anchor="end", **look)
    yield text(axis.left, 14, "who does what when (dotted: best possible)", **look)


def _row(
    entry: Entry, bars: Bars, axis: Axis, place: tuple[float, float], theme: Theme, *, best: bool, odd: bool
) -> Iterator[str]:
    y, height = place
    if best:
        yield rect(0, y, WIDTH, height, rx=3, fill=theme.soft[3])
        yield text(6, y + height / 2 + 4, "★", font_size=12, fill=theme.strong[3])
    elif odd:
        yield rect(0, y, WIDTH, height, fill=theme.stripe)
    middle = y + height / 2 + 4
    weight: dict[str, str | float] = {"font_weight": 600} if best else {}
    yield text(22, middle, shorten(entry.planner, 126, 12), fill=theme.text, **weight)
    yield text(COLUMNS["workers"], middle, entry.label, fill=theme.text, text_anchor="end")
    if entry.plan is None:
        words = shorten(f"failed: {entry.error}", WIDTH - COLUMNS["workers"] - 40, 11)
        yield text(COLUMNS["workers"] + 16, middle, words, font_size=11, fill=theme.strong[4])
        return
    for name, words in _figures(entry).items():
        yield text(
            COLUMNS[name], middle, words, fill=theme.text, text_anchor="end", **(weight if name == "makespan" else {})
        )
    yield from _gantt(bars, axis, y + 3, height - 6, theme)
    yield from _marks(entry, axis, y, height, theme)


def _figures(entry: Entry) -> Mapping[str, str]:
    figures: Any = entry
    plan = entry.plan
    assert plan is not None
    found = {"makespan": _say(plan.makespan or 0.0, has_seconds=plan.has_seconds)}
    if figures.gap is not None:
        found["gap"] = f"{figures.gap:.1%}"
    if plan.bytes_moved:
        found["moved"] = byte_count(plan.bytes_moved)
    if figures.locality is not None:
        found["locality"] = f"{figures.locality:.0%}"
    return found


def _gantt(bars: Bars, axis: Axis, y: float, height: float, theme: Theme) -> Iterator[str]:
    """Stretches by colour, each colour one path."""
    if not bars.lanes:
        return
    lane = height / bars.lanes
    gap = min(1.0, lane / 6)
    left = [axis.x(at) for at in bars.start.tolist()]
    right = [axis.x(at) for at in bars.end.tolist()]
    for colour in range(len(theme.kinds)):
        mine = np.flatnonzero(bars.kind % len(theme.kinds) == colour).tolist()
        pieces = []
        for i in mine:
            tall = (lane - gap) * float(bars.height[i])
            wide = max(0.5, right[i] - left[i] - (0.5 if right[i] - left[i] > 2.5 else 0))
            bottom = y + (int(bars.lane[i]) + 1) * lane - gap
            pieces.append(f"M{num(left[i])},{num(bottom)}v{num(-tall)}h{num(wide)}v{num(tall)}z")
        yield path(pieces, fill=theme.kinds[colour])


def _marks(entry: Entry, axis: Axis, y: float, height: float, theme: Theme) -> Iterator[str]:
    """The end, where it is to be expected, and the end that no plan can beat."""
    plan = entry.plan
    assert plan is not None
    if plan.lower_bound:
        look: dict[str, str | float] = {"stroke": theme.strong[3], "stroke_width": 1.5, "stroke_dasharray": "2 2"}
        yield path([f"M{num(axis.x(plan.lower_bound))},{num(y + 1)}v{num(height - 2)}"], **look)
    if plan.makespan:
        yield path([f"M{num(axis.x(plan.makespan))},{num(y + 2)}v{num(height - 4)}"], stroke=theme.text, stroke_width=1)
    if plan.interval:
        low, high, at = axis.x(plan.interval[0]), axis.x(plan.interval[1]), y + height / 2
        ends = f"M{num(low)},{num(at - 4)}v8M{num(high)},{num(at - 4)}v8"
        yield path([f"M{num(low)},{num(at)}H{num(high)}", ends], stroke=theme.text, stroke_width=1.5, fill="none")


def _ticks(axis: Axis, y: float, theme: Theme) -> Iterator[str]:
    for at in axis.ticks()[:-1] or [0.0]:
        yield path([f"M{num(axis.x(at))},{num(y)}v4"], stroke=theme.border, stroke_width=1)
        anchor = "start" if at == 0 else "middle"
        yield text(axis.x(at), y + 15, axis.say(at), font_size=10, fill=theme.quiet, text_anchor=anchor)


def kinds_svg(
    dags: Mapping[str, int],
    heads: Mapping[tuple[str, str], str],
    ratios: Mapping[str, Mapping[tuple[str, str], float]],
    means: Mapping[tuple[str, str], float],
    *,
    theme: Theme = THEMES["light"],
) -> str:
    """Several DAGs: a line per DAG (name → tasks), a column per planner and workers, each the makespan as a multiple.

    heads    what stands above each column
    ratios   DAG → column → makespan ÷ the shortest of that DAG; a planner that failed is missing
    means    column → geometric mean over the DAGs
    """
    cell, left, line = 86.0, 210.0, 24.0
    parts: list[str] = []
    for c, words in enumerate(heads.values()):
        right = left + (c + 1) * cell - 10
        parts.append(text(right, 14, shorten(words, cell - 8, 11), font_size=11, fill=theme.quiet, text_anchor="end"))
    lines = [(f"{name} · {plural(n, 'task')}", ratios.get(name, {})) for name, n in dags.items()]
    lines = [*lines[:ROWS], ("geometric mean", means)]
    most = max((ratio for _, found in lines for ratio in found.values()), default=1.0)
    for i, (name, found) in enumerate(lines):
        y, last = HEAD + i * line, i == len(lines) - 1
        if last:
            parts.append(path([f"M0,{num(y)}H{num(left + len(heads) * cell)}"], stroke=theme.border, stroke_width=1))
        weight: dict[str, str | float] = {"font_weight": 600} if last else {}
        parts.append(text(6, y + 16, shorten(name, left - 20, 12), fill=theme.text, **weight))
        for c, key in enumerate(heads):
            parts += _cell(found.get(key), left + c * cell, y, (cell, line), most, theme, least=found)
    width = left + len(heads) * cell
    head = f"{plural(len(dags), 'DAG')} · makespan as a multiple of the shortest of each"
    return page(head, head, [Picture(width, HEAD + len(lines) * line, tuple(parts))], theme)


def _cell(
    ratio: float | None,
    x: float,
    y: float,
    size: tuple[float, float],
    most: float,
    theme: Theme,
    *,
    least: Mapping[tuple[str, str], float],
) -> Iterator[str]:
    width, height = size
    if ratio is None:
        yield text(x + width - 10, y + 16, "failed", font_size=11, fill=theme.strong[4], text_anchor="end")
        return
    best = ratio <= min(least.values()) * 1.001
    part = (ratio - 1) / (most - 1) if most > 1 else 0.0
    if part > 0.005:
        yield rect(x + 6, y + height - 5, (width - 16) * part, 3, fill=theme.kinds[0])
    look: dict[str, str | float] = {"font_weight": 600, "fill": theme.strong[3]} if best else {"fill": theme.text}
    yield text(x + width - 10, y + 16, f"{ratio:.3f}", text_anchor="end", **look)
