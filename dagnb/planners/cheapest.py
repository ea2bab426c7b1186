"""cheapest: the least GB-seconds within a deadline, or within a tolerance on the shortest makespan.

Abrishami, Naghibzadeh and Epema (2013), Deadline-constrained workflow scheduling algorithms for infrastructure as a
service clouds, Future Generation Computer Systems 29(1), doi 10.1016/j.future.2012.05.004: every task gets a latest end
by which it may take the cheapest resource. Here those ends come from a schedule and not from the graph alone:

    1  `heft` on the workers of the best size: the shortest run, M
    2  backwards through that schedule, from M · (1 + tolerance): when each task has to end, for those that need it and
       for the one that follows on its worker
    3  forwards: each task goes to a smaller worker if it costs less there and still ends in time

             M                                        limit
    big0   ██████ ─slack─┐   ████████ │                 │
    small0        ▶██████████┘        ▶ ████████████████┘

What slack there is can be spent once only. So step 3 is done for several shares of slack that early tasks may take, and
for those that leave slack to the times when many tasks run side by side; the simulator says which one is cheapest and
in time. The limit holds in the simulator, or the plan is that of step 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.errors import PlanError
from dagnb.planning.fit import fitting
from dagnb.planning.listing import transfers
from dagnb.planning.placement import kinds_of, preloads
from dagnb.planning.plan import Plan
from dagnb.planning.planner import find_planner
from dagnb.planning.simulator import complete, forecast, in_units_of

from .downgrade import Downgrade
from .sizes import sizes

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates

Floats = NDArray[np.float64]

#: The part of its slack that a task may take, and the part of all tasks, those with the least company, that take none.
TRIALS = tuple((share, quiet) for share in (1.0, 0.6, 0.3) for quiet in (0.0, 0.4, 0.2, 0.6))
#: Simulated tasks that weighing may take in all.
BUDGET = 80_000
#: Tolerances of a front.
FRONT = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Cheapest:
    """Least GB-seconds within a limit.

    tolerance    the part by which the makespan may exceed that of `heft` on the best size
    deadline     seconds from submission to the last end; overrides the tolerance
    """

    tolerance: float = 0.1
    deadline: float | None = None

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """The cheapest plan found. Raises PlanError for a deadline that no plan found here meets."""
        units = in_units_of(estimates, cluster)
        base, makespan = _fastest(graph, units, estimates)
        limit = makespan * (1 + self.tolerance) if self.deadline is None else self.deadline
        if makespan > limit * (1 + 1e-9):
            raise PlanError(
                f"cheapest finds no plan that ends within {limit:.4g} seconds: the shortest takes {makespan:.4g}\n"
                "  give a later deadline, or more or faster workers"
            )
        facts = {"tolerance": self.tolerance, "deadline": self.deadline}
        best, tried = _weighed(graph, units, estimates, base, limit)
        return replace(best, planner="cheapest", parameters=facts, evaluations=tried + 1)


def pareto(
    graph: TaskGraph, cluster: Cluster, estimates: Estimates, tolerances: Sequence[float] = FRONT
) -> tuple[Plan, ...]:
    """The front: plans with figures, none of which another beats in both makespan and GB-seconds; fastest first."""
    found = [
        complete(Cheapest(tolerance).plan(graph, cluster, estimates), graph, cluster, estimates, with_interval=False)
        for tolerance in tolerances
    ]
    front: list[Plan] = []
    for plan in sorted(found, key=lambda p: (p.makespan or 0.0, p.gb_seconds or 0.0)):
        if not front or (plan.gb_seconds or 0.0) < (front[-1].gb_seconds or 0.0) * (1 - 1e-9):
            front.append(plan)
    return tuple(front)


def _fastest(graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> tuple[Plan, float]:
    """`heft` on the workers of the best size, as a plan for the whole cluster, and its makespan.

    Where no size has room for all tasks: `heft` on all workers.
    """
    members, fits = sizes(graph, cluster, estimates)[0], fitting(graph, cluster)
    if fits is not None and not fits[:, members[0]].all():
        members = list(range(len(cluster)))
    best = replace(cluster, workers=tuple(cluster.workers[i] for i in members))
    plan = find_planner("heft").plan(graph, best, estimates)
    columns = plan.columns
    worker = np.array(members, np.int32)[columns.worker]
    sequence = np.argsort(columns.priority, kind="stable")
    notes = dict(columns.notes)
    whole = Plan.build(graph, cluster, estimates, worker=worker, sequence=sequence, annotations=notes)
    return whole, forecast(graph, whole, cluster, estimates).makespan


def _weighed(graph: TaskGraph, cluster: Cluster, estimates: Estimates, base: Plan, limit: float) -> tuple[Plan, int]:
    """The cheapest of all trials that end in time, and how many there were."""
    run = forecast(graph, base, cluster, estimates)
    best, cost, tried = base, run.gb_seconds, 1
    transfer = transfers(cluster, estimates, published=False)
    columns, kind = kinds_of(graph, cluster, estimates)
    lengths = [columns[k] for k in kind]
    method = Downgrade(graph, cluster, lengths, transfer, base, run.timeline)
    company = _company(run.timeline.start, run.timeline.end)
    for share, quiet in TRIALS:
        if tried * len(graph) > BUDGET and tried > 2:
            break
        lonely = company < np.quantile(company, quiet) if quiet and len(company) else np.zeros(len(graph), bool)
        worker, sequence = method.run(limit, share, lonely)
        notes = preloads(graph, worker, transfer)
        plan = Plan.build(graph, cluster, estimates, worker=worker, sequence=sequence, annotations=notes)
        found = forecast(graph, plan, cluster, estimates)
        tried += 1
        if found.makespan <= limit * (1 + 1e-9) and found.gb_seconds < cost * (1 - 1e-9):
            best, cost = plan, found.gb_seconds
    return best, tried


def _company(start: Floats, end: Floats) -> Floats:
    """[n] how many tasks run at the middle of each task."""
    middle = (start + end) / 2
    begun = np.searchsorted(np.sort(start), middle, side="right")
    ended = np.searchsorted(np.sort(end), middle, side="right")
    return (begun - ended).astype(np.float64)
