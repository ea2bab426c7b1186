"""auto: the planner of those who name none. A portfolio: what several planners propose, made better by a local search.

Planning may cost at most a hundredth of what is planned: where nothing is known in seconds, or the tasks are tiny, the
free plan is taken at once. Else, in this order, as long as the budget lasts and the lower bound is not yet reached:

    free, heft           both simulated; the better of the two is what has to be beaten
    peft, cpop, ranks    rehearsed: other list planners, and heft with two other ranks
    search               changes to the best of these (`dagnb.planners.search`)

The simulator has the last word, so the plan is never worse than that of `heft` or `free`; at a tie the free one is
taken, which adapts to what happens. The budget is in seconds but no clock is read: a task weighed has a price, so that
seconds only choose how many schedules are weighed. Same input, same plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dagnb.planning.fit import fit
from dagnb.planning.planner import find_planner

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan

#: Seconds of planning and simulating two plans per task, on a slow machine. A constant and no clock.
COST = 60e-6

#: The part of its forecast makespan that planning a run may cost.
SHARE = 0.01

#: Seconds that rehearsing one task takes: the price by which a budget becomes a number of evaluations.
PRICE = 2.5e-6

#: Nothing is left to gain within this of the lower bound.
CLOSE = 1.001

#: What members cost per task, in rehearsals of one: a large graph leaves out those that the budget does not cover.
COSTS = {"free and heft": 20.0, "ranks": 1.0, "peft": 12.0, "cpop": 8.0}


@dataclass(frozen=True)
class Auto:
    """The best of a portfolio, or `free` where planning does not pay.

    thorough      spend the whole budget in any case: for a plan that was asked for, not for a run that waits
    slight        the graph is known to be over in less time than ranking its tasks would pay for: they stay in order
    budget        seconds of planning that a thorough plan may cost, roughly
    evaluations   in place of seconds: the work of rehearsing the whole graph so many times
    seed          of the local search
    """

    thorough: bool = False
    slight: bool = False
    budget: float = 1.0
    evaluations: int | None = None
    seed: int = 0

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """The plan that the simulator prefers."""
        nobody = find_planner("free", ranked=not self.slight)
        free = fit(nobody.plan(graph, cluster, estimates), graph, cluster, estimates)
        if not len(graph) or not (self.thorough or worthwhile(graph, cluster, estimates)):
            return self._signed(free, "free", 1)
        from dagnb.planning.simulator import best_possible, forecast

        from .portfolio import searched

        named = find_planner("heft").plan(graph, cluster, estimates)
        spans = [forecast(graph, plan, cluster, estimates).makespan for plan in (free, named)]
        bound = best_possible(graph, cluster, estimates) * CLOSE
        taken, best = ("heft", named) if spans[1] < spans[0] else ("free", free)
        evaluations, cut = 2, list[str]()
        work = self._work(len(graph), bound)
        if min(spans) > bound and work > 0:
            found, evaluations, cut = searched(graph, cluster, estimates, (free, named), work, bound, COSTS, self.seed)
            if forecast(graph, found, cluster, estimates).makespan < min(spans):
                taken, best = "search", found
        return self._signed(best, taken, evaluations, cut)

    def _work(self, n: int, bound: float) -> float:
        """Tasks that may be rehearsed after `free` and `heft` have been simulated."""
        if self.evaluations is not None:
            from .search import CHANGING

            return self.evaluations * (n + CHANGING)
        seconds = self.budget if self.thorough else min(self.budget, SHARE * bound)
        return seconds / PRICE - COSTS["free and heft"] * n

    def _signed(self, plan: Plan, taken: str, evaluations: int, cut: list[str] | None = None) -> Plan:
        facts = {"taken": taken, "thorough": self.thorough, "budget": self.budget, "evaluations": self.evaluations}
        facts |= {"left_out": cut} if cut else {}
        return replace(plan, planner="auto", parameters=facts, evaluations=evaluations, seed=self.seed)


def worthwhile(graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> bool:
    """Whether weighing plans costs less than its share of any run of this graph."""
    cost = COST * len(graph)
    longest = float(estimates.mean.sum()) / min(w.speed for w in cluster.workers)  # all in a row on the slowest
    if not estimates.has_seconds or cost > SHARE * longest:
        return False
    from dagnb.planning.simulator import best_possible

    return cost <= SHARE * best_possible(graph, cluster, estimates)
