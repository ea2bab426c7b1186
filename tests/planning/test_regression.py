"""Laws: the one that predicts best is found, and none is followed into nonsense."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dagnb.planning.regression import REACH, choose, fit

CHANCE = np.random.default_rng(1)
SIZES = np.geomspace(1e3, 1e7, 48)


def noisy(y, sigma=0.1):
    return y * np.exp(sigma * np.random.default_rng(2).standard_normal(len(y)) - sigma**2 / 2)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_a_power_is_found(exponent):
    law = choose(SIZES, noisy(1e-6 * SIZES**exponent))
    assert law.by_size
    assert law(1e5) == pytest.approx(1e-6 * 1e5**exponent, rel=0.1)
    assert law(4e7) == pytest.approx(1e-6 * 4e7**exponent, rel=0.2)  # four times beyond
    assert law(1e12) == law(SIZES.max() * REACH)  # and no further
    assert law(0.0) == law(SIZES.min() / REACH)


def test_a_constant_part_makes_a_line():
    law = choose(SIZES, noisy(0.5 + 1e-7 * SIZES, 0.02))
    assert law.method == "line"
    assert (law.a, law.b) == (pytest.approx(0.5, rel=0.05), pytest.approx(1e-7, rel=0.05))


def test_input_that_does_not_matter_is_left_out():
    y = noisy(np.full(48, 2.0), 0.5)
    law = choose(SIZES, y)
    assert law.method == "mean"
    assert law(1e9) == y.mean()


def test_a_wild_outlier_is_put_back():
    y = np.full(40, 0.02) * np.linspace(0.98, 1.02, 40)
    y[7] = 30.0
    assert choose(np.zeros(40), y)(0.0) == pytest.approx(0.02, rel=0.02)
    assert y[7] == 30.0


def test_skew_and_two_modes_are_no_outliers():
    """A median, or cutting tails off, is too short for a makespan, which adds times up."""
    for seed in range(40):
        chance = np.random.default_rng(seed)
        for y in (
            chance.lognormal(0, 0.5, 60),
            np.where(chance.random(60) < 0.2, 10.0, 1.0),
            chance.exponential(1, 60),
        ):
            assert choose(np.zeros(60), y)(0.0) == pytest.approx(y.mean())


def test_a_power_is_not_biased():
    """Least squares in logarithms predicts a median; smearing makes it a mean."""
    x = np.geomspace(1e3, 1e7, 4000)
    y = 1e-6 * x * np.random.default_rng(3).lognormal(-0.125, 0.5, 4000)  # mean of the factor is 1
    assert fit("power", x, y)(1e5) == pytest.approx(0.1, rel=0.05)
    assert np.exp(np.polyfit(np.log(x), np.log(y), 1)[1]) < 0.93e-6


def test_few_samples_are_not_asked_for_a_law():
    x = np.array([1e3, 1e4, 1e5, 1e6, 1e7])
    assert choose(x, x * 1e-6).method == "mean"
    assert choose(x[:1], x[:1]).samples == 1


def test_falling_is_never_followed():
    law = choose(SIZES, 10 / SIZES)
    assert law(1e3) >= 0
    assert not law.by_size or law(1e7) >= law(1e3)


def test_zeros_have_no_logarithm_but_lie_on_lines():
    x = np.array([0.0, 0, 10, 10, 100, 100, 1000, 1000])
    law = choose(x, 2.0 + x * 1e-3)
    assert law.method == "line"
    assert law.ratios == pytest.approx(1.0)
    assert choose(x, x * 1e-3)(500.0) == pytest.approx(0.5)
    assert choose(np.zeros(9), np.zeros(9))(5.0) == 0.0


def test_a_rare_large_input_is_no_outlier():
    x = np.array([0.0] * 60 + [1e6] * 3)
    law = choose(x, 0.02 + x * 1e-6)
    assert law.method == "line"
    assert law(1e6) == pytest.approx(1.02)


@given(
    arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1e12)), st.floats(0, 1e15), st.integers(0, 2**32 - 1)
)
def test_predictions_are_finite_and_between_what_was_seen_and_its_reach(x, asked, seed):
    y = np.random.default_rng(seed).lognormal(0, 2, len(x))
    law = choose(x, y)
    found = law(asked)
    assert np.isfinite(found)
    assert 0 <= found <= y.max() * 10 * REACH**2 + 1e-9
    assert law.many(np.array([asked]))[0] == pytest.approx(found)
    assert law.ratios.mean() == pytest.approx(1.0)
    assert law.leverage(np.array([asked])) >= 1.0
