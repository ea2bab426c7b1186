"""wukong: nobody is named; whoever finishes the last dependency of a task goes on with it.

Carver, Zhang, Wang, Anwar, Wu and Cheng (2020), Wukong: a scalable and locality-enhanced framework for serverless
parallel computing, ACM SoCC, doi 10.1145/3419111.3421286.

    dynamic scheduling     the finisher continues with one child that became ready and hands the others out
    fan-out clustering     children of a large output stay with their parent, as long as they begin sooner there than
                           moving the output would let them begin elsewhere
    fan-in clustering      a fan-in runs where its largest input is
    delayed output         a large output is not sent out before somebody else asks for it

    parent ██████┬─ child 1 ██  child 2 ██      (same group: one after the other, no transfer)
                 └─ transfer ═════▶ child 3 ██  (handed out)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dagnb.planning.listing import transfers
from dagnb.planning.plan import Annotations, Plan
from dagnb.planning.simulator import in_units_of

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates


@dataclass(frozen=True)
class Wukong:
    """Every worker None; tasks in the order of the graph, as the paper weighs no durations.

    clustering    keep fan-outs and fan-ins of large outputs together
    large         bytes from which an output counts as large
    """

    clustering: bool = True
    large: float = 1e6

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """One pass over the graph."""
        cluster = in_units_of(estimates, cluster)
        big = estimates.size >= self.large
        group = self._groups(graph, cluster, estimates, big.tolist()) if self.clustering and big.any() else {}
        notes = {
            task: Annotations(keep_local=bool(big[task]), group=group.get(task))
            for task in sorted({*group, *np.flatnonzero(big).tolist()})
        }
        return Plan.build(
            graph, cluster, estimates,
            worker=np.full(len(graph), -1),
            sequence=range(len(graph)),
            annotations=notes,
            planner="wukong",
            parameters={"clustering": self.clustering, "large": self.large},
        )  # fmt: skip

    def _groups(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, big: list[bool]) -> dict[int, int]:
        """Task → number of its group, which is the first task of it."""
        size, length = estimates.size.tolist(), estimates.mean.tolist()
        moving: list[float] = transfers(cluster, estimates, published=False).tolist()
        group: dict[int, int] = {}
        backlog = [0.0] * len(graph)  # seconds of children that stay with each task
        for task in range(len(graph)):  # tasks are in topological order
            large = [d for d in graph.dependencies(task) if big[d]]
            if not large:
                continue
            parent = max(large, key=size.__getitem__)
            if len(graph.dependencies(task)) == 1 and backlog[parent] > moving[parent]:
                continue  # a fan-out whose turn here comes later than the output would reach somebody else
            backlog[parent] += length[task] + cluster.overhead
            group[task] = group.setdefault(parent, parent)
        return group
