"""The drawing of any graph: nothing overlaps, edges run left to right, and the same graph gives the same picture."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.errors import PlanError
from dagnb.graph.graph import TaskGraph
from dagnb.testing import fan, sample_graphs
from dagnb.widgets.groups import group
from dagnb.widgets.layout import CycleError, Layout, Spacing, layout, layout_arrays, pack
from dagnb.widgets.layout_levels import Levels, levels, route
from dagnb.widgets.layout_order import count_crossings
from dagnb.widgets.layout_place import isotonic
from dagnb.widgets.layout_ranks import components, ranks

SAMPLES = {f"{name}-{scale}": graph for scale in (1, 6) for name, graph in sample_graphs(scale).items()}


@st.composite
def graphs(draw, most: int = 24):
    """Any DAG, numbered in any order."""
    n = draw(st.integers(1, most))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    edges = {(min(p), max(p)) for p in draw(st.lists(pairs, max_size=3 * n)) if p[0] != p[1]}
    name = draw(st.permutations(range(n)))
    return n, [name[a] for a, _ in sorted(edges)], [name[b] for _, b in sorted(edges)]


def check(drawn: Layout) -> None:
    """What holds of every drawing."""
    w, h = drawn.spacing.width, drawn.spacing.height
    x, y = drawn.x.astype(float), drawn.y.astype(float)
    slack = 1e-3 * max(1.0, drawn.width / 1e4)
    assert (x - w / 2 >= -slack).all()
    assert (x + w / 2 <= drawn.width + slack).all()
    assert (y - h / 2 >= -slack).all()
    assert (y + h / 2 <= drawn.height + slack).all()
    apart = (np.abs(x[:, None] - x) >= w - slack) | (np.abs(y[:, None] - y) >= h - slack)
    np.fill_diagonal(apart, val=True)
    assert apart.all(), "two cards overlap"
    assert (x[drawn.src] + w / 2 < x[drawn.dst] - w / 2).all(), "an edge runs backwards"
    for e, (u, v) in enumerate(zip(drawn.src.tolist(), drawn.dst.tolist(), strict=True)):
        bends = drawn.bends[drawn.bend_start[e] : drawn.bend_start[e + 1]].astype(float)
        assert len(bends) in (0, 2 * (drawn.rank[v] - drawn.rank[u] - 1))
        along = [x[u] + w / 2, *bends[:, 0], x[v] - w / 2]
        assert (np.diff(along) >= -slack).all(), "an edge turns back"
        for (xa, ya), (xb, yb) in zip(bends[::2], bends[1::2], strict=True):
            assert ya == yb
            crossed = (x > xa) & (x < xb) & (np.abs(y - ya) < h / 2 - slack)
            assert not crossed.any(), "an edge runs through a card"


@settings(max_examples=150)
@given(graphs(), st.integers(1, 8))
def test_every_drawing_is_sound(graph, rows):
    check(layout_arrays(*graph, spacing=Spacing(rows=rows)))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_structure_is_drawn(name):
    drawn = layout(SAMPLES[name])
    check(drawn)
    assert len(drawn) == len(SAMPLES[name])


@settings(max_examples=50)
@given(graphs())
def test_same_graph_same_picture(graph):
    assert pack(layout_arrays(*graph)) == pack(layout_arrays(*graph))


def test_a_cycle_is_refused_and_named():
    with pytest.raises(CycleError, match=r"1 → 2 → 3 → 1|2 → 3 → 1 → 2|3 → 1 → 2 → 3") as caught:
        layout_arrays(5, [0, 1, 2, 3, 3], [1, 2, 3, 1, 4])
    assert sorted(caught.value.cycle) == [1, 2, 3]
    assert isinstance(caught.value, PlanError)
    with pytest.raises(CycleError, match="0 → 0"):
        layout_arrays(1, [0], [0])


@pytest.mark.parametrize("edge", [(0, 3), (-1, 1), (3, 0)])
def test_an_edge_to_nowhere_is_refused(edge):
    with pytest.raises(ValueError, match="3 nodes"):
        layout_arrays(3, [edge[0]], [edge[1]])


def test_nothing_and_one():
    empty = layout_arrays(0, [], [])
    assert (len(empty), empty.width, empty.height, empty.bends.shape) == (0, 0, 0, (0, 2))
    one = layout_arrays(1, [], [])
    assert (one.width, one.height) == (one.spacing.width, one.spacing.height)
    assert (one.x[0], one.y[0]) == (one.width / 2, one.height / 2)


def test_a_chain_is_a_straight_line():
    drawn = layout_arrays(6, range(5), range(1, 6))
    assert np.ptp(drawn.y) == 0
    assert drawn.rank.tolist() == list(range(6))


def test_a_wide_fan_is_folded_into_a_block():
    drawn = layout(TaskGraph.build("fan", fan(20_000)))
    assert drawn.height < 12_000  # one below the other would be 760,000
    assert 1 < drawn.width / drawn.height < 4
    assert set(drawn.rank.tolist()) == {0, 1, 2}
    assert len(np.unique(np.stack([drawn.x, drawn.y]), axis=1).T) == 20_002


def test_sources_stand_beside_what_needs_them():
    """A chain of three, and a late input: it is drawn next to its user, not at the far left."""
    drawn = layout_arrays(4, [0, 1, 3], [1, 2, 2])
    assert drawn.rank.tolist() == [0, 1, 2, 1]


# -- order ----------------------------------------------------------------------------


def prepared(n: int, src: list[int], dst: list[int]) -> Levels:
    a, b = np.array(src, np.int64), np.array(dst, np.int64)
    rank, piece = ranks(n, a, b), components(n, a, b)
    return levels(n, rank, piece, route(n, a, b, rank))


@settings(max_examples=100)
@given(graphs(), st.randoms())
def test_crossings_are_counted_right(graph, chance):
    level = prepared(*graph)
    order = np.arange(len(level))
    for a, b in itertools.pairwise(level.start):
        part = order[a:b].tolist()
        chance.shuffle(part)
        order[a:b] = part
    slot = np.argsort(order)
    links = list(zip(level.column[level.left], slot[level.left], slot[level.right], strict=True))
    pairs = itertools.combinations(links, 2)
    expected = sum(c == d and (a - p) * (b - q) < 0 for (c, a, b), (d, p, q) in pairs)
    assert count_crossings(level, order) == expected


@pytest.mark.parametrize("name", SAMPLES)
def test_never_more_crossings_than_in_the_order_of_the_input(name):
    graph = SAMPLES[name]
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    level = prepared(len(graph), graph.deps, owner)
    assert layout(graph).crossings <= count_crossings(level, np.arange(len(level)))


@pytest.mark.parametrize("leaves", [15, 200])
def test_a_shuffled_tree_is_drawn_without_crossings(leaves):
    name = np.random.default_rng(0).permutation(2 * leaves + 1)
    child = np.arange(1, 2 * leaves + 1)
    assert layout_arrays(2 * leaves + 1, name[(child - 1) // 2], name[child]).crossings == 0


# -- places ---------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 10)), min_size=1, max_size=12))
def test_isotonic_regression_is_the_least_squares_answer(points):
    """By the min-max formula: y[i] = max over a ≤ i of min over b ≥ i of mean(a … b)."""
    values, weights = (np.array(column) for column in zip(*points, strict=True))
    n = len(values)

    def mean(a: int, b: int) -> float:
        return float(np.average(values[a : b + 1], weights=weights[a : b + 1]))

    expected = [max(min(mean(a, b) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]
    assert isotonic(values.tolist(), weights.tolist()) == pytest.approx(expected, abs=1e-6)


# -- overview and buffers -------------------------------------------------------------


@settings(max_examples=80)
@given(graphs(40), st.integers(1, 5), st.integers(0, 12), st.integers(0, 6))
def test_groups_are_a_dag_of_all_tasks(graph, kinds, most, columns):
    drawn = layout_arrays(*graph)
    kind = (np.arange(len(drawn)) * 7 % kinds).astype(np.int32)
    groups = group(drawn, kind, most=most, columns=columns, bands=4)
    check(groups.layout)
    assert groups.size.sum() == len(drawn)
    assert np.array_equal(np.bincount(groups.of, minlength=len(groups)), groups.size)
    between = groups.of[drawn.src] != groups.of[drawn.dst]
    assert groups.count.sum() == between.sum()
    assert len(groups) <= max(most, 4)
    for box, one in enumerate(groups.kind.tolist()):
        assert one == -1 or set(kind[groups.of == box].tolist()) == {one}


def test_groups_say_what_they_hold():
    graph = TaskGraph.build("g", fan(40), kind=["load", *["fit"] * 40, "rank"])
    drawn = layout(graph)
    groups = group(drawn, graph.kind)
    assert groups.heads(graph.keys, graph.kinds) == ["t0", "fit", "t41"]
    assert groups.size.tolist() == [1, 40, 1]
    left, top, right, bottom = groups.extent(drawn)[1]
    inside = (drawn.x > left) & (drawn.x < right) & (drawn.y > top) & (drawn.y < bottom)
    assert np.flatnonzero(inside).tolist() == list(range(1, 41))
    bands = group(drawn, graph.kind, most=0, bands=2)
    assert bands.heads(graph.keys, graph.kinds) == ["columns 1–2", "t41"]


@settings(max_examples=30)
@given(graphs(), st.booleans())
def test_packed_buffers_are_what_their_head_says(graph, grouped):
    drawn = layout_arrays(*graph)
    groups = group(drawn, np.zeros(len(drawn), np.int32)) if grouped else None
    head, buffers = pack(drawn, groups)
    head = json.loads(json.dumps(head))
    assert ("overview" in head) == grouped
    read = {
        name: np.frombuffer(data, f"<{kind}") for (name, kind, _), data in zip(head["columns"], buffers, strict=True)
    }
    assert all(len(read[name]) == length for name, _, length in head["columns"])
    assert np.array_equal(read["x"], drawn.x)
    assert np.array_equal(read["bends"].reshape(-1, 2), drawn.bends)
    assert read["bend_start"][-1] * 2 == len(read["bends"])
    assert (head["nodes"], head["edges"]) == (len(drawn), len(drawn.src))
    if groups is not None:
        assert len(read["of"]) == len(drawn)
        assert len(read["extent"]) == 4 * len(groups) == 4 * head["overview"]["boxes"]


# -- time -----------------------------------------------------------------------------


def layered(n: int, width: int) -> tuple[int, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    node = np.repeat(np.arange(width, n), 2)
    return n, (node // width - 1) * width + chance.integers(0, width, len(node)), node


@pytest.mark.parametrize(
    "graph",
    [layered(10_000, 100), layered(10_000, 4), (10_000, range(9_999), range(1, 10_000)), (10_000, [], [])],
    ids=["layered", "thin", "chain", "bag"],
)
def test_ten_thousand_nodes_take_no_second_of_processor(graph):
    began = time.process_time()
    drawn = layout_arrays(*graph)
    took = time.process_time() - began
    print(f"{took * 1000:.0f} ms, {drawn.crossings} crossings")
    assert took < 2  # about 0.2 s on an idle machine
