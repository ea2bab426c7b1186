"""The power fails: every process is gone, files in memory are, and so is the end of the history."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagnb.runtime import places
from tests.chaos.spree import SOUND, Verdict, audit, history, siege
from tests.chaos.work import block, heads
from tests.runtime.dags import random_dag

pytestmark = pytest.mark.chaos


def fault(seed: int) -> Verdict:
    """Twice; whoever asks next has the run taken up, and values that are gone are made again."""
    sketch = random_dag(600, seed, block, heads)
    with siege(seed, sketch=sketch, kept=range(0, 600, 20), listen=False) as found:
        found.under_way(30)
        for _ in range(2):
            least = history(found.directory).stat().st_size
            assert found.go_on(0.3), "it had ended before enough was broken"
            found.lose_power()
            found.cut(least)
            for place in places.listed(found.directory.path):
                for file in Path(place).glob(f"{found.run.id}.*"):
                    file.unlink()
            found.go_on(0.3)
        while found.go_on(0.5):
            pass
        return audit(found)


def test_a_lost_host_goes_on_with_the_next_attach():
    assert fault(1) == SOUND
