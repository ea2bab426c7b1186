"""What a graph alone says about any schedule: levels, ranks, the critical path, lower bounds. Pure functions.

Durations and transfers are arrays [n] by task (seconds, or task units); a transfer is what it costs to send the output
of a task elsewhere. All loops are iterative and go once over tasks and edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .graph import TaskGraph

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]


def levels(graph: TaskGraph) -> Ints:
    """[n] length in edges of the longest path from a root: tasks of one level never need one another."""
    start, deps = graph.dep_start.tolist(), graph.deps.tolist()
    level = [0] * len(graph)
    for task in range(len(graph)):
        needed = deps[start[task] : start[task + 1]]
        if needed:
            level[task] = 1 + max([level[u] for u in needed])
    return np.array(level, np.int32)


def upward_rank(graph: TaskGraph, duration: Floats, transfer: Floats | None = None) -> Floats:
    """[n] longest way from the start of a task to the end of the graph, transfers included.

    Never smaller than that of a dependent, so a stable sort by falling rank keeps the topological order.
    """
    n = len(graph)
    send = transfer if transfer is not None else np.zeros(n)
    if n > 1 and _is_chain(graph):
        steps = np.empty(2 * n - 1)  # from the end on: a task, the way to it, the one before it, …
        steps[::2], steps[1::2] = duration[::-1], send[-2::-1]
        return np.cumsum(steps)[::2][::-1].copy()
    blocks = _blocks(graph)
    if blocks is not None:
        return _rank_blocks(graph, duration, send, blocks)
    rank, reach, ranked = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
    if n >= WIDE and len(graph.roots) * ROOTS >= n:
        _rank_wide(graph, duration, send, rank, reach, ranked)
        if ranked.all():
            return rank
    start, deps = graph.dep_start.tolist(), graph.deps.tolist()
    own, sent, after, found = duration.tolist(), send.tolist(), reach.tolist(), rank.tolist()
    for task in np.flatnonzero(~ranked)[::-1].tolist():
        found[task] = r = own[task] + after[task]
        for u in deps[start[task] : start[task + 1]]:
            if r + sent[u] > after[u]:  # noqa: PLR1730  max() would double the time of this loop over all edges
                after[u] = r + sent[u]
    return np.array(found)


def _is_chain(graph: TaskGraph) -> bool:
    """Whether each task needs the one before it, and nothing else."""
    n = len(graph)
    if len(graph.deps) != n - 1 or graph.dep_start[1] != 0:
        return False
    return bool((graph.deps == np.arange(n - 1)).all() and (np.diff(graph.dep_start[1:]) == 1).all())


#: Tasks of a block, in the mean, from which numpy is faster than a loop; the same of a level, which takes more calls;
#: blocks or levels after which to decide; a graph is tried level by level where one of so many tasks is a root.
BROAD, WIDE, FEW, ROOTS = 32, 64, 16, 8


def _blocks(graph: TaskGraph) -> list[int] | None:
    """Where blocks of tasks begin that do not need one another, in the order of their numbers, and the end of the last.

    Calls that were made level by level make few. None where they are so many that a loop over tasks is faster.
    """
    n, starts = len(graph), graph.dep_start
    if n < BROAD:
        return None
    needing = np.flatnonzero(np.diff(starts))
    last = np.full(n, -1, graph.deps.dtype)  # of what a task needs; then of what any task up to it needs
    if len(needing):
        last[needing] = np.maximum.reduceat(graph.deps, starts[needing])
    np.maximum.accumulate(last, out=last)
    cuts = [0]
    while True:
        cut = int(last.searchsorted(cuts[-1]))
        if cut == n:
            return [*cuts, n]
        if len(cuts) >= FEW and cut < BROAD * len(cuts):
            return None
        cuts.append(cut)


def _rank_blocks(graph: TaskGraph, own: Floats, send: Floats, blocks: list[int]) -> Floats:
    """Upward ranks, one block after the other, from the last on."""
    starts, users = graph.children
    parents = np.flatnonzero(np.diff(starts))
    begins, edges = starts[parents], starts[blocks].tolist()
    split = np.searchsorted(parents, blocks).tolist()
    rank = own.astype(np.float64)
    for k in range(len(blocks) - 2, -1, -1):
        low, high = split[k : k + 2]
        if low < high:
            after = rank[users[edges[k] : edges[k + 1]]]
            tasks = parents[low:high]
            reach = np.maximum.reduceat(after, begins[low:high] - edges[k]) + send[tasks]
            rank[tasks] += np.maximum(reach, 0.0)
    return rank


def _rank_wide(
    graph: TaskGraph, own: Floats, send: Floats, rank: Floats, after: Floats, ranked: NDArray[np.bool_]
) -> None:
    """Fill in upward ranks level by level, from the sinks on, as long as the levels are wide.

    after    the longest way from the end of a task on, as far as its dependents are ranked
    """
    starts = graph.dep_start
    waits, level = np.diff(graph.children[0]), graph.sinks
    done, passes = 0, 0
    while len(level) and (passes < FEW or done >= WIDE * passes):
        rank[level] = own[level] + after[level]
        ranked[level] = True
        done, passes = done + len(level), passes + 1
        low, count = starts[level], starts[level + 1] - starts[level]
        at = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(count.sum())
        needed = graph.deps[at]
        np.maximum.at(after, needed, np.repeat(rank[level], count) + send[needed])
        np.subtract.at(waits, needed, 1)
        free = np.sort(needed[waits[needed] == 0])
        level = free[np.diff(free, prepend=-1) > 0]  # `np.unique` hashes whole numbers: ten times the time of a sort


def downward_rank(graph: TaskGraph, duration: Floats, transfer: Floats | None = None) -> Floats:
    """[n] longest way from the start of the graph to the start of a task: the earliest it can begin."""
    n = len(graph)
    start, deps = graph.dep_start.tolist(), graph.deps.tolist()
    ready = (
        duration if transfer is None else duration + transfer
    ).tolist()  # once the rank is added: when it is elsewhere
    rank = [0.0] * n
    for task in range(n):
        needed = deps[start[task] : start[task + 1]]
        if needed:
            rank[task] = begin = max([ready[u] for u in needed])
            ready[task] += begin
    return np.array(rank)


def upward_order(rank: Floats | Sequence[float]) -> list[int]:
    """All tasks by falling rank, the smaller number first among equals."""
    found: list[int] = np.argsort(-np.asarray(rank), kind="stable").tolist()
    return found


def critical_path(graph: TaskGraph, duration: Floats, transfer: Floats | None = None) -> list[int]:
    """The tasks of one longest path, from a root to a sink.

    It follows the largest rank step by step; comparing sums for equality would lose the path to rounding.
    """
    if not len(graph):
        return []
    rank = upward_rank(graph, duration, transfer)
    start, children = graph.children
    path = [int(graph.roots[np.argmax(rank[graph.roots])])]
    while start[path[-1]] < start[path[-1] + 1]:
        after = children[start[path[-1]] : start[path[-1] + 1]]
        path.append(int(after[np.argmax(rank[after])]))
    return path


def lower_bound(graph: TaskGraph, duration: Floats, speeds: Floats, overhead: float = 0.0) -> float:
    """No schedule on threads of these speeds is shorter: the largest of three bounds, transfers left out.

    duration    [n] at speed 1; a task of length zero costs nothing
    speeds      [k] of all threads
    overhead    added to every task that has a length

    Critical path: the longest chain at the fastest speed. Area: all work over all speeds. Head-area-tail: tasks that
    start no earlier than h and leave at least t behind them need h + their area + t, for levels of h and all t.
    """
    if not len(graph):
        return 0.0
    busy = duration > 0
    fastest = np.where(busy, duration / speeds.max() + overhead, 0.0)
    tail = upward_rank(graph, fastest) - fastest
    head = downward_rank(graph, fastest)
    chain = float((head + fastest + tail).max())
    # Each thread of speed s turns a task into duration / s + overhead of its time, at the least in proportion.
    work = np.where(busy, duration + overhead * speeds.min(), 0.0)
    return max(chain, _head_area_tail(head, tail, work, float(speeds.sum())))


#: Distinct heads that are tried: the bound costs this many passes over the tasks.
HEADS = 32


def _head_area_tail(head: Floats, tail: Floats, work: Floats, speed: float) -> float:
    """The largest h + t + work of {head ≥ h, tail ≥ t} / speed; h = t = 0 is the area."""
    order = np.argsort(tail)[::-1]
    head, tail, work = head[order], tail[order], work[order]
    tried = np.unique(np.quantile(head, np.linspace(0, 1, HEADS), method="lower"))
    bounds = [h + (tail + np.cumsum(np.where(head >= h, work, 0.0)) / speed)[head >= h].max() for h in tried]
    return float(max(bounds))
