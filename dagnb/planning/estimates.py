"""Estimates: how long each task takes and how large its output is, how sure that is, and how we know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.errors import OptionError

if TYPE_CHECKING:
    from .cluster import WorkerSpec
    from .spread import Spread

Floats = NDArray[np.float64]

#: The 90 % quantile of the standard normal distribution.
Z90 = 1.2815515655446004

#: Where a number came from: measured in past runs, said by the user, or nobody knows.
PAST, DECLARED, NEUTRAL = "past", "declared", "neutral"


@dataclass(frozen=True, eq=False)
class Estimates:
    """Per task; all arrays [n] and read-only.

    mean, p50, p90    duration on a worker of speed 1: seconds, or task units where `has_seconds` is False
    size              bytes of the output; 0 where nobody knows, so that no transfer is invented
    source            "past", "declared" or "neutral", of the duration
    has_seconds       whether durations are seconds; False as soon as one is a guess
    reference         bytes of memory at which the durations hold
    share, exponent   t(memory) = duration · (1 − share + share · (reference / memory)^exponent)
    spread            how far a run may be from `mean`; None: each task for itself, through `p50` and `p90`
    methods           for each kind of estimate that occurs in `how`: "mean of 48 calls", "declared", …
    how               [n] index into `methods`
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
    spread: Spread | None = None
    methods: tuple[str, ...] = ()
    how: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.mean)

    @classmethod
    def of(cls, duration: Floats, size: Floats | None = None) -> Estimates:
        """Estimates that are certain: from a trace, a test, or the measured durations of a run (seconds, bytes)."""
        mean = np.array(duration, np.float64)
        known = np.zeros(len(mean)) if size is None else np.array(size, np.float64)
        refuse("duration", mean)
        refuse("size", known)
        for column in (mean, known):
            column.flags.writeable = False
        return cls(mean, mean, mean, known, (DECLARED,) * len(mean), has_seconds=True)

    def on(self, spec: WorkerSpec) -> Floats:
        """[n] durations on a worker of this speed and memory."""
        factor = 1 - self.share + self.share * (self.reference / spec.memory) ** self.exponent
        return self.mean * (factor / spec.speed)

    def draw(self, chance: np.random.Generator) -> Floats:
        """[n] durations of one run that could be: noise of the tasks, and what all tasks of a run have in common.

        Without a spread each task is log-normal through its median and its 90 % quantile.
        """
        if self.spread is not None:
            return self.mean * self.spread.draw(chance)
        known = self.p50 > 0
        deviation = np.zeros(len(self))
        deviation[known] = np.log(np.maximum(self.p90[known] / self.p50[known], 1.0)) / Z90
        return self.p50 * np.exp(deviation * chance.standard_normal(len(self)))

    def origin(self, task: int) -> str:
        """In words where the duration of a task comes from: "past: mean of 48 calls", "declared", "neutral"."""
        source = self.source[task]
        return f"{source}: {self.methods[self.how[task]]}" if source == PAST and self.how is not None else source

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over all numbers: which estimates a plan was made with."""
        digest = hashlib.sha256(b"seconds" if self.has_seconds else b"units")
        columns = (self.mean, self.p50, self.p90, self.size, self.reference, self.share, self.exponent)
        for column in columns:
            numbers = np.ascontiguousarray(column, np.float64).reshape(-1)
            same = len(numbers) > 1 and (numbers == numbers[0]).all()  # nobody knows anything: one number says it
            digest.update(b"%d:%b" % (len(numbers), numbers[:1].tobytes() if same else numbers.tobytes()))
        return digest.hexdigest()[:16]


def refuse(what: str, values: Floats, keys: Sequence[str] = ()) -> None:
    """OptionError, which is a ValueError, for values that no schedule can be made of; names the first task."""
    wrong = np.flatnonzero(~np.isfinite(values) | (values < 0))
    if len(wrong):
        whose = f" for {keys[wrong[0]]!r}" if keys else ""
        raise OptionError(
            f"a {what} of {values[wrong[0]]}{whose} cannot be planned with\n  give a finite number, 0 or more"
        )
