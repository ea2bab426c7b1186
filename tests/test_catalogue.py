"""The catalogue of structures: each computed on two workers, free and planned, and compared with plain Python."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagnb
from dagnb.graph.graph import TaskRef
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.planning.planner import find_planner, run_planner
from dagnb.runtime.pool import LocalPool
from dagnb.trace.events import TaskState
from tests.runtime.dags import Sketch, add, inc, leaf, mix, random_dag, run, total

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagnb.graph.graph import TaskGraph

#: What decides who runs a task: nobody (whoever is free), or a plan that names a worker for each.
PLANNERS = ("free", "heft")


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


def planned(graph: TaskGraph, planner: str) -> Plan:
    return run_planner(find_planner(planner), graph, Cluster.local(2), estimate(graph))


def computed(pool: LocalPool, sketch: Sketch, planner: str, *, every: int = 1) -> None:
    """Run it, and compare every one value in `every`, and all sinks', with those of plain Python."""
    graph = sketch.graph(kept=range(0, len(sketch.calls), every))
    done = run(graph, pool, plan=planned(graph, planner))
    assert done.state == "done", done.errors()
    want = sketch.values()
    for task in sorted(graph.kept):
        assert same(done.result(TaskRef(task)), want[task]), graph.keys[task]
    assert done.timeline.counts[TaskState.DONE] == len(graph)
    obeyed(done.planned, done.timeline.worker)


def obeyed(plan: Plan, ran: Any) -> None:
    """What a plan names for a worker has run there."""
    position = {worker: i for i, worker in enumerate(plan.workers)}
    named = np.array([*(position[worker] for worker in plan.columns.ids), -1])[plan.columns.worker]
    assert ((named == -1) | (named == ran)).all()


def same(found: Any, want: Any) -> bool:
    return bool(np.array_equal(found, want)) if isinstance(want, np.ndarray) else found == want


# ---- tasks ----------------------------------------------------------------------------------------------------------
def nothing(*_: object) -> None:
    return None


def pair(a: object, b: object) -> tuple[object, object]:
    return a, b


def count(nested: object) -> int:
    """Numbers anywhere inside."""
    found, todo = 0, [nested]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            todo += [*part.keys(), *part.values()]
        elif isinstance(part, (list, tuple, set)):
            todo += part
        else:
            found += isinstance(part, int)
    return found


def block(size: int) -> bytes:
    return bytes(range(256)) * (size // 256)


def array(rows: int) -> Any:
    return np.arange(rows * 1000.0).reshape(rows, 1000)


def twice(x: Any) -> Any:
    return x * 2


def columns(x: Any) -> Any:
    return x.sum(axis=0)


def length(x: Any) -> int:
    return len(x)


# ---- structures -----------------------------------------------------------------------------------------------------
def empty() -> Sketch:
    return Sketch("empty")


def one() -> Sketch:
    sketch = Sketch("one")
    sketch(leaf, 7)
    return sketch


def chain(n: int = 5_000) -> Sketch:
    sketch = Sketch("chain")
    value = sketch(leaf, 0)
    for _ in range(n - 1):
        value = sketch(inc, value)
    return sketch


def fan_out(n: int = 2_000) -> Sketch:
    sketch = Sketch("fan_out")
    root = sketch(leaf, 5)
    for i in range(n):
        sketch(mix, i, root)
    return sketch


def fan_in(n: int = 2_000) -> Sketch:
    sketch = Sketch("fan_in")
    sketch(total, [sketch(leaf, i) for i in range(n)])
    return sketch


def fan_out_in(n: int = 2_000) -> Sketch:
    sketch = Sketch("fan_out_in")
    root = sketch(leaf, 5)
    sketch(total, [sketch(mix, i, root) for i in range(n)])
    return sketch


def lattice(side: int = 40) -> Sketch:
    """Each needs its neighbours above and to the left: diamonds in diamonds."""
    sketch = Sketch("lattice")
    row = [sketch(leaf, i) for i in range(side)]
    for i in range(side - 1):
        left = sketch(inc, row[0])
        row = [left, *(left := sketch(mix, i, left, above) for above in row[1:])]
    return sketch


def diamonds(n: int = 200) -> Sketch:
    sketch = Sketch("diamonds")
    value = sketch(leaf, 1)
    for _ in range(n):
        value = sketch(add, sketch(inc, value), sketch(mix, 3, value))
    return sketch


def roots_and_sinks(n: int = 200) -> Sketch:
    sketch = Sketch("roots_and_sinks")
    roots = [sketch(leaf, i) for i in range(n)]
    for i in range(n):
        sketch(mix, i, roots[i], roots[(i + 7) % n], roots[(i * 3) % n])
    return sketch


def disconnected() -> Sketch:
    """A chain, a fan, pairs and single tasks that have nothing to do with one another."""
    sketch = Sketch("disconnected")
    value = sketch(leaf, 0)
    for _ in range(50):
        value = sketch(inc, value)
    sketch(total, [sketch(leaf, i) for i in range(50)])
    for i in range(30):
        sketch(inc, sketch(leaf, i))
        sketch(leaf, -i)
    return sketch


def shared() -> Sketch:
    """Sub-expressions that many use, over several levels."""
    sketch = Sketch("shared")
    parts = [sketch(leaf, i) for i in range(10)]
    for level in range(6):
        both = sketch(total, parts)
        parts = [sketch(mix, level, both, part, parts[0]) for part in parts]
    sketch(total, parts)
    return sketch


def same_twice() -> Sketch:
    """One input in several places of one call."""
    sketch = Sketch("same_twice")
    value = sketch(leaf, 3)
    for i in range(40):
        value = sketch(mix, i, value, value, value)
    sketch(pair, value, [value, {"again": value}])
    return sketch


def nested(depth: int = 60) -> Sketch:
    """Inputs at every level of a deep nest of containers."""
    sketch = Sketch("nested")
    value: Any = sketch(leaf, 0)
    for i in range(1, depth):
        inner = sketch(leaf, i)
        value = [value, inner] if i % 3 == 0 else {"in": value, i: inner} if i % 3 == 1 else (value, inner, i)
    sketch(count, value)
    return sketch


def zero_length() -> Sketch:
    """Tasks that do and give nothing, and what needs them only for their order."""
    sketch = Sketch("zero_length")
    level = [sketch(nothing) for _ in range(100)]
    for _ in range(10):
        level = [sketch(nothing, level[i], level[(i + 1) % 100]) for i in range(100)]
    sketch(nothing, level)
    return sketch


def huge_values() -> Sketch:
    """Megabytes, used by several; arrays among them."""
    sketch = Sketch("huge_values")
    raw = [sketch(block, 3_000_000 + 256 * i) for i in range(4)]
    for part in raw:
        sketch(length, part)
    sketch(length, sketch(pair, raw[0], raw))
    table = sketch(array, 1_500)
    for _ in range(3):
        sketch(columns, sketch(twice, table))
    sketch(columns, table)
    return sketch


def dense(width: int = 60, layers: int = 4) -> Sketch:
    """Every task of a layer needs all of the layer before."""
    sketch = Sketch("dense")
    level = [sketch(leaf, i) for i in range(width)]
    for k in range(layers - 1):
        level = [sketch(mix, i + k, *level) for i in range(width)]
    return sketch


def tree(leaves: int = 1_024) -> Sketch:
    sketch = Sketch("tree")
    level = [sketch(leaf, i) for i in range(leaves)]
    while len(level) > 1:
        level = [sketch(add, a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    return sketch


def layered(layers: int = 100, width: int = 1_000) -> Sketch:
    chance, sketch = random.Random(1), Sketch("layered")
    level = [sketch(leaf, i) for i in range(width)]
    for k in range(layers - 1):
        level = [sketch(mix, k, *chance.sample(level, 2)) for _ in range(width)]
    return sketch


STRUCTURES: tuple[Callable[[], Sketch], ...] = (
    *(empty, one, chain, fan_out, fan_in, fan_out_in, lattice, diamonds, roots_and_sinks, disconnected, shared),
    *(same_twice, nested, zero_length, huge_values, dense, tree),
)

#: Name → (structure, of how many values one is compared).
GREAT: dict[str, tuple[Callable[[], Sketch], int]] = {
    "20,000-wide fan-out": (lambda: fan_out(20_000), 7),
    "20,000-wide fan-in": (lambda: fan_in(20_000), 997),
    "20,000-wide fan-out and fan-in": (lambda: fan_out_in(20_000), 997),
    "100,000 roots and a fan-in": (lambda: fan_in(100_000), 9_973),
    "100,000 deep": (lambda: chain(100_000), 9_973),
    "100,000 in layers": (layered, 9_973),
    "100,000 at random": (lambda: random_dag(100_000, 3), 9_973),
}


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: structure.__name__)
def test_every_structure_gives_what_plain_python_gives(pool, structure, planner):
    computed(pool, structure(), planner)


@pytest.mark.parametrize("structure", ["20,000-wide fan-out", "20,000-wide fan-out and fan-in", "100,000 deep"])
def test_great_structures_with_a_plan_that_names_nobody(pool, structure):
    make, every = GREAT[structure]
    computed(pool, make(), "free", every=every)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("structure", GREAT)
def test_great_structures(pool, structure, planner):
    make, every = GREAT[structure]
    computed(pool, make(), planner, every=every)


@st.composite
def any_dag(draw: Any) -> Sketch:
    """Up to sixty tasks; inputs from anywhere before, some twice, in lists and dicts."""
    sketch = Sketch("any")
    for i in range(draw(st.integers(1, 60))):
        inputs = [TaskRef(d) for d in draw(st.lists(st.integers(0, i - 1), max_size=4))] if i else []
        form = draw(st.sampled_from(("plain", "list", "dict")))
        if form == "plain":
            sketch(mix, i, *inputs)
        else:
            sketch(count, [inputs, i] if form == "list" else {"in": inputs, "own": [i]})
    return sketch


@settings(max_examples=40)
@given(any_dag(), st.sampled_from((*PLANNERS, "mixed")), st.randoms(use_true_random=False))
def test_any_dag_gives_what_plain_python_gives(pool, sketch, planner, chance):
    if planner != "mixed":
        computed(pool, sketch, planner)
        return
    graph = sketch.graph(kept=range(len(sketch.calls)))
    where = [chance.choice((-1, 0, 1)) for _ in sketch.calls]
    plan = Plan.build(
        graph, Cluster.local(2), estimate(graph), worker=where, sequence=range(len(graph)), planner="hand"
    )
    done = run(graph, pool, plan=plan)
    assert [done.result(TaskRef(task)) for task in range(len(graph))] == sketch.values()
    obeyed(plan, done.timeline.worker)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_no_recursion_limit_is_met_100_000_deep():
    """Built as a user does, planned, run, laid out and drawn."""
    from dagnb.widgets.layout import layout

    step, first = dagnb.task(inc), dagnb.task(leaf)
    with dagnb.dag("deep", new=True) as deep:
        value = first(0)
        for _ in range(99_999):
            value = step(value)
    assert len(deep.graph) == 100_000
    plan = deep.plan("heft", workers=2)
    assert plan.makespan is not None
    deep.run(plan=plan)
    assert value.result() == 99_999
    assert len(layout(deep.graph).x) == 100_000
    assert deep.last.analysis().complete
    deep.drop()
