"""One number from another, learnt from few noisy samples: seconds or bytes that come out, from bytes that go in.

Three laws compete for each function, and leave-out cross-validation chooses:

    mean      the mean of the samples; not their median, which is too short for a makespan: there times are added up
    power     c · x^e, least squares in logarithms, made unbiased by the mean of the residuals (Duan 1983, Smearing
              estimate, doi 10.2307/2288126); 0 ≤ e ≤ 2
    line      a + b · x with a, b ≥ 0

The last two are tried only on `ENOUGH` samples that are correlated, and a law must beat a simpler one by `MARGIN`.
For a mean, rare and wild samples (the machine was suspended, a disk woke up) are put back to the middle: `tame`. Beyond
what was seen laws are followed up to a factor of `REACH` only; nothing is ever divided by x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Samples, and correlation of the logarithms, from which the input is believed to matter.
ENOUGH, CORRELATED = 6, 0.3

#: A law replaces a simpler one when its error (mean square, left out) is below this part of the other's.
MARGIN = 0.9

#: So many times beyond the smallest and the largest input that was seen a law is followed.
REACH = 4.0

#: Parts into which samples are cut: each is predicted from the others.
FOLDS = 8


@dataclass(frozen=True, eq=False, slots=True)
class Law:
    """A rule y = f(x), with what it was learnt from.

    method      "mean", "power", "line"
    a, b        its numbers: c and e of a power, a and b of a line; a alone of a mean
    low, high   inputs between which it was seen
    samples     how many
    ratios      [samples] measured ÷ predicted, mean 1
    centre, width   mean of ln x, and its sum of squares about it; 0 where x does not count
    """

    method: str
    a: float
    b: float = 0.0
    low: float = 0.0
    high: float = float("inf")
    samples: int = 0
    ratios: Floats = field(default_factory=lambda: np.ones(1))
    centre: float = 0.0
    width: float = 0.0

    @property
    def by_size(self) -> bool:
        """Whether the input counts."""
        return self.method in ("power", "line")

    def __call__(self, x: float) -> float:
        """The prediction for one input."""
        if not self.by_size:
            return self.a
        x = min(max(x, self.low / REACH), self.high * REACH)
        return float(self.a * x**self.b) if self.method == "power" else self.a + self.b * x

    def many(self, x: Floats) -> Floats:
        """The prediction for many inputs."""
        if not self.by_size:
            return np.full(len(x), self.a)
        x = np.clip(x, self.low / REACH, self.high * REACH)
        found: Floats = self.a * x**self.b if self.method == "power" else self.a + self.b * x
        return found

    def elasticity(self, x: Floats) -> Floats:
        """By how many percent the prediction grows when the input grows by one."""
        grown: Floats = (self.many(x * 1.01) / np.maximum(self.many(x), 1e-12) - 1) / 0.01
        return grown

    def leverage(self, x: Floats) -> float:
        """How much more uncertain than the mean of the samples the prediction for these inputs is; 1 for no more."""
        if not self.width or not len(x):
            return 1.0
        away = float(np.mean(np.log(np.clip(x, self.low / REACH, self.high * REACH)))) - self.centre
        return 1.0 + self.samples * away**2 / self.width


Fit = Callable[[Floats, Floats], tuple[float, float]]


def _mean(_: Floats, y: Floats) -> tuple[float, float]:
    return float(y.mean()), 0.0


def _power(x: Floats, y: Floats) -> tuple[float, float]:
    u, v = np.log(x), np.log(y)
    about = u - u.mean()
    spread = float(about @ about)
    e = min(max(float(about @ (v - v.mean())) / spread, 0.0), 2.0) if spread > 0 else 0.0
    rest = v - e * u
    return float(np.exp(rest.mean()) * np.exp(rest - rest.mean()).mean()), e


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    about = x - x.mean()
    spread = float(about @ about)
    b = max(float(about @ (y - y.mean())) / spread, 0.0) if spread > 0 else 0.0
    a = float(y.mean() - b * x.mean())
    if a >= 0:
        return a, b
    return 0.0, float(x @ y) / float(x @ x)


#: From the simplest to the richest.
FITS: dict[str, Fit] = {"mean": _mean, "line": _line, "power": _power}


def choose(x: Floats, y: Floats) -> Law:
    """The law of y ≥ 0 from x ≥ 0, both [n ≥ 1], that predicts best what it has not seen."""
    methods = _candidates(x, y) if len(y) >= ENOUGH else []
    best, error = "mean", _left_out("mean", x, y) if methods else 0.0
    for method in methods:
        found = _left_out(method, x, y)
        if found < MARGIN * error:
            best, error = method, found
    return fit(best, x, tame(y) if best == "mean" else y)


#: Samples from which a part of them can be called rare, that part, and how many times off the middle is wild.
MANY, RARE, WILD = 20, 0.05, 8.0


def tame(y: Floats) -> Floats:
    """The same samples, those that are rare and wild replaced by the median."""
    if len(y) < MANY:
        return y
    middle = float(np.median(y))
    usual = float(np.quantile(y, 0.9))  # where long calls are common, a few longer ones are no surprise
    wild = y > WILD * max(middle, usual)
    return np.where(wild, middle, y) if 0 < wild.mean() <= RARE else y


def fit(method: str, x: Floats, y: Floats) -> Law:
    """The law of that form."""
    a, b = FITS[method](x, y)
    law = Law(method, a, b, float(x.min()), float(x.max()))
    predicted = law.many(x)
    known = predicted > 1e-6 * predicted.max()
    ratios = y[known] / predicted[known]
    mean = float(ratios.mean()) if len(ratios) else 0.0
    ratios = ratios / mean if mean > 0 else np.ones(1)
    facts: dict[str, Any] = {}
    if law.by_size and law.low > 0:
        u = np.log(x)
        facts = {"centre": float(u.mean()), "width": float(((u - u.mean()) ** 2).sum())}
    return Law(method, a, b, law.low, law.high, len(y), ratios, **facts)


def _candidates(x: Floats, y: Floats) -> list[str]:
    """Laws by size that may be tried: a power only without zeros, which have no logarithm."""
    found = ["line"] if _correlated(x, y) else []
    if x.min() > 0 and y.min() > 0 and (u := np.log(x)).std() > 1e-3 and _correlated(u, np.log(y)):
        found += ["power"] if found else ["line", "power"]
    return found


def _correlated(x: Floats, y: Floats) -> bool:
    if x.std() <= 1e-9 * x.max(initial=1.0) or y.std() <= 1e-9 * y.max(initial=0.0):
        return False
    return bool(abs(np.corrcoef(x, y)[0, 1]) > CORRELATED)


def _left_out(method: str, x: Floats, y: Floats) -> float:
    """Mean square of the errors on samples that were left out, in parts of the mean of y."""
    scale, total = float(y.mean()) or 1.0, 0.0
    folds = np.arange(len(y)) % min(len(y), FOLDS)
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        a, b = FITS[method](x[~out], y[~out])
        law = Law(method, a, b, float(x[~out].min()), float(x[~out].max()))
        total += float((((y[out] - law.many(x[out])) / scale) ** 2).sum())
    return total / len(y)
