"""uniform: one resource configuration for all tasks, assigned breadth first, then optimised.

The first algorithm of the research engine that dagnb grew from, in its final form: `dagnb.planners.breadth` assigns,
`dagnb.planners.optimise` keeps what shortens the simulated run. Of a cluster with workers of several sizes only those
of one size are used: the size whose plan is shortest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagnb.planning.fit import fitting
from dagnb.planning.plan import Plan
from dagnb.planning.simulator import in_units_of

from .breadth import Breadth
from .optimise import Optimising, Search
from .sizes import sizes

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates


@dataclass(frozen=True)
class Uniform(Optimising):
    """Its options are those of the optimisations."""

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """A plan for each size of workers; the shortest is optimised."""
        cluster = in_units_of(estimates, cluster)
        classes, fits = sizes(graph, cluster, estimates), fitting(graph, cluster)
        if fits is not None:  # where no size has room for all tasks, some of the size with most are moved afterwards
            classes = [members for members in classes if fits[:, members[0]].all()] or classes[:1]
        tried = [
            Search(graph, cluster, estimates, breadth_first(graph, cluster, estimates, members), self.sla)
            for members in classes
        ]
        search = min(tried, key=lambda s: s.time)
        search.evaluations = len(tried)
        return self.finished(search, "uniform")


def breadth_first(graph: TaskGraph, cluster: Cluster, estimates: Estimates, members: list[int]) -> Plan:
    """The plain assignment to these workers."""
    found = Breadth(graph, cluster, estimates, members)
    return Plan.build(graph, cluster, estimates, worker=found.worker, sequence=found.sequence)
