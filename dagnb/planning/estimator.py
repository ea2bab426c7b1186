"""Estimates: how long each task takes and how large its output is, and how we know.

Two sources so far: what the user declared (`est=`, `out_size=`), else a neutral guess that invents no seconds. Past
runs join them as a third without changing who reads this.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import WorkerSpec

Floats = NDArray[np.float64]

#: The 90 % quantile of the standard normal distribution.
Z90 = 1.2815515655446004

#: Where a number came from: the user said so, or nobody did.
DECLARED, NEUTRAL = "declared", "neutral"


@dataclass(frozen=True, eq=False)
class Estimates:
    """Per task; all arrays [n] and read-only.

    mean, p50, p90    duration on a worker of speed 1: seconds, or task units where `has_seconds` is False
    size              bytes of the output; 0 where nobody knows, so that no transfer is invented
    source            "declared" or "neutral", of the duration
    has_seconds       whether durations are seconds; False as soon as one is a guess
    reference         bytes of memory at which the durations hold
    share, exponent   t(memory) = duration · (1 − share + share · (reference / memory)^exponent)
    """

    mean: Floats
    p50: Floats
    p90: Floats
    size: Floats
    source: tuple[str, ...]
    has_seconds: bool
    reference: float = 2e9
    share: float | Floats = 0.0
    exponent: float | Floats = 0.0

    def __len__(self) -> int:
        return len(self.mean)

    @classmethod
    def of(cls, duration: Floats, size: Floats | None = None) -> Estimates:
        """Estimates that are certain: from a trace, a test, or the measured durations of a run (seconds, bytes)."""
        mean = np.array(duration, np.float64)
        known = np.zeros(len(mean)) if size is None else np.array(size, np.float64)
        _refuse("duration", mean)
        _refuse("size", known)
        for column in (mean, known):
            column.flags.writeable = False
        return cls(mean, mean, mean, known, (DECLARED,) * len(mean), has_seconds=True)

    def on(self, spec: WorkerSpec) -> Floats:
        """[n] durations on a worker of this speed and memory."""
        factor = 1 - self.share + self.share * (self.reference / spec.memory) ** self.exponent
        return self.mean * (factor / spec.speed)

    def draw(self, chance: np.random.Generator) -> Floats:
        """[n] durations of one run that could be: each log-normal through its median and its 90 % quantile."""
        known = self.p50 > 0
        deviation = np.zeros(len(self))
        deviation[known] = np.log(np.maximum(self.p90[known] / self.p50[known], 1.0)) / Z90
        return self.p50 * np.exp(deviation * chance.standard_normal(len(self)))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over all numbers: which estimates a plan was made with."""
        digest = hashlib.sha256(b"seconds" if self.has_seconds else b"units")
        columns = (self.mean, self.p50, self.p90, self.size, self.reference, self.share, self.exponent)
        for column in columns:
            digest.update(np.ascontiguousarray(column, np.float64).tobytes())
        return digest.hexdigest()[:16]


def estimate(graph: TaskGraph) -> Estimates:
    """What can be said of `graph` today: declared durations and sizes, else neutral ones.

    Where every duration is declared, times are seconds. Else they are task units: a task nobody knows is 1, and a
    declared one is measured in the mean of the declared, so that their proportions stay. Raises ValueError for a
    declared number that is negative or infinite.
    """
    guess = np.asarray(graph.duration, np.float64)
    declared = ~np.isnan(guess)
    _refuse("duration", guess[declared])
    mean = np.where(declared, guess, 1.0)
    has_seconds = bool(declared.all()) and len(graph) > 0
    if not has_seconds and declared.any():
        unit = mean[declared].mean()
        mean[declared] = mean[declared] / unit if unit > 0 else 0.0
    size = np.nan_to_num(np.asarray(graph.size, np.float64), nan=0.0, posinf=np.inf)
    _refuse("size", size)
    for column in (mean, size):
        column.flags.writeable = False
    source = tuple(DECLARED if known else NEUTRAL for known in declared.tolist())
    return Estimates(mean, mean, mean, size, source, has_seconds)


def _refuse(what: str, values: Floats) -> None:
    """ValueError for values that no schedule can be made of."""
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        raise ValueError(f"a {what} of {values[wrong][0]} cannot be planned with: give a finite number, 0 or more")
