"""Which inputs of which tasks can come while they are made."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .graph import TaskRef
from .iterators import GENERATOR, flags, with_iterators

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .graph import TaskGraph


def streams_of(graph: TaskGraph) -> dict[int, tuple[int, ...]]:
    """Task → inputs that it can take while they are made: whole values of generators, each used once in its call."""
    calls = graph.calls
    takers: dict[int, tuple[tuple[int, ...], tuple[str, ...]]] = {}
    makers: set[int] = set()
    for number, fn in enumerate(calls.functions if calls is not None else ()):
        if isinstance(fn, partial) and fn.func is with_iterators:
            takers[number] = fn.args[:2]
        if flags(fn) & GENERATOR:
            makers.add(number)
    if calls is None or not takers or not makers:
        return {}
    number_of = calls.function.tolist()
    found: dict[int, tuple[int, ...]] = {}
    for task, number in enumerate(number_of):
        if number in takers:
            inputs = _live(calls.args[task], calls.kwargs[task] or {}, *takers[number])
            if live := tuple(i for i in inputs if number_of[i] in makers):
                found[task] = live
    return found


def _live(args: tuple[Any, ...], words: Mapping[str, Any], at: tuple[int, ...], names: tuple[str, ...]) -> list[int]:
    """Inputs that stand where an iterator is wanted, and nowhere else in this call."""
    wanted = [value for k, value in enumerate(args) if k in at]
    wanted += [value for word, value in words.items() if word in names]
    whole = [value.task for value in wanted if type(value) is TaskRef and not value.select]
    others = [value for k, value in enumerate(args) if k not in at]
    others += [value for word, value in words.items() if word not in names]
    others += [value for value in wanted if type(value) is not TaskRef or value.select]
    used = set(_refs(others))
    return [i for i in dict.fromkeys(whole) if whole.count(i) == 1 and i not in used]


def _refs(todo: list[Any]) -> list[int]:
    """Tasks that are referred to anywhere inside."""
    import dataclasses

    found: list[int] = []
    while todo:
        value = todo.pop()
        if type(value) is TaskRef:
            found.append(value.task)
        elif isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            todo += value
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            todo += [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return found
