"""What list planners share beside the placement itself: mean costs, orders by priority, the plan of a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .placement import Placed, occupied, preloads
from .plan import Plan

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimator import Estimates

Floats = NDArray[np.float64]


def transfers(cluster: Cluster, estimates: Estimates, *, published: bool = True) -> Floats:
    """[n] seconds until the output of each task is on another worker.

    published    from its end, the writing to the store included; else the way alone, of what has been written
    """
    written = 1 / cluster.publish if published else 0.0
    seconds: Floats = cluster.latency + estimates.size * (1 / cluster.bandwidth + written)
    return seconds


def mean_costs(cluster: Cluster, estimates: Estimates, transfer: Floats) -> tuple[Floats, Floats]:
    """([n] mean time over workers, [n] mean transfer over pairs of workers): what ranks are made of."""
    duration = np.mean([occupied(w, cluster, estimates) for w in cluster.workers], axis=0)
    apart = (len(cluster) - 1) / len(cluster)  # how many pairs of workers are two
    return duration, transfer * apart


def by_priority(graph: TaskGraph, priority: Floats) -> list[int]:
    """All tasks, each behind those it needs; of those that could come next the one of largest priority."""
    start, users = (column.tolist() for column in graph.children)
    missing = np.diff(graph.dep_start).tolist()
    behind: list[float] = (-priority).tolist()
    heap = [(behind[task], task) for task in graph.roots.tolist()]
    heapify(heap)
    order: list[int] = []
    while heap:
        task = heappop(heap)[1]
        order.append(task)
        for child in users[start[task] : start[task + 1]]:
            missing[child] -= 1
            if not missing[child]:
                heappush(heap, (behind[child], child))
    return order


def drawn(
    graph: TaskGraph,
    cluster: Cluster,
    estimates: Estimates,
    transfer: Floats,
    placed: Placed,
    order: Sequence[int],
    *,
    preload: bool = True,
    **facts: Any,
) -> Plan:
    """The plan that follows a drawn schedule: its workers, and tasks in the order of their starts.

    order     in which tasks were placed; it decides between equal starts
    preload   inputs travel as soon as they exist, as every drawn schedule has it
    facts     further fields of the plan: `planner`, `parameters`, `evaluations`
    """
    position = np.empty(len(graph), np.int64)
    position[order] = np.arange(len(graph))
    return Plan.build(
        graph, cluster, estimates,
        worker=placed.worker,
        sequence=np.lexsort((position, np.array(placed.start))),
        annotations=preloads(graph, placed.worker, transfer) if preload else None,
        **facts,
    )  # fmt: skip
