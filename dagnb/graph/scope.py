"""What a cell sees: never what it, or anything made from it, defined before.

Those variables step back to the newest value of another cell, else to the ordinary value that lay below, else they do
not exist. They return after the body unless it assigned them; a name that the cell gave and gives no more is gone.
"""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

from .handle import Handle
from .naming import places
from .ownership import Recordings, followers
from .recording import MISSING, Block, Recording

#: bytes above which an ordinary value under a handle's variable is not kept for the next run of the cell
HEAVY = 64_000_000


def hide(rec: Recording, cells: Recordings, ns: MutableMapping[str, Any]) -> dict[str, Any]:
    """Take away what the cell must not see; variable → what was put in its place (MISSING: nothing).

    An ordinary value that the cell found when it ran is newer than what cells before it had given. A variable that
    holds a handle of another DAG has this DAG's own value in the body, where it has one.
    """
    cell = rec.execution.cell
    out = followers(cells, cell) if cell in cells else {cell}
    made = {id(v): r for r in cells.values() for v in r.roots.values() if type(v) is not Handle}
    hidden: dict[str, Any] = {}
    for name, value in list(ns.items()):
        owner: Recording | None = value._rec if type(value) is Handle else made.get(id(value))
        if owner is None or name[0] == "_":
            continue
        own = owner.builder is rec.builder
        if own and owner.execution.cell not in out:
            continue
        below = [r for k, r in cells.items() if k not in out and name in r.roots]
        newest = max(below, key=lambda r: r.execution.number, default=None)
        if own or newest is not None:
            if newest is None or (own and name in owner.over and newest.execution.number < owner.execution.number):
                put(ns, name, owner.shadowed.get(name, MISSING))
            else:
                put(ns, name, newest.roots[name])
            hidden[name] = ns.get(name, MISSING)
    return hidden


def unhide(block: Block, gone: set[str]) -> None:
    """Give back what the body did not assign, but for the variables in `gone`."""
    for name, was in block.hidden.items():
        if block.ns.get(name, MISSING) is was and name not in gone:
            block.ns[name] = block.before[name]


def put(ns: MutableMapping[str, Any], name: str, value: Any) -> None:
    """Give a variable a value, or take it away where the value is MISSING."""
    if value is MISSING:
        ns.pop(name, None)
    else:
        ns[name] = value


def undo(rec: Recording, block: Block) -> None:
    """After a body that raised: variables that would hold handles which never came to be are as they were."""
    for name, value in list(block.ns.items()):
        before = block.before.get(name, MISSING)
        if value is not before and any(h._rec is rec and h._index >= block.start for _, h in places(value, name)):
            put(block.ns, name, before)


def below(block: Block, cells: Recordings, name: str) -> tuple[Any, bool]:
    """The ordinary value under a variable before any cell of the DAG took it, and whether no other cell lay between."""
    value = block.hidden.get(name, block.before.get(name, MISSING))
    for other in cells.values():
        if (name in other.roots and other.roots[name] is value) or (type(value) is Handle and value._rec is other):
            return other.shadowed.get(name, MISSING), False
    return (MISSING, False) if type(value) is Handle else (value, value is not MISSING)


def is_heavy(value: Any) -> bool:
    """Whether keeping the value alive would cost the user more than running a cell again."""
    weight = getattr(value, "nbytes", 0)
    return max(sys.getsizeof(value, 0), weight if isinstance(weight, int) else 0) > HEAVY
