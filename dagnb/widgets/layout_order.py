"""The order of points in their columns: few crossings.

Barycenter sweeps (Sugiyama, Tagawa & Toda 1981) from several starts; the best order is polished by swaps of neighbours.
Effort depends on the size of the graph alone, so that a picture never depends on the machine.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from .layout_levels import Floats, Ints, Levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Up to so many links: starts, sweeps from each, rounds of polish, swaps in each.
EFFORT = ((1_500, 4, 6, 5, 16), (4_500, 2, 4, 4, 6), (15_000, 2, 3, 3, 4), (60_000, 1, 2, 3, 2), (1 << 62, 1, 2, 0, 0))

#: Where sweeps start, and whether every other one goes by medians instead of means.
STARTS = (("input", False), ("walk", False), ("walk back", True), ("walk", True))


def reduce_crossings(levels: Levels) -> tuple[Ints, int]:
    """An order of all columns (`order[slot]` = point) and its crossings, never more than the input's own."""
    best = np.arange(len(levels))
    least = count_crossings(levels, best)
    if not least:
        return best, 0
    starts, sweeps, rounds, swaps = next(effort for most, *effort in EFFORT if len(levels.left) <= most)
    if levels.narrow and len(levels.left) > 4_500:
        starts = 1  # plain loops over a long thin graph
    sweep = Sweep(levels, both=False)
    for name, median in STARTS[:starts]:
        order = np.arange(len(levels)) if name == "input" else walk(levels, backwards=name == "walk back")
        found, count = _sweep(levels, sweep, order, sweeps, median=median)
        if count < least:
            best, least = found, count
        if not least:
            break
    return _polish(levels, best, least, rounds, swaps)


def _sweep(levels: Levels, sweep: Sweep, order: Ints, sweeps: int, *, median: bool) -> tuple[Ints, int]:
    """The best order on the way from a start, which may be the start itself; ends when it gets worse twice."""
    best, least, worse = order, count_crossings(levels, order), 0
    for i in range(sweeps):
        if worse >= 2 or not least:
            break
        order = sweep(order, flip=i % 2 == 1, median=median and i % 2 == 0)
        count = count_crossings(levels, order)
        worse = 0 if count < least else worse + 1
        if count < least:
            best, least = order, count
    return best, least


def _polish(levels: Levels, best: Ints, least: int, rounds: int, swaps: int) -> tuple[Ints, int]:
    """Means of both sides, then swaps of neighbours, as long as that may still help."""
    between = Sweep(levels, both=True)
    order = best
    for i in range(rounds if least else 0):
        order = swap_neighbours(levels, between(order) if i else order, swaps)
        count = count_crossings(levels, order)
        if count < least:
            best, least = order, count
    return best, least


class Sweep:
    """One pass to the right and one to the left: every point goes to the mean seat of its neighbours.

    A pass looks back only, to the column it comes from; with `both` it looks both ways. Long thin graphs take plain
    loops, wide ones a few numpy calls per column.
    """

    def __init__(self, levels: Levels, *, both: bool) -> None:
        self._levels = levels
        self._turns = _turns(levels, both=both)
        self._near = _neighbours(levels, both=both) if levels.narrow else None

    def __call__(self, order: Ints, *, flip: bool = False, median: bool = False) -> Ints:
        """The new order. `flip` turns ties round, `median` replaces means (in wide graphs)."""
        return self._wide(order, flip=flip, median=median) if self._near is None else self._narrow(order, flip=flip)

    def _wide(self, order: Ints, *, flip: bool, median: bool) -> Ints:
        order, seat = order.copy(), self._levels.seat
        at = np.empty(len(order))
        at[order] = seat
        for a, b, _, mine, theirs, degree in self._turns:
            wish = _medians(at[theirs], mine, degree) if median else _means(at[theirs], mine, degree)
            wish = np.where(degree, wish, at[a:b])
            now = order[a:b][::-1] if flip else order[a:b]
            now = now[wish[now - a].argsort(kind="stable")]
            order[a:b] = now
            at[now] = seat[a:b]
        return order

    def _narrow(self, order: Ints, *, flip: bool) -> Ints:
        assert self._near is not None
        seat: list[float] = self._levels.seat.tolist()
        slots: list[int] = order.tolist()
        at = [0.0] * len(slots)
        for point, here in zip(slots, seat, strict=True):
            at[point] = here
        for a, b, side, *_ in self._turns:
            near = self._near[side]
            now = slots[a:b][::-1] if flip else slots[a:b]
            wish = {p: sum([at[q] for q in near[p]]) / len(near[p]) if near[p] else at[p] for p in now}
            now.sort(key=wish.__getitem__)
            slots[a:b] = now
            for point, here in zip(now, seat[a:b], strict=True):
                at[point] = here
        return np.array(slots)


Turn = tuple[int, int, int, Ints, Ints, Ints]


def _turns(levels: Levels, *, both: bool) -> list[Turn]:
    """What a sweep visits: the slice of a column, which side it looks at, and the links there."""
    spans = list(itertools.pairwise(levels.start))
    forward = [_turn(levels, r, 2 if both else 0) for r, (a, b) in enumerate(spans) if b - a > 1]
    backward = [_turn(levels, r, 2 if both else 1) for r, (a, b) in enumerate(spans) if b - a > 1]
    return forward + backward[::-1]


def _turn(levels: Levels, column: int, side: int) -> Turn:
    a, b = levels.start[column], levels.start[column + 1]
    if levels.narrow:
        empty = np.zeros(0, np.int64)
        return a, b, side, empty, empty, empty
    mine, theirs = [], []
    if side != 1 and column:
        s = slice(levels.link_start[column - 1], levels.link_start[column])
        mine.append(levels.right[s] - a)
        theirs.append(levels.left[s])
    if side and column + 1 < levels.columns:
        s = slice(levels.link_start[column], levels.link_start[column + 1])
        mine.append(levels.left[s] - a)
        theirs.append(levels.right[s])
    own = np.concatenate(mine) if mine else np.zeros(0, np.int64)
    return a, b, side, own, np.concatenate(theirs) if theirs else own, np.bincount(own, minlength=b - a)


def _means(values: Floats, mine: Ints, degree: Ints) -> Floats:
    return np.bincount(mine, weights=values, minlength=len(degree)) / np.maximum(degree, 1)


def _medians(values: Floats, mine: Ints, degree: Ints) -> Floats:
    if not len(values):
        return np.zeros(len(degree))
    sorted_values: Floats = values[np.lexsort((values, mine))]
    middle = np.cumsum(degree) - degree + (degree - 1) // 2
    found: Floats = sorted_values[np.clip(middle, 0, len(values) - 1)]
    return found


def _neighbours(levels: Levels, *, both: bool) -> tuple[list[list[int]], ...]:
    """Neighbours to the left, to the right and (when asked for) on both sides, by point."""
    before: list[list[int]] = [[] for _ in range(len(levels))]
    after: list[list[int]] = [[] for _ in range(len(levels))]
    for u, v in zip(levels.left.tolist(), levels.right.tolist(), strict=True):
        before[v].append(u)
        after[u].append(v)
    return before, after, [p + s for p, s in zip(before, after, strict=True)] if both else []


def walk(levels: Levels, *, backwards: bool) -> Ints:
    """An order in which relatives stand together, whatever the input's: by a depth-first walk."""
    before, after, _ = _neighbours(levels, both=False)
    if backwards:
        before, after = after, before
    total = len(levels)
    visit = [-1] * total
    clock = itertools.count()
    for root in reversed(range(total)) if backwards else range(total):
        stack = [root] if visit[root] < 0 else []
        while stack:
            u = stack.pop()
            if visit[u] < 0:
                visit[u] = next(clock)
                stack += [v for v in before[u] if visit[v] < 0]
                stack += [v for v in reversed(after[u]) if visit[v] < 0]
    return np.lexsort((np.array(visit), levels.segment))


def count_crossings(levels: Levels, order: Ints) -> int:
    """How many pairs of links cross: inversions, counted bit by bit from the top.

    Two links sorted by their left ends cross when their right ends are the other way round. The first bit in which the
    right ends differ decides, and only ends with all higher bits in common are still together when it is looked at.
    """
    total = len(order)
    slot = np.empty(total, np.int64)
    slot[order] = np.arange(total)
    key = slot[levels.left] * total + slot[levels.right]
    key.sort()
    small = np.uint16 if total <= 1 << 16 else np.int64  # numpy sorts 16 bits by radix
    value: NDArray[np.integer] = (key % max(total, 1)).astype(small)
    where = np.arange(len(value))
    crossings = 0
    for bit in range(total.bit_length() - 1, -1, -1):
        prefix = value >> small(bit + 1) if bit + 1 < 16 or small is np.int64 else np.zeros_like(value)
        by_prefix = np.argsort(prefix, kind="stable")
        value, prefix = value[by_prefix], prefix[by_prefix]
        fresh = np.ones(len(value), bool)
        fresh[1:] = prefix[1:] != prefix[:-1]
        first = np.maximum.accumulate(np.where(fresh, where, 0))
        one = (value >> small(bit)) & small(1) == 1
        ones = np.concatenate([[0], np.cumsum(one)])
        crossings += int((ones[where] - ones[first])[~one].sum())
    return crossings


def swap_neighbours(levels: Levels, order: Ints, rounds: int) -> Ints:
    """Swap points that stand next to each other where that removes crossings, many disjoint pairs at a time.

    Pairs of one parity in columns of one parity do not disturb one another.
    """
    order = order.copy()
    slot = np.empty(len(order), np.int64)
    slot[order] = np.arange(len(order))
    sides = [_side(levels.left, levels.right, len(order)), _side(levels.right, levels.left, len(order))]
    upper = np.flatnonzero(levels.place[1:] > 0)  # (slot, slot + 1) are of one segment
    parity = levels.column[upper] % 2 * 2 + levels.place[upper] % 2
    phases = [upper[parity == phase] for phase in range(4)]
    idle = 0
    for i in range(4 * rounds):
        pairs = phases[i % 4]
        u, v = order[pairs], order[pairs + 1]
        swap = sum((_gain(side, slot, u, v) for side in sides), np.zeros(len(pairs))) > 0
        idle = 0 if swap.any() else idle + 1
        if idle == 4:
            break
        at, a, b = pairs[swap], u[swap], v[swap]
        order[at], order[at + 1] = b, a
        slot[a], slot[b] = at + 1, at
    return order


def _side(key: Ints, other: Ints, total: int) -> tuple[Ints, Ints, Ints]:
    degree = np.bincount(key, minlength=total)
    return np.cumsum(degree) - degree, degree, other[np.argsort(key, kind="stable")]


def _gain(side: tuple[Ints, Ints, Ints], slot: Ints, u: Ints, v: Ints) -> Floats:
    """Crossings between the links of u and of v on one side that a swap would remove, less those it would make."""
    start, degree, other = side
    size = degree[u] * degree[v]
    size[size > 4096] = 0  # two hubs: the sweeps have placed them, and their pairs would fill the memory
    pair = np.repeat(np.arange(len(u)), size)
    nth = np.arange(len(pair)) - (np.cumsum(size) - size)[pair]
    i, j = np.divmod(nth, np.maximum(degree[v], 1)[pair])
    apart = slot[other[start[u][pair] + i]] - slot[other[start[v][pair] + j]]
    return np.bincount(pair, weights=np.sign(apart), minlength=len(u)).astype(np.float64)
