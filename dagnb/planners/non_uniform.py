"""non_uniform: the best configuration everywhere, then cheaper ones off the critical path while the run stays as short.

The second algorithm of the research engine that dagnb grew from:

    1  assign breadth first to workers of the best size                    big0 ████████████████   critical: stays
    2  simulate, and find the critical path                                big1 ███  ████
    3  for each worker off it, largest cost first, move all its tasks      ──▶ small0 █████  ██████
       to a free worker of the next lower size, and simulate again;
       go on downwards while the makespan stays within the tolerance
    4  optimise (`dagnb.planners.optimise`)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dagnb.planning.assignment import Assignments
from dagnb.planning.fit import Fits, fitting
from dagnb.planning.simulator import forecast, in_units_of
from dagnb.trace.critical import critical_chain

from .optimise import Optimising, Search
from .sizes import sizes
from .uniform import breadth_first

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan


@dataclass(frozen=True)
class NonUniform(Optimising):
    """Beside the optimisations it has one option.

    tolerance    the part by which the makespan may grow over that of the best configuration
    """

    tolerance: float = 0.05

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """Assign, downgrade, optimise."""
        cluster = in_units_of(estimates, cluster)
        classes = sizes(graph, cluster, estimates)
        search = Search(graph, cluster, estimates, breadth_first(graph, cluster, estimates, classes[0]), self.sla)
        moved = self._downgrade(search, classes) if len(classes) > 1 and len(graph) else 0
        return self.finished(search, "non_uniform", downgraded=moved)

    def _downgrade(self, search: Search, classes: list[list[int]]) -> int:
        """Move workers off the critical path to lower sizes; returns how many moves were kept."""
        limit = search.time * (1 + self.tolerance)
        free = [list(members) for members in classes]
        fits = fitting(search.graph, search.cluster)
        moved = 0
        for worker in list(_off_the_path(search)):
            place, size = worker, 0
            for lower in range(1, len(free)):
                if not free[lower] or not _has_room(fits, search.best, place, free[lower][0]):
                    continue
                if search.spent:
                    search.cut.append("downgrade")
                    return moved
                plan = _moved(search.best, place, free[lower][0])
                time = search.evaluate(plan)
                if time > limit:
                    break
                search.best, search.time = plan, time
                if size:
                    free[size].insert(0, place)  # it was only passing through
                place, size = free[lower].pop(0), lower
                moved += 1
        return moved


def _off_the_path(search: Search) -> Iterator[int]:
    """Workers without a critical task, those with most work first."""
    run = forecast(search.graph, search.best, search.cluster, search.estimates)
    search.evaluations += 1
    timeline = run.timeline
    critical = {int(timeline.worker[task]) for task in critical_chain(search.graph, timeline)}
    busy = np.bincount(timeline.worker, weights=timeline.end - timeline.start)
    for worker in np.argsort(-busy, kind="stable").tolist():
        if busy[worker] > 0 and worker not in critical:
            yield worker


def _has_room(fits: Fits | None, plan: Plan, source: int, target: int) -> bool:
    """Whether all tasks of one worker fit on another."""
    return fits is None or bool(fits[plan.columns.worker == source, target].all())


def _moved(plan: Plan, source: int, target: int) -> Plan:
    """All tasks of one worker on another."""
    columns = plan.columns
    worker = np.where(columns.worker == source, np.int32(target), columns.worker)
    return replace(
        plan, assignments=Assignments(columns.ids, worker, columns.order, columns.priority, dict(columns.notes))
    )
