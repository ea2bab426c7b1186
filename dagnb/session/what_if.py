"""What if there were more workers, more memory, a slower network: the plan that would be made then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dagnb.errors import PlanError, UnknownPlannerError
from dagnb.planning.cluster import Cluster, WorkerId
from dagnb.widgets.actions import Knobs

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

    from .dag import Dag


#: Seconds that a planner which searches may take while a hand is at the slider.
BUDGET = 0.05
#: Bytes per second that stand for a network without end.
MOST = 1e12


class Turned:
    """The sliders of one DAG: `Actions.what_if` of its widget."""

    def __init__(self, dag: Dag) -> None:
        self.dag = dag

    def knobs(self, plan: Plan, /) -> Knobs:
        """Where they stand for a plan that was made for a real cluster."""
        cluster = cluster_for(plan)
        memory = min(spec.memory for spec in cluster.workers)
        return Knobs(len(cluster), memory, min(cluster.bandwidth, MOST))

    def __call__(self, plan: Plan, knobs: Knobs, /) -> Plan:
        """What the planner of `plan` would plan with these. Raises PlanError, also for a DAG that has changed."""
        graph = self.dag.graph
        if plan.graph_fingerprint != graph.fingerprint:
            raise PlanError(f"{self.dag.name} has changed since this plan was made.\n  Plan it again.")
        return imagine(graph, plan, knobs, now=self.knobs(plan))


def imagine(graph: TaskGraph, plan: Plan, knobs: Knobs, *, now: Knobs) -> Plan:
    """The plan of the same planner for the cluster of `plan`, turned from `now` to `knobs`.

    The planner is made anew, and quickly: the plan is not remembered, for sliders pass many positions.
    """
    from dagnb.planning.planner import find_planner

    from .plans import make_plan

    options = {"seed": plan.seed or 0, "thorough": True, "budget": BUDGET}
    try:
        planner = find_planner(plan.planner, defaults=options)
    except UnknownPlannerError:  # one of a cell is not known by its name
        planner = find_planner("heft", defaults=options)
    return make_plan(graph, turned(cluster_for(plan), knobs, now), planner)


def cluster_for(plan: Plan) -> Cluster:
    """The cluster that a plan was made for."""
    return plan.cluster or Cluster.local(max(1, len(plan.workers)))


def turned(cluster: Cluster, knobs: Knobs, now: Knobs) -> Cluster:
    """A cluster with so many workers, such memory and bandwidth; a knob that stands where it stood changes nothing.

    Further workers are like those that are there, in turn. Raises PlanError for numbers that no cluster has.
    """
    specs = [cluster.workers[i % len(cluster)] for i in range(max(0, knobs.workers))]
    ids = [spec.id if i < len(cluster) else _further(i, cluster) for i, spec in enumerate(specs)]
    memory = knobs.memory if knobs.memory != now.memory else None
    bandwidth = cluster.bandwidth if knobs.bandwidth == now.bandwidth else knobs.bandwidth
    try:
        workers = [replace(s, id=name, memory=memory or s.memory) for s, name in zip(specs, ids, strict=True)]
        return replace(cluster, workers=tuple(workers), bandwidth=bandwidth)
    except ValueError as error:
        raise PlanError(f"no cluster is like that: {error}") from error


def _further(i: int, cluster: Cluster) -> WorkerId:
    """A name that is not taken: `w8` after `w7`."""
    name = WorkerId(f"w{i}")
    return name if name not in cluster.index else WorkerId(f"w{i}+")
