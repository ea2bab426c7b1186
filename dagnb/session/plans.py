"""A graph, the name of a planner and a number of workers → a Plan with its simulated figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from dagnb.settings import Settings

from . import engine

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.plan import Plan
    from dagnb.planning.planner import Planner

#: Graph → plans made for it, by planner's name, cluster and seed: the same question has the same answer, and a warm run
#: of a small DAG would spend most of its time on asking again.
_made: WeakKeyDictionary[TaskGraph, dict[tuple[str, Cluster, int], Plan]] = WeakKeyDictionary()


def make_plan(
    graph: TaskGraph,
    workers: int | Cluster | None = None,
    planner: object = None,
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    figures: bool = True,
) -> Plan:
    """The plan of one planner, checked and simulated.

    workers   a Cluster, or so many equal workers on this machine; None is `%dag workers`, else the setting
    planner   a name, a class or an instance; None is the setting
    figures   False leaves the simulation out, for a run whose plan nobody has asked to see: its `plan` makes up for it

    Raises UnknownPlannerError, OptionError for an option that the planner does not have or a bad number of workers, and
    PlanError for a plan that does not fit.
    """
    from dagnb.planning.cluster import Cluster

    settings = Settings.load()
    cluster = workers if isinstance(workers, Cluster) else Cluster.local(engine.worker_count(workers, settings))
    spec = settings.planner if planner is None else planner
    if options or not isinstance(spec, str):
        return _plan(graph, cluster, spec, seed, options or {}, figures=figures)
    plans = _made.setdefault(graph, {})
    key = (spec, cluster, seed)
    if key not in plans or (figures and plans[key].timeline is None):
        plans[key] = _plan(graph, cluster, spec, seed, {}, figures=figures)
    return plans[key]


def _plan(
    graph: TaskGraph, cluster: Cluster, spec: object, seed: int, options: Mapping[str, Any], *, figures: bool
) -> Plan:
    from dagnb.planning.estimator import estimate
    from dagnb.planning.planner import find_planner, run_planner

    planner = find_planner(cast("str | Planner | type", spec), defaults={"seed": seed}, **options)
    return run_planner(planner, graph, cluster, estimate(graph), figures=figures)
