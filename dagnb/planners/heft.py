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

import numpy as np
from numpy.typing import NDArray

from dagnb.graph.analysis import upward_order, upward_rank
from dagnb.planning.placement import place, preloads
from dagnb.planning.plan import Plan
from dagnb.planning.simulator import in_units_of

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Heft:
    """Upward rank, earliest finish with insertion.

    preload    let workers fetch inputs as soon as they exist, which is the network model of the paper
    """

    preload: bool = True

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """Rank, place, and write down the order of the starts."""
        cluster = in_units_of(estimates, cluster)
        transfer = cluster.latency + estimates.size / cluster.bandwidth
        order = ranked(graph, cluster, estimates, transfer)
        placed = place(graph, cluster, estimates, transfer, order)
        position = np.empty(len(graph), np.int64)
        position[order] = np.arange(len(graph))
        sequence = np.lexsort((position, np.array(placed.start))).tolist()
        return Plan.build(
            graph, cluster, estimates,
            worker=placed.worker,
            sequence=sequence,
            annotations=preloads(graph, placed.worker, transfer) if self.preload else None,
            planner="heft",
            parameters={"preload": self.preload},
        )  # fmt: skip


def ranked(graph: TaskGraph, cluster: Cluster, estimates: Estimates, transfer: Floats) -> list[int]:
    """Tasks by falling upward rank: durations and transfers are means over workers and pairs of workers."""
    slowness = float(np.mean([1 / w.speed for w in cluster.workers]))
    duration = np.where(estimates.mean > 0, estimates.mean * slowness + cluster.overhead, 0.0)
    apart = (len(cluster) - 1) / len(cluster)  # how many pairs of workers are two
    return upward_order(upward_rank(graph, duration, transfer * apart))
