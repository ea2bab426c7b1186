"""free: nobody is named. Ready tasks go to whoever is free, those with the longest way to the end first.

The plan for graphs that nothing is known of, and for tasks so small that planning them would cost more than it saves.
Graham (1969), Bounds on multiprocessing timing anomalies, doi 10.1137/0117039: no such list schedule on m equal workers
takes more than 2 − 1/m times the shortest, transfers left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dagnb.graph.analysis import upward_order, upward_rank
from dagnb.planning.plan import Plan

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates


@dataclass(frozen=True)
class Free:
    """Every worker None, ordered by upward rank.

    ranked   False leaves them in the order of their calls: where all of them together are a matter of milliseconds
    """

    ranked: bool = True

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """One pass over the graph."""
        n = len(graph)
        order = upward_order(upward_rank(graph, estimates.mean)) if self.ranked else np.arange(n)
        nobody = np.full(n, -1)
        return Plan.build(graph, cluster, estimates, worker=nobody, sequence=order, planner="free")
