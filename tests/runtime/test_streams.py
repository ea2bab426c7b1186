"""A consumer that begins while its producer runs: the same values, sooner, whatever happens on either side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagnb.errors import PickleError, SignatureError, TaskError
from dagnb.graph.graph import TaskRef
from dagnb.planning.assignment import Annotations
from dagnb.runtime.frames import FRAME, Incoming, Outgoing, Porter, StreamLost
from dagnb.runtime.pieces import snapshot
from dagnb.runtime.run import start
from dagnb.runtime.serialize import loads
from dagnb.runtime.streams import Streams
from dagnb.trace.events import TaskState
from tests.runtime.dags import Sketch, free_plan, leaf, run, total
from tests.runtime.flows import (
    STEP,
    async_steps,
    big_steps,
    both,
    collect,
    doubled,
    empty,
    few,
    kind_of,
    mark,
    marks,
    same_buffer,
    steps,
    streamed,
    sums,
    woven,
)  # fmt: skip
from tests.runtime.life import until
from tests.runtime.test_annotations import nothing_left, planned

if TYPE_CHECKING:
    from dagnb.runtime.run import Run

SECRET = b"s" * 32


def overlap(done: Run, first: int, second: int) -> float:
    """Seconds for which both were at work."""
    told = done.timeline
    return float(min(told.end[first], told.end[second]) - max(told.start[first], told.start[second]))


# ---- generators -----------------------------------------------------------------------------------------------------
def test_the_value_of_a_generator_is_the_list_of_what_it_yields(pool):
    sketch = Sketch()
    found = [sketch(steps, 4, 0.0), sketch(async_steps, 3), sketch(empty), sketch(total, sketch(steps, 5, 0.0))]
    part = sketch(leaf, TaskRef(sketch(steps, 3, 0.0).task, (2,)))
    done = run(sketch.graph(kept=range(len(sketch.calls))), pool)
    assert [done.result(r) for r in found] == [[0, 1, 2, 3], [0, 1, 2], [], 10]
    assert done.result(part) == 2


def test_chunks_are_taken_as_they_are_when_they_are_yielded(pool):
    want = [([i + 1.0] * 3, list(range(i + 1))) for i in range(12)]
    for workers in (1, 2):
        sketch = Sketch()
        made = sketch(same_buffer, 12)
        taken = sketch(collect, made, 0.0)
        done = run(sketch.graph(kept=[made.task]), pool, workers=workers)
        for ref in (made, taken):
            assert [(x.tolist(), y) for x, y in done.result(ref)] == want


# ---- a consumer begins early ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", [[0, 1], [-1, -1], [-1, 1], [1, -1]])
def test_a_consumer_works_while_its_producer_does(pool, where):
    sketch = Sketch()
    made = sketch(steps, 12)
    taken = sketch(collect, made)
    graph = sketch.graph(kept=[made.task])
    for _ in range(2):  # the first time workers load the functions
        done = run(graph, pool, plan=planned(graph, where, {}))
        assert done.result(made) == done.result(taken) == list(range(12))
        nothing_left(done)
    assert overlap(done, made.task, taken.task) > 9 * STEP
    assert (done.timeline.state == TaskState.DONE).all()
    assert done.timeline.worker[0] != done.timeline.worker[1]
    assert done.timeline.start[1] - done.timeline.start[0] < 0.25  # it was woken, and did not look by itself


def test_without_a_second_worker_the_whole_list_comes_as_an_iterator(pool):
    sketch = Sketch()
    taken = sketch(kind_of, sketch(steps, 5))
    graph = sketch.graph()
    assert run(graph, pool, workers=1).result(taken) == "list_iterator 5"
    assert run(graph, pool, plan=planned(graph, [0, 0], {})).result(taken) == "list_iterator 5"
    assert run(graph, pool, plan=planned(graph, [0, 1], {})).result(taken) == "generator 5"


def test_chunks_larger_than_a_frame_come_whole(pool):
    sketch = Sketch()
    size = 3 * FRAME // 8 + 7
    made = sketch(big_steps, 6, size)
    taken = sketch(sums, made)
    graph = sketch.graph()
    for where in ([0, 1], [0, 0]):
        done = run(graph, pool, plan=planned(graph, where, {}))
        assert done.result(taken) == sum(range(6)) * size
        nothing_left(done)


def test_a_consumer_of_two_streams_and_of_a_value_that_comes_later(pool):
    sketch = Sketch()
    left, right = sketch(steps, 10), sketch(steps, 10)
    late = sketch(leaf, sketch(slow_leaf, 7))
    taken = sketch(both, left, right, late)
    graph = sketch.graph()
    plan = planned(graph, [0, 1, 2, 2, 2], {}, workers=3)
    for _ in range(2):
        done = run(graph, pool, plan=plan)
        assert done.result(taken) == [*((i, i) for i in range(10)), 7]
    assert overlap(done, left.task, taken.task) > 4 * STEP


def slow_leaf(x: int) -> int:
    time.sleep(2 * STEP)
    return x


def test_streams_in_a_row(pool):
    sketch = Sketch()
    made = sketch(steps, 12)
    twice = sketch(doubled, made)
    taken = sketch(collect, twice)
    graph = sketch.graph()
    for _ in range(2):
        done = run(graph, pool, plan=planned(graph, [0, 1, 2], {}, workers=3))
        assert done.result(taken) == [2 * i for i in range(12)]
        nothing_left(done)
    assert overlap(done, made.task, twice.task) > 8 * STEP
    assert overlap(done, twice.task, taken.task) > 8 * STEP


def test_several_consumers_of_one_producer(pool):
    sketch = Sketch()
    made = sketch(steps, 10)
    taken = [sketch(collect, made, 0.0), sketch(kind_of, made), sketch(few, made, 3)]
    graph = sketch.graph()
    done = run(graph, pool, plan=planned(graph, [0, 1, 2, 1], {}, workers=3))
    assert done.result(taken[0]) == list(range(10))
    assert done.result(taken[1]) == "generator 10"
    assert done.result(taken[2]) == [0, 1, 2]
    nothing_left(done)


# ---- one side ends --------------------------------------------------------------------------------------------------
def test_a_consumer_that_stops_early_lets_the_producer_go_on(pool, tmp_path):
    sketch = Sketch()
    made = sketch(told, str(tmp_path / "made"), 20)
    taken = sketch(few, made, 2)
    after = sketch(total, taken)
    graph = sketch.graph(kept=[made.task])
    done = run(graph, pool, plan=planned(graph, [0, 1, 1], {}))
    assert done.result(after) == 1
    assert done.result(made) == list(range(20))
    assert marks(str(tmp_path / "made")) == 20
    assert done.timeline.end[taken.task] < done.timeline.end[made.task] - 5 * STEP


def told(path: str, n: int) -> Iterator[int]:
    for i in range(n):
        time.sleep(STEP)
        mark(path)
        yield i


def breaks(n: int) -> Iterator[int]:
    yield from steps(n)
    raise ValueError("ran dry")


def test_a_producer_that_fails_skips_its_consumer(pool):
    sketch = Sketch()
    made = sketch(breaks, 5)
    sketch(collect, made)
    graph = sketch.graph()
    done = run(graph, pool, plan=planned(graph, [0, 1], {}))
    assert done.state == "failed"
    with pytest.raises(TaskError, match="ran dry"):
        done.result(made)
    assert done.timeline.state.tolist() == [TaskState.FAILED, TaskState.SKIPPED]
    nothing_left(done)


@streamed
def refuses(path: str, chunks: Iterator[int]) -> int:
    mark(path)
    print("got", next(chunks))
    raise KeyError("not this one")


def test_a_consumer_that_fails_fails_once_and_says_what_it_printed(pool, tmp_path):
    sketch = Sketch()
    made = sketch(steps, 10)
    taken = sketch(refuses, str(tmp_path / "ran"), made)
    after = sketch(leaf, taken)
    graph = sketch.graph(kept=[made.task])
    done = run(graph, pool, plan=planned(graph, [0, 1, -1], {}))
    assert done.result(made) == list(range(10))
    (error,) = done.errors()
    assert (error.key, error.type) == (graph.keys[taken.task], "KeyError")
    assert error.stdout == "got 0\n"
    assert marks(str(tmp_path / "ran")) == 1
    assert done.timeline.state[after.task] == TaskState.SKIPPED


def odd_chunks(n: int) -> Iterator[Any]:
    yield from range(n)
    time.sleep(STEP)
    yield (i for i in range(2))


def test_a_chunk_that_cannot_travel_is_named(pool):
    sketch = Sketch()
    made = sketch(odd_chunks, 3)
    sketch(collect, made)
    graph = sketch.graph()
    for where in ([0, 1], [0, 0]):
        done = run(graph, pool, plan=planned(graph, where, {}))
        with pytest.raises(TaskError, match=r"generator cannot be pickled|cannot pickle .generator."):
            done.result(made)


def endless() -> Iterator[int]:
    i = 0
    while True:
        time.sleep(0.001)
        yield (i := i + 1)


def test_an_endless_producer_is_ended_by_cancel(pool):
    sketch = Sketch()
    made = sketch(endless)
    sketch(collect, made, 0.0)
    graph = sketch.graph()
    begun = start(graph, planned(graph, [0, 1], {}), pool)
    until(lambda: sum(w.run == begun.id for w in pool.status().workers) == 2)
    time.sleep(0.2)
    began = time.perf_counter()
    begun.cancel()
    until(lambda: all(worker.task is None for worker in pool.status().workers))
    assert time.perf_counter() - began < 3
    assert begun.state == "cancelled"
    nothing_left(begun)
    sketch = Sketch()
    last = sketch(leaf, 1)
    assert run(sketch.graph(), pool).result(last) == 1


# ---- no harm --------------------------------------------------------------------------------------------------------
def test_work_that_is_ready_comes_before_a_consumer_that_could_begin(pool):
    sketch = Sketch()
    made = sketch(steps, 10)
    taken = sketch(collect, made, 0.0)
    others = [sketch(slow_leaf, i) for i in range(3)]
    graph = sketch.graph()
    done = run(graph, pool, plan=planned(graph, [0, 1, 1, 1, 1], {}))
    assert done.result(taken) == list(range(10))
    assert (done.timeline.start[taken.task] >= done.timeline.end[[r.task for r in others]] - 1e-3).all()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_graphs_of_streams_give_what_plain_python_gives(pool, seed):
    sketch, want = woven(seed, 24)
    graph = sketch.graph(kept=range(len(sketch.calls)))
    chance = np.random.default_rng(seed)
    where = chance.integers(-1, 3, len(graph)).tolist()
    notes = {i: Annotations(duplicate=("w1",)) for i in range(len(graph)) if where[i] != 1 and chance.random() < 0.1}
    done = run(graph, pool, plan=planned(graph, where, notes, workers=3))
    assert done.state == "done", done.errors()
    assert [done.result(TaskRef(i)) for i in range(len(graph))] == want
    assert (done.timeline.state == TaskState.DONE).all()
    nothing_left(done)


def test_a_plan_by_nobody_streams_too(pool):
    sketch, want = woven(5, 30)
    graph = sketch.graph(kept=range(30))
    done = run(graph, pool, plan=free_plan(graph, 3))
    assert [done.result(TaskRef(i)) for i in range(30)] == want


# ---- the wire -------------------------------------------------------------------------------------------------------
@pytest.fixture
def porter(tmp_path):
    found = Porter(str(tmp_path / "s"), SECRET)
    yield found
    found.socket.close()


@pytest.fixture
def listen(tmp_path):
    """Connect to the porter; closed at the end."""
    with ExitStack() as lines:
        yield lambda token, secret=SECRET: lines.enter_context(closing(Incoming(str(tmp_path / "s"), secret, token)))


def test_all_sizes_of_chunks_arrive_in_order(porter, listen):
    stream = porter.streams["1.2.3"] = Outgoing("1.2.3")
    sizes = [0, 1, FRAME - 9, FRAME - 8, FRAME - 7, FRAME, 3 * FRAME + 1, 5, 0]
    incoming = listen("1.2.3")
    for k, size in enumerate(sizes):
        stream.chunks.append(snapshot(bytes([k]) * size, pickled=True)[1])
    stream.end()
    assert list(incoming) == [bytes([k]) * size for k, size in enumerate(sizes)]
    assert list(incoming) == []


def test_what_happens_to_the_list_later_is_not_heard():
    stream, mixed = Outgoing("1.2.3"), Outgoing("1.2.4")
    streams = Streams.__new__(Streams)
    value = streams._yielded(iter(range(5)), stream)
    value.clear()
    assert stream.after(0) == ([0, 1, 2, 3, 4], False)
    value = streams._yielded(iter([1, [2], 3]), mixed)
    value.clear()
    numbers, part = mixed.after(0)[0][::2], mixed.after(0)[0][1]
    assert (numbers, loads(part.data)) == ([1, 3], [2])


def test_who_waits_is_told_once_for_many_chunks():
    """A listener takes milliseconds to come round to it, and a generator goes on meanwhile."""
    stream, told, heard = Outgoing("1.2.3"), [], []
    tell = stream.tell
    stream.tell = lambda: (told.append(1), tell())

    def listen() -> None:
        over = False
        while not over:
            chunks, over = stream.after(sum(heard))
            heard.append(len(chunks))

    thread = Thread(target=listen)
    thread.start()
    Streams.__new__(Streams)._yielded(iter(range(100_000)), stream)
    stream.end()
    thread.join(20)
    assert sum(heard) == 100_000
    assert len(told) <= 2 * len(heard) + 2


def test_a_consumer_that_comes_late_hears_all(porter, listen):
    stream = porter.streams["a.1.1"] = Outgoing("a.1.1")
    for i in range(1000):
        stream.chunks.append(snapshot(i, pickled=True)[1])
    incoming = listen("a.1.1")
    assert [next(incoming) for _ in range(1000)] == list(range(1000))
    stream.end(broken=True)
    with pytest.raises(StreamLost):
        next(incoming)
    assert incoming.lost


@pytest.mark.parametrize("token", ["nobody.1.1", "a.1.1"])
def test_who_does_not_know_the_secret_or_the_attempt_hears_nothing(porter, listen, token):
    stream = porter.streams["a.1.1"] = Outgoing("a.1.1")
    stream.chunks.append(snapshot("secret", pickled=True)[1])
    other = SECRET if token != "a.1.1" else b"o" * 32
    incoming = listen(token, other)
    with pytest.raises(StreamLost):
        next(incoming)
    assert incoming.data == b""


def test_a_frame_of_another_place_is_refused():
    """The signature covers the attempt and the number of the frame."""
    from dagnb.runtime.frames import _purpose
    from dagnb.runtime.serialize import seal, unseal

    sealed = seal(SECRET, _purpose("a.1.1", 0), b"\0x")
    for purpose in (_purpose("a.1.1", 1), _purpose("a.1.2", 0)):
        with pytest.raises(SignatureError):
            unseal(SECRET, purpose, sealed)


def test_a_snapshot_of_what_cannot_travel_is_refused():
    with pytest.raises(PickleError):
        snapshot((i for i in ()), pickled=False)
