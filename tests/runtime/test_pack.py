"""Calls survive packing: whatever the nesting, a worker puts the same arguments together as plain Python."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dagnb.graph.graph import TaskRef
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


def test_bytes_of_a_node_on_the_wire():
    """1,000 nodes of 10 functions with constants: what one more node costs."""
    sizes = []
    for count in (1000, 2000):
        sketch = Sketch()
        for i in range(count):
            sketch(anything, TaskRef(i - 1), i) if i % 3 else sketch(leaf, i)
        graph = sketch.graph()
        sizes.append(len(pack(graph, free_plan(graph), {}, kept=graph.kept).body))
    assert (sizes[1] - sizes[0]) / 1000 < 40
