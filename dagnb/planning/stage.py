"""Play: a plan or a policy on a cluster, by the smallest engine that will do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .annotated import AnnotatedEngine
from .elastic import ElasticEngine
from .engine import Engine
from .obey import ObeyPlan
from .plan import Plan

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimates import Estimates
    from .policy import Policy


def play(graph: TaskGraph, how: Plan | Policy, cluster: Cluster, estimates: Estimates) -> Engine:
    """The engine after the run. `how` is a plan, which must have been validated, or a policy that has not been used."""
    cluster = in_units_of(estimates, cluster)
    policy = ObeyPlan(how, cluster) if isinstance(how, Plan) else how
    engine = _engine(policy, cluster)(graph, policy, cluster, estimates)
    engine.run()
    return engine


def _engine(policy: Policy, cluster: Cluster) -> type[Engine]:
    if cluster.elastic:
        return ElasticEngine
    more = policy.twice or policy.streams or min(cluster.publish, cluster.keep) < float("inf")
    return AnnotatedEngine if more else Engine


def in_units_of(estimates: Estimates, cluster: Cluster) -> Cluster:
    """The cluster to plan with: where times are task units, its seconds (latency, overhead, start-up) mean nothing."""
    if estimates.has_seconds:
        return cluster
    never = float("inf")
    return replace(
        cluster,
        latency=0.0, overhead=0.0, startup=0.0, warm=0.0, bandwidth=never, keep_alive=never, publish=never,
        keep=never,
    )  # fmt: skip
