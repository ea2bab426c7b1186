"""Workers are killed while they work: every value is right, every task is told once, nothing hangs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from tests.chaos.spree import SOUND, Verdict, audit, besieged, siege
from tests.chaos.work import block, heads
from tests.runtime.dags import Sketch, free_plan, random_dag

pytestmark = pytest.mark.chaos


def fault(seed: int, every: float = 0.3) -> Verdict:
    """A worker dies every so many seconds."""
    return besieged(seed, every, lambda found: found.kill("worker"), least=int(1.5 / every))


def often(seed: int) -> Verdict:
    """A worker dies every 100 ms, which is as fast as work is committed in any case."""
    return fault(seed, 0.1)


def test_sigkill_of_workers_leaves_every_value_right():
    assert fault(1) == SOUND


def test_sigkill_of_workers_every_100_ms():
    assert often(2) == SOUND


def among_blocks(seed: int) -> Verdict:
    """The same among values that lie in files, each read by several tasks."""
    sketch = random_dag(200, seed, block, heads)
    with siege(seed, sketch=sketch, listen=False) as found:
        while found.go_on(0.4):
            found.kill("worker")
        return audit(found)


def test_sigkill_among_large_values():
    assert among_blocks(5) == SOUND


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


def once(path: str, x: int) -> int:
    """Kills its worker the first time it runs."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x + 1


def test_only_what_was_lost_runs_again(pool, tmp_path):
    """A chain with one death in it: what was committed before is not repeated."""
    sketch = Sketch()
    trace = str(tmp_path / "trace")
    value = sketch(note, trace, 0)
    for i in range(1, 6):
        value = sketch(note, trace, i, value)
    value = sketch(once, str(tmp_path / "died"), value)
    graph = sketch.graph()
    begun = start(graph, free_plan(graph, 2), pool).wait(20)
    assert begun.state == "done"
    assert begun.result(value) == 6
    ran = Path(trace).read_text().split()
    assert ran == [str(i) for i in range(6)]


def note(path: str, number: int, *_: int) -> int:
    with Path(path).open("a") as file:
        file.write(f"{number}\n")
    time.sleep(0.03)  # longer than what stays uncommitted
    return number
