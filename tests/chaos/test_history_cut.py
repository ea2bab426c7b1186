"""Redis comes back in the past: the end of what it had written is gone, most often in the middle of a transaction."""

from __future__ import annotations

import pytest

from tests.chaos.spree import SOUND, Verdict, audit, history, siege

pytestmark = pytest.mark.chaos


def fault(seed: int) -> Verdict:
    """Three times, up to 0.2 s of history are lost. Who listened has heard what then never was: that is no gap."""
    with siege(seed, listen=False) as found:
        found.under_way()
        for _ in range(3):
            least = history(found.directory).stat().st_size
            assert found.go_on(0.4), "it had ended before enough was broken"
            found.go_back(least)
            found.go_on(0.5)
        while found.go_on(0.5):
            pass
        return audit(found)


def test_the_end_of_the_history_is_lost():
    assert fault(1) == SOUND
