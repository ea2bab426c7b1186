"""The overview of a large graph: tasks gathered into boxes by kind and column, with ribbons between the boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .layout import Layout, layout_arrays
from .layout_place import Spacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .layout_levels import Ints

#: Sizes of the boxes of an overview.
BOX = Spacing(width=176, height=54, column_gap=56, row_gap=18, fold_gap=18, bend_height=6, component_gap=32)


@dataclass(frozen=True, eq=False, slots=True)
class Groups:
    """Boxes of tasks. They form a DAG again, and have a layout of their own.

    of            [n] the box of each task
    kind          [g] its kind, -1 when several kinds share a box
    size          [g] how many tasks
    first, last   [g] the columns it spans
    layout        of the boxes: centres, sizes, and the bends of the ribbons (`layout.src`, `layout.dst`)
    count         [r] how many edges each ribbon stands for
    """

    of: Ints
    kind: Ints
    size: Ints
    first: Ints
    last: Ints
    layout: Layout
    count: Ints

    def __len__(self) -> int:
        return len(self.size)

    def extent(self, drawn: Layout) -> NDArray[np.float32]:
        """[g, 4] left, top, right, bottom of the members of each box in the drawing of all tasks: where to zoom to."""
        found = np.full((len(self), 4), np.inf, np.float32)
        half_width, half_height = drawn.spacing.width / 2, drawn.spacing.height / 2
        for column, edge in enumerate((drawn.x - half_width, drawn.y - half_height)):
            np.minimum.at(found[:, column], self.of, edge)
        for column, edge in enumerate((-drawn.x - half_width, -drawn.y - half_height), 2):
            np.minimum.at(found[:, column], self.of, edge)
        found[:, 2:] *= -1
        return found

    def heads(self, keys: Sequence[str], kinds: Sequence[str]) -> list[str]:
        """What stands on each box: its kind, the key of its only task, or the columns it spans."""
        only = np.zeros(len(self), np.int64)
        only[self.of] = np.arange(len(self.of))
        return [
            keys[task] if size == 1 else kinds[kind] if kind >= 0 else _columns(first, last)
            for task, size, kind, first, last in zip(
                only.tolist(), self.size.tolist(), self.kind.tolist(), self.first.tolist(), self.last.tolist(),
                strict=True,
            )
        ]  # fmt: skip


def group(
    drawn: Layout,
    kind: NDArray[np.int32],
    *,
    most: int = 120,
    columns: int = 32,
    bands: int = 12,
    spacing: Spacing = BOX,
) -> Groups:
    """Gather the tasks of `drawn` by kind and column; more coarsely where that leaves over `most` boxes or `columns`.

    Coarser rules, each still without circles: all of a kind, except kinds that wait for one another in a circle, which
    stay split by column; at last `bands` stretches of columns, whatever the kind.
    """
    edges = drawn.src.astype(np.int64), drawn.dst.astype(np.int64)
    limits = Limits(most, columns, bands)
    return group_ranked(drawn.rank.astype(np.int64), edges, kind.astype(np.int64), limits, spacing)


class Limits(NamedTuple):
    """How large an overview may be: boxes, columns, and stretches of columns where nothing else helps."""

    most: int
    columns: int
    bands: int


def group_ranked(rank: Ints, edges: tuple[Ints, Ints], of: Ints, limits: Limits, spacing: Spacing) -> Groups:
    """`group` for tasks whose columns are known (`layout_ranks.ranks`), without a drawing of them; `of` is the kind."""
    src, dst = edges
    kinds = int(of.max(initial=-1)) + 1
    fine = rank * kinds + of
    if _fits(fine, rank, limits):
        return _gather(fine, edges, of, rank, spacing)
    looped = _looped(kinds, of[src], of[dst])[of]
    by_kind = np.where(looped, (rank + 1) * kinds + of, of)
    if _fits(by_kind, rank[looped], limits):
        return _gather(by_kind, edges, of, rank, spacing)
    across = int(rank.max()) + 1
    band = rank * min(across, limits.bands) // across
    return _gather(band, edges, np.full(len(of), -1), rank, spacing)


def _columns(first: int, last: int) -> str:
    return f"columns {first + 1}–{last + 1}" if last > first else f"column {first + 1}"


def _fits(key: Ints, rank: Ints, limits: Limits) -> bool:
    return len(np.unique(key)) <= limits.most and int(rank.max(initial=0)) < limits.columns


def _gather(key: Ints, edges: tuple[Ints, Ints], kind: Ints, rank: Ints, spacing: Spacing) -> Groups:
    src, dst = edges
    boxes, one, of, size = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    of = of.reshape(len(key))
    first, last = np.full(len(boxes), np.iinfo(np.int64).max), np.zeros(len(boxes), np.int64)
    np.minimum.at(first, of, rank)
    np.maximum.at(last, of, rank)
    apart = of[src] != of[dst]
    pairs, count = np.unique(of[src][apart] * len(boxes) + of[dst][apart], return_counts=True)
    ribbons = np.divmod(pairs, max(1, len(boxes)))
    drawn = layout_arrays(len(boxes), *ribbons, spacing=spacing, fold=False)
    return Groups(of, kind[one], size, first, last, drawn, count)


def _looped(kinds: int, src: Ints, dst: Ints) -> NDArray[np.bool_]:
    """Kinds that may wait for themselves through others: all but what can be pruned from the ends."""
    a, b = np.divmod(np.unique(src * kinds + dst), kinds)
    alive = np.ones(kinds, bool)
    while True:
        on = alive[a] & alive[b]
        keep = alive & (np.bincount(a[on], minlength=kinds) > 0) & (np.bincount(b[on], minlength=kinds) > 0)
        if np.array_equal(keep, alive):
            return alive
        alive = keep
