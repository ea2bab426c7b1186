"""Left-to-right layered drawings of task graphs: one for the canvas, the SVG of a saved notebook and the HTML page.

    ranks     layout_ranks    longest path, then pulled together
    bends     layout_levels   long edges bend in every column they pass; edges with a common end share a trunk
    order     layout_order    barycenter sweeps and swaps: few crossings
    places    layout_place    least-squares heights, folded columns, components on shelves

Sugiyama's pipeline, each step chosen so that numpy or one tight loop does the work: 10,000 nodes take about 0.2 s.
Nothing depends on time, hashes or chance: same graph, same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .layout_levels import Ints, Routes, levels, route
from .layout_order import reduce_crossings
from .layout_place import Places, Spacing, place
from .layout_ranks import CycleError, components, ranks

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .groups import Groups

__all__ = ["CycleError", "Layout", "Spacing", "layout", "layout_arrays", "pack"]

Positions = NDArray[np.float32]
Numbers = NDArray[np.int32]


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """Where nodes and edges are, in pixels from the top left corner of a page `width` × `height`.

    x, y                 [n] centres of cards of `spacing.width` × `spacing.height`
    rank                 [n] column; `component` [n] connected piece
    src, dst             [m] edges, as given
    bend_start           [m+1] and `bends` [k, 2]: edge e runs from the right side of its source through
                         bends[bend_start[e]:bend_start[e+1]] to the left side of its target. Bends come in pairs, one
                         column passed each (left and right end, of equal height: a straight stretch). Join points of
                         different height by a curve with horizontal ends: C (xa+xb)/2,ya (xa+xb)/2,yb xb,yb
    crossings            that are left
    """

    x: Positions
    y: Positions
    rank: Numbers
    component: Numbers
    src: Numbers
    dst: Numbers
    bend_start: Numbers
    bends: Positions
    width: float
    height: float
    crossings: int
    spacing: Spacing

    def __len__(self) -> int:
        return len(self.x)


def layout(graph: TaskGraph, *, spacing: Spacing | None = None) -> Layout:
    """The drawing of a task graph; edge numbers are those of `graph.deps`."""
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    return layout_arrays(len(graph), graph.deps, owner, spacing=spacing)


def layout_arrays(
    n: int, src: ArrayLike, dst: ArrayLike, *, spacing: Spacing | None = None, aspect: float = 1.8, fold: bool = True
) -> Layout:
    """The drawing of `n` nodes with edges src[i] → dst[i], numbered in any order.

    `aspect` is the width over the height that folding and shelves aim at. Raises CycleError, and ValueError for an
    edge that leads to no node.
    """
    spacing = spacing or Spacing()
    src, dst = np.asarray(src, np.int64).reshape(-1), np.asarray(dst, np.int64).reshape(-1)
    if len(src) != len(dst) or (len(src) and not 0 <= min(src.min(), dst.min()) <= max(src.max(), dst.max()) < n):
        raise ValueError(f"edges do not fit a graph of {n} nodes")
    rank, component = ranks(n, src, dst), components(n, src, dst)
    lowest = np.full(int(component.max(initial=-1)) + 1, n)
    np.minimum.at(lowest, component, rank)
    rank -= lowest[component]
    routes = route(n, src, dst, rank)
    level = levels(n, rank, component, routes)
    order, crossings = reduce_crossings(level)
    places = place(level, order, spacing, aspect, fold=fold)
    bends = _bends(n, routes, level.point, places)
    at = level.point[:n]
    return Layout(
        _f4(places.x[at]), _f4(places.y[at]), _i4(rank), _i4(component), _i4(src), _i4(dst),
        _i4(2 * routes.start), bends, places.width, places.height, crossings, spacing,
    )  # fmt: skip


def _bends(n: int, routes: Routes, point: Ints, at: Places) -> Positions:
    """Two points per bend: where the edge enters the column and where it leaves it."""
    here = point[n:][routes.along - n]
    return _f4(np.stack([at.left[here], at.y[here], at.right[here], at.y[here]], axis=1)).reshape(-1, 2)


def _f4(values: NDArray[Any]) -> Positions:
    return np.ascontiguousarray(values, np.float32)


def _i4(values: NDArray[Any]) -> Numbers:
    return np.ascontiguousarray(values, np.int32)


def pack(drawn: Layout, groups: Groups | None = None) -> tuple[dict[str, Any], list[bytes]]:
    """A drawing as it travels to the browser: a small JSON head and little-endian buffers.

    The head: `nodes`, `edges`, `width`, `height`, `card` [width, height], `crossings`, and `columns`, one
    [name, type, length] per buffer, in this order (types f4 and i4; lengths in numbers, not bytes):

        x f4[n]  y f4[n]             centres of the cards
        rank i4[n]                   columns
        src i4[m]  dst i4[m]         edges
        bend_start i4[m+1]           the bends of edge e are the points bend_start[e] … bend_start[e+1] of
        bends f4[2k]                 x, y, x, y, … ; see `Layout` for how edges are drawn

    and with `groups`, under the head's `overview` (`boxes`, `ribbons`, `width`, `height`, `card`, `crossings`):

        of i4[n]                     the box of each task
        box_x f4[g]  box_y f4[g]     centres of the boxes, on the overview's own page; all of the size `overview.card`
        box_kind i4[g]               index of the kind, -1 for several
        box_size i4[g]               tasks in it
        box_first i4[g] box_last i4[g]  the columns it spans
        extent f4[4g]                left, top, right, bottom of its tasks on the page of nodes: where to zoom to
        ribbon_src i4[r]  ribbon_dst i4[r]  ribbon_count i4[r]
        ribbon_bend_start i4[r+1]  ribbon_bends f4[2l]    as for edges
    """
    named: list[tuple[str, NDArray[Any]]] = [
        ("x", drawn.x), ("y", drawn.y), ("rank", drawn.rank), ("src", drawn.src), ("dst", drawn.dst),
        ("bend_start", drawn.bend_start), ("bends", drawn.bends),
    ]  # fmt: skip
    head = {"nodes": len(drawn), "edges": len(drawn.src)} | _page(drawn)
    if groups is not None:
        boxes = groups.layout
        head["overview"] = {"boxes": len(groups), "ribbons": len(boxes.src)} | _page(boxes)
        named += [
            ("of", _i4(groups.of)), ("box_x", boxes.x), ("box_y", boxes.y), ("box_kind", _i4(groups.kind)),
            ("box_size", _i4(groups.size)), ("box_first", _i4(groups.first)), ("box_last", _i4(groups.last)),
            ("extent", groups.extent(drawn)), ("ribbon_src", boxes.src), ("ribbon_dst", boxes.dst),
            ("ribbon_count", _i4(groups.count)), ("ribbon_bend_start", boxes.bend_start), ("ribbon_bends", boxes.bends),
        ]  # fmt: skip
    head["columns"] = [[name, f"{array.dtype.kind}4", array.size] for name, array in named]
    return head, [array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for _, array in named]


def _page(drawn: Layout) -> dict[str, Any]:
    card = [drawn.spacing.width, drawn.spacing.height]
    return {"width": drawn.width, "height": drawn.height, "card": card, "crossings": drawn.crossings}
