"""The text of code that exists only in this kernel, so that a worker's traceback can show it."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Iterator
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from dagnb.graph.iterators import unwrapped

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph


def sources(graph: TaskGraph) -> dict[str, str]:
    """File name → text, for all code of cells that the tasks of `graph` reach. A worker reads real files by itself."""
    files = {code.co_filename for code in _codes(graph.calls.functions if graph.calls else ())}
    return {file: text for file in files if (text := _cell_text(file))}


def _cell_text(file: str) -> str:
    """What `linecache` alone knows: an entry without a modification time is kept for good and is no file on disk."""
    entry = linecache.cache.get(file)
    return "".join(entry[2]) if entry is not None and len(entry) == 4 and entry[1] is None else ""


def _codes(functions: Iterable[Any]) -> Iterator[CodeType]:
    """The code of the functions and of the helpers they name or close over, each once."""
    seen: set[int] = set()
    todo: list[Any] = list(functions)
    while todo:
        function = _plain(todo.pop())
        if not isinstance(function, FunctionType) or id(function) in seen:
            continue
        seen.add(id(function))
        yield function.__code__
        if not _cell_text(function.__code__.co_filename):
            continue  # a module of the user's: what it calls is on disk, or at least not of this notebook
        named = (function.__globals__.get(name) for name in _names(function.__code__))
        todo += [value for value in named if callable(value)]
        todo += [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]


def _plain(value: Any) -> Any:
    """The function inside tasks, partials, methods and wrappers."""
    for _ in range(20):  # a wrapper may wrap itself
        if isinstance(value, partial):
            value = unwrapped(value)
        elif isinstance(value, MethodType):
            value = value.__func__
        elif not isinstance(value, FunctionType) and hasattr(type(value), "__wrapped__"):
            value = value.__wrapped__
        elif "__wrapped__" in getattr(value, "__dict__", ()):
            value = value.__dict__["__wrapped__"]
        else:
            return value
    return value


def _names(code: CodeType) -> Iterator[str]:
    """Global names used by the code and by functions written inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _filled(cell: Any) -> bool:
    try:
        return callable(cell.cell_contents)
    except ValueError:  # not assigned yet
        return False
