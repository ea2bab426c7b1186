"""simple: the baseline that others have to beat. It looks at nothing but who needs whom.

    roots             one worker after the other
    all other tasks   in turn: the worker of the first dependency, then the next worker, …

Same resources for all, no durations, no sizes, no optimisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagnb.planning.plan import Plan

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates


@dataclass(frozen=True)
class Simple:
    """Every other task joins its first upstream's worker."""

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """Tasks in the order of their numbers."""
        worker: list[int] = []
        given = joined = 0
        start, deps = graph.dep_start.tolist(), graph.deps.tolist()
        for task in range(len(graph)):
            has_upstream = start[task] < start[task + 1]
            joined += has_upstream
            if has_upstream and joined % 2:
                worker.append(worker[deps[start[task]]])
            else:
                worker.append(given % len(cluster))
                given += 1
        return Plan.build(graph, cluster, estimates, worker=worker, sequence=range(len(graph)), planner="simple")
