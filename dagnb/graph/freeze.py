"""The frozen TaskGraph: names, edges and calls of the nodes in their final numbering."""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import rebuild
from .calls import Arguments, Coded, Form, Late, LateMapping, PackedCalls, ints
from .columns import columns_of
from .graph import Calls, TaskGraph, TaskRef

if TYPE_CHECKING:
    from .edges import Edges
    from .graph import Ints
    from .handle import Handle
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
    refs = Late(n, lambda: [TaskRef(i) for i in range(n)])
    functions, function, columns = _tasks(table, nodes)
    packed = _packed(table, edges, nodes, number)
    arguments = Late(n, lambda: packed.arguments(start, deps, refs))
    kept = set(np.flatnonzero(np.bincount(deps, minlength=n) == 0).tolist())
    named: list[tuple[Ints, Places]] = []
    for rec, mine in zip(table.recs, places, strict=True):
        tasks = number[table.start[rec] : table.start[rec] + len(rec.calls)]
        named.append((tasks, mine))
        kept.update(int(tasks[mine[root][0]]) for root in rec.places if root in mine)  # the variable itself is a place
    return TaskGraph(
        name,
        tuple(names),
        dep_start=start,
        deps=deps,
        calls=Calls(
            functions,
            function,
            Late(n, lambda: tuple([args for args, _ in arguments])),
            Late(n, lambda: tuple([kwargs for _, kwargs in arguments])),
            packed,
        ),
        aliases=LateMapping(lambda: _aliases(names, refs, named), lambda: _beside(names, named)),
        kept=frozenset(kept),
        where=_lines(table, nodes),
        **columns,
    )


def _aliases(names: Sequence[str], refs: Sequence[TaskRef], named: Sequence[tuple[Ints, Places]]) -> dict[str, TaskRef]:
    """Every name that may be said → the value it means; `named` has the tasks and the places of each cell."""
    found = dict(zip(names, refs, strict=True))
    for numbers, mine in named:
        tasks = numbers.tolist()
        for path, (index, select) in mine.items():
            to = tasks[index]
            found.setdefault(path, TaskRef(to, select) if select else refs[to])
    return found


def _beside(names: Sequence[str], named: Sequence[tuple[Ints, Places]]) -> dict[str, TaskRef]:
    """The same without the names of the nodes, each of which means its node."""
    found: dict[str, TaskRef] = {}
    own: set[str] = set()
    for numbers, mine in named:
        tasks = numbers.tolist()
        for path, (index, select) in mine.items():
            to = tasks[index]
            if select or names[to] != path:
                own = own or set(names)
                if path not in own:
                    found.setdefault(path, TaskRef(to, select))
    return found


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


def _packed(table: Table, edges: Edges, nodes: Indices, number: Ints) -> PackedCalls:
    """The calls of the nodes in columns, in their order."""
    forms: list[Form] = []
    of_call: list[Ints] = [np.zeros(0, np.int32)]
    constants: list[Any] = []
    special: dict[int, Arguments] = {}
    for rec in table.recs:
        calls = rec.calls
        of_call.append(ints(calls.form) + np.int32(len(forms)))
        forms += calls.forms
        constants += calls.constants
        _specials(rec, table.start[rec], edges.targets, number, special)
    form = np.concatenate(of_call)
    counts = np.array([len(f.types) for f in forms], np.int64)[form]
    if len(nodes) < len(form) or (np.diff(nodes) < 0).any():
        first = np.cumsum(counts) - counts
        mine = counts[nodes]
        at = np.repeat(first[nodes] - (np.cumsum(mine) - mine), mine) + np.arange(mine.sum())
        constants = [constants[i] for i in at.tolist()]
    return PackedCalls(tuple(forms), form[nodes], constants, special)


def _specials(
    rec: Recording,
    start: int,
    targets: Mapping[int, tuple[int, Select]],
    number: Ints,
    found: dict[int, Arguments],
) -> None:
    """Arguments of the special calls of one recording, with a TaskRef in the place of every handle."""

    def ref(handle: Handle[Any]) -> TaskRef:
        if handle._rec is rec:
            at, select = start + handle._index, handle._select
        else:
            at, select = targets[id(handle)]
        return TaskRef(int(number[at]), select)

    for call, ((args, kwargs), handles) in rec.calls.special.items():
        task = int(number[start + call])
        if task < 0:
            continue
        found[task] = (args, kwargs) if not handles else _with_refs(args, kwargs, ref)


def _with_refs(
    args: tuple[Any, ...], kwargs: dict[str, Any] | None, ref: Callable[[Handle[Any]], TaskRef]
) -> Arguments:
    return tuple([rebuild(a, ref) for a in args]), kwargs and {k: rebuild(v, ref) for k, v in kwargs.items()}


def _lines(table: Table, nodes: Indices) -> Sequence[str]:
    """Where each call stands: "Cell In[3], line 2"."""
    cells, lines = [rec.where for rec in table.recs], [ints(rec.calls.lines) for rec in table.recs]

    def words() -> tuple[Sequence[str], Indices]:
        cell = np.searchsorted(table.offset, nodes, side="right") - 1
        return _words(cells, cell, np.concatenate([np.zeros(0, np.int32), *lines])[nodes])

    return Coded(len(nodes), words)


def _words(cells: Sequence[str], cell: Indices, line: Ints) -> tuple[Sequence[str], Indices]:
    """Distinct lines in words, in the order of their first tasks, and which of them each task has."""
    step = int(line.max(initial=0)) + 1
    places = cell * step + line
    order = np.argsort(places, kind="stable")
    new = np.diff(places[order], prepend=-1) != 0
    first = order[new]  # the sort is stable: the first task of each place
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    codes = np.empty(len(places), np.int64)
    codes[order] = rank[np.cumsum(new) - 1]
    where = np.sort(first)
    return [f"{cells[c]}, line {at}" for c, at in zip(cell[where].tolist(), line[where].tolist(), strict=True)], codes
