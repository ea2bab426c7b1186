"""What a death costs, counted: each call leaves a line in a file, so that nothing that ran can hide.

A task runs again only if its worker died before it was committed; never one that was committed, never the whole run.
"""

from __future__ import annotations

import os
import random
import signal
import struct
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dagnb.graph.graph import TaskRef
from dagnb.runtime.outbox import COMMIT, STEADY, SYNC
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, start
from dagnb.trace.events import RecordKind
from dagnb.trace.records import COMMIT as COMMITTED
from tests.chaos.work import counted, mix
from tests.runtime.dags import Sketch, free_plan

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

pytestmark = pytest.mark.chaos

#: At most so many in a run.
DEATHS = 5


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


def sketch_of(tasks: int, path: Path, seconds: float, seed: int) -> Sketch:
    """Up to three inputs each, from the fifty before."""
    chance, sketch = random.Random(seed), Sketch("counted")
    for i in range(tasks):
        inputs = chance.sample(range(max(0, i - 50), i), min(i, chance.choice([0, 1, 1, 2, 3])))
        sketch(counted, str(path), seconds, i, *map(TaskRef, inputs))
    return sketch


def begun(path: Path) -> Counter[int]:
    """Task → how often it has begun."""
    return Counter(map(int, path.read_text().split())) if path.exists() else Counter()


def committed(run: Run) -> set[int]:
    """Tasks that a worker has committed by now, from the stream of events alone."""
    said: dict[int, list[int]] = {}
    final: set[int] = set()
    batches: list = []
    run.subscribe(batches.append)()
    for batch in batches:
        told = said.setdefault(batch.worker, [])
        told += batch.records["task"][batch.records["kind"] == RecordKind.FINISHED].tolist()
        if batch.purpose == COMMITTED:
            final.update(told)
        if batch.purpose:
            said[batch.worker] = []
    return final


def owned(run: Run, slot: int) -> set[int]:
    """What Redis lists as claimed by a slot and not committed."""
    found: set[int] = set()
    prefix, ask = f"dagnb:{{{run.id}}}:", run.hub.store._call
    roots = [number for (number,) in struct.iter_unpack("<I", ask("GET", prefix + "roots") or b"")]
    for piece in ask("LRANGE", f"{prefix}own{slot}", 0, -1):
        body = piece[1:]
        if piece[:1] == b"m":
            found.update(map(int, body.split(b",")))
        elif piece[:1] == b"r":
            first, many = map(int, body.split(b":"))
            found.update(roots[first : first + many])
        else:
            found.update(number for (number,) in struct.iter_unpack("<I", body))
    return found


def followers(graph: TaskGraph, tasks: set[int]) -> set[int]:
    """These and all that follow from them."""
    start, users = graph.children
    found, todo = set(tasks), list(tasks)
    while todo:
        task = todo.pop()
        fresh = set(users[start[task] : start[task + 1]].tolist()) - found
        found |= fresh
        todo += fresh
    return found


@pytest.mark.parametrize(
    ("tasks", "seconds", "most"),
    [
        (
            400,
            0.010,
            2 + STEADY * 1e-9 / 0.010,
        ),  # the one that ran, those of a while, and one whose commit was on its way
        (6_000, 0.0004, (COMMIT + 2 * SYNC) * 1e-9 / 0.0004),  # what was not committed yet: 0.1 s of work
    ],
    ids=["10 ms", "0.4 ms"],
)
def test_a_death_costs_what_was_claimed_and_not_committed(pool, tmp_path, tasks, seconds, most):
    trace = tmp_path / "trace"
    sketch = sketch_of(tasks, trace, seconds, seed=tasks)
    graph = sketch.graph()
    run = start(graph, free_plan(graph, 2), pool)
    chance = random.Random(tasks)
    could: set[int] = set()
    final: list[tuple[set[int], Counter[int]]] = []
    deaths = 0
    while run.wait(0.25).state == "running":
        at_work = [worker for worker in pool.status().workers if worker.pid and worker.run == run.id]
        if not at_work or deaths == DEATHS:
            continue  # its successor shall get so far, also on a slow machine
        victim = chance.choice(at_work)
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGSTOP)  # it says nothing more: what it owns stands still
            time.sleep(0.02)
            final.append((committed(run), begun(trace)))
            could |= followers(graph, owned(run, victim.slot))
            os.kill(victim.pid, signal.SIGKILL)
            deaths += 1
    assert run.state == "done", run.errors()
    plain = Sketch()
    plain.calls = [(mix, args[2:], kwargs) for _, args, kwargs in sketch.calls]
    want = plain.values()
    assert all(run.result(TaskRef(task)) == want[task] for task in graph.kept)

    ran = begun(trace)
    assert ran.keys() == set(range(tasks)), "nothing is lost"
    for done, before in final:
        assert all(ran[task] == before[task] for task in done), "what was committed never runs again"
    again = {task for task, times in ran.items() if times > 1}
    assert again <= could, "only what a dead worker had claimed, or what it had gone on with, runs again"
    repeated = sum(ran.values()) - tasks
    print(f"{tasks} tasks of {seconds * 1e3:g} ms, {deaths} deaths: {repeated} ran again, at most {most:g} a death")
    assert deaths >= 3
    assert repeated <= deaths * most
