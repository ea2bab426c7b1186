"""Recordings → TaskGraph: a pure function of the cells and of the task definitions, in arrays.

Calls stand one after the other: cells in their order, calls as they were made. Inside a cell a call only needs earlier
ones, and a cell stands after those it reads, so this is a topological order except where cells read one another.
"""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import rebuild
from .columns import columns_of
from .graph import Calls, Ints, TaskGraph, TaskRef
from .handle import Handle
from .ownership import Recordings, in_order, owned, owners, resolve
from .task import Task, newest

if TYPE_CHECKING:
    from .recording import Recording

Bools = NDArray[np.bool_]

#: indices, 32 or 64 bits
Indices = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Assembly:
    """What the cells make together.

    graph     the frozen graph, or None if there are problems
    problems  why there is no graph: what, where, what to do
    names     [n] of the nodes
    origin    [n] (recording, call) of node i
    number    recording → [calls] number of the node, -1 if it is not in the graph
    current   task of a call → the definition that is used
    """

    graph: TaskGraph | None
    problems: tuple[str, ...]
    names: tuple[str, ...]
    origin: tuple[Ints, Ints]
    order: tuple[Recording, ...]
    number: dict[Recording, Ints]
    current: dict[Task[..., Any], Task[..., Any]]

    def node(self, number: int) -> tuple[Recording, int]:
        """The recording and the call behind a node."""
        return self.order[self.origin[0][number]], int(self.origin[1][number])


def assemble(name: str, cells: Recordings) -> Assembly:
    """The graph of a DAG, or what is wrong with it."""
    return _Assembler(name, cells).assembly()


class _Assembler:
    """Positions: call i of the k-th cell is `offset[k] + i`, over all cells, in the graph or not."""

    def __init__(self, name: str, cells: Recordings) -> None:
        self.name, self.cells = name, cells
        self.who = owners(cells)
        self.keys = in_order(cells)
        self.recs = [cells[k] for k in self.keys]
        self.offset = np.cumsum([0, *(len(r.fns) for r in self.recs)])
        self.start = dict(zip(self.recs, self.offset.tolist(), strict=False))
        self.targets: dict[int, tuple[int, tuple[Any, ...]]] = {}  # id of a foreign handle → (position, select)
        self.missing: dict[int, str] = {}  # position → what it needs and cannot have
        self.problems: dict[str, None] = {}
        current = {t: newest(t) for r in self.recs for t in columns_of(r).tasks}
        self.current = current

    def assembly(self) -> Assembly:
        owner, need = self._edges()
        places, alive = self._places(owner, need)
        nodes = np.flatnonzero(alive)
        names = self._names(nodes, places)
        self._report(nodes, names)
        number = np.full(self.offset[-1], -1, np.int32)
        number[nodes] = np.arange(len(nodes), dtype=np.int32)
        inside = alive[owner] & alive[need]
        owner, need = number[owner[inside]], number[need[inside]]
        rank = self._sort(nodes, names, owner, need)
        order = np.argsort(rank)
        nodes, names = nodes[order], [names[i] for i in order.tolist()]
        number[nodes] = np.arange(len(nodes), dtype=np.int32)
        of_rec = np.searchsorted(self.offset, nodes, side="right").astype(np.int32) - 1
        graph = None
        if not self.problems:
            graph = self._graph(nodes, tuple(names), rank[owner], rank[need], number, places)
        numbers = {r: number[a:b] for r, a, b in zip(self.recs, self.offset, self.offset[1:], strict=False)}
        origin = (of_rec, (nodes - self.offset[of_rec]).astype(np.int32))
        return Assembly(graph, tuple(self.problems), tuple(names), origin, tuple(self.recs), numbers, self.current)

    # ---- edges --------------------------------------------------------------------------------------------------
    def _edges(self) -> tuple[Indices, Indices]:
        """(owner, need) as positions, each pair once; what cannot be found goes to `missing`."""
        owners_, needs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for rec in self.recs:
            columns, start = columns_of(rec), self.start[rec]
            found = np.array([self._target(h) for h in columns.foreign] + [0], np.int64)
            outside = columns.need < 0
            need = np.where(outside, found[-1 - np.where(outside, columns.need, -1)], columns.need + start)
            owner = columns.owner.astype(np.int64) + start
            for at in np.flatnonzero(need < 0).tolist():
                handle = columns.foreign[-1 - int(columns.need[at])]
                self.missing.setdefault(int(owner[at]), str(resolve(handle, self.cells, self.who)))
            owners_.append(owner[need >= 0])
            needs.append(need[need >= 0])
        owner, need = np.concatenate(owners_), np.concatenate(needs)
        if self.targets:  # two handles of another cell may have come to mean the same call
            _, first = np.unique(owner * max(1, self.offset[-1]) + need, return_index=True)
            if len(first) < len(owner):
                keep = np.sort(first)
                owner, need = owner[keep], need[keep]
        return owner, need

    def _target(self, handle: Handle[Any]) -> int:
        known = self.targets.get(id(handle))
        if known is not None:
            return known[0]
        found = resolve(handle, self.cells, self.who)
        if isinstance(found, str):
            return -1
        rec, index, select = found
        position = int(self.start[rec]) + index
        self.targets[id(handle)] = position, select
        return position

    # ---- what is in the graph -----------------------------------------------------------------------------------
    def _places(self, owner: Indices, need: Indices) -> tuple[list[dict[str, tuple[int, Any]]], Bools]:
        """The places that count, cell by cell, and which calls are in the graph.

        In are: calls that have their name, calls without a place that nobody in their cell uses, and all they need.
        """
        kept: list[dict[str, tuple[int, Any]]] = []
        wanted = np.zeros(self.offset[-1], np.bool_)
        whole = True
        for cell, rec in zip(self.keys, self.recs, strict=True):
            mine = rec.bound
            if rec.void or not all(self.who.get(root) == cell for root in rec.places):
                mine = {p: v for p, v in rec.bound.items() if owned(self.cells, self.who, cell, p)}
                whole = whole and len(mine) == len(rec.bound) and not rec.void
            kept.append(mine)
            unplaced = np.ones(len(rec.fns), np.bool_)
            unplaced[[i for i, _ in rec.bound.values()]] = False
            start = self.start[rec]
            here = wanted[start : start + len(rec.fns)]
            here |= unplaced & ~columns_of(rec).users
            here[sorted(rec.void)] = False
            here[[i for i, _ in mine.values()]] = True
        return kept, np.ones_like(wanted) if whole else _reach(wanted, owner, need)

    def _names(self, nodes: Indices, places: list[dict[str, tuple[int, Any]]]) -> list[str]:
        """By place, else by function and number: `clean`, `clean_2`, in the order of the calls."""
        names: list[str | None] = [None] * int(self.offset[-1])
        taken: set[str] = set()
        for rec, mine in zip(self.recs, places, strict=True):
            start = self.start[rec]
            for path, (index, select) in mine.items():
                if not select and names[start + index] is None and path not in taken:
                    names[start + index] = path
                    taken.add(path)
        kinds: list[str] = []
        for rec in self.recs:
            words = [self.current[t].name for t in columns_of(rec).tasks]
            kinds += [words[t] for t in columns_of(rec).task.tolist()]
        counts = dict.fromkeys(kinds, 0)
        found: list[str] = []
        for at in nodes.tolist():
            name = names[at]
            while name is None:
                kind = kinds[at]
                counts[kind] += 1
                name = kind if counts[kind] == 1 else f"{kind}_{counts[kind]}"
                if name in taken:
                    name = None
            found.append(name)
        return found

    # ---- what is wrong ------------------------------------------------------------------------------------------
    def _report(self, nodes: Indices, names: list[str]) -> None:
        name_of = dict(zip(nodes.tolist(), names, strict=True)) if self.missing or self._changed() else {}
        for at, why in sorted(self.missing.items()):
            if at in name_of:
                rec, line = self._where(at)
                label = rec.execution.label
                self.problems[f"{name_of[at]} ({label}, line {line}) needs {why}. Run {label} again, or define it."] = (
                    None
                )
        for rec in self.recs:
            self._report_shapes(rec)
        for rec, task, new in self._changed():
            self._report_signature(rec, task, new, name_of)

    def _where(self, at: int) -> tuple[Recording, int]:
        rec = self.recs[int(np.searchsorted(self.offset, at, side="right")) - 1]
        return rec, rec.lines[at - self.start[rec]]

    def _report_shapes(self, rec: Recording) -> None:
        """A cell that used the places of a variable was built for as many as there were."""
        for (cell, root), had in rec.shapes.items():
            other = self.cells.get(cell)
            if other is not None and root in other.roots and other.places[root] != had:
                mine, its = rec.execution.label, other.execution.label
                text = f"{mine} was built when {root} ({its}) had {had} places; it has {other.places[root]} now."
                text += f" Run {mine} again."
                self.problems[text] = None

    def _changed(self) -> list[tuple[Recording, Task[..., Any], Task[..., Any]]]:
        """Recordings with tasks whose function was redefined since."""
        found = [(r, t, self.current[t]) for r in self.recs for t in columns_of(r).tasks]
        return [(r, t, new) for r, t, new in found if new.fn is not t.fn]

    def _report_signature(
        self, rec: Recording, task: Task[..., Any], new: Task[..., Any], name_of: dict[int, str]
    ) -> None:
        """Calls that were recorded with an older definition must still fit the newest."""
        seen: set[Any] = set()
        columns, label = columns_of(rec), rec.execution.label
        for i in np.flatnonzero(columns.task == columns.tasks.index(task)).tolist():
            args, kwargs = rec.args[i], rec.kwargs[i] or {}
            shape, name = (len(args), *kwargs), name_of.get(self.start[rec] + i)
            if name is None or shape in seen:
                continue
            seen.add(shape)
            says = _says(new.misfit(args, kwargs))
            if says:
                count = len(args) + len(kwargs)
                passes = f"{count} argument{'s' * (count != 1)}"
                what = f"{name} ({label}, line {rec.lines[i]}) passes {passes}; {new.name} now {says}{new.place()}."
                self.problems[f"{what} Run {label} again."] = None

    # ---- order --------------------------------------------------------------------------------------------------
    def _sort(self, nodes: Indices, names: list[str], owner: Indices, need: Indices) -> Ints:
        """Rank of every node in a topological order that stays as near to the given one as it can."""
        n = len(nodes)
        rank = np.arange(n, dtype=np.int32)
        if (need < owner).all():
            return rank
        waits = np.bincount(owner, minlength=n).tolist()
        users: list[list[int]] = [[] for _ in range(n)]
        for o, d in zip(owner.tolist(), need.tolist(), strict=True):
            users[d].append(o)
        ready = [i for i in range(n) if not waits[i]]
        done = 0
        while ready:
            i = heapq.heappop(ready)
            rank[i] = done
            done += 1
            for u in users[i]:
                waits[u] -= 1
                if not waits[u]:
                    heapq.heappush(ready, u)
        if done < n:
            self._report_cycle(nodes, names, {i for i in range(n) if waits[i]}, users)
            return np.arange(n, dtype=np.int32)
        return rank

    def _report_cycle(self, nodes: Indices, names: list[str], left: set[int], users: list[list[int]]) -> None:
        feeds: dict[int, int] = {}
        for i in sorted(left):
            for u in users[i]:
                feeds.setdefault(u, i)
        path: list[int] = []
        i = min(left)
        while i not in path:
            path.append(i)
            i = feeds[i]
        circle = [*path[path.index(i) :], i][::-1]
        labels = ", ".join(dict.fromkeys(self._where(int(nodes[i]))[0].execution.label for i in circle))
        self.problems[f"cycle: {' → '.join(names[i] for i in circle)} ({labels})"] = None

    # ---- the frozen graph ---------------------------------------------------------------------------------------
    def _graph(
        self,
        nodes: Indices,
        names: tuple[str, ...],
        owner: Indices,
        need: Indices,
        number: Indices,
        places: list[dict[str, tuple[int, Any]]],
    ) -> TaskGraph:
        n = len(nodes)
        by_owner = np.argsort(owner, kind="stable")
        start = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(owner, minlength=n), out=start[1:])
        functions, task, columns = self._tasks(nodes)
        refs = [TaskRef(i) for i in range(n)]
        args, kwargs = self._arguments(nodes, number.tolist(), refs)
        aliases = dict(zip(names, refs, strict=True))
        plain: set[int] = set()
        for rec, mine in zip(self.recs, places, strict=True):
            numbers = number[self.start[rec] : self.start[rec] + len(rec.fns)].tolist()
            for path, (index, select) in mine.items():
                to = numbers[index]
                aliases.setdefault(path, TaskRef(to, select) if select else refs[to])
                if path in rec.places:  # the place is the variable itself
                    plain.add(to)
        sinks = np.flatnonzero(np.bincount(need, minlength=n) == 0).tolist()
        return TaskGraph(
            self.name,
            names,
            dep_start=start,
            deps=need[by_owner].astype(np.int32),
            calls=Calls(functions, task, args, kwargs),
            aliases=aliases,
            kept=frozenset(plain.union(sinks)),
            where=self._lines(nodes),
            **columns,
        )

    def _tasks(self, nodes: Indices) -> tuple[tuple[Any, ...], Ints, dict[str, Any]]:
        """Functions and kinds of the nodes, and what was declared about them."""
        distinct: dict[Task[..., Any], int] = {}
        of_call = [np.zeros(0, np.int32)]
        for rec in self.recs:
            index = [distinct.setdefault(self.current[t], len(distinct)) for t in columns_of(rec).tasks]
            of_call.append(np.array(index, np.int32)[columns_of(rec).task])
        task = np.concatenate(of_call)[nodes]
        used = np.unique(task, return_index=True)
        tasks = list(distinct)
        functions: dict[int, int] = {}
        kinds: dict[str, int] = {}
        function, kind = np.zeros(len(tasks), np.int32), np.zeros(len(tasks), np.int32)
        for t in used[0][
            np.argsort(used[1])
        ].tolist():  # as first used, so that numbers do not depend on what is left out
            function[t] = functions.setdefault(id(tasks[t].fn), len(functions))
            kind[t] = kinds.setdefault(tasks[t].name, len(kinds))
        fns = {id(t.fn): t.fn for t in tasks}
        guess = np.array([(t.given.est, t.given.out_size) for t in tasks], np.float64).reshape(-1, 2)
        columns = {"kinds": tuple(kinds), "kind": kind[task], "duration": guess[task, 0], "size": guess[task, 1]}
        return tuple(fns[f] for f in functions), function[task], columns

    def _arguments(
        self, nodes: Indices, number: list[int], refs: list[TaskRef]
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Arguments with a TaskRef in the place of every handle, in the order of the nodes."""
        all_args: list[Any] = []
        all_kwargs: list[Any] = []
        targets = self.targets
        for rec in self.recs:
            start = self.start[rec]

            def ref(handle: Handle[Any], rec: Recording = rec, start: int = start) -> TaskRef:
                if handle._rec is rec:
                    at, select = start + handle._index, handle._select
                else:
                    at, select = targets[id(handle)]
                return TaskRef(number[at], select) if select else refs[number[at]]

            for at, deps, args, kwargs in zip(
                range(start, start + len(rec.fns)), rec.deps, rec.args, rec.kwargs, strict=True
            ):
                if number[at] < 0 or (type(deps) is not Handle and not deps):
                    all_args.append(args)
                    all_kwargs.append(kwargs)
                elif len(args) == 1 and args[0] is deps and kwargs is None:
                    all_args.append((ref(deps),))
                    all_kwargs.append(None)
                else:
                    all_args.append(tuple([rebuild(a, ref) for a in args]))
                    all_kwargs.append(kwargs and {k: rebuild(v, ref) for k, v in kwargs.items()})
        at_nodes = nodes.tolist()
        return tuple([all_args[i] for i in at_nodes]), tuple([all_kwargs[i] for i in at_nodes])

    def _lines(self, nodes: Indices) -> tuple[str, ...]:
        """Where each call stands: "Cell In[3], line 2"."""
        lines: list[str] = []
        for rec in self.recs:
            text = {line: f"{rec.where}, line {line}" for line in set(rec.lines)}
            lines += [text[line] for line in rec.lines]
        return tuple([lines[i] for i in nodes.tolist()])


def _reach(wanted: Bools, owner: Indices, need: Indices) -> Bools:
    """The wanted calls and everything they need."""
    n = len(wanted)
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=n), out=start[1:])
    needs, first = need[np.argsort(owner, kind="stable")].tolist(), start.tolist()
    alive = bytearray(wanted.tobytes())
    todo = np.flatnonzero(wanted).tolist()
    while todo:
        i = todo.pop()
        for d in needs[first[i] : first[i + 1]]:
            if not alive[d]:
                alive[d] = 1
                todo.append(d)
    return np.frombuffer(bytes(alive), np.bool_)


def _says(misfit: str) -> str:
    """`needs alpha` for a missing argument, else the words of Python."""
    lacks = misfit.removeprefix("missing a required argument: ")
    if lacks != misfit:
        return "needs " + lacks.strip("'")
    return misfit and f"says: {misfit}"
