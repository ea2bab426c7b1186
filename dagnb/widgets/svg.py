"""The few SVG elements that pictures are made of, as text, and the page around them.

Presentation attributes only: no style sheets, scripts, fonts, ids or references, so that notebooks, GitHub, nbviewer,
PDF export and image converters draw the same picture, and two pictures on one page cannot disturb each other.
All text of users goes through `escape`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape as _escape

from .theme import FONT, HOLLOW, MARKS, Theme
from .wording import clean, state_counts, text_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dagnb.trace.events import TaskState

MARGIN = 20.0


@dataclass(frozen=True, slots=True)
class Picture:
    """Part of a page: elements drawn from (0, 0), and the room they take."""

    width: float
    height: float
    parts: tuple[str, ...]

    def at(self, x: float, y: float) -> str:
        """The elements, moved to (x, y)."""
        return f'<g transform="translate({num(x)},{num(y)})">' + "".join(self.parts) + "</g>"


def escape(text: str, most: int = 200) -> str:
    """A user's text as it may stand in an element or in an attribute."""
    return _escape(clean(text, most), {'"': "&quot;", "'": "&#39;"})


def num(value: float) -> str:
    """A coordinate: tenths of a pixel, no zeros that say nothing."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def attributes(**values: str | float) -> str:
    """` stroke-width="2"` from `stroke_width=2`."""
    return "".join(
        f' {name.replace("_", "-")}="{value if isinstance(value, str) else f"{value:g}"}"'
        for name, value in values.items()
    )


def text(x: float, y: float, words: str, **look: str | float) -> str:
    """Words at (x, y), escaped."""
    return f'<text x="{num(x)}" y="{num(y)}"{attributes(**look)}>{escape(words)}</text>'


def rect(x: float, y: float, width: float, height: float, title: str = "", **look: str | float) -> str:
    """A rectangle from its top left corner; `title` is what shows under the pointer."""
    head = f'<rect x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}"{attributes(**look)}'
    return f"{head}><title>{escape(title)}</title></rect>" if title else f"{head}/>"


def path(d: Iterable[str], **look: str | float) -> str:
    """One path out of pieces; nothing where there are none."""
    line = "".join(d)
    return f'<path d="{line}"{attributes(**look)}/>' if line else ""


def glyphs(theme: Theme, state: TaskState, places: Sequence[tuple[float, float]]) -> str:
    """The shape of a state, drawn at many places."""
    strong, hollow, mark = theme.strong[state], state in HOLLOW, MARKS[state]
    r = 5.25 if hollow else 6.0
    disks = (f"M{num(x - r)},{num(y)}a{r:g},{r:g} 0 1 0 {2 * r:g},0a{r:g},{r:g} 0 1 0 {-2 * r:g},0" for x, y in places)
    found = path(disks, **({"fill": "none", "stroke": strong, "stroke_width": 1.5} if hollow else {"fill": strong}))
    if not mark:
        return found
    look: dict[str, str | float] = {"fill": "none", "stroke": theme.on_strong, "stroke_width": 1.6}
    if state.name in ("READY", "RUNNING"):  # solid marks
        look = {"fill": strong if hollow else theme.on_strong}
    marks = "".join(f'<path transform="translate({num(x)},{num(y)})" d="{mark}"/>' for x, y in places)
    return found + f'<g{attributes(**look)} stroke-linecap="round">{marks}</g>'


def legend(theme: Theme, states: NDArray[np.integer] | None, *, critical: bool = False) -> Picture:
    """What the shapes mean, with how many there are of each."""
    parts, x = [], 0.0
    for state, count in state_counts(states).items():
        words = f"{count:,} {state.name.lower()}"
        parts += [glyphs(theme, state, [(x + 6, 7)]), text(x + 17, 11, words, font_size=11, fill=theme.quiet)]
        x += 17 + text_width(words, 11) + 18
    if critical:
        parts.append(path([f"M{num(x)},7h18"], stroke=theme.critical, stroke_width=2, fill="none"))
        parts.append(text(x + 24, 11, "critical path", font_size=11, fill=theme.quiet))
        x += 24 + text_width("critical path", 11) + 18
    return Picture(max(0.0, x - 18), 14.0 if parts else 0.0, tuple(parts))


def _headline(title: str, theme: Theme) -> str:
    """The name in bold, the facts after it: one element, since nothing here can measure where the name ends."""
    name, _, facts = title.partition(" · ")
    bold = f'<tspan font-size="14" font-weight="600" fill="{theme.text}">{escape(name)}</tspan>'
    rest = f'<tspan dx="12" fill="{theme.quiet}">{escape(facts)}</tspan>' if facts else ""
    return f'<text x="{num(MARGIN)}" y="{num(MARGIN + 12)}">{bold}{rest}</text>'


def page(title: str, described: str, pictures: Sequence[Picture], theme: Theme, gap: float = 18.0) -> str:
    """A whole SVG: a title line and the pictures below one another, on a page of its own colour."""
    drawn = [picture for picture in pictures if picture.height]
    head = 28.0 if title else 0.0
    head_width = text_width(title, 14)
    width = max([320.0, head_width, *(picture.width for picture in drawn)]) + 2 * MARGIN
    height = head + sum(picture.height for picture in drawn) + gap * max(0, len(drawn) - 1) + 2 * MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family="{FONT}" font-size="12">'
        ),
        f"<title>{escape(title or 'task graph')}</title><desc>{escape(described, 2000)}</desc>",
        f'<rect width="100%" height="100%" rx="8" fill="{theme.page}"/>',
    ]
    if title:
        parts.append(_headline(title, theme))
    y = MARGIN + head
    for picture in drawn:
        parts.append(picture.at(MARGIN, y))
        y += picture.height + gap
    # Single quotes: notebooks store pictures inside JSON and `data:` addresses, where double ones cost two and three.
    return "\n".join([*parts, "</svg>"]).replace('"', "'") + "\n"
