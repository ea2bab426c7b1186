"""wukong: nobody is named; large outputs keep their children together."""

from __future__ import annotations

import numpy as np

from dagnb.graph.graph import TaskGraph
from dagnb.planners.wukong import Wukong
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates
from dagnb.planning.planner import run_planner

CLUSTER = Cluster.local(4, bandwidth=1e6)
FAN = TaskGraph.build("fan", [[], *[[0]] * 6])


def planned(graph, seconds, sizes, cluster=CLUSTER, **options):
    return run_planner(Wukong(**options), graph, cluster, Estimates.of(np.array(seconds), np.array(sizes)))


def groups(plan):
    return [a.annotations.group if a.annotations else None for a in plan.assignments]


def test_nobody_is_named():
    plan = planned(FAN, [1.0] * 7, [1.0] * 7)
    assert {a.worker for a in plan.assignments} == {None}
    assert groups(plan) == [None] * 7


def test_children_stay_while_that_beats_moving():
    """The output takes 2.5 s to move, a child 1 s: three begin here before it could be elsewhere."""
    plan = planned(FAN, [1.0] * 7, [2.5e6] + [0.0] * 6)
    assert groups(plan) == [0, 0, 0, 0, None, None, None]
    assert plan.assignments[0].annotations.keep_local


def test_everything_stays_when_moving_is_hopeless():
    plan = planned(FAN, [1.0] * 7, [1e9] + [0.0] * 6)
    assert groups(plan) == [0] * 7
    assert plan.makespan == 7.0
    spread = planned(FAN, [1.0] * 7, [1e9] + [0.0] * 6, clustering=False)
    assert groups(spread) == [None] * 7
    assert spread.makespan > 1000


def test_a_fan_in_joins_its_largest_input():
    join = TaskGraph.build("join", [[], [], [], [0, 1, 2]])
    plan = planned(join, [1.0] * 4, [1e6, 8e6, 2e6, 0.0])
    assert groups(plan) == [None, 1, None, 1]
    assert plan.bytes_moved == 3e6
