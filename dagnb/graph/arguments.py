"""The one traversal of nested arguments: find every handle in list, tuple, dict, set and dataclass, to any depth.

Containers are copied on the way, so that a later `batch.append` changes nothing that was recorded. A type is looked up
once: `KINDS` makes the common case (text, numbers, handles) one dictionary look-up an argument.
"""

from __future__ import annotations

import copy
import dataclasses
import types
from collections.abc import Callable, Iterable
from typing import Any

from dagnb.errors import refusal

from .handle import Handle

#: what a type is to the traversal
ATOM, HANDLE, NESTED, ONCE = range(4)

KINDS: dict[type, int] = {
    Handle: HANDLE,
    **dict.fromkeys((int, str, float, bool, bytes, complex, type(None)), ATOM),
    **dict.fromkeys((list, tuple, dict, set, frozenset), NESTED),
}

_CONTAINERS = (list, tuple, dict, set, frozenset)
_READ_ONCE = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, map, filter, zip, enumerate, reversed)


def kind_of(cls: type) -> int:
    """ATOM, HANDLE, NESTED or ONCE."""
    kind = KINDS.get(cls)
    if kind is None:
        nested = issubclass(cls, _CONTAINERS) or dataclasses.is_dataclass(cls)
        KINDS[cls] = kind = NESTED if nested else ONCE if issubclass(cls, _READ_ONCE) else ATOM
    return kind


def rebuild(value: Any, leaf: Callable[[Handle[Any]], Any], above: tuple[int, ...] = ()) -> Any:
    """A copy of the containers in `value` with `leaf(handle)` in the place of every handle. Raises BuildError."""
    cls = type(value)
    kind = kind_of(cls)
    if kind == ATOM:
        return value
    if kind == HANDLE:
        return leaf(value)
    if kind == ONCE:
        raise refusal(
            f"an argument is a {cls.__name__}, which can be read only once and not be sent to a worker.",
            "Make it a list: list(…).",
        )
    if id(value) in above:
        raise refusal("an argument contains itself.", "Break the circle before passing it.")
    above = (*above, id(value))
    if cls is list or cls is tuple or cls is set or cls is frozenset:
        return cls([rebuild(v, leaf, above) for v in value])
    if isinstance(value, dict):
        return _rebuild_dict(value, leaf, above)
    if isinstance(value, _CONTAINERS):
        return _rebuild_subclass(value, [rebuild(v, leaf, above) for v in value])
    return _rebuild_dataclass(value, leaf, above)


def handles_in(value: Any) -> list[Handle[Any]]:
    """Every handle in `value`, in order."""
    found: list[Handle[Any]] = []
    rebuild(value, found.append)
    return found


def first_handle(values: Iterable[Any], budget: int = 1000) -> Handle[Any] | None:
    """A handle among values that a task is called with outside of a DAG; looks at `budget` elements at most."""
    todo = list(values)
    while todo and budget > 0:
        value = todo.pop()
        budget -= 1
        if type(value) is Handle:
            return value
        if isinstance(value, (list, tuple, set, frozenset)) and len(value) <= budget:
            todo += value
        elif isinstance(value, dict) and len(value) <= budget:
            todo += value.values()
    return None


def _rebuild_dict(value: dict[Any, Any], leaf: Callable[[Handle[Any]], Any], above: tuple[int, ...]) -> Any:
    for key in value:
        if kind_of(type(key)) != ATOM and (found := handles_in(key)):
            raise refusal(
                f"{found[0].name} is used as a dictionary key; a key must be known before the run.",
                "Use the handle as the value.",
            )
    parts = {k: rebuild(v, leaf, above) for k, v in value.items()}
    if type(value) is dict:
        return parts
    new = copy.copy(value)  # keeps what the subclass knows beside its items: a default_factory, an order
    for key, part in parts.items():
        dict.__setitem__(new, key, part)
    return new


def _rebuild_subclass(value: Any, parts: list[Any]) -> Any:
    if hasattr(value, "_make"):
        return value._make(parts)
    if isinstance(value, list):
        new: Any = copy.copy(value)
        list.__setitem__(new, slice(None), parts)
        return new
    if all(a is b for a, b in zip(value, parts, strict=True)):
        return copy.copy(value)
    return type(value)(parts)


def _rebuild_dataclass(value: Any, leaf: Callable[[Handle[Any]], Any], above: tuple[int, ...]) -> Any:
    """Copied without its `__init__`: what that computes or checks is not known for a handle."""
    new = copy.copy(value)
    for f in dataclasses.fields(value):
        if hasattr(value, f.name):
            old = getattr(value, f.name)
            part = rebuild(old, leaf, above)
            if part is not old:
                object.__setattr__(new, f.name, part)
    return new
