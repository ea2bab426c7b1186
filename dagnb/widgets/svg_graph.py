"""The graph as a still picture: every task while they are few, else one box per kind and column."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dagnb.trace.events import TaskState

from .groups import BOX, Groups, Limits, group_ranked
from .layout import Layout, Spacing, layout
from .layout_ranks import ranks
from .svg import Picture, attributes, glyphs, num, path, rect, text
from .wording import said, shorten, state_counts, text_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph

    from .theme import Theme

    States = NDArray[np.integer]
    Ints = NDArray[np.int64]

#: More tasks than these, a larger page, or more characters of SVG: the overview is drawn instead.
TASKS, WIDTH, HEIGHT, CHARACTERS = 300, 2200.0, 1400.0, 80_000

#: Widths of cards that are tried, from the one that fits most names.
CARDS = (210, 160, 120)

#: Ways of grouping, tried until one is small enough: most boxes, most columns, widest box.
OVERVIEWS = ((60, 12, 200), (60, 14, 140), (30, 12, 120))

#: Boxes with their ribbons are never more than so many.
RIBBONS = 600

#: Stretches of columns, where neither kinds nor columns make few boxes.
BANDS = 8

_SPACED = replace(BOX, column_gap=44)

CARD = Spacing(column_gap=40, rows=12)


def graph_picture(graph: TaskGraph, states: States | None, critical: Sequence[int], theme: Theme) -> Picture:
    """The picture of a graph; `critical` are the tasks to mark, in the order of time."""
    shown = np.zeros(len(graph), np.uint8) if states is None else states
    if not len(graph):
        words = text(0, 14, "no tasks yet", fill=theme.quiet)
        return Picture(text_width("no tasks yet", 12), 20, (words,))
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    edges = graph.deps.astype(np.int64), owner
    rank = ranks(len(graph), *edges)
    for widest in CARDS if len(graph) <= TASKS else ():
        spacing = _fit(CARD, graph.keys, 42, 64, widest)
        if (rank.max() + 1) * (spacing.width + spacing.column_gap) > WIDTH + spacing.column_gap:
            continue
        drawn = layout(graph, spacing=spacing)
        if drawn.width <= WIDTH and drawn.height <= HEIGHT:
            picture = _tasks(graph, drawn, shown, critical, theme)
            if sum(map(len, picture.parts)) <= CHARACTERS:
                return picture
            break  # too many edges, however narrow the cards
    return _overview(graph, _grouped(graph, rank, edges), shown, theme)


def _fit(spacing: Spacing, labels: Sequence[str], extra: float, least: float, most: float) -> Spacing:
    """Cards as wide as nearly all labels want, within reason."""
    widths = sorted(text_width(label[:60], 12) for label in labels)
    wanted = widths[len(widths) * 19 // 20] * 1.06 + extra
    return replace(spacing, width=round(min(max(least, wanted), most)))


# -- every task -----------------------------------------------------------------------


def _tasks(graph: TaskGraph, drawn: Layout, states: States, critical: Sequence[int], theme: Theme) -> Picture:
    on_path = np.zeros(len(graph), bool)
    on_path[list(critical)] = True
    parts = _lines(drawn, np.ones(len(drawn.src), np.int64), theme)
    follows = set(itertools.pairwise(critical))
    marked = [e for e, pair in enumerate(zip(drawn.src.tolist(), drawn.dst.tolist(), strict=True)) if pair in follows]
    bold = dict.fromkeys(piece for e in marked for piece in _pieces(drawn, e))
    parts.append(path(bold, fill="none", stroke=theme.critical, stroke_width=1.8))
    for state in TaskState:
        members = np.flatnonzero(states == state)
        if len(members):
            parts += _cards(graph, drawn, state, members.tolist(), theme)
    parts.append(_frames(drawn, np.flatnonzero(on_path).tolist(), theme))
    return Picture(drawn.width, drawn.height, tuple(parts))


def _cards(graph: TaskGraph, drawn: Layout, state: TaskState, members: list[int], theme: Theme) -> Iterator[str]:
    """All cards of one state: frames, an edge in the colour of the kind, glyphs, names."""
    w, h, strong = drawn.spacing.width, drawn.spacing.height, state in (TaskState.FAILED, TaskState.RUNNING)
    place = [(float(drawn.x[i]) - w / 2, float(drawn.y[i]) - h / 2) for i in members]
    look = {"fill": theme.soft[state], "stroke": theme.strong[state] if strong else theme.border}
    yield f"<g{attributes(**look, stroke_width=1.75 if state is TaskState.FAILED else 1)}>"
    for i, (x, y) in zip(members, place, strict=True):
        yield rect(x, y, w, h, f"{graph.keys[i]}: {state.name.lower()}", rx=6)
    yield "</g>"
    if len(graph.kinds) > 1:
        for kind in range(min(len(graph.kinds), len(theme.kinds))):
            same = [at for i, at in zip(members, place, strict=True) if graph.kind[i] % len(theme.kinds) == kind]
            bars = (f"M{num(x + 4.5)},{num(y + 7)}v{num(h - 14)}" for x, y in same)
            yield path(bars, stroke=theme.kind(kind), stroke_width=3, stroke_linecap="round")
    yield glyphs(theme, state, [(x + 18, y + h / 2) for x, y in place])
    yield f'<g fill="{theme.text}">'
    for i, (x, y) in zip(members, place, strict=True):
        yield text(x + 29, y + h / 2 + 4, shorten(graph.keys[i], w - 34))
    yield "</g>"


def _frames(drawn: Layout, members: list[int], theme: Theme) -> str:
    w, h = drawn.spacing.width, drawn.spacing.height
    frames = "".join(rect(float(drawn.x[i]) - w / 2, float(drawn.y[i]) - h / 2, w, h, rx=6) for i in members)
    return f"<g{attributes(fill='none', stroke=theme.critical, stroke_width=1.8)}>{frames}</g>" if frames else ""


# -- edges ----------------------------------------------------------------------------


def _pieces(drawn: Layout, edge: int) -> Iterator[str]:
    """The stretches of an edge, each a path of its own: stretches that edges share are drawn once."""
    half = drawn.spacing.width / 2
    u, v = int(drawn.src[edge]), int(drawn.dst[edge])
    bends = drawn.bends[drawn.bend_start[edge] : drawn.bend_start[edge + 1]].tolist()
    points = [(float(drawn.x[u]) + half, float(drawn.y[u])), *bends, (float(drawn.x[v]) - half, float(drawn.y[v]))]
    for (xa, ya), (xb, yb) in itertools.pairwise(points):
        if abs(ya - yb) < 0.6:
            yield f"M{num(xa)},{num(ya)}L{num(xb)},{num(yb)}"
        else:
            middle = num((xa + xb) / 2)
            yield f"M{num(xa)},{num(ya)}C{middle},{num(ya)} {middle},{num(yb)} {num(xb)},{num(yb)}"


def _lines(drawn: Layout, count: Ints, theme: Theme) -> list[str]:
    """All edges, gathered by thickness; a ribbon is as thick as the logarithm of its edges."""
    thick = np.round(np.minimum(9.0, 1.2 + 1.1 * np.log2(np.maximum(count, 1))) * 2) / 2
    widest: dict[str, float] = {}
    for edge, width in enumerate(thick.tolist()):
        for piece in _pieces(drawn, edge):
            widest[piece] = max(width, widest.get(piece, 0.0))
    by_width: dict[float, list[str]] = {}
    for piece, width in widest.items():
        by_width.setdefault(width, []).append(piece)
    return [
        path(by_width[w], fill="none", stroke=theme.edge if w < 2 else theme.ribbon, stroke_width=w)
        for w in sorted(by_width, reverse=True)
    ]


# -- overview -------------------------------------------------------------------------


def _overview(graph: TaskGraph, groups: Groups, states: States, theme: Theme) -> Picture:
    boxes, heads = groups.layout, groups.heads(graph.keys, graph.kinds)
    table = np.zeros((len(groups), len(TaskState)), np.int64)
    np.add.at(table, (groups.of, states.astype(np.int64)), 1)
    parts = _lines(boxes, groups.count, theme)
    for box, head in enumerate(heads):
        counts = {state: count for state in state_counts(states) if (count := int(table[box, state]))}
        at = float(boxes.x[box]) - boxes.spacing.width / 2, float(boxes.y[box]) - boxes.spacing.height / 2
        colour = theme.kind(int(groups.kind[box])) if len(graph.kinds) > 1 else theme.border
        parts += _box(at, boxes.spacing, head, int(groups.size[box]), counts, colour, theme)
    return Picture(boxes.width + 4, boxes.height + 4, tuple(parts))


def _grouped(graph: TaskGraph, rank: Ints, edges: tuple[Ints, Ints]) -> Groups:
    """The finest grouping that makes a small picture."""
    kind = graph.kind.astype(np.int64)
    names = [f"{kind} ×{len(graph)}" for kind in graph.kinds]
    for most, columns, widest in OVERVIEWS:
        spacing = _fit(_SPACED, names, 56, 110, widest)
        groups = group_ranked(rank, edges, kind, Limits(most, columns, BANDS), spacing)
        boxes = groups.layout
        small = boxes.width <= WIDTH and boxes.height <= HEIGHT and len(boxes.src) <= RIBBONS
        if small and groups.kind[0] >= 0:
            return groups
    spacing = _fit(_SPACED, ["columns 000–000 ×10,000"], 56, 110, 190)
    return group_ranked(rank, edges, kind, Limits(0, 0, BANDS), spacing)


def _box(
    at: tuple[float, float],
    size: Spacing,
    head: str,
    tasks: int,
    counts: dict[TaskState, int],
    colour: str,
    theme: Theme,
) -> Iterator[str]:
    """A pile of tasks: name, how many, a bar of their states, and the states in words."""
    (x, y), w, h, failed = at, size.width, size.height, counts.get(TaskState.FAILED, 0)
    if tasks > 1:
        yield rect(x + 4, y + 4, w, h, rx=8, fill=theme.card, stroke=theme.border)
    edge = {"stroke": theme.strong[TaskState.FAILED], "stroke_width": 1.75} if failed else {"stroke": theme.border}
    yield rect(x, y, w, h, f"{head}: {tasks:,} tasks, {said(counts)}", rx=8, fill=theme.card, **edge)
    yield path([f"M{num(x + 5)},{num(y + 9)}v{num(h - 18)}"], stroke=colour, stroke_width=3, stroke_linecap="round")
    much = f"×{tasks:,}" if tasks > 1 else ""
    room = w - 30 - (text_width(much, 12) + 8 if much else 0)
    yield text(x + 14, y + 20, shorten(head, room / 1.12), font_weight=600, fill=theme.text)
    if much:
        yield text(x + w - 12, y + 20, much, text_anchor="end", fill=theme.quiet)
    yield from _status_bar(x + 14, y + 28, w - 26, counts, theme)
    yield text(x + 14, y + 46, _few(counts, w - 26), font_size=10, fill=theme.quiet)


def _few(counts: dict[TaskState, int], room: float) -> str:
    """The states that matter most, as many as fit."""
    words = ""
    for state, count in counts.items():
        more = f"{words} · " * bool(words) + f"{count:,} {state.name.lower()}"
        if text_width(more, 10) > room:
            break
        words = more
    return words


#: From left to right in the bar of a box.
_BAR = (
    TaskState.DONE, TaskState.CACHED, TaskState.RUNNING, TaskState.FAILED,
    TaskState.SKIPPED, TaskState.CANCELLED, TaskState.READY, TaskState.WAITING,
)  # fmt: skip


def _status_bar(x: float, y: float, width: float, counts: dict[TaskState, int], theme: Theme) -> Iterator[str]:
    """Shares by state. Each that occurs has 3 pixels, so that one failure in 10,000 is seen."""
    total = sum(counts.values())
    share = {state: max(4.5, width * counts[state] / total) for state in _BAR if state in counts}
    scale = width / sum(share.values())
    for state, part in share.items():
        hollow = state in (TaskState.WAITING, TaskState.READY)
        fill = theme.border if hollow else theme.strong[state]
        yield rect(x, y, max(1.0, part * scale - 1), 5, rx=1, fill=fill)
        x += part * scale


def describe(graph: TaskGraph, states: States | None) -> str:
    """The picture in words, for those who hear it read."""
    counts = said(state_counts(states))
    return f"{len(graph):,} tasks, {len(graph.deps):,} dependencies" + (f": {counts}" if counts else "")
