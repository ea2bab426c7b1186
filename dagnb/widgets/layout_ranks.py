"""Columns of a layered drawing: which column every node stands in, and which nodes hang together.

The loops here walk plain lists: a graph of 10,000 nodes takes them a few milliseconds, and chains would starve numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagnb.errors import PlanError

Ints = NDArray[np.int64]


class CycleError(PlanError, ValueError):
    """The graph goes round in a circle; `cycle` lists the nodes on it, each needed by the next."""

    def __init__(self, cycle: list[int]) -> None:
        shown = " → ".join(map(str, cycle[:10])) + (" → …" if len(cycle) > 10 else f" → {cycle[0]}")
        super().__init__(
            f"These nodes wait for one another: {shown}.\n  A DAG has no circles; take one of these edges out."
        )
        self.cycle = cycle


@dataclass(frozen=True, slots=True)
class Side:
    """Neighbours on one side, as flat lists: those of u are `nodes[start[u]:start[u + 1]]`."""

    start: list[int]
    nodes: list[int]

    @classmethod
    def of(cls, n: int, key: Ints, value: Ints) -> Side:
        """The `value`s gathered by `key`, in the order in which they stand."""
        start = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(key, minlength=n), out=start[1:])
        return cls(start.tolist(), value[np.argsort(key, kind="stable")].tolist())

    def __getitem__(self, node: int) -> list[int]:
        return self.nodes[self.start[node] : self.start[node + 1]]

    def degrees(self) -> list[int]:
        """How many neighbours each node has."""
        found: list[int] = np.diff(self.start).tolist()
        return found


def ranks(n: int, src: Ints, dst: Ints) -> Ints:
    """The column of every node: longest path from the left, then pulled together so that edges are short.

    Raises CycleError.
    """
    after, before = Side.of(n, src, dst), Side.of(n, dst, src)
    rank, order = _longest_paths(n, after, before)
    _pull_together(rank, order, after, before)
    return np.array(rank, np.int64)


def _longest_paths(n: int, after: Side, before: Side) -> tuple[list[int], list[int]]:
    waiting = before.degrees()
    rank = [0] * n
    order = [u for u in range(n) if not waiting[u]]
    for u in order:  # grows while it is walked
        column = rank[u] + 1
        for v in after[u]:
            rank[v] = max(rank[v], column)
            waiting[v] -= 1
            if not waiting[v]:
                order.append(v)
    if len(order) < n:
        raise CycleError(_cycle(waiting, before))
    return rank, order


def _cycle(waiting: list[int], before: Side) -> list[int]:
    """Walk backwards among the nodes that never became ready: each has such a predecessor."""
    u = next(node for node, count in enumerate(waiting) if count)
    seen: dict[int, int] = {}
    while u not in seen:
        seen[u] = len(seen)
        u = next(p for p in before[u] if waiting[p])
    return [node for node, at in seen.items() if at >= seen[u]][::-1]


def _pull_together(rank: list[int], order: list[int], after: Side, before: Side) -> None:
    """Slide nodes right, then left, where edges get no longer by it.

    Sliding right on a tie lets a side chain follow its far end; the way back returns those that gained nothing.
    """
    out, into = after.degrees(), before.degrees()
    rightward = [u for u in reversed(order) if out[u] and out[u] >= into[u]]
    leftward = [u for u in order if into[u] and into[u] >= out[u]]
    for _ in range(2):
        moved = False
        for u in rightward:
            latest = min([rank[v] for v in after[u]]) - 1
            if latest > rank[u]:
                rank[u], moved = latest, True
        if not moved:
            return
        for u in leftward:
            rank[u] = max([rank[v] for v in before[u]]) + 1


def components(n: int, src: Ints, dst: Ints) -> Ints:
    """Which connected piece every node belongs to, numbered in the order of their first nodes."""
    label = np.arange(n)
    while True:
        low = np.minimum(label[src], label[dst])
        if np.array_equal(label[src], label[dst]):
            break
        np.minimum.at(label, label[src], low)
        np.minimum.at(label, label[dst], low)
        while not np.array_equal(shorter := label[label], label):
            label = shorter
    return np.unique(label, return_inverse=True)[1].reshape(n).astype(np.int64)
