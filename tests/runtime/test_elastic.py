"""Elastic clusters with the real supervisor: workers come when there is work for them, and go when there is none."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster, WorkerSpec
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, prewarmed, start
from dagnb.trace.events import RecordKind
from tests.runtime import dags
from tests.runtime.life import killed_kernel, private_directory, processes, settings, until
from tests.runtime.naps import meet, nap

#: Longer than a start, shorter than patience.
STAYS = 0.5


@contextmanager
def private_pool() -> Iterator[LocalPool]:
    """A pool of its own; at its end nothing is left."""
    with private_directory() as directory:
        found = LocalPool.connect(settings(directory))
        yield found
        found.stop()
        assert list(directory.path.iterdir()) == []
        until(lambda: not processes(directory))


@pytest.fixture(scope="module")
def pool():
    with private_pool() as found:
        yield found


@pytest.fixture
def mortal():
    """A pool in which somebody will die."""
    with private_pool() as found:
        yield found


def elastic(workers: int = 2, keep_alive: float | None = None) -> Cluster:
    """Every cluster has a `keep_alive` of its own, and so workers of its own: none is there from a test before."""
    return Cluster.local(workers, elastic=True, keep_alive=keep_alive or STAYS + next(_different) / 1000)


_different = count(1)


def begin(
    pool: LocalPool,
    sketch: dags.Sketch,
    where: list[int],
    on: Cluster | None = None,
    notes: dict[int, Annotations] | None = None,
) -> Run:
    on = on or elastic()
    graph = sketch.graph()
    plan = Plan.build(graph, on, estimate(graph), worker=where, sequence=range(len(graph)), annotations=notes)
    return start(graph, plan, pool)


def ended(run: Run) -> Run:
    run.wait(30)
    assert run.state == "done", (run.state, run.progress, run.errors())
    return run


def up(pool: LocalPool, slots: Collection[int]) -> list[int]:
    """Those of these slots that have a worker."""
    return [worker.slot for worker in pool.status().workers if worker.pid is not None and worker.slot in slots]


def launches(run: Run) -> dict[int, tuple[float, float]]:
    """Worker → when it was launched for this run, and when it was ready."""
    found = run.timeline.asides
    return {int(r["worker"]): (float(r["start"]), float(r["at"])) for r in found[found["kind"] == RecordKind.BEGUN]}


def chain(length: int) -> dags.Sketch:
    sketch = dags.Sketch()
    last = sketch(nap, 0)
    for i in range(1, length):
        last = sketch(nap, i, last)
    return sketch


def wide(width: int) -> dags.Sketch:
    sketch = dags.Sketch()
    for i in range(width):
        sketch(nap, i)
    return sketch


# ---- they come ------------------------------------------------------------------------------------------------------
def test_nobody_is_there_before_a_task_is_ready_for_him(pool):
    on = elastic()
    assert up(pool, pool.ensure(on)) == []
    run = ended(begin(pool, chain(2), [0, 1], on))
    begun = launches(run)
    assert run.timeline.worker.tolist() == [0, 1]
    assert 0 <= begun[0][0] < begun[0][1] <= run.timeline.start[0]
    assert begun[1][0] >= run.timeline.end[0], "the second is launched when the first task is done"
    assert begun[1][1] <= run.timeline.start[1]
    assert (run.timeline.asides["attempt"] == 1).all(), "both were cold"


def test_as_many_come_as_there_is_free_work_for(pool, tmp_path):
    on = elastic(4)
    sketch = dags.Sketch()
    for i in range(2):
        sketch(meet, str(tmp_path), i)
    run = ended(begin(pool, sketch, [-1, -1], on))
    assert sorted(launches(run)) == [0, 1]
    assert len({run.result(f"t{i}") for i in range(2)}) == 2
    assert len(up(pool, run.slots)) == 2


def test_a_chain_that_names_nobody_needs_one(pool):
    run = ended(begin(pool, chain(4), [-1] * 4, elastic(3)))
    assert sorted(launches(run)) == [0]
    assert len({run.result("t3")}) == 1


def test_a_worker_that_still_runs_is_warm(pool):
    on = elastic(keep_alive=20.0)
    first, second = (ended(begin(pool, wide(1), [0], on)) for _ in range(2))
    assert second.result("t0") == first.result("t0"), "the same process"
    assert launches(second) == {}
    assert second.timeline.start[0] < first.timeline.start[0]


def test_prewarm_starts_a_worker_ahead_of_its_task(pool):
    """It is launched while the first task is not done, and then its task need not wait for it."""
    ahead = {1: Annotations(prewarm=0.05)}
    run = ended(begin(pool, chain(2), [0, 1], elastic(keep_alive=21.0), ahead))
    launched, ready = launches(run)[1]
    assert 0.05 <= launched < run.timeline.end[0]
    assert run.timeline.start[1] < max(run.timeline.end[0], ready) + 0.1


def test_what_a_plan_wants_started_ahead():
    graph = chain(3).graph()
    notes = {0: Annotations(prewarm=0.7), 1: Annotations(prewarm=0.2), 2: Annotations(prewarm=0.1)}
    plan = Plan.build(
        graph, elastic(), estimate(graph), worker=[1, 1, -1], sequence=range(3), annotations=notes
    )  # nobody is named for the last
    assert prewarmed(plan) == [(1, 0.2)]


def test_sizes_and_elasticity_go_together(pool):
    on = Cluster((WorkerSpec("a", memory=256e6), WorkerSpec("b", memory=512e6)), elastic=True, keep_alive=STAYS)
    run = ended(begin(pool, chain(2), [1, 0], on))
    assert sorted(launches(run)) == [0, 1]
    told = {worker.slot: worker.size for worker in pool.status().workers}
    assert [told[slot] for slot in run.slots] == [f"1 cpu, {mb} MB, elastic" for mb in (256, 512)]
    assert run.costs.cold_starts == 2
    assert run.costs.worker_seconds < 2 * run.timeline.end[1]


def test_many_small_tasks_are_right(pool):
    on = elastic(3)
    for seed in range(3):
        sketch = dags.random_dag(400, seed)
        run = ended(begin(pool, sketch, [-1] * 400, on))
        assert run.result(run.graph.keys[-1]) == sketch.values()[-1]


# ---- they go --------------------------------------------------------------------------------------------------------
def test_who_has_nothing_to_do_leaves_also_during_a_run_and_comes_back(pool):
    sketch = chain(9)
    run = ended(begin(pool, sketch, [1, 0, 0, 0, 0, 0, 0, 0, 1], elastic(keep_alive=0.3)))
    found = run.timeline.asides
    mine = sorted(float(r["start"]) for r in found[(found["kind"] == RecordKind.BEGUN) & (found["worker"] == 1)])
    assert len(mine) == 2, "worker 1 was started twice"
    assert mine[1] > run.timeline.end[7] - 0.01
    assert run.timeline.counts[3] == 9
    assert pool.status().deaths == 0, "who leaves has not died"
    until(lambda: not up(pool, run.slots))


def test_nobody_ends_who_may_stay_for_ever(pool):
    run = ended(begin(pool, wide(1), [0], elastic(keep_alive=float("inf"))))
    time.sleep(1.0)
    assert len(up(pool, run.slots)) == 1


def test_an_elastic_worker_is_not_that_of_a_plain_cluster(pool):
    plain = pool.ensure(1)
    run = ended(begin(pool, wide(1), [0]))
    assert not set(run.slots) & set(plain)
    until(lambda: not up(pool, run.slots))
    assert up(pool, plain) == list(plain)


# ---- whoever dies ---------------------------------------------------------------------------------------------------
KERNEL = """
import sys
from tests.runtime.test_elastic import begin, chain, elastic
from dagnb.runtime.pool import LocalPool
run = begin(LocalPool.connect(), chain(3), [0, 1, 0], elastic(keep_alive=0.2))
print(run.id, flush=True)
sys.stdin.read()
"""


@pytest.mark.chaos
def test_the_death_of_the_kernel_does_not_stop_it():
    """Workers come and go without it; then everything ends and nothing is left."""
    with private_directory() as directory:
        run = killed_kernel(directory, KERNEL)
        other = LocalPool.connect(settings(directory))
        wire = other.wire()
        until(lambda: wire.call("HGET", f"dagnb:{{{run}}}:meta", "state") == b"done", 20)
        wire.close()
        other.close()
        until(lambda: not processes(directory), 10)
        assert list(directory.path.iterdir()) == []


@pytest.mark.chaos
@pytest.mark.parametrize("what", ["worker", "redis", "supervisor"])
def test_a_run_survives_the_death_of(mortal, what):
    run = begin(mortal, chain(3), [0, 1, 0], elastic(keep_alive=0.2))
    until(lambda: any(worker.task is not None for worker in mortal.status().workers))
    told = mortal.status()
    victim = {"redis": told.redis.pid, "supervisor": told.pid}.get(what)
    os.kill(victim or next(w.pid for w in told.workers if w.task is not None), signal.SIGKILL)
    ended(run)
    assert run.timeline.counts[3] == 3
    until(lambda: not up(mortal, run.slots), 40.0)  # a new supervisor may have started them once more


@pytest.mark.chaos
def test_workers_that_cannot_start_end_the_run_with_their_words(mortal, monkeypatch, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    mortal.ensure(elastic())
    folder.rmdir()
    monkeypatch.setattr("dagnb.runtime.pool._here", lambda: mortal._context)
    run = begin(mortal, wide(1), [0]).wait(20)
    assert run.state == "failed"
    assert "could not be started" in run.errors()[0].message


@pytest.mark.chaos
def test_a_cancelled_run_leaves_nobody_and_nothing(pool):
    run = begin(pool, wide(8), [-1] * 8)
    until(lambda: any(worker.task is not None for worker in pool.status().workers))
    run.cancel()
    until(lambda: not up(pool, run.slots))
    wire = pool.wire()
    left = {name.decode().rpartition(":")[2] for name in wire.call("KEYS", f"dagnb:{{{run.id}}}:*")}
    wire.close()
    assert left <= {"meta", "fin", "ev", "keep", "err", "log", "tries", "plan", "outline"}
