"""What a cell changed beside its own nodes: one line for each name that moved, told once, after the cell ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .cells import CELLS
from .handle import Handle
from .naming import places
from .ownership import Recordings, last_givers, owners
from .recording import MISSING, Block, Recording
from .scope import HEAVY, is_heavy


def notes(
    rec: Recording, old: Recording | None, cells: Recordings, before: Mapping[str, str], block: Block
) -> list[str]:
    """Lines for the user. `cells` hold `rec` already; `before` are the owners of names before it."""
    now = owners(cells)
    found = [*_taken(rec, cells, before, now), *_over_data(rec, old, before, block), *_elsewhere(rec, cells, now)]
    if old is not None:
        found += [
            *_gone(rec, old, cells, now),
            *_reads(rec, old, cells),
            *_data(rec, old, cells, block),
            *_functions(rec, old),
        ]
    return list(dict.fromkeys([*found, *_lengths(rec, cells)]))


def standing(cells: Recordings) -> list[str]:
    """What stays doubtful until the user mends it: names that independent cells give, where the newest wins."""
    found = []
    for root, among in last_givers(cells).items():
        if len(among) > 1:
            labels = ", ".join(cells[c].execution.label for c in among)
            found.append(f"{root} is given in {len(among)} cells ({labels}); the newest counts")
    return found


def _taken(rec: Recording, cells: Recordings, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    cell = rec.execution.cell
    for root in rec.roots:
        was = before.get(root, cell)
        if was == cell or now[root] != cell or was in rec.reads:
            continue
        users = sorted(r.execution.label for k, r in cells.items() if k != cell and root in r.reads.get(was, ()))
        still = f"; {', '.join(users)} still {_use(users)} that one until it is run again" if users else ""
        yield f"{root}: now defined here (was {cells[was].execution.label}{still})"


def _use(users: list[str]) -> str:
    return "uses" if len(users) == 1 else "use"


def _over_data(rec: Recording, old: Recording | None, before: Mapping[str, str], block: Block) -> Iterator[str]:
    for root in rec.roots:
        value = block.before.get(root, MISSING)
        if (
            old is None
            and value is not MISSING
            and value is not None
            and type(value) is not Handle
            and root not in before
        ):
            yield f"{root} was a {type(value).__name__} here; it is now a handle of {rec.builder.name}"
            if is_heavy(value):
                yield f"{root} held over {HEAVY // 1_000_000} MB, which is not kept: make it again before this cell"


def _elsewhere(rec: Recording, cells: Recordings, now: Mapping[str, str]) -> Iterator[str]:
    """After the re-run of a middle link the variable is Python's, the name of the DAG is the end of the chain."""
    for root in rec.roots:
        owner = now[root]
        if owner != rec.execution.cell:
            mine, its = rec.execution.label, cells[owner].execution.label
            yield f'{root} here is the one of {mine}; {rec.builder.name}["{root}"] is the one of {its}'


def _gone(rec: Recording, old: Recording, cells: Recordings, now: Mapping[str, str]) -> Iterator[str]:
    cell = rec.execution.cell
    for root in old.roots:
        if root not in rec.roots and root not in now:
            users = [r.execution.label for r in cells.values() if root in r.reads.get(cell, ())]
            yield f"{root} is gone" + (f"; {', '.join(users)} needs it" if users else "")


def _reads(rec: Recording, old: Recording, cells: Recordings) -> Iterator[str]:
    seen = {root: cell for cell, roots in old.reads.items() for root in roots}
    for cell, roots in rec.reads.items():
        for root in roots:
            was = seen.get(root, cell)
            if was != cell:
                label = f" (was {cells[was].execution.label})" if was in cells else ""
                yield f"{root} is now the one of {cells[cell].execution.label}{label}"


def _data(rec: Recording, old: Recording, cells: Recordings, block: Block) -> Iterator[str]:
    """The same text read a handle where ordinary data is now."""
    if rec.digest != old.digest:
        return
    now = {root for roots in rec.reads.values() for root in roots}
    for cell, roots in old.reads.items():
        for root in roots:
            value = block.hidden.get(root, block.before.get(root, MISSING))
            if root not in now and value is not MISSING and not places(value, root):
                its = cells[cell].execution.label if cell in cells else CELLS.labels.get(cell, cell)
                yield f"{root} is a {type(value).__name__} here now; it was the one of {its}"


def _functions(rec: Recording, old: Recording) -> Iterator[str]:
    from .columns import columns_of  # late: it brings numpy

    seen: dict[Any, str] = {f.key[1]: f.key[0] for f in columns_of(old).tasks}
    for f in columns_of(rec).tasks:
        was = seen.get(f.key[1], f.key[0])
        if was != f.key[0]:
            labels = CELLS.labels
            yield f"{f.name}() is now the one of {labels.get(f.key[0], f.key[0])} (was {labels.get(was, was)})"


def _lengths(rec: Recording, cells: Recordings) -> Iterator[str]:
    cell = rec.execution.cell
    for key, other in cells.items():
        for (read, root), had in other.shapes.items():
            if read == cell and key != cell and root in rec.roots and rec.places[root] != had:
                label, has = other.execution.label, rec.places[root]
                yield f"{root} has {has} places now (had {had}): run {label} again, it was built from {had}"
