"""A plan names workers; one of them dies and cannot come back: its tasks go to others, and the timeline says so."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dagnb.graph.graph import TaskRef
from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster, WorkerSpec
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, start
from dagnb.trace.events import RecordKind
from tests.runtime import dags
from tests.runtime.life import private_directory, processes, settings, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dagnb.graph.graph import TaskGraph

pytestmark = pytest.mark.chaos


@pytest.fixture
def pool() -> Iterator[LocalPool]:
    with private_directory() as directory:
        found = LocalPool.connect(settings(directory, workers=3))
        yield found
        found.stop()
        assert list(directory.path.iterdir()) == []
        until(lambda: not processes(directory))


def slowly(number: int, *xs: int) -> int:
    time.sleep(0.01)
    return dags.mix(number, *xs)


def large(number: int, *xs: bytes) -> bytes:
    """A value that does not fit into a claim."""
    time.sleep(0.01)
    return dags.mix(number, *map(len, xs)).to_bytes(4, "little") + bytes(100_000 + number)


def in_plain_python(sketch: dags.Sketch) -> object:
    return sketch.values()[-1]


def plan_of(
    graph: TaskGraph, where: list[int], on: Cluster | None = None, notes: Mapping[int, Annotations] | None = None
) -> Plan:
    cluster = on or Cluster.local(3)
    return Plan.build(
        graph, cluster, estimate(graph), worker=where, sequence=range(len(graph)), annotations=notes, planner="hand"
    )


def break_slot(pool: LocalPool, slot: int) -> None:
    """Kill the worker of a slot whose successor cannot be started: its log is in the way."""
    log = Path(pool.directory) / f"worker-{slot}.log"
    log.unlink(missing_ok=True)
    log.mkdir()
    told = {worker.slot: worker for worker in pool.status().workers}[slot]
    if told.pid is not None:
        os.kill(told.pid, signal.SIGKILL)
        until(lambda: {worker.slot: worker.state for worker in pool.status().workers}[slot] == "broken")


def mend(pool: LocalPool, slot: int) -> None:
    shutil.rmtree(Path(pool.directory) / f"worker-{slot}.log")


def under_way(run: Run, tasks: int) -> None:
    until(lambda: run.progress.get(3, 0) >= tasks)


def finished(run: Run, sketch: dags.Sketch) -> None:
    run.wait(30)
    if run.state == "running":
        progress = run.progress
        run.cancel()
        raise AssertionError(progress)
    assert run.state == "done", (run.state, run.errors())
    assert run.result(TaskRef(len(run.graph) - 1)) == in_plain_python(sketch)
    assert run.timeline.counts[3] == len(run.graph)


def given_up(run: Run) -> list[int]:
    found = run.timeline.asides
    return [int(aside["worker"]) for aside in found[found["kind"] == RecordKind.GIVEN_UP]]


@pytest.mark.parametrize("mixed", [False, True], ids=["all named", "some free"])
def test_tasks_named_for_a_worker_that_cannot_come_back_run_elsewhere(pool, mixed):
    sketch = dags.random_dag(240, seed=3, function=slowly)
    graph = sketch.graph()
    where = [-1 if mixed and i % 3 == 0 else i % 3 for i in range(len(graph))]
    run = start(graph, plan_of(graph, where), pool)
    under_way(run, 30)
    until(lambda: run.timeline.worker.tolist().count(1) > 0)  # it has a part in it
    break_slot(pool, 1)
    finished(run, sketch)
    assert given_up(run) == [1]
    others = [
        i for i, (named, ran) in enumerate(zip(where, run.timeline.worker.tolist(), strict=True)) if named == 1 != ran
    ]
    assert len(others) > 20
    kept = [named == ran for named, ran in zip(where, run.timeline.worker.tolist(), strict=True) if named in (0, 2)]
    assert all(kept), "what is named for others stays theirs"


def test_the_analysis_says_so_in_words(pool):
    sketch = dags.random_dag(120, seed=4, function=slowly)
    graph = sketch.graph()
    run = start(graph, plan_of(graph, [i % 2 for i in range(len(graph))]), pool)
    under_way(run, 10)
    break_slot(pool, 1)
    finished(run, sketch)
    found = next(finding for finding in run.analysis().findings if finding.kind == "given up")
    assert found.subject == "w1"
    assert found.figures["tasks"] > 10
    assert "worker w1 could not be started again" in str(run.analysis())
    assert "elsewhere" in found.text


def test_two_of_three_are_lost_and_then_the_last(pool):
    sketch = dags.random_dag(240, seed=5, function=slowly)
    graph = sketch.graph()
    run = start(graph, plan_of(graph, [i % 3 for i in range(len(graph))]), pool)
    under_way(run, 20)
    break_slot(pool, 2)
    break_slot(pool, 0)
    until(lambda: run.progress.get(3, 0) > 120)
    assert given_up(run) == [2, 0]
    break_slot(pool, 1)
    assert run.wait(10).state == "failed"
    assert "could not be started" in run.errors()[0].message


def wait_for(path: str, number: int) -> int:
    """Until a file is there; the same number."""
    end = time.monotonic() + 30
    while not Path(path).exists():
        assert time.monotonic() < end, "nobody opened the gate"
        time.sleep(0.005)
    return number


def test_a_slot_that_comes_back_takes_part_again(pool, tmp_path):
    """It was given up for this run; whoever asks for workers again gets it, and it helps as whoever is free does."""
    sketch = dags.Sketch()
    gate = tmp_path / "gate"
    first = sketch(dags.total, [sketch(slowly, i) for i in range(40)])
    opened = sketch(wait_for, str(gate), first)
    sketch(dags.total, [sketch(slowly, i, opened) for i in range(300)])
    graph = sketch.graph()
    where = [1 if i % 2 else -1 for i in range(40)] + [-1] * (len(graph) - 40)
    run = start(graph, plan_of(graph, where), pool)
    under_way(run, 10)
    break_slot(pool, 1)
    mend(pool, 1)
    other = LocalPool.connect(pool.settings)
    other.ensure(3)
    gate.touch()
    finished(run, sketch)
    assert given_up(run) == [1]
    assert (run.timeline.start[run.timeline.worker == 1] > run.timeline.end[opened.task]).any()
    other.close()


def test_its_copies_groups_and_large_values_are_not_missed(pool):
    """A copy that was named for it is made by nobody; a group whose seat it had gets another; values are made again."""
    sketch = dags.Sketch()
    notes: dict[int, Annotations] = {}
    where: list[int] = []

    def add(function, *args, on=-1, **note):
        where.append(on)
        if note:
            notes[len(sketch.calls)] = Annotations(**note)
        return sketch(function, *args)

    ends = []
    for i in range(40):
        source = add(large, i, on=0, duplicate=("w1",))
        ends += [add(large, i, source, on=0), add(large, i + 1, source, on=1)]
        first = add(large, i + 2, on=-1, group=i)
        ends.append(add(large, i + 3, first, on=-1, group=i))
    heads = [add(len, end) for end in ends]
    add(dags.total, heads, on=1)
    graph = sketch.graph()
    run = start(graph, plan_of(graph, where, notes=notes), pool)
    under_way(run, 20)
    break_slot(pool, 1)
    finished(run, sketch)
    assert given_up(run) == [1]


def test_a_task_goes_to_a_worker_that_is_as_large(pool):
    on = Cluster((WorkerSpec("small", memory=256e6), WorkerSpec("a", memory=512e6), WorkerSpec("b", memory=512e6)))
    sketch = dags.random_dag(90, seed=7, function=slowly)
    graph = sketch.graph()
    run = start(graph, plan_of(graph, [1] * len(graph), on), pool)
    under_way(run, 10)
    break_slot(pool, run.slots[1])
    finished(run, sketch)
    assert set(run.timeline.worker.tolist()) == {1, 2}, "nothing of it ran in the small one"


def test_a_run_that_was_submitted_as_its_worker_was_given_up_goes_on_too(pool, monkeypatch):
    """The kernel has not heard of it yet: it submits with the slots that it knows."""
    pool.ensure(3)
    monkeypatch.setattr("dagnb.runtime.attach.Attachment.alive", lambda _self: True)
    break_slot(pool, 1)
    sketch = dags.random_dag(60, seed=8, function=slowly)
    graph = sketch.graph()
    run = start(graph, plan_of(graph, [i % 3 for i in range(len(graph))]), pool)
    finished(run, sketch)
    assert given_up(run) == [1]
