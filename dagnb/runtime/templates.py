"""How the arguments of a call are put together in a worker: small programs shared by all calls of one shape.

template      (positional items, ((keyword, item), …))
item          k ≥ 0: value of the k-th dependency
              CONST: the next constant
              FROZEN: the next constant, unpickled for this call
              ("select", k, keys): a part of a value
              ("slice", low, high): the list of the values of these dependencies
              ("list" | "tuple" | "set" | "frozenset", items)
              ("dict", items of keys, items)
              ("attributes", constant, names, items): a dataclass, into a copy of which the items are put
              ("items", constant, items of keys, items): likewise a dict of the user's own
              ("elements", constant, items): likewise a list
              ("like", constant, items): another container, made by calling the constant
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .serialize import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Items that stand for constants: as it is, or unpickled anew for every call because a task could change it.
CONST, FROZEN = -1, -2
Template = tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]]

#: Short cuts of `shape`: all arguments are constants; the dependencies in order; one list of all dependencies;
#: anything else.
CONSTANTS, DEPENDENCIES, GATHER, GENERAL = range(4)


def shape(template: Template) -> int:
    """Which short cut the calls of a template may take: every dependency of a call stands somewhere in its template."""
    positional, keywords = template
    if keywords:
        return GENERAL
    if all(item == CONST for item in positional):
        return CONSTANTS
    if positional == tuple(range(len(positional))):
        return DEPENDENCIES
    if len(positional) == 1 and positional[0][:2] == ("slice", 0) if isinstance(positional[0], tuple) else False:
        return GATHER
    return GENERAL


def bind(template: Template, values: Sequence[Any], constants: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of one call from its template, the values of its dependencies, and its constants."""
    rest = iter(constants)
    positional, keywords = template
    return [_build(i, values, rest) for i in positional], {k: _build(i, values, rest) for k, i in keywords}


def _build(item: Any, values: Sequence[Any], rest: Iterator[Any]) -> Any:  # noqa: PLR0911  one return per kind of item
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
        case ("attributes", constant, names, items):
            return _put(
                _build(constant, values, rest), object.__setattr__, names, [_build(i, values, rest) for i in items]
            )
        case ("items", constant, keys, items):
            grown = _build(constant, values, rest)
            made = [_build(k, values, rest) for k in keys]
            return _put(grown, dict.__setitem__, made, [_build(i, values, rest) for i in items])
        case ("elements", constant, items):
            grown = _build(constant, values, rest)
            list.__setitem__(grown, slice(None), [_build(i, values, rest) for i in items])
            return grown
        case ("like", constant, items):
            make = _build(constant, values, rest)
            return make([_build(i, values, rest) for i in items])
        case (container, items):
            return _CONTAINERS[container](_build(i, values, rest) for i in items)
    msg = f"unknown item {item!r} in a call template"
    raise ValueError(msg)


def _put(into: Any, put: Callable[..., None], names: Sequence[Any], parts: list[Any]) -> Any:
    for name, part in zip(names, parts, strict=True):
        put(into, name, part)
    return into


_CONTAINERS: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
