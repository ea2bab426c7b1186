"""Who gives a name, in which order cells stand, what a handle means now: derived from the recordings, never stored.

Nothing here depends on the order in which cells were run, except that among independent givers of a name the newest
has it, as in Python.
"""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .naming import root_of

if TYPE_CHECKING:
    from .handle import Handle
    from .recording import Recording, Select

Recordings = Mapping[str, "Recording"]


def followers(cells: Recordings, cell: str) -> set[str]:
    """The cell, and every cell that reads it, directly or through others."""
    found, todo = {cell}, [cell]
    while todo:
        read = todo.pop()
        more = [k for k, r in cells.items() if read in r.reads and k not in found]
        found.update(more)
        todo += more
    return found


def last_givers(cells: Recordings) -> dict[str, list[str]]:
    """Variable → the cells that give it and that no other giver reads; more than one means that the newest has it."""
    givers: dict[str, list[str]] = defaultdict(list)
    for cell, rec in cells.items():
        for root in rec.roots:
            givers[root].append(cell)
    for root, among in givers.items():
        if len(among) > 1:
            last = [c for c in among if not (followers(cells, c) - {c}).intersection(among)]
            givers[root] = last or among
    return givers


def owners(cells: Recordings) -> dict[str, str]:
    """Variable → the cell that gives it."""
    return {root: max(among, key=lambda c: cells[c].execution.number) for root, among in last_givers(cells).items()}


def owned(cells: Recordings, who: Mapping[str, str], cell: str, path: str) -> bool:
    """Whether the place names a call of this cell.

    A variable that the cell assigned is its own only if it is the owner. A list of another cell to which this one
    appended is nobody's: the place counts unless the owner of the variable has a place of that name.
    """
    root = root_of(path)
    owner = who.get(root)
    return owner == cell or (root not in cells[cell].roots and (owner is None or path not in cells[owner].bound))


def in_order(cells: Recordings) -> list[str]:
    """Cells by what they read, then by first variable, then by text; by when they ran only if nothing else tells."""

    def rank(cell: str) -> tuple[Any, ...]:
        rec = cells[cell]
        return (min(rec.roots, default="~"), rec.digest, str(rec.signature(3)), rec.execution.number)

    waits = {cell: {c for c in rec.reads if c in cells and c != cell} for cell, rec in cells.items()}
    readers: dict[str, list[str]] = defaultdict(list)
    for cell, reads in waits.items():
        for c in reads:
            readers[c].append(cell)
    ready = [(rank(cell), cell) for cell, reads in waits.items() if not reads]
    heapq.heapify(ready)
    done: dict[str, None] = {}
    while ready:
        _, cell = heapq.heappop(ready)
        done[cell] = None
        for reader in readers[cell]:
            waits[reader].discard(cell)
            if not waits[reader] and reader not in done:
                heapq.heappush(ready, (rank(reader), reader))
    return [*done, *sorted((c for c in cells if c not in done), key=rank)]


def resolve(handle: Handle[Any], cells: Recordings, who: Mapping[str, str]) -> tuple[Recording, int, Select] | str:
    """The value that a handle means now, as (recording, call, select), or the reason why there is none."""
    rec = handle._rec
    cell = rec.execution.cell
    now = cells.get(cell)
    if now is not None and now is rec:
        return now, handle._index, handle._select
    paths, rest = rec.paths(handle)
    if now is not None:
        for path in paths:
            if path in now.bound:
                return now, now.bound[path][0], (*now.bound[path][1], *rest)
        if not paths and now.signature() == rec.signature():
            return now, handle._index, handle._select
    for path, other in _of_owners(paths, cells, who):
        return other, other.bound[path][0], (*other.bound[path][1], *rest)
    return _gone(handle, paths, now)


def _of_owners(paths: list[str], cells: Recordings, who: Mapping[str, str]) -> Iterator[tuple[str, Recording]]:
    for path in paths:
        owner = who.get(root_of(path))
        if owner is not None and path in cells[owner].bound:
            yield path, cells[owner]


def _gone(handle: Handle[Any], paths: list[str], now: Recording | None) -> str:
    label = (now or handle._rec).execution.label
    if not paths:
        return f"a node of {label} that has no name ({handle.kind}), and {label} has been run again"
    root = root_of(paths[0])
    if now is not None and root in now.roots:
        return f"{paths[0]}, but {root} has {now.places.get(root, 0)} places now ({label})"
    return f"{paths[0]}, which no cell defines any more (last in {label})"
