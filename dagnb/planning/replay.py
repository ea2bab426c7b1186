"""Replay: the plan of a run, simulated with what the run has measured. What remains is the error of the model.

forecast with estimates ── estimate error ── replay with measured durations ── model error ── what happened
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .estimates import Estimates
from .phases import durations
from .simulator import Forecast, forecast

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .cluster import Cluster
    from .plan import Plan


def replay(graph: TaskGraph, plan: Plan, cluster: Cluster, timeline: Timeline) -> Forecast:
    """The run that the simulator makes of a plan with the durations and sizes of a real timeline.

    Raises ValueError when the timeline is of another graph, PlanError when the plan is.
    """
    return forecast(graph, plan, cluster, measured(graph, cluster, timeline))


def measured(graph: TaskGraph, cluster: Cluster, timeline: Timeline) -> Estimates:
    """What a timeline says of durations (end − start − fetch) and sizes; a task that did not run takes no time.

    The overhead of a real task lies before its start and is not in it. A duration on a worker of speed s counts s
    times: estimates are those of speed 1. Raises ValueError when the timeline is of another graph.
    """
    if len(timeline) != len(graph):
        raise ValueError(
            f"a timeline of {len(timeline)} tasks is not one of {graph.name!r}, which has {len(graph)}\n"
            "  replay a run with the graph that it ran"
        )
    length = durations(timeline)
    ran = ~np.isnan(length)
    seconds = np.where(ran, length, 0.0)
    speed = np.array([w.speed for w in cluster.workers])
    known = ran & (timeline.worker >= 0) & (timeline.worker < len(speed))
    seconds[known] *= speed[timeline.worker[known]]
    return Estimates.of(seconds, np.nan_to_num(timeline.size))
