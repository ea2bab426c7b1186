"""Levels, ranks, paths and bounds: by hand on small graphs, by law on any."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.analysis import (
    WIDE,
    critical_path,
    downward_rank,
    levels,
    lower_bound,
    upward_order,
    upward_rank,
)
from dagnb.graph.graph import TaskGraph
from dagnb.testing import cut_rows, scattered

#     0 (2) → 1 (4) → 3 (1)        4 (1) alone
#     0     → 2 (3) → 3
GRAPH = TaskGraph.build("g", [[], [0], [0], [1, 2], []])
DURATION = np.array([2.0, 4.0, 3.0, 1.0, 1.0])
SEND = np.array([10.0, 1.0, 5.0, 100.0, 100.0])


def test_by_hand():
    assert levels(GRAPH).tolist() == [0, 1, 1, 2, 0]
    assert upward_rank(GRAPH, DURATION).tolist() == [7, 5, 4, 1, 1]
    assert upward_rank(GRAPH, DURATION, SEND).tolist() == [21, 6, 9, 1, 1]
    assert downward_rank(GRAPH, DURATION).tolist() == [0, 2, 2, 6, 0]
    assert downward_rank(GRAPH, DURATION, SEND).tolist() == [0, 12, 12, 20, 0]
    assert critical_path(GRAPH, DURATION) == [0, 1, 3]
    assert critical_path(GRAPH, DURATION, SEND) == [0, 2, 3]
    assert upward_order(upward_rank(GRAPH, DURATION)) == [0, 1, 2, 3, 4]


def test_an_empty_graph_has_no_path_and_no_time():
    empty = TaskGraph.build("empty", [])
    nothing = np.zeros(0)
    assert critical_path(empty, nothing) == []
    assert lower_bound(empty, nothing, np.ones(2)) == 0.0
    assert levels(empty).tolist() == upward_rank(empty, nothing).tolist() == []


random_graphs = st.builds(
    lambda n, seed: (TaskGraph.build("r", scattered(n, seed)), np.random.default_rng(seed)),
    st.integers(1, 40),
    st.integers(0, 10**6),
)


@settings(max_examples=80)
@given(random_graphs)
def test_the_critical_path_is_a_path_and_as_long_as_the_longest(sample):
    graph, chance = sample
    duration = chance.choice([0.0, 0.1, 0.3, 1.7], len(graph))
    path = critical_path(graph, duration)
    assert all(before in graph.dependencies(after) for before, after in pairwise(path))
    assert not graph.dependencies(path[0])
    assert not graph.dependents(path[-1])
    rank = upward_rank(graph, duration)
    assert duration[path].sum() == pytest.approx(rank.max())
    assert (downward_rank(graph, duration) + rank).max() == pytest.approx(rank.max())


@settings(max_examples=80)
@given(random_graphs)
def test_order_by_rank_is_topological(sample):
    graph, chance = sample
    rank = upward_rank(graph, chance.choice([0.0, 0.1, 1.0], len(graph)), chance.choice([0.0, 0.2], len(graph)))
    position = np.argsort(upward_order(rank))
    assert all(position[u] < position[i] for i in range(len(graph)) for u in graph.dependencies(i))


def by_loop(deps, duration, send):
    """Upward ranks, edge by edge."""
    after, rank = np.zeros(len(deps)), np.zeros(len(deps))
    for task in range(len(deps) - 1, -1, -1):
        rank[task] = duration[task] + after[task]
        for u in deps[task]:
            after[u] = max(after[u], rank[task] + send[u])
    return rank


def in_levels(chance, below):
    """Level by level, wide at first; then a tail as long as `below`."""
    deps: list[list[int]] = [[] for _ in range(400)]
    for width in (300, 150, 1):
        low = len(deps) - 200
        deps += [sorted({int(d) for d in chance.integers(low, low + 200, 3)}) for _ in range(width)]
    return deps + [[len(deps) + i - 1] for i in range(below)]


def in_rows(chance, length):
    """Many rows of `length`, each written to its end before the next begins; some read an earlier row."""
    deps: list[list[int]] = []
    for row in range(120):
        first = len(deps)
        deps.append([])
        for _ in range(length - 1):
            deps.append([len(deps) - 1, *({int(chance.integers(0, first))} if row and chance.random() < 0.05 else ())])
    return deps


SHAPES = [
    (in_levels, 0), (in_levels, 40), (in_rows, 2), (in_rows, 4), (in_rows, 30),
    (lambda _, n: [[], *([i] for i in range(n))], 500),  # a chain
    (lambda _, n: [[] for _ in range(n)], 500),
    (lambda chance, n: scattered(n, int(chance.integers(1000))), 500),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "size"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_ranks_of_large_graphs_are_those_of_the_loop(shape, size, seed):
    chance = np.random.default_rng(seed)
    deps = shape(chance, size)
    graph, n = TaskGraph.build("large", deps), len(deps)
    duration, send = chance.choice([0.0, 0.3, 1.7], n) * chance.random(n), chance.random(n)
    assert n >= WIDE
    assert np.array_equal(upward_rank(graph, duration, send), by_loop(deps, duration, send))
    assert np.array_equal(upward_rank(graph, duration), by_loop(deps, duration, np.zeros(n)))
    ones = np.ones(n, np.int64)
    assert np.array_equal(upward_rank(graph, ones), by_loop(deps, ones, np.zeros(n)))


@pytest.mark.parametrize("seed", range(8))
def test_the_bound_never_exceeds_a_known_optimum_and_meets_it_where_rows_are_full(seed):
    graph, cluster, best = cut_rows(rows=2 + seed % 4, tasks=40, seed=seed)
    assert lower_bound(graph, graph.duration, np.ones(len(cluster))) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_never_exceeds_the_best_of_all_orders(seed):
    """Every order, each task where it ends first: with equal speeds and no transfers the optimum is among them."""
    n, chance = 6, np.random.default_rng(seed)
    graph, duration = TaskGraph.build("tiny", scattered(n, seed)), chance.choice([0.0, 1.0, 2.0, 3.5], n)
    shortest = min(_serial(graph, duration, order) for order in permutations(range(n)) if _follows(graph, order))
    assert lower_bound(graph, duration, np.ones(2)) <= shortest + 1e-9


def _follows(graph, order):
    position = {task: i for i, task in enumerate(order)}
    return all(position[u] < position[i] for i in order for u in graph.dependencies(i))


def _serial(graph, duration, order):
    free, end = [0.0, 0.0], {}
    for i in order:
        ready = max((end[u] for u in graph.dependencies(i)), default=0.0)
        if not duration[i]:
            end[i] = ready
            continue
        lane = min((0, 1), key=lambda w: max(free[w], ready))
        free[lane] = end[i] = max(free[lane], ready) + duration[i]
    return max(end.values())


def test_the_bound_knows_of_speeds_overhead_and_of_tasks_that_begin_late():
    bag = TaskGraph.build("bag", [[] for _ in range(4)])
    assert lower_bound(bag, np.full(4, 3.0), np.array([2.0, 1.0])) == pytest.approx(4.0)  # 12 of work, 3 per second
    assert lower_bound(bag, np.full(4, 3.0), np.ones(2), overhead=0.5) == pytest.approx(7.0)
    late = TaskGraph.build("late", [[], [0], [0], [0], [0], [1, 2, 3, 4]])
    # 1, then 4 × 3 on two threads, then 1: neither the chain (5) nor the area (7) sees it.
    assert lower_bound(late, np.array([1.0, 3, 3, 3, 3, 1]), np.ones(2)) == pytest.approx(8.0)
