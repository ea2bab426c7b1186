"""Numbers as sentences say them: times, sizes, ratios. For texts of this room; pictures have words of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def seconds(value: float) -> str:
    """`0.4 ms`, `1.2 s`, `41 s`, `2 min 5 s`, `3 h 20 min`; `–` for a time that is not known."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size < 0.0005:
        return f"{digits(value * 1e6)} µs" if size >= 5e-7 else "0 s"
    if size < 0.9995:
        return f"{digits(value * 1e3)} ms"
    if size < 99.5:
        return f"{digits(value)} s"
    sign, (whole, rest) = "−" if value < 0 else "", divmod(round(size), 60)
    if whole < 60:
        return f"{sign}{whole} min {rest} s"
    whole, rest = divmod(round(size / 60), 60)
    return f"{sign}{whole:,} h {rest} min"


def more(value: float) -> str:
    """`+0.4 s`, `−20 ms`: a difference."""
    return ("+" if value >= 0 else "−") + seconds(abs(value))


def size(value: float) -> str:
    """`8 B`, `1.2 MB`, `3 GB`."""
    if not math.isfinite(value):
        return "–"
    for above, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= above * 0.9995:
            return f"{digits(value / above)} {unit}"
    return f"{value:.0f} B"


def times(ratio: float) -> str:
    """`2.1×`, `0.48×`."""
    return f"{digits(ratio)}×"


def percent(share: float) -> str:
    """`+52 %`, `−3 %`: a signed share, as a difference."""
    return f"{'+' if share >= 0 else '−'}{abs(share):.0%}".replace("%", " %")


def grew(ratio: float) -> str:
    """`doubled`, `halved`, `are 3.4× as large`: what became of inputs."""
    if 1.85 <= ratio <= 2.15:
        return "doubled"
    if 0.465 <= ratio <= 0.54:
        return "halved"
    return f"are {times(ratio)} as large"


def digits(value: float) -> str:
    """Two digits, or whole numbers from 100 on; no trailing zeros."""
    return f"{value:,.0f}" if abs(value) >= 99.5 or value == 0 else f"{float(f'{value:.2g}'):g}"


def plural(count: int, word: str) -> str:
    """`1 task`, `10,000 tasks`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def several(names: Sequence[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b, c and 4 more`."""
    if len(names) <= 1:
        return "".join(names)
    if len(names) <= most:
        return ", ".join(names[:-1]) + f" and {names[-1]}"
    return ", ".join(names[:most]) + f" and {len(names) - most} more"
