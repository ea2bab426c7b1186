"""Who needs whom, over all cells; what that reaches; and an order in which every call stands after what it needs."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import columns_of
from .ownership import resolve

if TYPE_CHECKING:
    from .handle import Handle
    from .recording import Recording, Select
    from .table import Bools, Indices, Table


@dataclass(frozen=True, eq=False, slots=True)
class Edges:
    """Needs between positions.

    owner, need  [m] the call at `owner` needs the one at `need`; each pair once, in the order of first use
    targets      id of a handle of another recording → (position, keys to select)
    missing      position → what it needs and cannot have
    """

    owner: Indices
    need: Indices
    targets: dict[int, tuple[int, Select]]
    missing: dict[int, str]


def find_edges(table: Table) -> Edges:
    """The needs of all calls, each handle of another cell as what it means now."""
    owners: list[Indices] = [np.zeros(0, np.int64)]
    needs: list[Indices] = [np.zeros(0, np.int64)]
    targets: dict[int, tuple[int, Select]] = {}
    missing: dict[int, str] = {}
    for rec in table.recs:
        owner, need = _of_recording(table, rec, targets, missing)
        owners.append(owner)
        needs.append(need)
    owner, need = np.concatenate(owners), np.concatenate(needs)
    if targets:  # two handles of another cell may have come to mean the same call
        _, first = np.unique(owner * max(1, len(table)) + need, return_index=True)
        if len(first) < len(owner):
            keep = np.sort(first)
            owner, need = owner[keep], need[keep]
    return Edges(owner, need, targets, missing)


def _of_recording(
    table: Table, rec: Recording, targets: dict[int, tuple[int, Select]], missing: dict[int, str]
) -> tuple[Indices, Indices]:
    columns, start = columns_of(rec), table.start[rec]
    found = np.array([_target(table, h, targets) for h in columns.foreign] or [-1], np.int64)
    outside = columns.need < 0
    need = np.where(outside, found[np.where(outside, -1 - columns.need, 0)], columns.need + start)
    owner = columns.owner.astype(np.int64) + start
    for at in np.flatnonzero(need < 0).tolist():
        why = resolve(columns.foreign[-1 - int(columns.need[at])], table.cells, table.who)
        missing.setdefault(int(owner[at]), str(why))
    return owner[need >= 0], need[need >= 0]


def _target(table: Table, handle: Handle[Any], targets: dict[int, tuple[int, Select]]) -> int:
    """The position that a handle of another recording means now, or -1."""
    if id(handle) not in targets:
        found = resolve(handle, table.cells, table.who)
        if isinstance(found, str):
            return -1
        rec, index, select = found
        targets[id(handle)] = table.start[rec] + index, select
    return targets[id(handle)][0]


def reach(wanted: Bools, edges: Edges) -> Bools:
    """The wanted calls and everything they need."""
    n = len(wanted)
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(edges.owner, minlength=n), out=start[1:])
    needs, first = edges.need[np.argsort(edges.owner, kind="stable")].tolist(), start.tolist()
    alive = bytearray(wanted.tobytes())
    todo = np.flatnonzero(wanted).tolist()
    while todo:
        i = todo.pop()
        for d in needs[first[i] : first[i + 1]]:
            if not alive[d]:
                alive[d] = 1
                todo.append(d)
    return np.frombuffer(bytes(alive), np.bool_)


def topological(owner: Indices, need: Indices, n: int) -> tuple[Indices, list[int]]:
    """Rank of every node in a topological order that stays as near to the given one as it can; or a cycle."""
    if (need < owner).all():
        return np.arange(n, dtype=np.int32), []
    rank = np.zeros(n, np.int32)
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
        return np.arange(n, dtype=np.int32), _cycle([i for i in range(n) if waits[i]], users)
    return rank, []


def _cycle(left: list[int], users: list[list[int]]) -> list[int]:
    """One cycle among nodes of which each needs another of them; its first node comes again at the end."""
    needs: dict[int, int] = {}
    for i in left:
        for u in users[i]:
            needs.setdefault(u, i)
    path: dict[int, None] = {}
    i = left[0]
    while i not in path:
        path[i] = None
        i = needs[i]
    steps = list(path)
    return [*steps[steps.index(i) :], i][::-1]
