"""cpop: Critical Path on a Processor.

Topcuoglu, Hariri and Wu (2002), Performance-effective and low-complexity task scheduling for heterogeneous computing,
IEEE TPDS 13(3), doi 10.1109/71.993206.

The priority of a task is the longest way through it: downward rank + upward rank. The tasks of one critical path all go
to the worker that runs the whole path fastest; every other one goes where it finishes first, into a gap if it fits.
Among tasks that could come next the highest priority is placed first.

    a ══► b ══► d        ══ critical path: all of it on one worker
     └──► c ──┘          c: wherever it finishes first
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagnb.graph.analysis import critical_path, downward_rank, upward_rank
from dagnb.planning.listing import by_priority, drawn, mean_costs, transfers
from dagnb.planning.placement import Placer, occupied
from dagnb.planning.simulator import in_units_of

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan


@dataclass(frozen=True)
class Cpop:
    """One critical path on one worker, the rest by earliest finish."""

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """Rank both ways, pin the critical path, place."""
        cluster = in_units_of(estimates, cluster)
        transfer = transfers(cluster, estimates)
        costs = mean_costs(cluster, estimates, transfer)
        order = by_priority(graph, upward_rank(graph, *costs) + downward_rank(graph, *costs))
        path = critical_path(graph, *costs)
        along = [float(occupied(w, cluster, estimates)[path].sum()) for w in cluster.workers]
        only = [-1] * len(graph)
        for task in path:
            only[task] = along.index(min(along))
        placed = Placer(graph, cluster, estimates, transfer).place(order, only=only)
        return drawn(graph, cluster, estimates, transfer, placed, order, planner="cpop")
