"""How the arguments of a call are put together in a worker: small programs shared by all calls of one shape.

    template      (positional items, ((keyword, item), …))
    item          k ≥ 0: value of the k-th dependency · CONST: the next constant · FROZEN: the next constant, unpickled for this call
                  ("select", k, keys) · ("slice", low, high): list of values · ("list" | "tuple" | "set" | "frozenset", items)
                  ("dict", items of keys, items) · ("fields", constant, names, items): a dataclass or named tuple with these fields
                  ("like", constant, items): another subclass of a container, made from its items
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .serialize import loads

#: Items that stand for constants: as it is, or unpickled anew for every call because a task could change it.
CONST, FROZEN = -1, -2
Template = tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]]

#: Short cuts of `shape`: all arguments are constants; the dependencies in order; one list of all dependencies; anything else.
CONSTANTS, DEPENDENCIES, GATHER, GENERAL = range(4)


def shape(template: Template, dependencies: int) -> int:
    """Which short cut a template allows for a call with so many dependencies."""
    positional, keywords = template
    if keywords:
        return GENERAL
    if all(item == CONST for item in positional) and not dependencies:
        return CONSTANTS
    if positional == tuple(range(dependencies)):
        return DEPENDENCIES
    if positional == (("slice", 0, dependencies),):
        return GATHER
    return GENERAL


def bind(template: Template, values: Sequence[Any], constants: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of one call from its template, the values of its dependencies, and its constants."""
    rest = iter(constants)
    positional, keywords = template
    return [_build(i, values, rest) for i in positional], {k: _build(i, values, rest) for k, i in keywords}


def _build(item: Any, values: Sequence[Any], rest: Iterator[Any]) -> Any:
    if type(item) is int:
        return values[item] if item >= 0 else next(rest) if item == CONST else loads(next(rest))
    match item:
        case ("select", k, keys):
            value = values[k]
            for key in keys:
                value = value[key]
            return value
        case ("slice", low, high):
            return list(values[low:high])
        case ("dict", keys, items):
            made = [_build(k, values, rest) for k in keys]
            return dict(zip(made, [_build(i, values, rest) for i in items], strict=True))
        case ("like", constant, (items,)):
            return _build(constant, values, rest)(_build(items, values, rest))
        case ("fields", constant, names, items):
            cls = _build(constant, values, rest)
            return cls(**dict(zip(names, [_build(i, values, rest) for i in items], strict=True)))
        case (container, items):
            return _CONTAINERS[container](_build(i, values, rest) for i in items)
    msg = f"unknown item {item!r} in a call template"
    raise ValueError(msg)


_CONTAINERS: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
