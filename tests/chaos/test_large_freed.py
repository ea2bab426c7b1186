"""Large values that go with the commit of their last reader, when that reader dies at its commit.

A commit that never arrived frees nothing: the reader runs again, and finds its input. One that arrived counts, although
its worker never heard of it: the input may be gone, and what the reader returned, a part of it, must not need it.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chaos.relay import Harm, relay, words_of
from tests.chaos.spree import SOUND, audit, siege
from tests.runtime.dags import Sketch
from tests.runtime.test_annotations import planned

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

pytestmark = pytest.mark.chaos


def made(seconds: float) -> Any:
    """A megabyte, after a while."""
    import numpy as np

    time.sleep(seconds)
    return np.arange(131_072.0)


def part(path: str, x: Any) -> Any:
    """A part of its input, which is too large to travel with a claim, and still looks at it."""
    with Path(path).open("a") as file:
        file.write("x")
    return x[1000:101_000]


def reached(x: Any) -> float:
    """What is made of a part."""
    return float(x.sum())


def alternating(graph: TaskGraph) -> Plan:
    """Producer, reader of its value, reader of the part: each in another process than its input."""
    return planned(graph, [0, 1, 0], {}, workers=2)


@pytest.mark.parametrize("memory", [True, False], ids=["in files", "in Redis"])
@pytest.mark.parametrize(("harm", "times"), [(Harm.LOST, 2), (Harm.DEAF, 1)], ids=["never arrived", "arrived"])
def test_a_reader_dies_at_its_commit(monkeypatch, tmp_path, memory, harm, times):
    if not memory:
        monkeypatch.setenv("DAGNB_ARENA", "")
    path = str(tmp_path / "ran")
    sketch = Sketch()
    sketch(reached, sketch(part, path, sketch(made, 0.5)))
    with relay() as between, siege(1, sketch=sketch, plan=alternating, kept=(), redis=between.url) as found:
        victim = found.workers()[1]

        def commits(request: bytes) -> bool:
            words = words_of(request) if b"EVALSHA" in request[:30] else []
            return bool(words) and int(words[5]) == victim.slot and int(words[10]) > 0

        def kill(_: bytes) -> None:
            between.judge = lambda _: Harm.NONE
            os.kill(victim.pid, signal.SIGKILL)

        def judge(request: bytes) -> Harm:
            if not commits(request):
                return Harm.NONE
            if harm is Harm.LOST:
                kill(request)
            return harm

        between.judge, between.applied = judge, kill
        while found.go_on(0.3):
            pass
        assert between.done[harm] == 1
        assert Path(path).read_text() == "x" * times
        assert audit(found) == SOUND
        assert found.pool.status().deaths == 1
