"""heft: Heterogeneous Earliest Finish Time, with insertion.

Topcuoglu, Hariri and Wu (2002), Performance-effective and low-complexity task scheduling for heterogeneous computing,
IEEE TPDS 13(3), doi 10.1109/71.993206.

Tasks in order of falling upward rank (mean duration over workers, mean transfer); each goes where it finishes first,
into an idle gap between tasks placed earlier if it fits:

    w0  ████████──gap──█████            w1  ███──────gap──────████████

`dagnb.planning.placement` keeps only the gaps, so the cost per task and worker is near constant.

Workers never wait for a task that is planned but not ready yet, so a simulated run may differ from the schedule drawn
here: the simulator has the last word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagnb.graph.analysis import upward_order, upward_rank
from dagnb.planning.listing import drawn, mean_costs, transfers
from dagnb.planning.placement import place
from dagnb.planning.simulator import in_units_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan


@dataclass(frozen=True)
class Heft:
    """Upward rank, earliest finish with insertion.

    preload    let workers fetch inputs as soon as they exist, which is the network model of the paper
    """

    preload: bool = True

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """Rank, place, and write down the order of the starts."""
        cluster = in_units_of(estimates, cluster)
        transfer = transfers(cluster, estimates)
        order = ranked(graph, cluster, estimates, transfer)
        return drawn(
            graph, cluster, estimates, transfer,
            place(graph, cluster, estimates, transfer, order),
            order,
            preload=self.preload,
            planner="heft",
            parameters={"preload": self.preload},
        )  # fmt: skip


def ranked(graph: TaskGraph, cluster: Cluster, estimates: Estimates, transfer: NDArray[np.float64]) -> list[int]:
    """Tasks by falling upward rank: durations and transfers are means over workers and pairs of workers."""
    return upward_order(upward_rank(graph, *mean_costs(cluster, estimates, transfer)))
