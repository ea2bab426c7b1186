"""The supervisor is killed, and takes Redis and the workers along: the next one takes the run up."""

from __future__ import annotations

import pytest

from dagnb.runtime import requests
from tests.chaos.spree import SOUND, Siege, Verdict, audit, besieged, siege

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


def test_a_request_that_went_with_the_supervisor_is_made_again_at_once(monkeypatch):
    """Redis may hand it to the connection of the dead one, before it notices."""
    monkeypatch.setattr(requests, "REPEAT", 1e9)
    with siege(2, tasks=400) as found:
        found.under_way()
        for _ in range(2):
            found.kill("supervisor")
            assert found.run.id in found.pool.status().runs or not found.go_on(0)
        while found.go_on(0.5):
            pass
        assert audit(found) == SOUND
