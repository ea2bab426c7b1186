"""Long edges get a bend in every column they pass, so that all that follows sees neighbouring columns only.

Edges that share an end share their bends: one trunk that branches. That is fewer lines for the eye and for the machine.

    a ──●──●──┬── d          a → d and a → e pass two columns; both run along a's trunk of two bends
              └── e
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Bends per node that a drawing may have; the longest trunks beyond it stay straight lines behind the cards.
BENDS_PER_NODE = 3


@dataclass(frozen=True, eq=False, slots=True)
class Routes:
    """Where the bends are. Numbers below n are nodes, the others bends.

    owner, rank   [b] the node at the root of each bend's trunk, and its column
    left, right   [l] links between neighbouring columns, nodes and bends alike
    start         [m+1] and `along` [k]: the bends of edge e, from left to right
    """

    owner: Ints
    rank: Ints
    left: Ints
    right: Ints
    start: Ints
    along: Ints


def route(n: int, src: Ints, dst: Ints, rank: Ints) -> Routes:
    """Give every long edge a trunk, at the end where more of them meet."""
    span = rank[dst] - rank[src]
    long = span > 1
    ahead = np.bincount(src[long], minlength=n)[src] >= np.bincount(dst[long], minlength=n)[dst]
    trunk = np.where(ahead, src, n + dst)  # trunks 0 … n-1 grow out of sources, the others into targets
    length = np.zeros(2 * n, np.int64)
    np.maximum.at(length, trunk[long], span[long] - 1)
    shortest_first = np.argsort(length, kind="stable")
    over = np.cumsum(length[shortest_first]) > BENDS_PER_NODE * n
    length[shortest_first[over]] = 0
    base = n + np.cumsum(length) - length  # the bend of each trunk that is nearest to its owner

    of = np.repeat(np.arange(2 * n), length)
    here = n + np.arange(len(of))
    step = here - base[of]
    owner, grows = of % max(n, 1), of < n
    inner = np.where(step == 0, owner, here - 1)

    bent = long & (length[trunk] > 0)
    leave = base[trunk[bent]] + span[bent] - 2  # where an edge leaves its trunk
    out = ahead[bent]
    near = span == 1
    return Routes(
        owner,
        rank[owner] + np.where(grows, step + 1, -step - 1),
        np.concatenate([src[near], np.where(grows, inner, here), np.where(out, leave, src[bent])]),
        np.concatenate([dst[near], np.where(grows, here, inner), np.where(out, dst[bent], leave)]),
        *_along(np.where(bent, span - 1, 0), base[trunk], ahead),
    )


def _along(count: Ints, base: Ints, ahead: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    start = np.concatenate([[0], np.cumsum(count)])
    edge = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(edge)) - start[edge]
    return start, base[edge] + np.where(ahead[edge], step, count[edge] - 1 - step)


@dataclass(frozen=True, eq=False, slots=True)
class Levels:
    """Nodes and bends as *points*, renumbered by column, so that a column is a slice of every array.

    A *segment* is the part of a column that belongs to one component; points never leave theirs. `order[slot]` says
    which point stands in a slot, from the top; slots are numbered like points.

    point                    [n+b] the point of a node or bend
    column, component, bend  [p]
    start                    [columns+1] first point of each column
    left, right              [l] links, sorted; `link_start` [columns+1]: those that leave each column
    segment, place, count    [p] by slot: the segment, the place in it, how many places it has
    seat                     [p] by slot: the same as one number, comparable between columns
    """

    point: Ints
    column: Ints
    component: Ints
    bend: NDArray[np.bool_]
    start: list[int]
    left: Ints
    right: Ints
    link_start: list[int]
    segment: Ints
    place: Ints
    count: Ints
    seat: Floats

    def __len__(self) -> int:
        return len(self.column)

    @property
    def columns(self) -> int:
        """How many there are."""
        return len(self.start) - 1

    @property
    def narrow(self) -> bool:
        """Many columns of few points: there plain loops beat one numpy call per column."""
        return len(self) < 8 * self.columns


def levels(n: int, rank: Ints, component: Ints, routes: Routes) -> Levels:
    """Points, links and slots of `n` nodes and their bends."""
    ranks = np.concatenate([rank, routes.rank])
    pieces = np.concatenate([component, component[routes.owner]])
    order = np.lexsort((pieces, ranks))  # stable: ties stay in the order of the input
    total = len(order)
    point = np.empty(total, np.int64)
    point[order] = np.arange(total)
    column, piece = ranks[order], pieces[order]
    columns = int(column[-1]) + 1 if total else 0
    start = np.searchsorted(column, np.arange(columns + 1))

    link = np.unique(point[routes.left] * total + point[routes.right])
    left, right = np.divmod(link, max(total, 1))
    fresh = np.ones(total, bool)
    fresh[1:] = (column[1:] != column[:-1]) | (piece[1:] != piece[:-1])
    segment = np.cumsum(fresh) - 1
    first = np.flatnonzero(fresh)
    place = np.arange(total) - first[segment]
    count = np.diff(np.append(first, total))[segment]
    return Levels(
        point, column, piece, order >= n, start.tolist(), left, right, np.searchsorted(left, start).tolist(),
        segment, place, count, piece + (place + 0.5) / count,
    )  # fmt: skip
