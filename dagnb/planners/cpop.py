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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dagnb.graph.analysis import critical_path, downward_rank, upward_rank
from dagnb.planning.listing import by_priority, drawn, mean_costs, transfers
from dagnb.planning.placement import Placer
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
        placer = Placer(graph, cluster, estimates, transfer)
        worker, pinned = _for_path(placer, path)
        only = [-1] * len(graph)
        for task in pinned:
            only[task] = worker
        placed = placer.place(order, only=only)
        return drawn(graph, cluster, estimates, transfer, placed, order, planner="cpop")


def _for_path(placer: Placer, path: Sequence[int]) -> tuple[int, list[int]]:
    """The worker that runs the whole path fastest, and what goes there: all of it, but for tasks that do not fit.

    Where no worker has what every task of the path needs, it is one that has it for most of them.
    """
    columns = [placer.columns[kind][path] for kind in placer.kind]
    there = [np.isfinite(column) for column in columns]
    along = [(-int(f.sum()), float(column[f].sum())) for column, f in zip(columns, there, strict=True)]
    worker = along.index(min(along))
    return worker, [task for task, fits in zip(path, there[worker].tolist(), strict=True) if fits]
