"""Runs that share workers: none waits until a longer one has ended, and nothing is lost or done twice by that."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dagnb.graph.graph import TaskRef
from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.keys import DAGNB
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, start
from dagnb.runtime.scripts import script
from tests.runtime import dags
from tests.runtime.life import private_directory, settings, until
from tests.runtime.test_several_runs import named, of_naps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagnb.graph.graph import TaskGraph

#: A slot without a process.
SLOT = 930


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    with private_directory() as directory:
        found = LocalPool.connect(settings(directory, workers=2))
        found.ensure(2)
        yield found
        found.stop()


def slowly(number: int, *xs: int) -> int:
    time.sleep(0.004)
    return dags.mix(number, *xs)


def with_large(number: int, *xs: Any) -> Any:
    """Values that lie in files in memory, and such that do not."""
    total = number + sum(int(x if isinstance(x, int) else x.sum()) % 1000 for x in xs)
    return np.full(20_000, total % 7) if number % 3 else total


def large(number: int, *xs: Any) -> Any:
    """The same in a millisecond: short enough for the readers of a value to come before everything else."""
    time.sleep(0.001)
    return with_large(number, *xs)


#: What computes the same at once.
PLAIN: dict[Any, Any] = {slowly: dags.mix, large: with_large}


def once(run: Run) -> None:
    """It is done, and every task was done once."""
    assert run.state == "done", (run.state, run.progress, run.errors()[:1])
    assert run.timeline.counts[3] == len(run.graph)
    assert (run.timeline.attempt <= 1).all()


def right(run: Run, sketch: dags.Sketch) -> None:
    """Every value that was kept is that of plain Python."""
    plain = dags.Sketch()
    plain.calls = [(PLAIN.get(f, f), a, k) for f, a, k in sketch.calls]
    values = plain.values()
    for task in run.kept:
        assert np.array_equal(run.result(TaskRef(task)), values[task]), task


@pytest.mark.parametrize("plan", ["free", "named"])
def test_a_short_run_does_not_wait_for_a_long_one(pool, plan):
    long, short = of_naps(*[0.005] * 1_000), of_naps(*[0.005] * 20)

    def planned(graph):
        return dags.free_plan(graph) if plan == "free" else named(graph, [i % 2 for i in range(len(graph))])

    first = start(long, planned(long), pool)
    until(lambda: first.progress[3] > 20)
    for _ in range(3):
        began = time.monotonic()
        once(start(short, planned(short), pool).wait(10))
        waited = time.monotonic() - began
        assert waited < 1.5, waited
    assert first.state == "running"
    once(first.wait(30))


def test_runs_that_are_equal_go_on_equally_fast(pool):
    graph = of_naps(*[0.004] * 300)
    runs = [start(graph, dags.free_plan(graph), pool) for _ in range(4)]
    until(lambda: any(run.progress[3] == len(graph) for run in runs), 30)
    done = sorted(run.progress[3] for run in runs)
    assert done[0] > 0.5 * done[-1], done
    for run in runs:
        once(run.wait(30))


def test_a_worker_comes_back_when_the_other_run_keeps_only_one_busy(pool):
    many, one = of_naps(*[0.02] * 100), of_naps(3.0)
    first = start(many, dags.free_plan(many), pool)
    until(lambda: first.progress[3] > 5)
    second = start(one, dags.free_plan(one), pool)
    once(first.wait(10))
    assert second.state == "running"
    once(second.wait(10))


def test_a_successor_looks_at_the_other_runs_before_it_rests(pool):
    """It was in one run only, and the words that called its predecessor to the others went with that."""
    wire = pool.wire()
    first = of_naps(20.0, *[0.1] * 6)
    many, few = start(first, named(first, [0, *[1] * 6]), pool), of_naps(*[0.03] * 4)
    try:
        until(lambda: many.progress[3] == 1)
        other = start(few, named(few, [1] * 4), pool)
        wire.call("HSET", DAGNB + "served", other.id, 10**12)  # so that it comes last
        victim = next(worker.pid for worker in pool.status().workers if worker.slot == many.slots[1])
        os.kill(victim, signal.SIGKILL)
        once(other.wait(5))
        dry = many.timeline.end[1:].max() + many.submitted * 1e-9
        assert not np.isnan(dry)
        waited = other.timeline.start + other.submitted * 1e-9 - dry
        assert waited.max() > 0, "the order was another"
        assert waited[waited > 0].min() < 0.3, waited
    finally:
        many.cancel()
        wire.close()


def test_a_word_of_another_run_is_not_taken_for_one_of_this():
    """A run that was alone at first counts on a worker that was never told its name, and has joined a younger one."""
    with private_directory() as directory:
        pool = LocalPool.connect(settings(directory, workers=2))
        pool.ensure(2)
        both, first, second = of_naps(0.0, 0.0), of_naps(0.05, 0.0, chain=True), of_naps(0.0, 1.0, chain=True)
        try:
            once(start(both, named(both, [0, 1]), pool).wait(10))
            time.sleep(0.1)  # they have left it, and know of no other
            runs = [start(first, named(first, [-1, 1]), pool), start(second, named(second, [1, 0]), pool)]
            for run in runs:
                once(run.wait(10))
        finally:
            pool.stop()
        times = runs[0].timeline
        assert times.worker.tolist() == [0, 1]
        assert times.start[1] - times.end[0] < 0.25


def test_tiny_tasks_take_turns_too(pool):
    sketch = dags.Sketch()
    rows = [[sketch(dags.leaf, i) for i in range(200)]]
    for _ in range(150):
        rows.append([sketch(dags.inc, x) for x in rows[-1]])
    tiny = sketch.graph(kept=[rows[-1][-1].task])
    first = start(tiny, dags.free_plan(tiny), pool)
    short = of_naps(0.0, 0.0)
    for _ in range(3):
        once(start(short, dags.free_plan(short), pool).wait(10))
    once(first.wait(30))
    assert first.result(TaskRef(rows[-1][-1].task)) == 349


def grouped(graph) -> Plan:
    """Nobody has a worker; some stay together."""
    notes = {i: Annotations(group=i // 4 % 20) for i in range(len(graph)) if i % 2}
    where, order = [-1] * len(graph), range(len(graph))
    cluster = Cluster.local(2)
    return Plan.build(graph, cluster, estimate(graph), worker=where, sequence=order, annotations=notes)


def test_many_runs_that_take_turns_give_what_plain_python_gives(pool):
    """Free, named, grouped; small and large values, whose readers come first wherever that costs little."""
    runs = []
    for i in range(6):
        sketch = dags.random_dag(400, 11 + i, slowly if i % 2 else large)
        sketch.calls.pop()  # its sum is of numbers only
        graph = sketch.graph()
        where = [(k * 7 + i) % 3 - 1 for k in range(len(graph))]
        plan = (dags.free_plan, lambda g, where=where: named(g, where), grouped)[i % 3](graph)
        runs.append((start(graph, plan, pool), sketch))
    for run, sketch in runs:
        once(run.wait(60))
        right(run, sketch)


def made(number: int, *_: Any) -> Any:
    """A value that lies in a file when it leaves; nearly all of the time goes by here."""
    time.sleep(0.0012)
    return np.full(20_000, number)


def read(x: Any, number: int) -> int:
    return int(x[number])


def slowly_read(x: Any, number: int) -> int:
    time.sleep(0.0005)
    return int(x[number])


def shown(xs: list[int]) -> int:
    return sum(xs)


def in_order(graph: TaskGraph, order: str, workers: int) -> Plan:
    """Nobody has a worker; first come small numbers, or tasks have ranks of their own: pairs of neighbours swapped."""
    if order == "numbers":
        return dags.free_plan(graph, workers)
    cluster, sequence = Cluster.local(workers), [i ^ 1 if i ^ 1 < len(graph) else i for i in range(len(graph))]
    return Plan.build(graph, cluster, estimate(graph), worker=[-1] * len(graph), sequence=sequence, planner="hand")


def read_twice(count: int, order: str) -> tuple[TaskGraph, Plan, TaskRef]:
    """Large values, each read twice, for one worker."""
    sketch = dags.Sketch()
    large = [sketch(made, i) for i in range(count)]
    last = sketch(shown, [sketch(read, x, k) for x in large for k in (0, 1)])
    graph = sketch.graph()
    return graph, in_order(graph, order, 1), last


def read_by_eight(stages: int, order: str) -> tuple[TaskGraph, Plan, list[int]]:
    """One large value after the other, each read by eight tasks; these, a stage after the other."""
    sketch = dags.Sketch()
    last: Any = 0
    readers: list[int] = []
    for i in range(stages):
        large = sketch(made, i, last)
        some = [sketch(slowly_read, large, k) for k in range(8)]
        readers += [r.task for r in some]
        last = sketch(shown, some)
    graph = sketch.graph(kept=range(len(sketch.calls)))
    return graph, in_order(graph, order, 2), readers


@pytest.mark.parametrize("order", ["numbers", "ranks"])
def test_readers_that_come_before_everything_else_are_given_back_as_what_they_are(pool, order):
    """A worker leaves a run between a large value and its readers, nearly each time: nothing else takes long."""
    once(start(*read_twice(4, order)[:2], pool).wait(10))  # how long they take is known
    count = 250
    graph, plan, last = read_twice(count, order)
    runs = [start(graph, plan, pool) for _ in range(2)]
    lying: set[int] = set()  # what was given back, and waits for the worker to return
    wire = pool.wire()
    end = time.monotonic() + 15
    while any(run.wait(0.01).state == "running" for run in runs) and time.monotonic() < end:
        lying.update(int(word) for run in runs for word in wire.call("LRANGE", f"{DAGNB}{{{run.id}}}:q", 0, -1))
    wire.close()
    for run in runs:
        once(run)
        assert run.result(last) == 2 * sum(range(count))
    assert lying <= set(range(len(graph)))
    assert len(lying & set(range(count, 3 * count))) >= 4, "no reader was ready when the run was left"


@pytest.mark.parametrize("order", ["numbers", "ranks"])
def test_readers_that_come_before_everything_else_are_given_away_once(pool, order):
    """Half of eight readers goes to a worker that has nothing to do: nothing else is ready."""
    deaths = pool.status().deaths
    for stages in (30, 40):  # at first nobody knows that they are short; the other graph is new to both workers
        graph, plan, readers = read_by_eight(stages, order)
        run = start(graph, plan, pool)
        once(run.wait(15))
        assert run.result(TaskRef(len(graph) - 1)) == 8 * (stages - 1)
    by = np.array(run.timeline.worker)[readers].reshape(-1, 8).tolist()
    assert sum(len(set(row)) == 2 for row in by) > 5, by
    assert pool.status().deaths == deaths  # a worker cannot begin with a number that is no task


@pytest.mark.long
def test_fifty_runs_of_five_kernels_share_one_pool_fairly(pool, monkeypatch):
    """Every kernel is a process that checks its values; half way all runs have come about as far."""
    monkeypatch.setenv("DAGNB_RUNTIME_DIR", pool.directory)
    spec = importlib.util.spec_from_file_location("together", Path(__file__).parents[2] / "benchmarks" / "together.py")
    together = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(together)
    looks, seconds = together.together(5, 10)
    assert len(seconds) == 50
    half = looks[1]
    by_kernel = [sum(half[i : i + 10]) for i in range(0, 50, 10)]
    print(f"half way {min(half)} to {max(half)} tasks of a run; by kernel {by_kernel}; {max(seconds):.1f} s")
    assert min(half) > 0
    assert max(by_kernel) <= 2 * min(by_kernel)


def test_a_run_takes_its_book_entry_with_it(pool):
    graph = of_naps(*[0.004] * 400)  # longer than a stay of workers that had to import much
    runs = [start(graph, dags.free_plan(graph), pool) for _ in range(2)]
    wire = pool.wire()
    until(lambda: wire.call("HLEN", DAGNB + "served"))
    for run in runs:
        once(run.wait(10))
    assert wire.call("HGETALL", DAGNB + "served") == []
    wire.close()


class Book:
    """The decision by itself: live runs in a slot without a process, their work and what they were served."""

    def __init__(self, pool: LocalPool) -> None:
        self.wire = pool.wire()
        self.runs: list[str] = []

    def run(self, name: str, served: int | None = None, *, work: bool = True) -> str:
        run = f"book-{name}"
        self.runs.append(run)
        self.wire.call("RPUSH", f"{DAGNB}todo:{SLOT}", run)
        self.wire.call("HSET", DAGNB + "runs", run, "{}")
        if work:
            self.wire.call("RPUSH", f"{DAGNB}{{{run}}}:q", 0)
        if served is not None:
            self.wire.call("HSET", DAGNB + "served", run, served)
        return run

    def goes(self, here: str = "", worked: int = 0, mode: str = "less") -> str:
        words = (SLOT, here, worked, mode, time.perf_counter_ns(), 100)
        found: bytes = self.wire.call("EVAL", script("turns"), 1, DAGNB, *words)[0]
        return found.decode()

    def served(self, run: str) -> int:
        return int(self.wire.call("HGET", DAGNB + "served", run))

    def idle(self, run: str) -> bool:
        return bool(self.wire.call("SISMEMBER", f"{DAGNB}{{{run}}}:idle", SLOT))

    def clear(self) -> None:
        for run in self.runs:
            self.wire.call("HDEL", DAGNB + "runs", run)
            self.wire.call("HDEL", DAGNB + "served", run)
            self.wire.call("DEL", f"{DAGNB}{{{run}}}:q", f"{DAGNB}{{{run}}}:idle")
        self.wire.call("DEL", f"{DAGNB}todo:{SLOT}")
        self.wire.close()


@pytest.fixture
def book(pool) -> Iterator[Book]:
    found = Book(pool)
    yield found
    found.clear()


def test_who_was_served_least_comes_next_and_is_charged_ahead(book):
    here, other, least = book.run("here", 500), book.run("other", 400), book.run("least", 300)
    assert book.goes(here, 50) == least
    assert (book.served(here), book.served(other), book.served(least)) == (550, 400, 400)
    assert book.goes(here) == other  # so the next that looks goes elsewhere
    assert book.goes(least, mode="new") == ""


def test_nobody_leaves_for_a_run_that_had_more_or_has_nothing(book):
    here = book.run("here", 200)
    book.run("more", 300)
    nothing = book.run("nothing", 100, work=False)
    assert book.goes(here) == ""
    assert book.served(nothing) == 200  # nor does it save anything up
    assert not book.idle(nothing)


def test_a_new_run_comes_first_and_begins_with_what_the_least_had(book):
    here = book.run("here", 1_000)
    book.run("other", 400)
    new = book.run("new")
    assert book.goes(here, mode="new") == new
    assert book.served(new) == 500


def test_who_has_nothing_to_do_goes_anywhere_or_says_so_everywhere(book):
    here, more = book.run("here", 100), book.run("more", 900)
    assert book.goes(here, mode="any") == more
    book.wire.call("DEL", f"{DAGNB}{{{more}}}:q")
    assert book.goes(here, mode="any") == ""
    assert book.idle(more)
    assert not book.idle(here)


def test_a_new_worker_goes_first_where_its_slot_owns_something(book):
    """A single root is its own from the submission on, and nothing else there is ready; it must own in one run only."""
    mine, other = book.run("mine", work=False), book.run("other")
    book.wire.call("RPUSH", f"{DAGNB}{{{mine}}}:own{SLOT}", "r0:1")
    try:
        assert book.goes(mode="any") == mine
    finally:
        book.wire.call("DEL", f"{DAGNB}{{{mine}}}:own{SLOT}")
    assert book.goes(mode="any") == other


def test_a_run_that_is_alone_is_not_charged(book):
    here = book.run("here")
    assert book.goes(here, 10**6) == ""
    assert book.wire.call("HGET", DAGNB + "served", here) is None
    new = book.run("new")
    assert book.goes(here, 40) == new
    assert (book.served(here), book.served(new)) == (40, 140)
