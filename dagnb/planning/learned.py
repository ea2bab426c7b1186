"""What the history says of one function: a law for its seconds, one for its output, its noise, and what memory does.

A function that ran on workers of several sizes follows t(memory) = t · (1 − share + share · (reference / memory)^e),
fitted over the sizes; all samples are first brought to the reference by it. One that was seen at one size only follows
the prior (share 1, e = 0.3) where a cluster has several sizes, and is the more uncertain for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .regression import Law, choose, tame
from .spread import Noise, noise_of

if TYPE_CHECKING:
    from dagnb.trace.samples import Record

Floats = NDArray[np.float64]

#: What more memory is believed to do before two sizes were seen, and how unsure that exponent is.
PRIOR_EXPONENT, PRIOR_DOUBT = 0.3, 0.2

#: Exponents that are tried; the first that fits best is taken.
EXPONENTS = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0)

#: Sizes of memory closer than this factor are one.
SAME = 1.05


@dataclass(frozen=True, eq=False, slots=True)
class Learned:
    """Of one function, at a reference size of memory.

    seconds           law of its duration from bytes taken
    output            law of bytes given from bytes taken
    samples           calls that it was learnt from, over all runs kept
    share, exponent   what memory does
    memory            the one size that was seen, or the reference where there were several
    """

    seconds: Law
    output: Law
    samples: int
    share: float
    exponent: float
    memory: float
    _of_run: NDArray[np.int64]
    _runs: Floats
    _counts: Floats

    def noise(self, inputs: Floats, doubt: float = 0.0) -> Noise:
        """Its noise when it is asked for these bytes; `doubt` is a further deviation that a run has in common."""
        found = noise_of(self.seconds, self._of_run, self._runs, self._counts, inputs)
        return replace(found, doubt=doubt)


def learn(records: Sequence[Record], reference: float, cpus: float) -> Learned | None:
    """What the records of one function say for workers of `reference` bytes of memory; None when they say nothing.

    Records of workers with as many `cpus` count alone, if there are any.
    """
    same = [r for r in records if r.resources.cpus == cpus] or list(records)
    same = [r for r in same if len(r.samples) and len(r.runs)]
    if not same:
        return None
    sizes = [r.resources.memory for r in same]
    law_of_memory = memory_law(sizes, [_mean(r) for r in same], [float(r.runs["count"].sum()) for r in same])
    share, exponent = moved(law_of_memory, max(sizes), reference) if law_of_memory else (0.0, 0.0)
    scale = [1 / factor(share, exponent, reference, size) for size in sizes]
    samples = np.concatenate([r.samples for r in same])
    seconds = np.concatenate([r.samples["seconds"] * k for r, k in zip(same, scale, strict=True)])
    law = choose(samples["taken"], seconds)
    runs = _of_runs(same, scale)
    if law.method == "mean" and tame(seconds) is seconds:  # the runs know it better than the samples that were kept
        law = replace(law, a=float(np.average(runs["mean"], weights=np.minimum(runs["count"], EQUAL))))
    ratios, counts = _ratios_of_runs(law, runs, samples, seconds)
    output = choose(samples["taken"], samples["given"])
    total = int(runs["count"].sum())
    memory = reference if law_of_memory else sizes[-1]
    return Learned(law, output, total, share, exponent, memory, samples["run"], ratios, counts)


#: Calls of one run from which it weighs as much as any other in the mean.
EQUAL = 16


def factor(share: float, exponent: float, reference: float, memory: float) -> float:
    """Duration with `memory` ÷ duration with `reference`."""
    return float(1 - share + share * (reference / memory) ** exponent)


def moved(law: tuple[float, float], old: float, new: float) -> tuple[float, float]:
    """The same law of memory told from another reference."""
    share, exponent = law
    return share * (old / new) ** exponent / factor(share, exponent, old, new), exponent


def memory_law(sizes: Sequence[float], means: Sequence[float], weights: Sequence[float]) -> tuple[float, float] | None:
    """(share, exponent) from the mean seconds and the calls at each size, told from the largest size as reference.

    None where only one size was seen. Least squares in parts of the means, share within 0 … 1, over a few exponents.
    """
    memory, mean, weight = (np.array(column, np.float64) for column in (sizes, means, weights))
    if memory.max() < SAME * memory.min() or not (mean > 0).all():
        return None
    best, error = (0.0, EXPONENTS[0]), float("inf")
    for e in EXPONENTS:
        shape = (memory.max() / memory) ** e - 1  # t = base · (1 + share · shape)
        base, slope = _through(shape, mean, weight)
        share = min(max(slope / base, 0.0), 1.0) if base > 0 else 1.0
        form = (1 + share * shape) / mean
        base = float((weight @ form) / (weight @ form**2))
        found = float(weight @ (base * form - 1) ** 2 / weight.sum())
        if found < error - 1e-6:
            best, error = (share, e), found
    return best


def _through(x: Floats, y: Floats, weight: Floats) -> tuple[float, float]:
    """(a, b) of y = a + b · x by weighted least squares in parts of y."""
    w = weight / y**2
    total, mean_x, mean_y = w.sum(), (w @ x) / w.sum(), (w @ y) / w.sum()
    about = float(w @ (x - mean_x) ** 2)
    b = float(w @ ((x - mean_x) * (y - mean_y))) / about if about > 0 and total > 0 else 0.0
    return float(mean_y - b * mean_x), b


def _mean(record: Record) -> float:
    return float(np.average(record.runs["mean"], weights=record.runs["count"]))


def _of_runs(records: Sequence[Record], scale: Sequence[float]) -> NDArray[np.void]:
    """The runs of all records whose calls are still there, at the reference."""
    found = []
    for record, k in zip(records, scale, strict=True):
        runs = record.runs[np.isin(record.runs["run"], record.samples["run"])].copy()
        runs["mean"] *= k
        runs["variance"] *= k * k
        found.append(runs)
    joined: NDArray[np.void] = np.concatenate(found)
    return joined


def _ratios_of_runs(
    law: Law, runs: NDArray[np.void], samples: NDArray[np.void], seconds: Floats
) -> tuple[Floats, Floats]:
    """Measured ÷ predicted of each run, and of how many calls."""
    if not law.by_size:
        return runs["mean"] / law.a if law.a > 0 else np.zeros(len(runs)), runs["count"]
    predicted = np.maximum(law.many(samples["taken"]), 1e-12)
    numbers, index = np.unique(samples["run"], return_inverse=True)
    counts: Any = np.bincount(index, minlength=len(numbers))
    return np.bincount(index, weights=seconds / predicted) / counts, counts.astype(np.float64)
