"""Workers of equal size, the fastest first: what a planner of resource configurations chooses from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagnb.planning.fit import fitting

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates


def sizes(graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> list[list[int]]:
    """Numbers of the workers of each size, fastest size first; at a tie the one with more memory.

    Sizes on which some task of the graph does not fit come behind all others.
    """
    found: dict[tuple[float, ...], list[int]] = {}
    for number, w in enumerate(cluster.workers):
        found.setdefault((w.speed, w.memory, w.cpus, w.threads, w.price), []).append(number)
    if len(found) < 2:
        return list(found.values())

    fits = fitting(graph, cluster)

    def rank(members: list[int]) -> tuple[int, float, float]:
        worker = cluster.workers[members[0]]
        misfits = 0 if fits is None else int((~fits[:, members[0]]).sum())
        return misfits, float(estimates.on(worker).sum()), -worker.memory

    return sorted(found.values(), key=rank)
