"""Numbers as people read them: times, sizes, ratios, counts. `js/format.ts` says the same in the browser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def seconds(value: float) -> str:
    """`0.4 ms`, `41 s`, `2 min 5 s`, `3 h 20 min`: two digits, or whole numbers; `–` for a time that is not known."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0 s"
    for above, factor, unit in ((99.5, 0, ""), (0.9995, 1, "s"), (0.9995e-3, 1e3, "ms"), (0.0, 1e6, "µs")):
        if size >= above and factor:
            return f"{digits(value * factor)} {unit}"
        if size >= above:
            break
    said = _pair(size, "min", "s") if size < 3599.5 else _pair(size / 60, "h", "min")
    return f"−{said}" if value < 0 else said


def _pair(value: float, large: str, small: str) -> str:
    whole, rest = divmod(round(value), 60)
    return f"{whole:,} {large} {rest} {small}" if rest else f"{whole:,} {large}"


def more(value: float) -> str:
    """`+0.4 s`, `−20 ms`: a difference."""
    return ("+" if value >= 0 else "−") + seconds(abs(value))


def byte_count(value: float) -> str:
    """`812 B`, `48 MB`: decimal units, as disks and networks count."""
    if not math.isfinite(value):
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 999.5:
            return f"{digits(value) if unit != 'B' else round(value)} {unit}"
        value /= 1000
    return f"{digits(value)} TB"


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
    return f"{value:.0f}" if abs(value) >= 99.5 or value == 0 else f"{float(f'{value:.2g}'):g}"


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
