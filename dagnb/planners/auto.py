"""auto: the planner of those who name none. So far it weighs two plans, `heft` and `free`; a portfolio is to follow.

Planning may cost at most a hundredth of what is planned: where nothing is known in seconds, or the tasks are tiny, the
free plan is taken at once. Else both are simulated, and workers are named only where naming wins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dagnb.planning.planner import find_planner
from dagnb.planning.simulator import best_possible, forecast

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan

#: Seconds of planning and simulating per task, on a slow machine. A constant and no clock: same input, same plan.
COST = 60e-6

#: The part of its forecast makespan that planning a run may cost.
SHARE = 0.01


@dataclass(frozen=True)
class Auto:
    """The better of `heft` and `free`, or `free` where weighing does not pay.

    thorough    weigh in any case: for a plan that was asked for, not for a run that waits
    """

    thorough: bool = False

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """The plan that the simulator prefers; at a tie the free one, which adapts to what happens."""
        free = find_planner("free").plan(graph, cluster, estimates)
        if not self.thorough and not worthwhile(graph, cluster, estimates):
            return self._signed(free, "free", 1)
        named = find_planner("heft").plan(graph, cluster, estimates)
        times = [forecast(graph, plan, cluster, estimates).makespan for plan in (free, named)]
        return self._signed(named, "heft", 2) if times[1] < times[0] else self._signed(free, "free", 2)

    def _signed(self, plan: Plan, taken: str, evaluations: int) -> Plan:
        facts = {"taken": taken, "thorough": self.thorough}
        return replace(plan, planner="auto", parameters=facts, evaluations=evaluations)


def worthwhile(graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> bool:
    """Whether weighing plans costs less than its share of any run of this graph."""
    cost = COST * len(graph)
    longest = float(estimates.mean.sum()) / min(w.speed for w in cluster.workers)  # all in a row on the slowest
    if not estimates.has_seconds or cost > SHARE * longest:
        return False
    return cost <= SHARE * best_possible(graph, cluster, estimates)
