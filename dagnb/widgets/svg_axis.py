"""Where things are in a Gantt chart: the axis of time, the rows of workers, the strips inside a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dagnb.planning.words import digits, seconds

from .svg import num

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.trace.timeline import Timeline

    Ints = NDArray[np.int64]

#: x, y, width, height
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """Time to pixels: `left` at 0, `width` pixels for `span`; in seconds, or in task units. All ends at `last`."""

    left: float
    width: float
    last: float
    has_seconds: bool

    @property
    def span(self) -> float:
        """What the width stands for: a little more than has happened."""
        return self.last * 1.02

    def x(self, at: float) -> float:
        """Where a moment is."""
        return self.left + self.width * at / self.span

    def say(self, at: float) -> str:
        """A moment in words."""
        if self.has_seconds and at in (60, 90):
            return "1 min" if at == 60 else "1 min 30 s"  # beside "2 min", not "90 s"
        return seconds(at) if self.has_seconds else digits(at)

    def ticks(self) -> list[float]:
        """Round moments, about one in 110 pixels."""
        rough = self.span / max(2, self.width / 110)
        power = 10.0 ** math.floor(math.log10(rough))
        steps: tuple[int, ...] = (1, 2, 5, 10)
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

    def of(self, worker: NDArray[np.int32]) -> Ints:
        """The row of each worker."""
        return worker.astype(np.int64) * self.rows // self.workers


@dataclass(frozen=True, slots=True)
class Track:
    """A strip inside every row: the bars of one timeline."""

    timeline: Timeline
    top: float
    height: float
    ghost: bool


def ran(timeline: Timeline) -> NDArray[np.bool_]:
    """[n] what a worker has begun."""
    found: NDArray[np.bool_] = ~np.isnan(timeline.start) & (timeline.worker >= 0)
    return found


def last_moment(timeline: Timeline) -> float:
    """The last moment that is known; never 0."""
    moments = np.concatenate([timeline.start, timeline.end, timeline.asides["at"]])
    return max(float(np.nanmax(moments)), 1e-9)


def outline(box: Box) -> str:
    """A box as a closed path."""
    x, y, w, h = box
    return f"M{num(x)},{num(y)}h{num(w)}v{num(h)}h{num(-w)}z"
