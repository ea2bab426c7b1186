"""Calls survive packing: whatever the nesting, a worker puts the same arguments together as plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import wire
from dagnb.graph.graph import TaskRef
from dagnb.runtime.columns import packed, unpacked
from dagnb.runtime.compiled import Compiled
from dagnb.runtime.pack import pack
from dagnb.runtime.templates import CONSTANTS, DEPENDENCIES, GATHER, GENERAL, bind
from tests.runtime.dags import Sketch, fill, free_plan, leaf

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
REFS = st.integers(0, 5).map(TaskRef)
NESTED = st.recursive(
    ATOMS | REFS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=25,
)


def anything(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def compiled(sketch: Sketch) -> Compiled:
    graph = sketch.graph()
    return Compiled(pack(graph, free_plan(graph), {}, kept=graph.kept).body)


def bound(program: Compiled, task: int, values: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    inputs = [values[d] for d in program.deps[program.starts[task] : program.starts[task + 1]]]
    return bind(
        program.templates[program.template_of[task]],
        inputs,
        program.constants[program.first_constant[task] : program.first_constant[task + 1]],
    )


@given(st.lists(NESTED, max_size=4), st.dictionaries(st.sampled_from("xyz"), NESTED, max_size=3))
def test_arguments_are_put_together_as_in_plain_python(args, kwargs):
    sketch = Sketch()
    for i in range(6):
        sketch(leaf, i)
    sketch(anything, *args, **kwargs)
    values = [[i, str(i)] for i in range(6)]
    got = bound(compiled(sketch), 6, values)
    assert got == (fill(args, values), fill(kwargs, values))


def test_equal_calls_share_a_template():
    sketch = Sketch()
    for i in range(100):
        sketch(anything, TaskRef(sketch(leaf, i).task), i, "x")
    assert len(compiled(sketch).templates) == 2


def test_short_cuts_are_taken_where_they_fit():
    sketch = Sketch()
    a, b, c, d = (sketch(leaf, i) for i in range(4))
    sketch(anything, a, b)
    sketch(anything, [a, b, c, d])
    sketch(anything, b, a, a)
    sketch(anything, a, key=b)
    program = compiled(sketch)
    shapes = [program.shapes[t] for t in program.template_of]
    assert shapes == [CONSTANTS] * 4 + [DEPENDENCIES, GATHER, GENERAL, GENERAL]


def test_a_wide_fan_in_costs_two_numbers_in_its_template():
    sketch = Sketch()
    sketch(anything, [sketch(leaf, i) for i in range(5000)])
    assert compiled(sketch).templates[1] == ((("slice", 0, 5000),), ())


def recorded(calls: list[tuple[list[Any], dict[str, Any]]]) -> tuple[Any, list[Any]]:
    """The calls as a cell would make them, and the arguments that each must get from the values before it."""
    from dagnb.graph.builder import GraphBuilder
    from dagnb.graph.task import task

    builder = GraphBuilder("recorded")
    function, ns = task(anything), {}
    rec = builder.begin(ns, "recorded.py", hide=False)
    handles: list[Any] = []
    for args, kwargs in calls:
        chosen = [_picked(a, handles) for a in args], {k: _picked(v, handles) for k, v in kwargs.items()}
        handles.append(function(*chosen[0], **chosen[1]))
    ns["last"] = handles[-1]
    builder.commit(rec)
    return builder.graph(), [value(i) for i in range(len(calls))]


def value(i: int) -> list[Any]:
    return [i, [str(i)]]


def _picked(argument: Any, handles: list[Any]) -> Any:
    """A TaskRef as the handle of an earlier call; as its number where there is none so far."""
    if isinstance(argument, TaskRef):
        if argument.task >= len(handles):
            return argument.task
        handle = handles[argument.task]
        for key in argument.select:
            handle = handle[key]
        return handle
    if isinstance(argument, (list, tuple)):
        return type(argument)(_picked(a, handles) for a in argument)
    if isinstance(argument, dict):
        return {k: _picked(v, handles) for k, v in argument.items()}
    return argument


def _seen(argument: Any, call: int, values: list[Any]) -> Any:
    if isinstance(argument, TaskRef):
        return fill(argument, values) if argument.task < call else argument.task
    if isinstance(argument, (list, tuple)):
        return type(argument)(_seen(a, call, values) for a in argument)
    if isinstance(argument, dict):
        return {k: _seen(v, call, values) for k, v in argument.items()}
    return argument


EARLIER = st.integers(0, 7).map(TaskRef) | st.tuples(st.integers(0, 7), st.just((1, 0))).map(lambda t: TaskRef(*t))
PLAIN = EARLIER | st.integers() | st.text(max_size=3) | st.just(range(3)) | st.just(frozenset({1}))
ARGUMENT = PLAIN | st.lists(EARLIER, max_size=6) | st.dictionaries(st.text(max_size=2), PLAIN, max_size=2)
CALLS = st.tuples(st.lists(ARGUMENT, max_size=4), st.dictionaries(st.sampled_from("xyz"), ARGUMENT, max_size=2))


@given(st.lists(CALLS, min_size=1, max_size=9))
def test_recorded_calls_arrive_with_the_arguments_that_were_written(calls):
    """Plain calls in columns, special ones beside them: kernel and worker see what plain Python would."""
    graph, values = recorded(calls)
    program = Compiled(pack(graph, free_plan(graph), {}, kept=graph.kept).body)
    assert (program.starts, program.deps) == (graph.dep_start.tolist(), graph.deps.tolist())
    children = graph.children
    assert (program.cstarts, program.children) == (children[0].tolist(), children[1].tolist())
    for i, (args, kwargs) in enumerate(calls):
        want = [_seen(a, i, values) for a in args], {k: _seen(v, i, values) for k, v in kwargs.items()}
        assert bound(program, i, values) == want
        assert (fill(list(graph.calls.args[i]), values), fill(graph.calls.kwargs[i] or {}, values)) == want


@given(st.lists(st.integers(-(2**15), 2**15 - 1)) | st.lists(st.integers(0, 2**32 - 1)) | st.just([7] * 1000))
def test_columns_come_back(numbers):
    assert unpacked(packed(np.array(numbers, np.int64))) == numbers


def test_bytes_of_a_node_on_the_wire():
    """1,000 nodes of 10 functions, two inputs each and constants; functions travel once and are remembered by hash."""
    package = wire.sample()
    sizes = wire.sizes(package)
    assert len(package.functions) == 10
    assert sum(raw for part, (raw, _) in sizes.items() if part != "functions") / wire.NODES <= 24
    assert sizes["graph"][1] / wire.NODES <= 7


def test_equal_graphs_make_equal_packages():
    assert wire.sample().body == wire.sample().body


def test_a_chain_and_a_fan_of_any_size_are_recorded_packed_and_read():
    """No step on the way goes by recursion, and none looks at every pair."""
    deep: list[Any] = [([], {}), *(([TaskRef(i)], {}) for i in range(100_000))]
    wide: list[Any] = [*(([i], {}) for i in range(20_000)), ([[TaskRef(i) for i in range(20_000)]], {})]
    pairs: list[Any] = [
        *(([i], {}) for i in range(70)),
        *(([TaskRef(2 * i + 1), TaskRef(2 * i + 2)], {}) for i in range(34)),
    ]
    for calls in (deep, wide, pairs):
        graph, _ = recorded(calls)
        program = Compiled(pack(graph, free_plan(graph), {}, kept=graph.kept).body)
        assert program.n == len(calls)
        assert program.deps == graph.deps.tolist()
        assert program.cstarts == graph.children[0].tolist()
        assert program.children == graph.children[1].tolist()
