"""What tests of the simulator share: short plans, simulated runs that were checked, an online policy."""

from __future__ import annotations

import numpy as np

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import WorkerId
from dagnb.planning.estimator import Estimates
from dagnb.planning.plan import Annotations, Assignment, Plan
from dagnb.planning.policy import NONE, Policy
from dagnb.planning.simulator import forecast, simulate
from dagnb.testing import check_schedule
from dagnb.trace.timeline import Timeline

W = [WorkerId(f"w{i}") for i in range(4)]


def planned(*workers, priority=None, **notes):
    """Workers by task, None for anybody, in the order of the numbers; `t1={…}` are annotations of task 1."""
    return Plan(
        tuple(
            Assignment(
                None if w is None else W[w],
                i,
                float(priority[i]) if priority else 0.0,
                Annotations(**notes[f"t{i}"]) if f"t{i}" in notes else None,
            )
            for i, w in enumerate(workers)
        )
    )


def run(deps, plan, cluster, durations, sizes=None):
    """A forecast whose schedule was checked, and whose events say the same."""
    graph = TaskGraph.build("g", deps)
    estimates = Estimates.of(np.array(durations, float), None if sizes is None else np.array(sizes, float))
    found = forecast(graph, plan, cluster, estimates)
    check_schedule(graph, plan, cluster, estimates, found.timeline)
    assert Timeline.of(len(graph), simulate(graph, plan, cluster, estimates)).same_as(found.timeline)
    return found


def rows(found):
    """[(worker, start, end)] by task."""
    return [(row.worker, row.start, row.end) for row in map(found.timeline.__getitem__, range(len(found.timeline)))]


class Queue(Policy):
    """First come, first served, decided while running: what an online scheduler looks like.

    tick    seconds after which it looks at what has come; 0: at once
    """

    def __init__(self, tick=0.0):
        self.tick, self.ready, self.held = tick, [], []

    def on_ready(self, task, worker):
        (self.held if self.tick else self.ready).append(task)
        return NONE

    def on_idle(self, worker):
        return self.ready.pop(0) if self.ready else NONE

    def on_tick(self):
        self.ready, self.held = self.ready + self.held, []
        return ()

    def spare(self):
        return bool(self.ready)
