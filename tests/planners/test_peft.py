"""peft: the optimistic cost table by hand and by its definition, and a case where looking ahead pays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planners.heft import Heft
from dagnb.planners.peft import Peft, optimistic_costs
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.planner import run_planner
from dagnb.testing import scattered


def test_table_by_hand():
    #   a → b → d     on kinds of speeds 1 and 2; sending a takes 1, b 5, c 0
    #   a → c → d
    graph = TaskGraph.build("g", [[], [0], [0], [1, 2]])
    time = np.array([[2, 1], [4, 2], [8, 4], [6, 3.0]])
    table = optimistic_costs(graph, time, np.array([1, 5, 0, 9.0]))
    assert table[3].tolist() == [0, 0]  # nothing follows d
    assert table[2].tolist() == [3, 3]  # d on the fast kind: c travels for nothing
    assert table[1].tolist() == [6, 3]  # b stays (6), for 5 + 3 is more; on the fast kind it stays anyway
    # through b: min(4 + 6, 2 + 3 + 1) = 6 or 5; through c: min(8 + 3, 4 + 3 + 1) = 8 or 7
    assert table[0].tolist() == [8, 7]


def textbook(graph, time, transfer):
    """The definition, worker by worker."""
    workers = range(time.shape[1])
    table = np.zeros_like(time)
    for i in range(len(graph) - 1, -1, -1):
        for w in workers:
            ways = [
                min(table[c, v] + time[c, v] + (transfer[i] if v != w else 0.0) for v in workers)
                for c in graph.dependents(i)
            ]
            table[i, w] = max(ways, default=0.0)
    return table


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 25))
def test_one_column_a_kind_says_what_one_column_a_worker_says(seed, n):
    chance, graph = np.random.default_rng(seed), TaskGraph.build("g", scattered(n, seed))
    kind = [0, 1, 0, 2, 1]  # five workers of three kinds
    time, transfer = chance.exponential(1.0, (n, 3)), chance.exponential(1.0, n)
    by_kind = optimistic_costs(graph, time, transfer)
    assert by_kind[:, kind] == pytest.approx(textbook(graph, time[:, kind], transfer))


def test_it_looks_at_what_is_behind():
    #   a (2) → b (10), and c (30), on speeds 4 and 1; sending a takes 20
    graph = TaskGraph.build("g", [[], [0], []])
    estimates = Estimates.of(np.array([2.0, 10.0, 30.0]), np.array([20.0, 0, 0]))
    cluster = Cluster((WorkerSpec(WorkerId("fast"), speed=4.0), WorkerSpec(WorkerId("slow"))), bandwidth=1.0)
    heft, peft = (run_planner(p, graph, cluster, estimates) for p in (Heft(), Peft()))
    # HEFT: c (rank 18.75 against 17.5) on fast 0–7.5; a on slow 0–2, for on fast it would end at 8; b has to stay.
    assert heft.makespan == 12.0
    # PEFT: a on fast, for 0.5 + 2.5 behind it is less than 2 + 10; b 0.5–3, c 3–10.5.
    assert [a.worker for a in peft.assignments] == ["fast"] * 3
    assert peft.makespan == 10.5
