"""How often workers talk, and how much at once: counted in the requests that Redis has numbered."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from dagnb.errors import SignatureError
from dagnb.graph.graph import TaskRef
from dagnb.runtime.hub import Hub
from dagnb.runtime.keys import DAGNB, run_prefix
from dagnb.runtime.outbox import GIVEN, SHARED
from dagnb.trace.events import TaskState
from tests.runtime.dags import Sketch, add, inc, leaf, run, total


def pause(x: int) -> int:
    """Longer than the grain of tiny tasks, and short enough for several to be lost with a worker."""
    time.sleep(0.004)
    return x + 1


def sleep(x: int) -> int:
    """Long enough for another worker to do thousands of small tasks."""
    time.sleep(1.5)
    return x


def fail(_: int) -> int:
    raise ValueError


def requests(store, slots) -> int:
    """How many syncs the workers of these slots have made so far."""
    return sum(int(n or 0) for n in store._call("HMGET", DAGNB + "ws", *(f"s{slot}" for slot in slots)))


def counted(graph, pool, **options) -> tuple[object, int]:
    """A run, and how many syncs it took. One before it brings the workers to their places."""
    warm = Sketch()
    warm(inc, warm(leaf, 1))
    store, slots = Hub.of(pool).store, run(warm.graph(), pool, **options).slots
    before = requests(store, slots)
    done = run(graph, pool, **options)
    assert done.slots == slots
    return done, requests(store, slots) - before


@pytest.mark.parametrize("shape", ["fan", "layers"])
def test_a_task_that_is_coordinated_by_itself_takes_one_request(pool, shape):
    sketch = Sketch()
    level = [sketch(leaf, i) for i in range(500 if shape == "fan" else 25)]
    for _ in range(0 if shape == "fan" else 19):
        level = [sketch(add, level[i], level[(i + 7) % 25]) for i in range(25)]
    sketch(total, level)
    graph = sketch.graph()
    done, asked = counted(graph, pool, single=True)
    assert done.result(TaskRef(len(graph) - 1)) == sketch.values()[-1]
    assert len(graph) <= asked <= 1.05 * len(graph) + 4  # beside it: each worker comes, waits at the end, and leaves


def test_tasks_of_a_chain_that_nobody_waits_for_are_not_reported_one_by_one(pool):
    sketch = Sketch()
    value = sketch(leaf, 0)
    for _ in range(60):
        value = sketch(pause, value)
    done, asked = counted(sketch.graph(), pool)
    assert done.result(value) == 60
    assert asked < 45  # 60 and more when each is; a busy machine lets the bound of uncommitted work pass sooner


def test_slow_tasks_that_become_ready_in_one_worker_are_shared(pool):
    sketch = Sketch()
    root = sketch(leaf, 0)
    slow = [sketch(pause, root) for _ in range(120)]
    last = sketch(total, slow)
    for _ in range(20):  # both workers have started
        if len(set(run(sketch.graph(), pool).timeline.worker.tolist())) > 1:
            break
    done = run(sketch.graph(), pool)
    assert done.result(last) == len(slow)
    there = Counter(done.timeline.worker[[ref.task for ref in slow]].tolist())
    assert min(there[0], there[1]) > 30  # of what becomes ready in one worker the other gets its part


def lists(i: int) -> list[int]:
    return [i]


def test_tiny_tasks_are_claimed_in_large_pieces(pool):
    sketch = Sketch()
    sketch(total, [sketch(leaf, i) for i in range(10_000)])
    run(sketch.graph(), pool, workers=1)  # teaches how long they take
    done, asked = counted(sketch.graph(), pool, workers=1)
    assert done.result(TaskRef(10_000)) == sum(range(10_000))
    assert asked < 60


def test_small_kept_values_share_a_signature_and_each_is_there(pool):
    sketch = Sketch()
    made = [sketch(inc, i) for i in range(2 * SHARED)]
    done = run(sketch.graph(), pool, workers=1)
    store, key = Hub.of(pool).store, run_prefix(done.id) + "keep"
    assert store._call("HLEN", key) < len(made) + 20
    assert [store.kept(done.id, ref.task) for ref in made] == [(True, i + 1) for i in range(len(made))]
    assert store.kept(done.id, len(made)) == (False, None)


def test_small_kept_values_of_another_run_or_place_are_refused(pool):
    one, two = (run(sketch.graph(), pool, workers=1) for sketch in (kept_twice(1), kept_twice(5)))
    store, prefix = Hub.of(pool).store, run_prefix(one.id)
    name = store._call("HGET", prefix + "keep", 0)
    other = store._call("HGET", run_prefix(two.id) + "keep", 0)
    store._call("HSET", prefix + "keep", name, store._call("HGET", run_prefix(two.id) + "keep", other))
    with pytest.raises(SignatureError):
        store.kept(one.id, 0)
    store._call("HDEL", prefix + "keep", name)
    with pytest.raises(SignatureError):
        store.kept(one.id, 0)
    store._call("DEL", prefix + "keep")
    assert store.kept(one.id, 0) == (False, None)


def test_the_name_of_another_task_is_no_name_of_several_values(pool):
    sketch = Sketch()
    sketch(lists, 0)
    sketch(lists, 1)
    done = run(sketch.graph(), pool, workers=1)
    store, key = Hub.of(pool).store, run_prefix(done.id) + "keep"
    assert store.kept(done.id, 0) == (True, [0])
    store._call("HSET", key, 0, "1")  # leads to what is rightly signed, for task 1
    with pytest.raises(SignatureError, match="replaced by another name"):
        store.kept(done.id, 0)


def kept_twice(first: int) -> Sketch:
    sketch = Sketch()
    for i in range(2):
        sketch(inc, first + i)
    return sketch


def test_more_followers_than_one_request_reports_are_all_skipped(pool):
    sketch = Sketch()
    root = sketch(fail, 0)
    for _ in range(2 * GIVEN + 10):
        sketch(inc, root)
    done, asked = counted(sketch.graph(), pool)
    assert done.state == "failed"
    assert done.progress[TaskState.SKIPPED] == 2 * GIVEN + 10
    assert asked >= 3


def test_all_that_would_wait_behind_a_long_task_is_given_away(pool):
    """More than one request gives: the other worker does it meanwhile."""
    sketch = Sketch()
    root = sketch(leaf, 1)
    long = sketch(sleep, root)
    small = [sketch(inc, root) for _ in range(2 * GIVEN + 500)]
    last = sketch(total, [long, *small])
    done = run(sketch.graph(), pool)
    assert done.result(last) == 1 + 2 * len(small)
    line = done.timeline
    there = Counter(line.worker[[ref.task for ref in small]].tolist())
    assert there[int(line.worker[long.task])] < 100
