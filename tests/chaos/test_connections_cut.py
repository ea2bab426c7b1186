"""Connections end at random: requests are swallowed whole or by half, so are answers. The same for all who talk."""

from __future__ import annotations

import random

import pytest

from tests.chaos.relay import Harm, cutting, relay
from tests.chaos.spree import SOUND, Verdict, audit, siege
from tests.chaos.work import nap
from tests.runtime.dags import Sketch

pytestmark = pytest.mark.chaos


def fault(seed: int) -> Verdict:
    """One request of forty ends its connection."""
    with relay() as between, siege(seed, redis=between.url) as found:
        between.judge = cutting(random.Random(seed), 1 / 40)
        while found.go_on(0.5):
            pass
        between.judge = lambda _: Harm.NONE
        assert min(between.done[harm] for harm in (Harm.LOST, Harm.HALF, Harm.DEAF, Harm.TORN)) > 5
        return audit(found)


def test_connections_that_end_at_random():
    assert fault(1) == SOUND


def test_a_large_kept_value_that_is_listed_twice_outlives_its_run():
    """It is listed before it is written, and off the list when it counts: the answer was lost, so it was said again."""
    sketch = Sketch()
    sketch(bytes, 300_000)
    sketch(nap, 0)
    with relay() as between:

        def judge(request: bytes) -> Harm:
            first = b":loose" in request and b"RPUSH" in request[:30] and not between.done[Harm.DEAF]
            return Harm.DEAF if first else Harm.NONE

        between.judge = judge
        with siege(1, sketch=sketch, redis=between.url) as found:
            while found.go_on(0.3):
                pass
            assert between.done[Harm.DEAF] == 1
            assert audit(found) == SOUND
