"""cpop: placements worked out by hand."""

from __future__ import annotations

import numpy as np

from dagnb.graph.graph import TaskGraph
from dagnb.planners.cpop import Cpop
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.planner import run_planner


def test_by_hand_the_critical_path_stays_on_one_worker():
    #   a (2) → b (4) → d (1)     e (1)      sending any output takes 2, on average over pairs of workers 1
    #   a     → c (3) → d                    through a, b, d: 9; through c: 8; e: 1
    graph = TaskGraph.build("g", [[], [0], [0], [1, 2], []], keys=list("abcde"))
    estimates = Estimates.of(np.array([2.0, 4, 3, 1, 1]), np.full(5, 20.0))
    plan = run_planner(Cpop(), graph, Cluster.local(2, bandwidth=10.0), estimates)
    # a, b, d on w0, c on w1 (4–7 against 6–9), then d 9–10 (c's output is there at 9), then e: w1 at 0 is free.
    assert [a.worker for a in plan.assignments] == ["w0", "w0", "w1", "w0", "w1"]
    assert plan.makespan == 10.0
    assert [a.order for a in plan.assignments] == [0, 1, 1, 2, 0]


def test_by_hand_the_path_goes_to_the_worker_that_runs_it_fastest():
    #   a (4) → b (4), and c (2): the path takes 8 on the slow worker and 4 on the fast one
    graph = TaskGraph.build("g", [[], [0], []])
    cluster = Cluster((WorkerSpec(WorkerId("slow")), WorkerSpec(WorkerId("fast"), speed=2.0)))
    plan = run_planner(Cpop(), graph, cluster, Estimates.of(np.array([4.0, 4.0, 2.0])))
    # b is ready at once after a and its priority is higher than that of c, which then fits the slow worker at 0.
    assert [a.worker for a in plan.assignments] == ["fast", "fast", "slow"]
    assert plan.makespan == 4.0
