"""Redis is killed three times in a run: it comes back with what it had answered."""

from __future__ import annotations

import pytest

from tests.chaos.spree import SOUND, Siege, Verdict, besieged

pytestmark = pytest.mark.chaos

TIMES = 3


def fault(seed: int) -> Verdict:
    """Redis dies at three times that chance chooses."""

    def strike(found: Siege) -> None:
        if found.strikes < TIMES:
            found.kill("redis")

    return besieged(seed, 0.7, strike, least=TIMES)


def test_sigkill_of_redis_three_times():
    assert fault(1) == SOUND
