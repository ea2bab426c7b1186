"""Every third request of a worker is sent twice: at once, or after the next one. Nothing happens twice."""

from __future__ import annotations

import itertools

import pytest

from tests.chaos.relay import Harm, relay
from tests.chaos.spree import SOUND, Verdict, audit, siege

pytestmark = pytest.mark.chaos


def fault(seed: int) -> Verdict:
    """In turn, the second answer is used, and the repetition comes too late."""
    count = itertools.count(seed)

    def judge(request: bytes) -> Harm:
        if b"EVALSHA" not in request[:30]:
            return Harm.NONE
        return {0: Harm.TWICE, 3: Harm.LATE}.get(next(count) % 6, Harm.NONE)

    with relay() as between, siege(seed, redis=between.url) as found:
        between.judge = judge
        while found.go_on(0.5):
            pass
        between.judge = lambda _: Harm.NONE
        assert min(between.done[Harm.TWICE], between.done[Harm.LATE]) > 100
        return audit(found)


def test_every_third_request_twice():
    assert fault(1) == SOUND
