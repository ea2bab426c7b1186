"""Names and header lines as people read them; numbers are said by `dagnb.planning.words`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from dagnb.planning.words import plural, seconds
from dagnb.trace.events import TaskState

from .theme import BY_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

#: What no XML document may hold: control characters, lone surrogates and the two non-characters.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

#: Characters that turn the direction of what follows: a name must not rearrange the text around it.
_TURNING = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_THIN, _WIDE = frozenset("ijl.,:;|!'()[]tfrI "), frozenset("mwMW@%")


def clean(text: str, most: int = 200) -> str:
    """A user's text on one line, without what may not stand in XML, cut to `most` characters."""
    flat = " ".join(_TURNING.sub("", _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text[: 4 * most])).split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def text_width(text: str, size: float) -> float:
    """About how wide `text` is in a sans-serif font of `size` pixels; nothing here can measure."""
    return size * sum(map(_em, text))


def _em(c: str) -> float:
    if c in _THIN:
        return 0.32
    if c in _WIDE:
        return 0.87
    return 1.0 if ord(c) > 0x2E80 else 0.67 if c.isupper() else 0.57


def shorten(text: str, room: float, size: float = 12) -> str:
    """`text` in `room` pixels. The middle is cut out: the ends of names are what tells tasks apart."""
    text = clean(text)
    if text_width(text, size) <= room:
        return text
    for keep in range(len(text) - 1, 1, -1):
        tail = min(keep // 2, 12)
        cut = text[: keep - tail].rstrip(" _-.") + "…" + text[-tail:].lstrip(" _-.")
        if text_width(cut, size) <= room:
            return cut
    return text[:1] + "…"


def between(low: float, high: float) -> str:
    """`(36–52)` where both have the unit of what stands before it, else `(50 s – 2 min)`."""
    words, more = seconds(low), seconds(high)
    unit = more.rpartition(" ")[2]
    if words.count(" ") == more.count(" ") == 1 and words.endswith(f" {unit}"):
        return f"({words.partition(' ')[0]}–{more.partition(' ')[0]})"
    return f"({words} – {more})"


def state_counts(states: NDArray[np.integer] | None) -> dict[TaskState, int]:
    """How many tasks are in each state that occurs, what matters most first."""
    if states is None:
        return {}
    counts = np.bincount(states, minlength=len(TaskState)).tolist()
    return {state: counts[state] for state in BY_WEIGHT if counts[state]}


def said(counts: Mapping[TaskState, int]) -> str:
    """`1 failed, 3 skipped, 6 done`."""
    return ", ".join(f"{count:,} {state.name.lower()}" for state, count in counts.items())


def header_line(graph: TaskGraph, plan: Plan | None = None) -> str:
    """`etl · 10 tasks · forecast 41 s on 8 workers · best possible 34 s`; no seconds where none are known."""
    parts = [clean(graph.name, 80), plural(len(graph), "task"), *_forecast(graph, plan)]
    return " · ".join(part for part in parts if part)


def _forecast(graph: TaskGraph, plan: Plan | None) -> list[str]:
    if plan is None or plan.makespan is None or not plan.has_seconds:
        return ["no forecast yet" + (f" on {plural(len(plan.workers), 'worker')}" if plan and plan.workers else "")]
    spread = f" {between(*plan.interval)}" if plan.interval else ""
    declared = "declared " if not spread and not np.isnan(graph.duration).all() else ""
    found = [f"{declared}forecast {seconds(plan.makespan)}{spread} on {plural(len(plan.workers), 'worker')}"]
    if plan.lower_bound:
        found.append(f"best possible {seconds(plan.lower_bound)}")
    return found
