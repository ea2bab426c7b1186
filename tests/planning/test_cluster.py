"""Clusters: what they refuse, and how they are stored."""

from __future__ import annotations

import json
import math

import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster.local(3),
        Cluster.local(1, limits=True, bandwidth=math.inf),
        Cluster((WorkerSpec(WorkerId("big"), cpus=2, memory=8e9, price=3.0),), elastic=True, keep_alive=math.inf),
        Cluster((WorkerSpec(WorkerId("a"), speed=2.0, threads=4),), startup=1.5, keep_alive=0.25, elastic=True),
    ],
)
def test_a_cluster_survives_its_way_through_json(cluster):
    told = json.dumps(cluster.to_dict(), allow_nan=False)
    assert Cluster.from_dict(json.loads(told)) == cluster


def test_equal_workers_asked_for_by_number_have_no_limits_and_others_have():
    assert not Cluster.local(2).limits
    assert Cluster.local(2, limits=True).limits
    assert Cluster((WorkerSpec(WorkerId("w0")),)).limits


def test_a_plan_keeps_the_cluster_it_is_for():
    graph = TaskGraph.build("g", [[], [0]])
    cluster = Cluster((WorkerSpec(WorkerId("a"), memory=1e9),), elastic=True)
    plan = Plan.build(graph, cluster, estimate(graph), worker=[0, 0], sequence=[0, 1])
    assert plan.cluster == cluster
    assert Plan.from_json(plan.to_json()).cluster == cluster
    older = json.loads(plan.to_json())
    del older["cluster"]
    assert Plan.from_json(json.dumps(older)).cluster is None
