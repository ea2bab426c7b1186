"""What a whole graph computes, in 32 hexadecimal digits: equal in every kernel that runs the same cells.

`TaskGraph.fingerprint` covers names and edges, so that a plan fits; this one covers code and arguments too, so that the
values of a run of one kernel are those that another kernel would compute.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from .fingerprint import Fingerprint, content, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .calls import PackedCalls
    from .graph import TaskGraph

#: Types of constants whose text says all of them.
_TEXTS = frozenset({int, float, str, bytes, bool, type(None), complex})


def identity(graph: TaskGraph) -> Fingerprint:
    """The digest of names, edges, code and arguments of a graph; `unknown` names what could not be compared.

    A graph without functions has that of its names and edges. Never raises.
    """
    digest = hashlib.blake2b(graph.fingerprint.encode(), digest_size=16)
    unknown: dict[str, None] = {}
    calls = graph.calls
    if calls is None:
        return Fingerprint(digest.hexdigest())
    for found in map(fingerprint, calls.functions):
        digest.update(found.digest.encode())
        unknown.update(dict.fromkeys(found.unknown))
    digest.update(np.ascontiguousarray(calls.function, np.int32).tobytes())
    words = _packed(calls.packed, unknown) if calls.packed is not None else _each(graph, unknown)
    for word in words:
        digest.update(repr(word).encode("utf-8", "surrogatepass"))
    return Fingerprint(digest.hexdigest(), tuple(unknown))


def _packed(calls: PackedCalls, unknown: dict[str, None]) -> Iterator[object]:
    """Words for all arguments in columns. Forms are numbered as tasks use them, not as cells came to them."""
    shapes = [(form.items, form.keywords) for form in calls.forms]
    used, first, of_task = np.unique(calls.form, return_index=True, return_inverse=True)
    numbers: dict[object, int] = {}
    number = np.zeros(len(used), np.int32)
    for at in np.argsort(first).tolist():
        number[at] = numbers.setdefault(shapes[used[at]], len(numbers))
    yield list(numbers)
    yield number[of_task.reshape(-1)].tobytes()
    if _TEXTS.issuperset(map(type, calls.constants)):
        yield list(calls.constants)
    else:
        yield from (_words(value, "an argument", unknown) for value in calls.constants)
    for task, arguments in sorted(calls.special.items()):
        yield task, _words(arguments, "an argument", unknown)


def _each(graph: TaskGraph, unknown: dict[str, None]) -> Iterator[object]:
    """Words for the arguments of every call."""
    assert graph.calls is not None
    for task, arguments in enumerate(zip(graph.calls.args, graph.calls.kwargs, strict=True)):
        yield _words(arguments, f"an argument of {graph.keys[task]}", unknown)


def _words(value: Any, where: str, unknown: dict[str, None]) -> object:
    if type(value) in _TEXTS:
        return value
    words, open_ends = content(value, where)
    unknown.update(dict.fromkeys(open_ends))
    return words
