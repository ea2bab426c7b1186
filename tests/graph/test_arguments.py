"""Handles anywhere in list, tuple, dict, set and dataclass; what was recorded does not change any more."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.arguments import handles_in, rebuild
from dagnb.graph.builder import GraphBuilder
from dagnb.graph.graph import TaskGraph, TaskRef
from dagnb.graph.handle import Handle
from dagnb.graph.task import task


@dataclass(frozen=True)
class Frozen:
    a: Any
    made: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "made", [self.a])
        if not isinstance(self.a, (int, Handle)):
            raise TypeError


@dataclass(slots=True)
class Slotted:
    a: Any


class Pair(NamedTuple):
    u: Any
    v: Any


class Numbers(list[Any]):
    unit = "m"


@pytest.fixture
def body() -> Iterator[tuple[GraphBuilder, dict[str, Any]]]:
    builder, ns = GraphBuilder("etl"), dict[str, Any]()
    rec = builder.begin(ns, __file__)
    yield builder, ns
    if not rec.closed:
        builder.abort(rec)


load = task(lambda x: x, name="load")
use = task(lambda *a, **k: (a, k), name="use")


def made(builder: GraphBuilder) -> TaskGraph:
    (rec,) = builder._tokens
    builder.commit(rec)
    return builder.graph()


CASES = [
    (lambda h: [[h], (h, 1)], [[TaskRef(0)], (TaskRef(0), 1)]),
    (lambda h: {"k": (h, {1: [h]})}, {"k": (TaskRef(0), {1: [TaskRef(0)]})}),
    (lambda h: {h, 2}, {TaskRef(0), 2}),
    (lambda h: frozenset([h]), frozenset([TaskRef(0)])),
    (lambda h: Pair(h, 1), Pair(TaskRef(0), 1)),
    (lambda h: Slotted([h]), Slotted([TaskRef(0)])),
    (lambda h: collections.OrderedDict(a=h), collections.OrderedDict(a=TaskRef(0))),
    (lambda h: Numbers([h]), Numbers([TaskRef(0)])),
    (lambda h: [h["c"]["d"]], [TaskRef(0, ("c", "d"))]),
]


@pytest.mark.parametrize(("make", "want"), CASES)
def test_any_depth(body: tuple[GraphBuilder, dict[str, Any]], make: Any, want: Any) -> None:
    builder, _ = body
    handle = load(1)
    use(make(handle))
    use(x=make(handle))
    graph = made(builder)
    assert graph.calls is not None
    assert graph.calls.args[1] == (want,)
    assert type(graph.calls.args[1][0]) is type(want)
    assert graph.calls.kwargs[2] == {"x": want}
    assert graph.dependencies(1) == graph.dependencies(2) == [0]


def test_dataclasses_are_copied_without_their_init(body: tuple[GraphBuilder, dict[str, Any]]) -> None:
    builder, _ = body
    use(Frozen(load(1)))
    calls = made(builder).calls
    assert calls is not None
    (box,) = calls.args[1]
    assert (box.a, box.made) == (TaskRef(0), [TaskRef(0)])


def test_a_default_factory_survives(body: tuple[GraphBuilder, dict[str, Any]]) -> None:
    builder, _ = body
    use(collections.defaultdict(int, {"a": load(1)}))
    calls = made(builder).calls
    assert calls is not None
    assert calls.args[1][0]["missing"] == 0


def test_later_changes_change_nothing(body: tuple[GraphBuilder, dict[str, Any]]) -> None:
    builder, _ = body
    batch, box, table = [load(1)], Slotted([1]), collections.defaultdict(list, {"k": [1]})
    use(batch, box, table)
    batch.append(load(2))
    box.a.append(2)
    table["k"].append(2)
    calls = made(builder).calls
    assert calls is not None
    batch_, box_, table_ = calls.args[1]
    assert (batch_, box_.a, table_["k"]) == ([TaskRef(0)], [1], [1])


def test_needs_come_once_in_the_order_of_first_use(body: tuple[GraphBuilder, dict[str, Any]]) -> None:
    builder, _ = body
    a, b, c = load(1), load(2), load(3)
    use([c, a], {"k": c}, b, a)
    use(b, a)
    graph = made(builder)
    assert graph.dependencies(3) == [2, 0, 1]
    assert graph.dependencies(4) == [1, 0]


def test_equal_calls_stay_two_nodes(body: tuple[GraphBuilder, dict[str, Any]]) -> None:
    builder, _ = body
    load(1), load(1)
    assert len(made(builder)) == 2


VALUES = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3), st.none(), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(Slotted, inner),
        st.builds(Pair, inner, inner),
        st.lists(inner, max_size=3).map(Numbers),
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(VALUES)
def test_a_value_without_handles_is_copied_as_it_is(value: Any) -> None:
    copied = rebuild(value, lambda _: None)
    assert copied == value
    assert type(copied) is type(value)
    assert handles_in(value) == []
    if isinstance(value, (list, dict)):
        assert copied is not value
