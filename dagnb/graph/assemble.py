"""Recordings → TaskGraph: a pure function of the cells and of the task definitions.

Which calls are in the graph and what they are called is decided here; edges, problems and the frozen arrays have files
of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from itertools import count as count_from
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import columns_of
from .edges import Edges, find_edges, reach, topological
from .freeze import Places, freeze
from .ownership import Recordings, owned
from .problems import cycle_text, find_problems
from .table import Bools, Indices, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .graph import Ints, TaskGraph
    from .recording import Recording
    from .task import Task


@dataclass(frozen=True, eq=False, slots=True)
class Assembly:
    """What the cells make together.

    graph      the frozen graph, or None if there are problems
    problems   why there is no graph: what, where, what to do
    names      [n] of the nodes
    positions  [n] of their calls in the table
    number     [calls] position → node, -1 if the call is not in the graph
    """

    graph: TaskGraph | None
    problems: tuple[str, ...]
    names: tuple[str, ...]
    table: Table
    positions: Ints
    number: Ints

    @property
    def current(self) -> dict[Task[..., Any], Task[..., Any]]:
        """Task of a call → the definition that is used."""
        return self.table.current

    def call(self, node: int) -> tuple[Recording, int]:
        """The recording and the call behind a node."""
        position = int(self.positions[node])
        rec = self.table.where(position)[0]
        return rec, position - self.table.start[rec]

    def node(self, rec: Recording, call: int) -> int:
        """The node of a call, or -1."""
        return int(self.number[self.table.start[rec] + call])


def assemble(name: str, cells: Recordings) -> Assembly:
    """The graph of a DAG, or what is wrong with it."""
    table = Table.of(cells)
    edges = find_edges(table)
    places = [_own_places(table, cell) for cell in table.keys]
    nodes = np.flatnonzero(_alive(table, edges, places))
    names = _names(table, nodes, places)
    positions = nodes.tolist()
    problems = find_problems(table, edges, positions, names)
    number = np.full(len(table), -1, np.int32)
    number[nodes] = np.arange(len(nodes), dtype=np.int32)
    owner, need = number[edges.owner], number[edges.need]
    rank, circle = topological(owner[owner >= 0], need[owner >= 0], len(nodes))
    if circle:
        problems.append(cycle_text(table, circle, positions, names))
    if (rank != np.arange(len(nodes))).any():
        order = np.argsort(rank)
        nodes, names = nodes[order], [names[i] for i in order.tolist()]
        number[nodes] = np.arange(len(nodes), dtype=np.int32)
    graph = None if problems else freeze(name, table, nodes, names, edges, number, places)
    return Assembly(graph, tuple(problems), tuple(names), table, nodes.astype(np.int32), number)


def _own_places(table: Table, cell: str) -> Places:
    """The places of a cell that name its calls, and are not taken over."""
    rec = table.cells[cell]
    if all(table.who.get(root) == cell for root in rec.places):
        return rec.bound
    return {p: v for p, v in rec.bound.items() if owned(table.cells, table.who, cell, p)}


def _alive(table: Table, edges: Edges, places: list[Places]) -> Bools:
    """In are calls that have their name, calls without a place that nobody in their cell uses, and all they need."""
    wanted = np.zeros(len(table), np.bool_)
    own = zip(table.recs, places, strict=True)
    if all(len(mine) == len(rec.bound) and not rec.void for rec, mine in own):
        return ~wanted  # where no name was taken over every call leads to one of those
    for rec, mine in zip(table.recs, places, strict=True):
        unplaced = np.ones(len(rec.calls), np.bool_)
        unplaced[[i for i, _ in rec.bound.values()]] = False
        here = wanted[table.start[rec] : table.start[rec] + len(rec.calls)]
        here |= unplaced & ~columns_of(rec).users
        here[sorted(rec.void)] = False
        here[[i for i, _ in mine.values()]] = True
    return reach(wanted, edges)


def _names(table: Table, nodes: Indices, places: list[Places]) -> list[str]:
    """By place, else by function and number: `clean`, `clean_2`, in the order of the calls."""
    names = [""] * len(table)
    taken: set[str] = set()
    index: dict[str, int] = {}
    kinds: list[Ints] = [np.zeros(0, np.int32)]
    unnamed = np.ones(len(table), np.bool_)
    for rec, mine in zip(table.recs, places, strict=True):
        start, columns = table.start[rec], columns_of(rec)
        for path, (call, select) in mine.items():
            if not select and not names[start + call] and path not in taken:
                names[start + call] = path
                unnamed[start + call] = False
                taken.add(path)
        words = [index.setdefault(table.current[t].name, len(index)) for t in columns.tasks]
        kinds.append(np.array(words, np.int32)[columns.task])
    whole = len(nodes) == len(table)
    if not whole:
        inside = np.zeros(len(table), np.bool_)
        inside[nodes] = True
        unnamed &= inside
    kind = np.concatenate(kinds)
    clashing = _clashing(index, taken)
    for word, number in index.items():
        calls = np.flatnonzero((kind == number) & unnamed)
        if not len(calls):
            continue
        found = _numbered(word, len(calls), taken if word in clashing else None)
        if calls[-1] - calls[0] == len(calls) - 1:  # one after the other
            names[calls[0] : calls[-1] + 1] = found
        else:
            for call, name in zip(calls.tolist(), found, strict=True):
                names[call] = name
    return names if whole else [names[i] for i in nodes.tolist()]


def _clashing(words: Iterable[str], taken: set[str]) -> set[str]:
    """Words of which a name may be somebody else's, too: there is a place, or a function, `clean_2`."""
    known = set(words)
    found = known & taken
    for name in (*known, *taken):
        head, _, number = name.rpartition("_")
        if head in known and number.isdigit():
            found |= {head, name} & known
    return found


#: `_2`, `_3`, …: to write a number takes most of the time that a name takes.
_ENDINGS: list[str] = []
#: Of them so many are kept, which is a megabyte.
_KEPT = 1 << 14


def _endings(count: int) -> Iterable[str]:
    """What follows a word in all of so many names but the first."""
    _ENDINGS.extend([f"_{i}" for i in range(len(_ENDINGS) + 2, min(count, _KEPT) + 1)])
    return chain(_ENDINGS[: count - 1], (f"_{i}" for i in range(_KEPT + 1, count + 1)))


def _numbered(word: str, count: int, taken: set[str] | None) -> list[str]:
    """The next free ones of `clean`, `clean_2`, …; they are added to those taken. None: nobody else has such a name."""
    found = [word, *[word + ending for ending in _endings(count)]]
    if taken is None:
        return found
    if not taken.isdisjoint(found):
        numbers = chain([word], (f"{word}_{i}" for i in count_from(2)))
        found = list(islice((name for name in numbers if name not in taken), count))
    taken.update(found)
    return found
