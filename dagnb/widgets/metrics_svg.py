"""The still picture of the metrics: who was at work when, and what the tasks of each kind spent their time on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dagnb.planning.words import seconds

from .metrics_data import PARTS
from .metrics_figures import PART_COLOURS, Metrics
from .svg import Picture, num, page, path, rect, text
from .svg_axis import Axis
from .theme import THEMES, Theme
from .wording import text_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dagnb.trace.timeline import Timeline

#: Pixels of one of the two plots.
WIDTH, HEIGHT = 400.0, 150.0
#: Room on the left for numbers, and for the names of kinds.
LEFT, NAMES = 34.0, 112.0
#: Pixels between the two.
APART = 30.0
#: Height of the two bars of a kind.
BAR = 22.0


def metrics_svg(metrics: Metrics, timeline: Timeline | None = None, *, title: str = "", theme: str = "light") -> str:
    """Utilisation over time and mean phases by kind, planned and actual, as one SVG of a few kB."""
    look = THEMES[theme]
    data = metrics.sources(timeline)
    left = _utilisation(data["planned"], data["actual"], look)
    right = _phases(metrics.labels, data["parts"], look, PART_COLOURS[theme])
    if not left.height and not right.height:
        return page(title, "nothing has run and nothing is planned", [], look)
    both = Picture(
        left.width + APART + right.width,
        max(left.height, right.height),
        (left.at(0, 0), right.at(left.width + APART, 0)),
    )
    return page(title, "workers at work over time, and what tasks of each kind spend their time on", [both], look)


def _head(words: str, look: Theme) -> str:
    return text(0, 11, words, font_size=12, fill=look.text)


def _utilisation(planned: dict[str, list[float]], actual: dict[str, list[float]], look: Theme) -> Picture:
    lines = [side for side in (planned, actual) if side["at"]]
    if not lines:
        return Picture(0, 0, ())
    last = max(2 * side["at"][-1] - side["at"][-2] if len(side["at"]) > 1 else side["at"][-1] for side in lines)
    most = max(1.0, *(max(side["busy"]) for side in lines))
    axis = Axis(LEFT, WIDTH - LEFT, last, has_seconds=True)
    bottom = HEIGHT + 24

    def points(side: dict[str, list[float]]) -> list[str]:
        high = HEIGHT / most
        where = zip(side["at"], side["busy"], strict=True)
        return [f"{'L' if i else 'M'}{num(axis.x(t))},{num(bottom - b * high)}" for i, (t, b) in enumerate(where)]

    parts = [_head("workers at work", look), *_frame(axis, most, bottom, look)]
    if actual["at"]:
        outline = points(actual)
        first, end = num(axis.x(actual["at"][0])), num(axis.x(actual["at"][-1]))
        closed = [f"M{first},{num(bottom)}", *(p.replace("M", "L") for p in outline), f"L{end},{num(bottom)}Z"]
        parts.append(path(closed, fill=look.strong[3], fill_opacity=0.25))
        parts.append(path(outline, stroke=look.strong[3], stroke_width=1.5, fill="none"))
    if planned["at"]:
        parts.append(path(points(planned), stroke=look.quiet, stroke_width=1.5, stroke_dasharray="5,3", fill="none"))
    parts += _key([("actual", look.strong[3]), ("planned (dashed)", look.quiet)], WIDTH, look)
    return Picture(WIDTH, bottom + 18, tuple(parts))


def _frame(axis: Axis, most: float, bottom: float, look: Theme) -> Iterator[str]:
    """Ticks and lines of a plot over time."""
    for at in axis.ticks():
        yield text(axis.x(at), bottom + 14, axis.say(at), font_size=10, fill=look.quiet, text_anchor="middle")
    step = max(1, round(most / 4))
    for level in range(0, int(most) + 1, step):
        y = bottom - level * HEIGHT / most
        yield path([f"M{num(axis.left)},{num(y)}h{num(axis.width)}"], stroke=look.border, stroke_width=0.5)
        yield text(axis.left - 6, y + 3.5, str(level), font_size=10, fill=look.quiet, text_anchor="end")


def _phases(labels: Sequence[str], parts: dict[str, list[float]], look: Theme, colours: Sequence[str]) -> Picture:
    total = np.sum([parts[part] for part in PARTS], axis=0) if labels else np.zeros(0)
    if not total.any():
        return Picture(0, 0, ())
    axis = Axis(NAMES, WIDTH - NAMES, float(total.max()), has_seconds=True)
    drawn = [_head("a task of each kind: planned above, actual below", look)]
    for i, total_here in enumerate(total.tolist()):
        kind, actual = divmod(i, 2)
        y = 24 + kind * (BAR + 8) + actual * BAR / 2
        if not actual:
            drawn.append(
                text(NAMES - 8, y + BAR / 2 + 4, labels[kind], font_size=11, fill=look.text, text_anchor="end")
            )
        x = axis.left
        for part, colour in zip(PARTS, colours, strict=True):
            width = parts[part][i] * axis.width / axis.span
            if width >= 0.3:
                said = f"{labels[kind]}, {'actual' if actual else 'planned'}: {part} {seconds(parts[part][i])}"
                drawn.append(rect(x, y, width, BAR / 2 - 1, said, fill=colour, fill_opacity=1 if actual else 0.55))
            x += width
        if actual and total_here > 0:
            drawn.append(text(x + 5, y + 8, seconds(total_here), font_size=9, fill=look.quiet))
    bottom = 24 + len(labels) * (BAR + 8)
    shown = [(part, colour) for part, colour in zip(PARTS, colours, strict=True) if any(parts[part])]
    drawn += [f'<g transform="translate(0,{num(bottom)})">', *_key(shown, WIDTH, look), "</g>"]
    return Picture(WIDTH + 40, bottom + 16, tuple(drawn))


def _key(items: Sequence[tuple[str, str]], right: float, look: Theme) -> Iterator[str]:
    """What the colours mean, set against the right edge."""
    x = right - sum(text_width(words, 10) + 24 for words, _ in items)
    for words, colour in items:
        yield rect(x, 3, 9, 9, fill=colour)
        yield text(x + 13, 11, words, font_size=10, fill=look.quiet)
        x += text_width(words, 10) + 24
