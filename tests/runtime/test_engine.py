"""Graphs run by real workers on a real Redis give what plain Python gives."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pytest

from dagnb.errors import NotRunError, PickleError, PlanError
from dagnb.graph.graph import TaskGraph, TaskRef
from dagnb.planning.cluster import Cluster, WorkerId
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Assignment, Plan
from dagnb.runtime.run import start
from dagnb.trace.events import TaskState
from tests.runtime.dags import Sketch, add, free_plan, inc, leaf, mix, random_dag, refs, run, total


def fan(n: int) -> Sketch:
    sketch = Sketch("fan")
    sketch(total, [sketch(leaf, i) for i in range(n)])
    return sketch


def chain(n: int) -> Sketch:
    sketch = Sketch("chain")
    value = sketch(leaf, 0)
    for _ in range(n - 1):
        value = sketch(inc, value)
    return sketch


def tree(leaves: int) -> Sketch:
    sketch = Sketch("tree")
    level = [sketch(leaf, i) for i in range(leaves)]
    while len(level) > 1:
        level = [sketch(add, a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    return sketch


def diamonds(n: int) -> Sketch:
    sketch = Sketch("diamonds")
    value = sketch(leaf, 1)
    for _ in range(n):
        value = sketch(add, sketch(inc, value), sketch(add, value, value))
    return sketch


SHAPES = {
    "one": lambda: fan(0),
    "fan": lambda: fan(3000),
    "chain": lambda: chain(5000),
    "tree": lambda: tree(1024),
    "diamonds": lambda: diamonds(300),
    "random": lambda: random_dag(2000, 7),
}


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_give_what_plain_python_gives(pool, shape, workers):
    sketch = SHAPES[shape]()
    graph = sketch.graph()
    done = run(graph, pool, workers=workers)
    want = sketch.values()
    assert done.state == "done"
    for task in graph.sinks.tolist():
        assert done.result(TaskRef(task)) == want[task]
    assert done.progress[TaskState.DONE] == len(graph)


@pytest.mark.parametrize("make", [lambda: fan(20_000), lambda: chain(20_000)], ids=["20,000-wide fan", "20,000 chain"])
def test_large_graphs(pool, make):
    sketch = make()
    graph = sketch.graph()
    assert run(graph, pool).result(TaskRef(len(graph) - 1)) == sketch.values()[-1]


@pytest.mark.long
@pytest.mark.parametrize("make", [lambda: fan(100_000), lambda: chain(100_000), lambda: random_dag(100_000, 3)])
def test_graphs_of_a_hundred_thousand_tasks(pool, make):
    sketch = make()
    graph = sketch.graph()
    assert run(graph, pool).result(TaskRef(len(graph) - 1)) == sketch.values()[-1]


@pytest.mark.parametrize("shape", ["fan", "tree", "random"])
def test_a_round_trip_for_every_task_gives_the_same(pool, shape):
    sketch = {"fan": lambda: fan(200), "tree": lambda: tree(64), "random": lambda: random_dag(300, 3)}[shape]()
    graph = sketch.graph()
    assert run(graph, pool, single=True).result(TaskRef(len(graph) - 1)) == sketch.values()[-1]


def test_an_empty_graph_is_done_at_once(pool):
    graph = Sketch("empty").graph()
    done = run(graph, pool)
    assert done.state == "done"
    assert done.errors() == []
    assert len(done.timeline) == 0


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Config:
    model: Any
    sizes: dict[str, Any]


class Bag(list[Any]):
    """A container of the user's own."""


def same(value: Any) -> Any:
    return value


def test_nested_arguments_of_any_depth(pool):
    sketch = Sketch()
    a, b, pair = sketch(leaf, 1), sketch(leaf, 2), sketch(same, {"u": [10, 20]})
    cases = [
        [[[a]], [b, [a, 3]]],
        {"k": [a, {"deep": (b, "x")}]},
        (a, [b], {a: 1} if False else {"plain": [1, 2]}),
        Point(a, [b]),
        Config(a, {"n": b}),
        Bag([a, b]),
        TaskRef(pair.task, ("u", 1)),
        [TaskRef(pair.task, ("u",)), None, "text", b"bytes", 1.5],
    ]
    tasks = [sketch(same, case).task for case in cases]
    done = run(sketch.graph(), pool)
    got = [done.result(TaskRef(t)) for t in tasks]
    assert got[:3] == [[[[1]], [2, [1, 3]]], {"k": [1, {"deep": (2, "x")}]}, (1, [2], {"plain": [1, 2]})]
    assert got[3] == Point(1, [2])
    assert got[4] == Config(1, {"n": 2})
    assert type(got[5]) is Bag
    assert got[5:] == [[1, 2], 20, [[10, 20], None, "text", b"bytes", 1.5]]


def describe(a: int, *rest: Any, scale: float = 1.0, **more: Any) -> Any:
    return a, rest, scale, sorted(more.items())


def test_keywords_defaults_and_the_same_input_twice(pool):
    sketch = Sketch()
    a = sketch(leaf, 7)
    tasks = [sketch(describe, a, a, 3, scale=a).task, sketch(describe, 1, other=a, z=[a, a]).task]
    done = run(sketch.graph(), pool)
    assert done.result(TaskRef(tasks[0])) == (7, (7, 3), 7, [])
    assert done.result(TaskRef(tasks[1])) == (1, (), 1.0, [("other", 7), ("z", [7, 7])])


# ---- inputs behave as values ----------------------------------------------------------------------------------------
def make_list(n: int) -> list[int]:
    return list(range(n))


def spoil(values: Any) -> int:
    values[0] = -1
    return 0


def first(values: Any) -> int:
    return int(values[0])


def make_array(n: int) -> Any:
    return np.arange(n)


def spoil_array(values: Any) -> str:
    try:
        values[0] = -1
    except ValueError:
        return "read-only"
    return "changed"


@pytest.mark.parametrize("size", [10, 50_000])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("single", [False, True])
def test_what_a_task_does_to_its_inputs_is_seen_by_nobody(pool, size, workers, single):
    sketch = Sketch()
    shared = sketch(make_list, size)
    readers = []
    for _ in range(6):
        sketch(spoil, shared)
        readers.append(sketch(first, shared).task)
    graph = sketch.graph(kept=[shared.task])
    done = run(graph, pool, workers=workers, single=single)
    assert [done.result(TaskRef(t)) for t in readers] == [0] * 6
    assert done.result(shared) == list(range(size))


def test_an_array_of_several_consumers_is_read_only_and_of_one_is_its_own(pool):
    sketch = Sketch()
    many, one = sketch(make_array, 10), sketch(make_array, 10)
    tasks = [sketch(spoil_array, many).task, sketch(spoil_array, many).task, sketch(spoil_array, one).task]
    done = run(sketch.graph(), pool, workers=1)
    assert [done.result(TaskRef(t)) for t in tasks] == ["read-only", "read-only", "changed"]


def test_a_constant_is_fresh_for_every_call(pool):
    constant = [1, 2, 3]
    sketch = Sketch()
    tasks = [
        sketch(spoil, constant).task,
        sketch(first, constant).task,
        sketch(spoil, constant).task,
        sketch(first, constant).task,
    ]
    done = run(sketch.graph(), pool, workers=1)
    assert [done.result(TaskRef(t)) for t in tasks] == [0, 1, 0, 1]
    assert constant == [1, 2, 3]


def big(n: int) -> Any:
    return np.full(n, 1.5)


def dot(*arrays: Any) -> float:
    return float(sum(a.sum() for a in arrays))


@pytest.mark.parametrize("single", [False, True])
def test_values_of_all_sizes_cross_between_workers(pool, single):
    """Inside a claim, in a blob of their own, and in several chunks; kept ones too."""
    sketch = Sketch()
    sizes = [1, 100, 5_000, 20_000, 1_200_000]
    made = [sketch(big, n) for n in sizes for _ in range(2)]
    last = sketch(dot, *made)
    done = run(sketch.graph(kept=[m.task for m in made]), pool, workers=4, single=single)
    assert done.result(last) == 1.5 * 2 * sum(sizes)
    for ref, n in zip(made, [n for n in sizes for _ in range(2)], strict=True):
        assert done.result(ref).shape == (n,)


async def later(x: int) -> int:
    import asyncio

    await asyncio.sleep(0.001)
    return x * 2


def test_async_functions_are_awaited(pool):
    sketch = Sketch()
    last = sketch(later, sketch(later, 3))
    assert run(sketch.graph(), pool).result(last) == 12


# ---- plans are obeyed -----------------------------------------------------------------------------------------------
def named(graph: TaskGraph, workers: list[int | None], count: int, order: list[int] | None = None) -> Plan:
    cluster = Cluster.local(count)
    order = order or list(range(len(graph)))
    assignments = tuple(
        Assignment(None if w is None else WorkerId(f"w{w}"), order[i], float(order[i])) for i, w in enumerate(workers)
    )
    return Plan(
        assignments,
        planner="test",
        graph_fingerprint=graph.fingerprint,
        estimates_fingerprint=estimate(graph).fingerprint,
        workers=tuple(w.id for w in cluster.workers),
    )


def test_named_workers_are_obeyed(pool):
    sketch = random_dag(400, 11)
    graph = sketch.graph()
    where = [None if i % 5 == 0 else i % 3 for i in range(len(graph))]
    done = run(graph, pool, plan=named(graph, where, 3))
    assert done.result(TaskRef(len(graph) - 1)) == sketch.values()[-1]
    ran = done.timeline.worker
    assert all(ran[i] == w for i, w in enumerate(where) if w is not None)
    assert Counter(ran.tolist()).keys() <= {0, 1, 2}


def test_priority_orders_what_is_ready(pool):
    sketch = Sketch()
    for i in range(40):
        sketch(leaf, i)
    graph = sketch.graph()
    order = [39 - i for i in range(40)]
    done = run(graph, pool, plan=named(graph, [0] * 40, 1, order))
    starts = done.timeline.start
    assert sorted(range(40), key=lambda i: starts[i]) == list(range(39, -1, -1))


def nap(x: int) -> int:
    time.sleep(0.03)
    return x


def long_text(n: int) -> str:
    return "x" * n


def length(text: str) -> int:
    return len(text)


def test_order_holds_among_long_tasks(pool):
    """Children that are ready where they are needed wait for roots that the plan puts first."""
    sketch = Sketch()
    roots = [sketch(nap, i) for i in range(4)]
    for root in roots:
        sketch(nap, root)
    done = run(sketch.graph(), pool, plan=named(sketch.graph(), [0] * 8, 1, list(range(8))))
    assert np.argsort(done.timeline.start).tolist() == list(range(8))


def test_what_becomes_ready_elsewhere_comes_first_if_the_plan_says_so(pool):
    """Worker 0 has a queue of long tasks of its own when an urgent one arrives from worker 1."""
    sketch = Sketch()
    first = sketch(nap, 0)
    for i in range(6):
        sketch(nap, i)
    urgent = sketch(nap, first)
    graph = sketch.graph()
    plan = named(graph, [1, *[0] * 7], 2, [0, 2, 3, 4, 5, 6, 7, 1])
    run(graph, pool, plan=plan)  # both workers are up after this
    begun = run(graph, pool, plan=plan).timeline.start
    assert sorted(range(1, 8), key=lambda i: begun[i]).index(urgent.task) <= 2


def busy(seconds: float, *_: Any) -> float:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds


def rest(seconds: float, *_: Any) -> float:
    time.sleep(seconds)
    return seconds


def test_what_stands_behind_a_long_task_is_done_by_whoever_is_free(pool):
    """Also where short tasks came before it, so that little work seems to be left."""
    for _ in range(3):  # who gets the last of the short ones is chance
        sketch = Sketch()
        short = sketch(total, [sketch(busy, 5e-5) for _ in range(200)])
        first = sketch(rest, 0.4, short)
        second = sketch(rest, 0.4, sketch(busy, 5e-5, sketch(busy, 5e-5, short)))
        done = run(sketch.graph(), pool)
        assert done.state == "done", done.errors()
        begun = done.timeline.start
        assert abs(begun[first.task] - begun[second.task]) < 0.3


def test_large_texts_travel_as_payloads(pool):
    """They are not kept for good by the worker that made them, nor carried by a script; their upload is told."""
    sketch = Sketch()
    text = sketch(long_text, 300_000)
    ends = [sketch(length, text) for _ in range(2)]
    graph = sketch.graph()
    done = run(graph, pool, plan=named(graph, [0, 0, 1], 2))
    assert [done.result(end) for end in ends] == [300_000, 300_000]
    assert done.timeline.upload[text.task] > 0
    assert done.timeline.size[text.task] > 300_000


def test_a_plan_for_another_graph_is_refused(pool):
    with pytest.raises(PlanError, match="not for this graph"):
        start(fan(3).graph(), free_plan(fan(4).graph()), pool)


# ---- what stays -----------------------------------------------------------------------------------------------------
def test_intermediates_vanish_with_the_end_and_kept_values_stay(pool):
    sketch = chain(50)
    graph = sketch.graph(kept=[10])
    done = run(graph, pool)
    assert done.result(TaskRef(10)) == 10
    assert done.result(TaskRef(49)) == 49
    with pytest.raises(NotRunError, match="intermediate value"):
        done.result(TaskRef(20))
    store = done.hub.store
    left = {k.decode().rpartition(":")[2] for k in store._keys(f"dagnb:{{{done.id}}}:*")}
    assert left <= {"meta", "fin", "keep", "ev", "plan", "outline"}
    done.drop()
    assert store._keys(f"dagnb:{{{done.id}}}:*") == []
    assert done.id not in store.live_runs()


def test_a_graph_of_a_trace_cannot_run(pool):
    graph = TaskGraph.build("trace", [[], [0]])
    with pytest.raises(PickleError, match="has no functions"):
        start(graph, free_plan(graph), pool)


@pytest.mark.parametrize("tasks", [5, 300])
def test_the_plan_is_stored_with_the_run(pool, tasks):
    graph = fan(tasks).graph()
    plan = free_plan(graph)
    done = run(graph, pool, plan=plan)
    stored = done.hub.store.plan(done.id)
    assert stored is not None
    assert Plan.from_json(stored).assignments == plan.assignments


def test_events_tell_every_task_once_and_makespans_agree(pool):
    graph = tree(256).graph()
    done = run(graph, pool)
    line = done.timeline
    assert (line.state == TaskState.DONE).all()
    assert (line.end >= line.start).all()
    for task in range(len(graph)):
        for d in graph.dependencies(task):
            assert line.end[d] <= line.start[task] + 1e-9
    assert done.makespan is not None
    assert 0 < done.makespan <= done.client_makespan


def test_listeners_get_every_batch_from_the_first(pool):
    graph = fan(500).graph()
    begun = start(graph, free_plan(graph), pool)
    live: list[int] = []
    stop = begun.subscribe(lambda b: live.extend(b.records["task"][b.records["kind"] == 2].tolist()))
    import threading

    over = threading.Event()
    begun.on_end(lambda _: over.set())
    assert over.wait(20)
    late: list[int] = []
    begun.subscribe(lambda b: late.extend(b.records["task"][b.records["kind"] == 2].tolist()))
    stop()
    assert sorted(live) == sorted(late) == list(range(501))


def test_refs_of_the_helper_find_nested_ones():
    assert refs([TaskRef(1), {"a": (TaskRef(2),)}]) == [TaskRef(1), TaskRef(2)]
    assert mix(1, 2) == 7921
