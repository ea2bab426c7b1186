"""Large arguments lie in Redis once by content, while a live run needs them and for a while after that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dagnb.runtime.arguments import SMALL, SPARE, taken_out
from dagnb.runtime.keys import ARGUMENT, USES
from dagnb.runtime.pack import pack
from dagnb.runtime.run import Run, start
from dagnb.runtime.serialize import loads
from dagnb.runtime.values import INLINE
from tests.runtime.dags import Sketch, free_plan, run, total
from tests.runtime.life import until

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskRef

MEGABYTE = 1 << 20


def at(data: Any, k: int) -> float:
    return float(data[k])


def spoil(data: Any, k: int) -> float:
    data[k] += 1
    return float(data[k])


def slow(data: Any, seconds: float) -> float:
    time.sleep(seconds)
    return float(data[0])


def stored(pool: Any) -> Any:
    """A way to ask the Redis of the pool."""
    done = run(single(at, np.zeros(1), 0), pool)
    return done.hub.store._call


def single(function: Any, *args: Any) -> Any:
    sketch = Sketch()
    sketch(function, *args)
    return sketch.graph()


def received(ask: Any) -> int:
    """Bytes that were sent to Redis so far."""
    lines = ask("INFO", "stats").decode().splitlines()
    return int(next(line for line in lines if line.startswith("total_net_input_bytes:")).partition(":")[2])


def digests_of(graph: Any) -> list[str]:
    return list(pack(graph, free_plan(graph), {}, kept=graph.kept).arguments)


def calls_of(data: Any, count: int) -> tuple[Any, TaskRef]:
    """Every call has an object of its own with the same content."""
    sketch = Sketch()
    last = sketch(total, [sketch(at, data.copy(), k) for k in range(count)])
    return sketch.graph(), last


def test_equal_content_lies_there_once_for_all_calls_and_runs(pool):
    ask = stored(pool)
    data = np.random.default_rng(time.time_ns()).random(MEGABYTE // 8)
    graph, last = calls_of(data, 20)
    (digest,) = digests_of(graph)
    moved = []
    for _ in range(3):
        before = received(ask)
        done = run(calls_of(data, 20)[0], pool)
        assert done.result(last) == sum(map(float, data[:20]))
        moved.append(received(ask) - before)
    assert MEGABYTE < moved[0] < 1.5 * MEGABYTE, moved
    assert max(moved[1:]) < MEGABYTE // 4, moved
    assert MEGABYTE < ask("STRLEN", ARGUMENT + digest) < MEGABYTE + 1000
    assert 0 < ask("TTL", ARGUMENT + digest) <= SPARE
    assert ask("EXISTS", USES + digest) == 0


def test_a_live_run_holds_what_it_needs_and_the_last_one_lets_it_go(pool):
    ask = stored(pool)
    data = np.random.default_rng(time.time_ns()).random(MEGABYTE // 8)
    short, long = single(slow, data, 0.1), single(slow, data, 1.0)
    (digest,) = digests_of(short)
    assert digests_of(long) == [digest]
    runs: list[Run] = [start(graph, free_plan(graph), pool) for graph in (long, short)]
    assert ask("SCARD", USES + digest) == 2
    assert ask("TTL", ARGUMENT + digest) == -1
    runs[1].wait(20)
    if runs[0].state == "running":
        assert ask("TTL", ARGUMENT + digest) == -1
    runs[0].wait(20)
    assert [each.result(each.graph.keys[-1]) for each in runs] == [float(data[0])] * 2
    until(lambda: ask("TTL", ARGUMENT + digest) > 0)
    for each in runs:
        each.drop()


def test_a_very_large_one_goes_sooner(pool):
    ask = stored(pool)
    graph = single(at, np.full(3 * SMALL // 8, float(time.time_ns())), 0)
    (digest,) = digests_of(graph)
    run(graph, pool)
    assert 0 < ask("TTL", ARGUMENT + digest) <= SPARE // 3 + 1


def test_a_cancelled_run_lets_go(pool):
    ask = stored(pool)
    data = np.random.default_rng(time.time_ns()).random(MEGABYTE // 8)
    graph = single(slow, data, 30.0)
    (digest,) = digests_of(graph)
    begun = start(graph, free_plan(graph), pool)
    until(lambda: any(w.task is not None for w in pool.status().workers))
    begun.cancel()
    assert ask("EXISTS", USES + digest) == 0
    assert ask("TTL", ARGUMENT + digest) > 0


def test_every_call_has_a_large_argument_of_its_own(pool):
    """What a task does to its argument is seen by no other call, in no other run."""
    sketch = Sketch()
    data = np.zeros(MEGABYTE // 8)
    last = sketch(total, [sketch(spoil, data, 0) for _ in range(10)])
    for _ in range(2):
        assert run(sketch.graph(), pool).result(last) == 10.0
    assert data[0] == 0


@pytest.mark.parametrize("make", [lambda n: b"x" * n, lambda n: "ü" * n, lambda n: list(range(n)), np.ones])
def test_large_arguments_of_all_kinds_arrive(pool, make):
    value = make(INLINE + 1)
    sketch = Sketch()
    ends = [sketch(len, value), sketch(lambda x, k: len(x) + k, value, 1)]
    done = run(sketch.graph(), pool)
    assert [done.result(end) for end in ends] == [INLINE + 1, INLINE + 2]


def test_only_what_is_large_is_taken_out():
    large, equal = b"y" * (INLINE + 1), b"".join([b"y" * INLINE, b"y"])
    constants = [1, "small", large, b"z" * INLINE, equal, large, 2.0]
    places, found = taken_out(constants)
    assert constants == [1, "small", None, b"z" * INLINE, None, None, 2.0]
    assert sorted(places) == [2, 4, 5]
    assert len(set(places.values())) == 1
    assert [loads(data) for data in found.values()] == [large]
