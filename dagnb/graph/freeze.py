"""The frozen TaskGraph: names, edges and calls of the nodes in their final numbering."""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import rebuild
from .columns import columns_of
from .graph import Calls, TaskGraph, TaskRef
from .handle import Handle

if TYPE_CHECKING:
    from .edges import Edges
    from .graph import Ints
    from .recording import Recording, Select
    from .table import Indices, Table
    from .task import Task

#: place → (call, keys to select)
Places = Mapping[str, tuple[int, "Select"]]


#: Column of the graph → option of the task that says it.
_SAID = {"duration": "est", "size": "out_size", "cpus": "cpus", "memory": "memory"}


def freeze(
    name: str, table: Table, nodes: Indices, names: Sequence[str], edges: Edges, number: Ints, places: Sequence[Places]
) -> TaskGraph:
    """The graph of the calls at the positions `nodes`; `number` is position → task, -1 for calls that are not in it."""
    n = len(nodes)
    start, deps = _dependencies(edges, number, n)
    refs = [TaskRef(i) for i in range(n)]
    functions, function, columns = _tasks(table, nodes)
    args, kwargs = _arguments(table, edges, nodes, number.tolist(), refs)
    aliases = dict(zip(names, refs, strict=True))
    kept = set(np.flatnonzero(np.bincount(deps, minlength=n) == 0).tolist())
    for rec, mine in zip(table.recs, places, strict=True):
        tasks = number[table.start[rec] : table.start[rec] + len(rec.fns)].tolist()
        for path, (index, select) in mine.items():
            to = tasks[index]
            aliases.setdefault(path, TaskRef(to, select) if select else refs[to])
            if path in rec.places:  # the place is the variable itself
                kept.add(to)
    return TaskGraph(
        name,
        tuple(names),
        dep_start=start,
        deps=deps,
        calls=Calls(functions, function, args, kwargs),
        aliases=aliases,
        kept=frozenset(kept),
        where=_lines(table, nodes),
        **columns,
    )


def _dependencies(edges: Edges, number: Ints, n: int) -> tuple[Any, Ints]:
    """CSR arrays in the numbering of the tasks, needs of a task in the order of first use."""
    owner, need = number[edges.owner], number[edges.need]
    inside = owner >= 0
    owner, need = owner[inside], need[inside]
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=n), out=start[1:])
    return start, need[np.argsort(owner, kind="stable")].astype(np.int32)


def _tasks(table: Table, nodes: Indices) -> tuple[tuple[Any, ...], Ints, dict[str, Any]]:
    """Functions and kinds of the nodes, numbered as first used, and what was declared about them."""
    distinct: dict[Task[..., Any], int] = {}
    of_call = [np.zeros(0, np.int32)]
    for rec in table.recs:
        index = [distinct.setdefault(table.current[t], len(distinct)) for t in columns_of(rec).tasks]
        of_call.append(np.array(index, np.int32)[columns_of(rec).task])
    task = np.concatenate(of_call)[nodes]
    used, first = np.unique(task, return_index=True)
    tasks = list(distinct)
    functions: dict[int, int] = {}
    kinds: dict[str, int] = {}
    function, kind = np.zeros(len(tasks), np.int32), np.zeros(len(tasks), np.int32)
    for t in used[np.argsort(first)].tolist():
        function[t] = functions.setdefault(id(tasks[t].runs), len(functions))
        kind[t] = kinds.setdefault(tasks[t].name, len(kinds))
    fns = {id(t.runs): t.runs for t in tasks}
    said = np.array([[getattr(t.given, word) for word in _SAID.values()] for t in tasks], np.float64)
    columns: dict[str, Any] = {"kinds": tuple(kinds), "kind": kind[task]}
    columns |= {name: said.reshape(-1, len(_SAID))[task, k] for k, name in enumerate(_SAID)}
    return tuple(fns[f] for f in functions), function[task], columns


def _arguments(
    table: Table, edges: Edges, nodes: Indices, number: list[int], refs: list[TaskRef]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Arguments with a TaskRef in the place of every handle, in the order of the nodes."""
    args: list[Any] = []
    kwargs: list[Any] = []
    for rec in table.recs:
        _append_arguments(rec, table.start[rec], edges.targets, number, refs, args, kwargs)
    at = nodes.tolist()
    return tuple([args[i] for i in at]), tuple([kwargs[i] for i in at])


def _append_arguments(
    rec: Recording,
    start: int,
    targets: Mapping[int, tuple[int, Select]],
    number: list[int],
    refs: list[TaskRef],
    all_args: list[Any],
    all_kwargs: list[Any],
) -> None:
    def ref(handle: Handle[Any]) -> TaskRef:
        if handle._rec is rec:
            at, select = start + handle._index, handle._select
        else:
            at, select = targets[id(handle)]
        return TaskRef(number[at], select) if select else refs[number[at]]

    for at, (deps, args, kwargs) in enumerate(zip(rec.deps, rec.args, rec.kwargs, strict=True), start):
        if number[at] < 0 or (type(deps) is not Handle and not deps):
            all_args.append(args)
            all_kwargs.append(kwargs)
        elif len(args) == 1 and args[0] is deps and kwargs is None:
            all_args.append((ref(deps),))
            all_kwargs.append(None)
        else:
            all_args.append(tuple([rebuild(a, ref) for a in args]))
            all_kwargs.append(kwargs and {k: rebuild(v, ref) for k, v in kwargs.items()})


def _lines(table: Table, nodes: Indices) -> tuple[str, ...]:
    """Where each call stands: "Cell In[3], line 2"."""
    lines: list[str] = []
    for rec in table.recs:
        text = {line: f"{rec.where}, line {line}" for line in set(rec.lines)}
        lines += [text[line] for line in rec.lines]
    return tuple([lines[i] for i in nodes.tolist()])
