"""From orders to coordinates: heights by least squares, wide columns folded, components on shelves.

Each column is an isotonic regression (pool adjacent violators): the least-squares answer to "sit at the mean of your
neighbours, keep your order, do not overlap". A column of thousands is folded into rows of several cards, so that a fan
of 20,000 is a block and not a line:

    a ─ ┬ b0  b1  b2             three sub-columns; bends of passing edges keep a row of their own
        ├ b3  b4  b5
        ├────────────── ▸
        └ b6  b7
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .layout_levels import Floats, Ints, Levels

#: The weight with which a point without neighbours stays where it is.
INERTIA = 0.25

#: How strongly links pull: between nodes, node and bend, two bends (long edges want to be straight).
PULL = np.array([1.0, 2.0, 32.0])


@dataclass(frozen=True, slots=True)
class Spacing:
    """Sizes of a drawing, in pixels: cards, the gaps between them, and what a passing edge takes.

    `rows` is how many cards a column always may have: only longer ones are folded.
    """

    width: float = 140.0
    height: float = 28.0
    column_gap: float = 44.0
    row_gap: float = 10.0
    fold_gap: float = 12.0
    bend_height: float = 4.0
    component_gap: float = 28.0
    rows: int = 32


@dataclass(frozen=True, eq=False, slots=True)
class Places:
    """Where points are: centre `x`, `y`, and the `left` and `right` end of the column they stand in; page size."""

    x: Floats
    y: Floats
    left: Floats
    right: Floats
    width: float
    height: float


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """How slots fill rows: [p] the place in the row (0 opens one), and `wide` [segments] the most cards in a row."""

    sub: Ints
    wide: Ints


def place(levels: Levels, order: Ints, spacing: Spacing, aspect: float, *, fold: bool) -> Places:
    """Coordinates of all points of a drawing that is about `aspect` times as wide as high, where there is a choice."""
    if not len(levels):
        return Places(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), 0.0, 0.0)
    flat = np.ones(int(levels.segment[-1]) + 1, np.int64)
    rows = _fill_rows(levels, order, _fold(levels, spacing, aspect) if fold else flat)
    y = _heights(levels, order, rows, spacing)
    left, width = _columns(levels, rows, y, spacing)
    sub = np.empty(len(levels), np.int64)
    sub[order] = rows.sub
    left, right = left[levels.segment], (left + width)[levels.segment]
    x = left + sub * (spacing.width + spacing.fold_gap) + spacing.width / 2
    return _shelve(levels, Places(x, y, left, right, 0.0, 0.0), spacing, aspect)


# -- folding --------------------------------------------------------------------------


def _fold(levels: Levels, spacing: Spacing, aspect: float) -> Ints:
    """How many cards stand side by side in each segment: more only in components that would be too high."""
    cards = np.bincount(levels.segment, weights=~levels.bend).astype(np.int64)
    piece = levels.component[levels.place == 0]
    wide = np.ones(len(cards), np.int64)
    for component in np.unique(piece[cards > spacing.rows]).tolist():
        mine = np.flatnonzero(piece == component)
        rows = spacing.rows
        while (fold := -(-cards[mine] // rows)).max() > 1:
            width = fold.sum() * (spacing.width + spacing.fold_gap) + len(mine) * spacing.column_gap
            if width <= aspect * rows * (spacing.height + spacing.row_gap):
                break
            rows += max(1, rows // 8)
        wide[mine] = fold
    return wide


def _fill_rows(levels: Levels, order: Ints, wide: Ints) -> Rows:
    """Fill rows from the top; a bend takes a row for itself."""
    bend = levels.bend[order]
    fresh = (levels.place == 0) | bend
    fresh[1:] |= bend[:-1]
    run = np.cumsum(fresh) - 1
    nth = np.arange(len(order)) - np.flatnonzero(fresh)[run]
    return Rows(nth % wide[levels.segment], wide)


# -- heights --------------------------------------------------------------------------


def _heights(levels: Levels, order: Ints, rows: Rows, spacing: Spacing) -> Floats:
    """Vertical centres of all points. Components are kept far apart meanwhile, so that they never push each other."""
    half = np.where(levels.bend, spacing.bend_height, spacing.height)[order] / 2
    step = np.zeros(len(order))
    step[1:] = np.where(rows.sub[1:] == 0, half[1:] + half[:-1] + spacing.row_gap, 0.0)
    offset = np.cumsum(step)  # the tightest legal heights, by slot
    apart = levels.component * (2 * offset[-1] + 1)
    first = np.arange(len(order)) - levels.place
    y = np.empty(len(order))
    y[order] = offset - (offset[first] + offset[first + levels.count - 1]) / 2 + apart
    settler = Settler(levels, order, offset, y)
    for _ in range(1 if len(levels.left) > 4_500 else 2):
        settler.sweep(left=True, right=False)
        settler.sweep(left=False, right=True)
    for _ in range(8 if len(levels.left) <= 1_500 else 3 if len(levels.left) <= 4_500 else 1):
        settler.sweep(left=True, right=True)
        settler.sweep(left=True, right=True, back=True)
    settled: Floats = settler.heights() - apart
    row = np.cumsum(rows.sub == 0) - 1
    settled[order] = (np.bincount(row, weights=settled[order]) / np.bincount(row))[row]
    return settled


class Settler:
    """Moves columns to the weighted means of their neighbours, one after the other."""

    def __init__(self, levels: Levels, order: Ints, offset: Floats, y: Floats) -> None:
        self._levels, self._order, self._offset, self._y = levels, order, offset, y
        kind = levels.bend[levels.left].astype(np.int64) + levels.bend[levels.right]
        self._pull = PULL[kind]
        self._weight_left = np.bincount(levels.right, weights=self._pull, minlength=len(y))
        self._weight_right = np.bincount(levels.left, weights=self._pull, minlength=len(y))
        self._thin = _Thin(levels, order, offset, y, self._pull) if levels.narrow else None

    def heights(self) -> Floats:
        """By point."""
        return np.array(self._thin.y) if self._thin else self._y

    def sweep(self, *, left: bool, right: bool, back: bool = False) -> None:
        """Settle all columns, looking left, right or both; from the right end when only that is looked at."""
        settle = self._thin.settle if self._thin else self._settle
        columns = range(self._levels.columns)
        for column in reversed(columns) if back or not left else columns:
            settle(column, left=left, right=right)

    def _settle(self, column: int, *, left: bool, right: bool) -> None:
        levels, y = self._levels, self._y
        a, b = levels.start[column], levels.start[column + 1]
        pull, weight = np.zeros(b - a), np.zeros(b - a)
        if left and column:
            s = slice(levels.link_start[column - 1], levels.link_start[column])
            pull += np.bincount(levels.right[s] - a, self._pull[s] * y[levels.left[s]], b - a)
            weight += self._weight_left[a:b]
        if right and column + 1 < levels.columns:
            s = slice(levels.link_start[column], levels.link_start[column + 1])
            pull += np.bincount(levels.left[s] - a, self._pull[s] * y[levels.right[s]], b - a)
            weight += self._weight_right[a:b]
        alone = weight == 0
        weight[alone] = INERTIA
        pull[alone] = INERTIA * y[a:b][alone]
        now = self._order[a:b]
        wish = (pull / weight)[now - a] - self._offset[a:b]
        if (wish[1:] < wish[:-1]).any():
            wish = np.array(isotonic(wish.tolist(), weight[now - a].tolist()))
        y[now] = wish + self._offset[a:b]


class _Thin:
    """What `Settler` does, in plain loops, for long thin graphs."""

    def __init__(self, levels: Levels, order: Ints, offset: Floats, y: Floats, pull: Floats) -> None:
        self.y: list[float] = y.tolist()
        self._start = levels.start
        self._order: list[int] = order.tolist()
        self._offset: list[float] = offset.tolist()
        self._left: list[list[tuple[int, float]]] = [[] for _ in self.y]
        self._right: list[list[tuple[int, float]]] = [[] for _ in self.y]
        for u, v, w in zip(levels.left.tolist(), levels.right.tolist(), pull.tolist(), strict=True):
            self._left[v].append((u, w))
            self._right[u].append((v, w))

    def settle(self, column: int, *, left: bool, right: bool) -> None:
        a, b = self._start[column], self._start[column + 1]
        wish, weight = [], []
        for slot in range(a, b):
            mean, heavy = self._mean(self._order[slot], left=left, right=right)
            wish.append(mean - self._offset[slot])
            weight.append(heavy)
        if b - a > 1:
            wish = isotonic(wish, weight)
        for slot, height in zip(range(a, b), wish, strict=True):
            self.y[self._order[slot]] = height + self._offset[slot]

    def _mean(self, point: int, *, left: bool, right: bool) -> tuple[float, float]:
        pull = weight = 0.0
        for near in (self._left[point] if left else (), self._right[point] if right else ()):
            for q, w in near:
                pull += w * self.y[q]
                weight += w
        return (pull / weight, weight) if weight else (self.y[point], INERTIA)


def isotonic(values: list[float], weights: list[float]) -> list[float]:
    """The non-decreasing numbers nearest to `values` by weighted least squares (pool adjacent violators)."""
    means: list[float] = []
    heavies: list[float] = []
    ends: list[int] = []  # of pools, exclusive; three lists of numbers cost half of one list of tuples
    for end, (value, weight) in enumerate(zip(values, weights, strict=True), 1):
        mean, heavy = value, weight
        while means and means[-1] > mean:
            more = heavies.pop()
            mean = (means.pop() * more + mean * heavy) / (more + heavy)
            heavy += more
            ends.pop()
        means.append(mean)
        heavies.append(heavy)
        ends.append(end)
    flat: list[float] = []
    for mean, end in zip(means, ends, strict=True):
        flat += [mean] * (end - len(flat))
    return flat


# -- columns and shelves --------------------------------------------------------------


def _columns(levels: Levels, rows: Rows, y: Floats, spacing: Spacing) -> tuple[Floats, Floats]:
    """Left end and width of every segment. Steep edges need room: a gap grows with the mean climb across it."""
    opens = levels.place == 0
    piece, column = levels.component[opens], levels.column[opens]
    of = levels.segment[levels.left]
    climb = np.bincount(of, weights=np.abs(y[levels.left] - y[levels.right]), minlength=len(piece)).astype(np.float64)
    climb /= np.maximum(np.bincount(of, minlength=len(piece)), 1)
    width = rows.wide.astype(np.float64) * (spacing.width + spacing.fold_gap) - spacing.fold_gap
    advance = width + spacing.column_gap + np.minimum(2.5 * spacing.column_gap, climb / 4)
    along = np.lexsort((column, piece))  # component after component
    end = np.cumsum(advance[along])
    begin = np.empty(len(piece))
    begin[along] = end - advance[along]
    first = begin[along[np.searchsorted(piece[along], np.arange(int(piece.max()) + 1))]]
    left: Floats = begin - first[piece]
    return left, width


def _shelve(levels: Levels, at: Places, spacing: Spacing, aspect: float) -> Places:
    """Move components to shelves, the highest first."""
    half = np.where(levels.bend, spacing.bend_height, spacing.height) / 2
    pieces = int(levels.component.max()) + 1
    top, bottom, width = np.full(pieces, np.inf), np.full(pieces, -np.inf), np.zeros(pieces)
    np.minimum.at(top, levels.component, at.y - half)
    np.maximum.at(bottom, levels.component, at.y + half)
    np.maximum.at(width, levels.component, at.right)
    shelf_x, shelf_y = shelves(width, bottom - top, spacing.component_gap, aspect)
    dx, dy = shelf_x[levels.component], (shelf_y - top)[levels.component]
    size = float((shelf_x + width).max()), float((shelf_y + bottom - top).max())
    return Places(at.x + dx, at.y + dy, at.left + dx, at.right + dx, *size)


def shelves(width: Floats, height: Floats, gap: float, aspect: float) -> tuple[Floats, Floats]:
    """Left and top of boxes set on shelves, highest first, on a page of about `aspect`."""
    row = max(float(width.max()), float(np.sqrt(((width + gap) * (height + gap)).sum() * aspect)))
    x, y = np.zeros(len(width)), np.zeros(len(width))
    cursor = shelf = tallest = 0.0
    order: NDArray[np.intp] = np.lexsort((np.arange(len(width)), -width, -height))
    for box in order.tolist():
        if cursor and (cursor + width[box] > row or height[box] < tallest / 2):
            shelf, cursor, tallest = shelf + tallest + gap, 0.0, 0.0
        x[box], y[box] = cursor, shelf
        cursor += float(width[box]) + gap
        tallest = max(tallest, float(height[box]))
    return x, y
