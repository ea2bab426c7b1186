"""How far a run may be from its estimates: noise of each task, and what all tasks of a run have in common.

A wide graph averages the noise of its tasks away, so that an interval from noise alone would be far too narrow. Three
things do not average: the machine is busy today, a function is slow today (its data, its server), and what was learnt
from few samples is wrong by some factor. All are factors on the durations:

    duration = mean · ratio · exp(drift)      ratio: of each task, drawn from measured ÷ predicted
                                              drift: of each function and run, a part of it common to all functions

Variances of few samples are drawn towards a prior (`PRIOR`), and the factor of a run follows Student's t: with three
runs nobody knows the spread between runs better than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .regression import Law

Floats = NDArray[np.float64]

#: Standard deviations (of logarithms) that are assumed before anything was measured, each counted as one sample:
#: of tasks about their prediction, and of runs about each other.
PRIOR_NOISE, PRIOR_DRIFT = 0.05, 0.01

#: The part of the drift's variance that all functions of a run share.
SHARED = 0.5

#: Calls of one run that tell what they have in common.
TELLING = 4

#: Draws of Student's t beyond this are taken for it: with few degrees of freedom it has no bounds.
FURTHEST = 6.0


@dataclass(frozen=True, eq=False, slots=True)
class Noise:
    """Of one function.

    ratios     measured ÷ predicted, mean 1
    smooth     standard deviation of a log-normal factor on a ratio: what few samples have not shown
    drift      standard deviation of the logarithm of the factor of a run
    freedom    degrees of freedom of that
    doubt      standard deviation of the logarithm of a factor that all functions of a run share: what the simulator is
               off, and what nobody knows about memory
    """

    ratios: Floats
    smooth: float
    drift: float
    freedom: float
    doubt: float = 0.0

    def quantile(self, level: float) -> float:
        """About the quantile of the factor of one task in one run."""
        own = np.log(np.maximum(self.ratios, 1e-9))
        middle = float(np.quantile(self.ratios, level))
        width = float(np.sqrt(self.smooth**2 + self.drift**2 + self.doubt**2))
        if width <= 0 or level == 0.5:
            return middle
        # the quantile of a mixture: ratios, each blurred by the same normal, on a small fixed grid
        grid = np.exp(own[:, None] + width * _NORMAL[None, :]).ravel()
        return float(np.quantile(grid, level))


#: Quantiles of the standard normal distribution at 5, 15, … 95 %.
_NORMAL = np.array([-1.6449, -1.0364, -0.6745, -0.3853, -0.1257, 0.1257, 0.3853, 0.6745, 1.0364, 1.6449])


@dataclass(frozen=True, eq=False, slots=True)
class Spread:
    """Of all tasks of a graph.

    group    [n] index into `noises`, -1 for a task whose duration is taken as certain
    noises   one for each function
    inputs   [n] standard deviation of the logarithm that comes from not knowing how large inputs will be, or None
    learnt   [n] the same from not knowing how large they are in the mean, which all tasks of a run share, or None
    """

    group: NDArray[np.int32]
    noises: tuple[Noise, ...]
    inputs: Floats | None = None
    learnt: Floats | None = None

    def draw(self, chance: np.random.Generator) -> Floats:
        """[n] factors on the means: one run that could be."""
        factors = np.ones(len(self.group))
        common, doubt = chance.standard_normal(2).tolist()
        for number, noise in enumerate(self.noises):
            mine = np.flatnonzero(self.group == number)
            of_run = _drift(noise, common, chance) * np.exp(noise.doubt * doubt)
            factors[mine] = self._ratios(noise, len(mine), chance) * of_run
        if self.inputs is not None:
            factors *= np.exp(self.inputs * chance.standard_normal(len(factors)) - self.inputs**2 / 2)
        if self.learnt is not None:
            factors *= np.exp(self.learnt * chance.standard_normal() - self.learnt**2 / 2)
        return factors

    def _ratios(self, noise: Noise, n: int, chance: np.random.Generator) -> Floats:
        drawn = noise.ratios[chance.integers(len(noise.ratios), size=n)]
        if noise.smooth > 0:
            drawn = drawn * np.exp(noise.smooth * chance.standard_normal(n) - noise.smooth**2 / 2)
        return drawn


def _drift(noise: Noise, common: float, chance: np.random.Generator) -> float:
    """The factor of one run on one function."""
    normal = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * chance.standard_normal()
    student = normal / np.sqrt(chance.chisquare(noise.freedom) / noise.freedom)
    return float(np.exp(noise.drift * np.clip(student, -FURTHEST, FURTHEST)))


def noise_of(law: Law, of_run: NDArray[np.int64], runs: Floats, counts: Floats, inputs: Floats) -> Noise:
    """The noise of a function.

    law       with the ratios of its samples
    of_run    [samples] number of the run of each
    runs      [m] mean of measured ÷ predicted of each run that it was learnt from
    counts    [m] how many calls that is the mean of
    inputs    bytes for which it will be asked
    """
    ratios = _within(law.ratios, of_run)
    seen, n = float(np.log(np.maximum(ratios, 1e-6)).var()), len(ratios)
    noise = (PRIOR_NOISE**2 + n * seen) / n if n > 1 else PRIOR_NOISE**2  # one sample of the prior, n - 1 of our own
    between, freedom = _between(runs, counts, noise)
    unsure = noise * law.leverage(inputs) / max(float(counts.sum()), 1.0)
    drift = np.sqrt(between * (1 + 1 / max(len(runs), 1)) + unsure)
    wide = noise * (1 + 1 / (n - 1 if n > 1 else 1)) ** 2  # about Student's t for the next call
    return Noise(ratios, float(np.sqrt(max(wide - seen, 0.0))), float(drift), freedom)


def _within(ratios: Floats, of_run: NDArray[np.int64]) -> Floats:
    """The ratios without what the calls of a run have in common, where a run has enough of them to tell; mean 1."""
    if len(ratios) != len(of_run):
        return ratios
    found = ratios.copy()
    for run in np.unique(of_run).tolist():
        mine = of_run == run
        if mine.sum() >= TELLING and found[mine].mean() > 0:
            found[mine] /= found[mine].mean()
    found /= found.mean()
    return found


def _between(runs: Floats, counts: Floats, noise: float) -> tuple[float, float]:
    """Variance of the logarithm of what a whole run has in common, and its degrees of freedom."""
    good = runs > 0
    m = int(good.sum())
    if m < 2:
        return PRIOR_DRIFT**2, 1.0
    chance = noise * float(np.mean(1 / np.maximum(counts[good], 1)))
    seen = max(float(np.log(runs[good]).var(ddof=1)) - chance, 0.0)
    return (PRIOR_DRIFT**2 + (m - 1) * seen) / m, float(m)
