"""Two things break at once."""

from __future__ import annotations

import pytest

from tests.chaos.spree import SOUND, Siege, Verdict, besieged

pytestmark = pytest.mark.chaos

PAIRS = [("redis", "worker"), ("supervisor", "worker")]


def fault(seed: int, pair: tuple[str, ...] | None = None) -> Verdict:
    """Both are killed within a millisecond, twice."""
    both = pair or PAIRS[seed % len(PAIRS)]

    def strike(found: Siege) -> None:
        if found.strikes < 4:
            found.kill(*both)

    return besieged(seed, 1.0, strike, least=2, tasks=1_000)


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_two_deaths_at_once(pair):
    assert fault(1, pair) == SOUND
