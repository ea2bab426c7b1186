"""Workers of equal size, the fastest first: what a planner of resource configurations chooses from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates


def sizes(cluster: Cluster, estimates: Estimates) -> list[list[int]]:
    """Numbers of the workers of each size, fastest size first; at a tie the one with more memory."""
    found: dict[tuple[float, ...], list[int]] = {}
    for number, w in enumerate(cluster.workers):
        found.setdefault((w.speed, w.memory, w.cpus, w.threads, w.price), []).append(number)
    if len(found) < 2:
        return list(found.values())

    def slowness(members: list[int]) -> tuple[float, float]:
        worker = cluster.workers[members[0]]
        return float(estimates.on(worker).sum()), -worker.memory

    return sorted(found.values(), key=slowness)
