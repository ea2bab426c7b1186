"""A worker reads equal packages once: the runs after the first are none the worse for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagnb.graph.graph import TaskRef
from dagnb.runtime import worker
from dagnb.runtime.pack import pack
from dagnb.runtime.worker import Desk
from tests.runtime.dags import Sketch, free_plan, leaf, run

if TYPE_CHECKING:
    from dagnb.runtime.pool import LocalPool


def grow(values: Any) -> int:
    """Changes its argument, as a task may."""
    values["new" if isinstance(values, dict) else slice(0, 0)] = [1]
    return len(values)


def changing() -> Sketch:
    """Constants that are put together from a template, and some that are unpickled."""
    sketch = Sketch()
    for constant in ([], [1, 2], {"a": 1}, list(range(100)), {"deep": [1, [2]]}):
        sketch(grow, constant)
    sketch(leaf, [TaskRef(i) for i in range(5)])
    return sketch


def body(sketch: Sketch) -> memoryview:
    graph = sketch.graph()
    return memoryview(pack(graph, free_plan(graph), {}, kept=graph.kept).body)


def test_what_a_task_does_to_its_arguments_ends_with_the_run(pool: LocalPool):
    for _ in range(3):
        graph = changing().graph()
        assert run(graph, pool).wait().result(graph.keys[-1]) == [1, 3, 2, 101, 2]


def desk() -> Desk:
    made = object.__new__(Desk)
    made._graphs = {}
    return made


def test_an_equal_package_is_not_read_again():
    one = desk()
    assert one._compiled(body(changing())) is one._compiled(body(changing()))


def test_large_packages_are_not_remembered_and_of_small_ones_not_too_many(monkeypatch):
    one = desk()
    monkeypatch.setattr(worker, "REMEMBERED", 25)
    for n in (10, 11, 12):
        sketch = Sketch()
        for i in range(n):
            sketch(leaf, i)
        kept = one._compiled(body(sketch))
    assert [graph.n for graph in one._graphs.values()] == [11, 12]
    assert list(one._graphs.values())[-1] is kept
    monkeypatch.setattr(worker, "HEAVY", 100)
    assert one._compiled(body(changing())) is not one._compiled(body(changing()))
