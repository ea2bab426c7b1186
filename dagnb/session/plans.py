"""A graph, the name of a planner and a number of workers → a Plan with its simulated figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from dagnb.settings import Settings

from . import engine

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.plan import Plan
    from dagnb.planning.planner import Planner


def cluster_of(workers: int | Cluster | None = None) -> Cluster:
    """The cluster that `workers` means: itself, or so many equal workers on this machine. Raises OptionError."""
    from dagnb.planning.cluster import Cluster

    return workers if isinstance(workers, Cluster) else Cluster.local(engine.worker_count(workers))


def make_plan(
    graph: TaskGraph,
    cluster: Cluster,
    planner: object = None,
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of one planner, checked and simulated.

    `planner` is a name, a class or an instance; None is the setting. Raises UnknownPlannerError, OptionError for an
    option that the planner does not have, and PlanError for a plan that does not fit.
    """
    from dagnb.planning.estimator import estimate
    from dagnb.planning.planner import find_planner, run_planner

    spec = cast("str | Planner | type", Settings.load().planner if planner is None else planner)
    return run_planner(find_planner(spec, defaults={"seed": seed}, **(options or {})), graph, cluster, estimate(graph))
