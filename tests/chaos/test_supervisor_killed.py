"""The supervisor is killed, and takes Redis and the workers along: the next one takes the run up."""

from __future__ import annotations

import pytest

from tests.chaos.spree import SOUND, Siege, Verdict, besieged

pytestmark = pytest.mark.chaos

TIMES = 2


def fault(seed: int) -> Verdict:
    """The supervisor dies twice; the kernel that waits for its run starts the next one."""

    def strike(found: Siege) -> None:
        if found.strikes < TIMES:
            found.kill("supervisor")

    return besieged(seed, 1.0, strike, least=TIMES)


def test_sigkill_of_the_supervisor():
    assert fault(1) == SOUND
