"""A node as it is now → its task in a run, or the reason why that run has no answer for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagnb.errors import NotRunError

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph, TaskRef
    from dagnb.graph.handle import Handle
    from dagnb.runtime.run import Run

_ATOMS = (bool, int, float, complex, str, bytes, type(None))


def in_run(run: Run | None, graph: TaskGraph, now: TaskRef, handle: Handle[Any]) -> TaskRef:
    """The value `now` of `graph` in `run`. Raises NotRunError if the DAG was never run, or that part changed since."""
    if run is not None and run.graph is graph:
        return now
    from dagnb.graph.graph import TaskRef

    name = handle.name
    where = graph.where[now.task] if graph.where else ""
    if run is None:
        raise _not_run(f"{name} has no value yet: {graph.name} was never run.", where, graph.name)
    then = run.graph.index.get(graph.keys[now.task])
    if then is None:
        raise _not_run(f"{name} has no value yet: it came after the last run of {graph.name}.", where, graph.name)
    if run.graph.calls is None and graph.calls is not None:
        what = f"{name} may have changed since the run of {graph.name} that was attached: all cells together tell."
        raise _not_run(what, where, graph.name)
    if not unchanged(run.graph, then, graph, now.task):
        raise _not_run(f"{name} was changed after the last run of {graph.name}.", where, graph.name)
    return TaskRef(then, now.select)


def _not_run(what: str, where: str, dag: str) -> NotRunError:
    lines = (what, where, f"Run it: %dag run {dag} (or {dag}.run()).")
    return NotRunError("\n  ".join(line for line in lines if line))


def unchanged(old: TaskGraph, then: int, new: TaskGraph, now: int) -> bool:
    """Whether two tasks of two graphs call the same code with the same arguments, all the way up.

    Code is the function's own; helpers and globals that it reaches are not looked at. Iterative: a chain may be long.
    """
    pairs: dict[tuple[int, int], None] = {(then, now): None}
    todo = [(then, now)]

    def meet(a: TaskRef, b: TaskRef) -> bool:
        pair = (a.task, b.task)
        if pair not in pairs:
            pairs[pair] = None
            todo.append(pair)
        return a.select == b.select

    while todo:
        i, j = todo.pop()
        if not _same_call(old, i, new, j, meet):
            return False
    return True


Meet = Callable[["TaskRef", "TaskRef"], bool]


def _same_call(old: TaskGraph, i: int, new: TaskGraph, j: int, meet: Meet) -> bool:
    a, b = old.calls, new.calls
    if a is None or b is None:
        return False
    if not _same_function(a.functions[a.function[i]], b.functions[b.function[j]]):
        return False
    return _same(a.args[i], b.args[j], meet) and _same(a.kwargs[i], b.kwargs[j], meet)


def _same_function(a: Any, b: Any) -> bool:
    """The same object, or code, defaults and closure that are equal. How often they are tried changes no value."""
    from dagnb.graph.care import bare

    a, b = bare(a), bare(b)
    if a is b:
        return True
    code, other = getattr(a, "__code__", None), getattr(b, "__code__", None)
    if code is None or other is None or code != other or code.co_qualname != other.co_qualname:
        return False
    facts = ("__defaults__", "__kwdefaults__", "__closure__")
    return all(_equal(getattr(a, fact, None), getattr(b, fact, None)) for fact in facts)


def _same(a: Any, b: Any, meet: Meet) -> bool:
    """Whether two arguments are equal; tasks inside them are left for `meet`."""
    from dagnb.graph.graph import TaskRef

    if type(a) is not type(b):
        return False
    if type(a) is TaskRef:
        return meet(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y, meet) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[key], b[key], meet) for key in a)
    return _equal(a, b)


def _equal(a: Any, b: Any) -> bool:
    """Equal for sure: identical, equal plain values, or the same pickle; arrays and tables answer `==` otherwise."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, _ATOMS):
        return bool(a == b)
    from cloudpickle import dumps

    try:
        return bool(dumps(a) == dumps(b))
    except Exception:  # noqa: BLE001 -- what cannot travel cannot be told to be the same
        return False
