"""■ at any moment: the state at once, C code within seconds, no process of a task left, and the next run is as ever."""

from __future__ import annotations

import ctypes
import hashlib
import random
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from dagnb.graph.care import Care, careful
from dagnb.runtime.run import start
from tests.runtime.dags import Sketch, free_plan, inc, leaf, mix, run
from tests.runtime.life import until

#: Seconds from a cancel to the moment when both workers take tasks of another run.
BACK = 1.5
#: Seconds after which no process of a task is left.
GONE = 5.0


def in_python(_: str, number: int) -> int:
    time.sleep(20)
    return number


def in_a_library(_: str, number: int) -> int:
    return len(hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)) + number


def in_an_expression(_: str, number: int) -> int:
    return len(re.findall(r"(a+)+$", "a" * 40 + "b")) + number


def in_the_system(_: str, number: int) -> int:
    while True:
        ctypes.PyDLL(None).sleep(20)  # holds the interpreter's lock


def in_arrays(_: str, number: int) -> int:
    import numpy as np

    a = np.ones((3000, 3000))
    while True:
        a = a @ a / 3000


def in_a_child(folder: str, number: int) -> int:
    child = subprocess.Popen(["sleep", "100"])
    Path(folder, f"{child.pid}").touch()
    return child.wait() + number


def stubborn(_: str, number: int) -> int:
    while True:
        with suppress(BaseException):
            time.sleep(0.05)


def quick(_: str, number: int) -> int:
    return mix(number)


WAYS = [in_python, in_a_library, in_an_expression, in_the_system, in_arrays, in_a_child, stubborn, quick]


def program(folder: str, chance: random.Random) -> Sketch:
    """A few hundred tasks, some of which never end by themselves."""
    sketch = Sketch("cancelled")
    ways: list[Any] = [quick] * 30 + [chance.choice(WAYS) for _ in range(6)]
    for i in range(200):
        sketch(chance.choice(ways), folder, i)
    sketch(inc, sketch(leaf, 1))
    return sketch


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def cancel_once(pool: Any, folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    graph = program(str(folder), chance).graph()
    begun = start(graph, free_plan(graph), pool)
    time.sleep(chance.choice([0.0, 0.01, 0.1, 0.4]) * chance.random())
    before = time.monotonic()
    begun.cancel()
    assert time.monotonic() - before < 0.5
    assert begun.state in {"cancelled", "done"}
    until(lambda: both_work(pool), GONE)
    assert time.monotonic() - before < GONE
    until(lambda: not any(alive(int(child.name)) for child in folder.iterdir()), GONE)
    again = Sketch()
    refs = [again(inc, again(leaf, i)) for i in range(20)]
    done = run(again.graph(), pool)
    assert [done.result(r) for r in refs] == list(range(1, 21))


def test_the_next_run_does_not_wait_for_a_worker_that_is_held(pool):
    """A run begins with the first worker; not where that is still at a task that was cancelled."""
    pool.ensure(2)
    for roots in (1, 6):
        stuck = Sketch("stuck")
        stuck(stubborn, "", 0)
        graph = stuck.graph()
        begun = start(graph, free_plan(graph), pool)
        until(lambda: any(worker.task is not None for worker in pool.status().workers), 5.0)
        begun.cancel()
        before = time.monotonic()
        again = Sketch()
        refs = [again(inc, again(leaf, i)) for i in range(roots)]
        done = run(again.graph(), pool)
        took = time.monotonic() - before
        assert [done.result(r) for r in refs] == list(range(1, roots + 1))
        assert took < 0.8, f"{took} s: a second passes until the other one is killed"
        until(lambda: both_work(pool), GONE)


def both_work(pool: Any) -> bool:
    return all(worker.run is None for worker in pool.status().workers if worker.pid)


@pytest.mark.parametrize("seed", range(10))
def test_no_cancel_leaves_anything_behind(pool, tmp_path, seed):
    cancel_once(pool, tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 200))
def test_no_cancel_leaves_anything_behind_with_many_seeds(pool, tmp_path, seed):
    cancel_once(pool, tmp_path, seed)


@pytest.mark.parametrize("way", [in_a_library, in_the_system, stubborn])
def test_workers_are_back_soon_whatever_they_were_at(pool, tmp_path, way):
    sketch = Sketch()
    for i in range(4):
        sketch(way, str(tmp_path), i)
    graph = sketch.graph()
    begun = start(graph, free_plan(graph), pool)
    until(lambda: sum(worker.run == begun.id for worker in pool.status().workers) == 2)
    before = time.monotonic()
    begun.cancel()
    assert begun.state == "cancelled"
    seen: set[int] = set()
    while seen != {0, 1}:
        again = Sketch()
        for _ in range(4):
            again(time.sleep, 0.03)
        seen |= set(run(again.graph(), pool).timeline.worker.tolist())
        assert time.monotonic() - before < BACK + 0.2
    assert begun.wait(5).errors() == []


def test_a_cancel_is_no_try_that_failed(pool, tmp_path):
    """Also where any exception at all is named."""
    sketch = Sketch()
    care = careful(Care(retries=3, delay=0.01, on=(BaseException,)), in_python)
    care.__dict__["__name__"] = "in_python"
    sketch(care, str(tmp_path), 1)
    graph = sketch.graph()
    begun = start(graph, free_plan(graph), pool)
    until(lambda: any(worker.run == begun.id for worker in pool.status().workers))
    begun.cancel()
    assert begun.wait(5).state == "cancelled"
    assert begun.errors() == []
    assert begun.hub.store.tries(begun.id) == {}
