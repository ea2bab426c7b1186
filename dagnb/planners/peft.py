"""peft: Predict Earliest Finish Time. It looks at what is behind a task before it decides where the task goes.

Arabnejad and Barbosa (2014), List scheduling algorithm for heterogeneous systems by an optimistic cost table, IEEE TPDS
25(3), doi 10.1109/TPDS.2013.57.

The optimistic cost of task t on worker w is the shortest way from the end of t there to the end of the graph, if every
later task could have the worker that suits it best at once:

    cost(t, w) = max over dependents c of min over workers v of cost(c, v) + time(c, v) + (v ≠ w) · transfer(t)

Tasks are placed by their mean cost, each where end + optimistic cost is least. Workers of one kind share a column of
the table: what a dependent saves by staying, it saves on any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.planning.listing import by_priority, drawn, transfers
from dagnb.planning.placement import Placer
from dagnb.planning.simulator import in_units_of

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Peft:
    """Optimistic cost table, earliest finish plus what is behind."""

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """Fill the table from the end of the graph, rank, place."""
        cluster = in_units_of(estimates, cluster)
        transfer = transfers(cluster, estimates)
        placer = Placer(graph, cluster, estimates, transfer)
        table = optimistic_costs(
            graph, np.array(placer.columns).T, transfer if len(cluster) > 1 else np.zeros(len(graph))
        )
        order = by_priority(graph, table[:, placer.kind].mean(axis=1))
        placed = placer.place(order, onward=table.tolist())
        return drawn(graph, cluster, estimates, transfer, placed, order, planner="peft")


def optimistic_costs(graph: TaskGraph, time: Floats, transfer: Floats) -> Floats:
    """[n, kinds] the table; `time` [n, kinds] are durations by kind of worker, `transfer` [n] those of outputs."""
    start, users = graph.children
    cut = start.tolist()
    table = np.zeros_like(time)
    total = time.copy()  # of a task and all behind it
    least = total.min(axis=1)
    for task in range(len(graph) - 1, -1, -1):
        if cut[task] < cut[task + 1]:
            behind = users[cut[task] : cut[task + 1]]
            moved = least[behind] + transfer[task]
            table[task] = np.minimum(total[behind], moved[:, None]).max(axis=0)
            total[task] += table[task]
            least[task] = total[task].min()
    return table
