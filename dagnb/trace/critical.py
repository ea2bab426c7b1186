"""What the end of a run waited for: the critical path of a timeline, through dependencies and through busy workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline


def critical_chain(graph: TaskGraph, timeline: Timeline) -> list[int]:
    """Tasks from first to last: before each comes what ended latest among its dependencies and its worker's last task.

    Empty before anything has ended. With several workers per task slot it is one of the possible answers.
    """
    end = np.where(np.isnan(timeline.start), np.nan, timeline.end)
    if not len(end) or np.isnan(end).all():
        return []
    previous = _previous(timeline)
    task = int(np.nanargmax(end))
    chain, seen = [task], {task}
    while True:
        before = [d for d in (*graph.dependencies(task), previous[task]) if d >= 0 and end[d] <= timeline.end[task]]
        if not before:
            return chain[::-1]
        task = max(before, key=lambda d: (end[d], -d))
        if task in seen:  # clocks that disagree
            return chain[::-1]
        seen.add(task)
        chain.append(task)


def _previous(timeline: Timeline) -> list[int]:
    """The task that ended before each one started, on the same worker; -1 for none."""
    found = np.full(len(timeline), -1)
    order = np.lexsort((timeline.start, timeline.worker))
    order = order[(timeline.worker[order] >= 0) & ~np.isnan(timeline.start[order])]
    same = timeline.worker[order[1:]] == timeline.worker[order[:-1]]
    found[order[1:][same]] = order[:-1][same]
    late = timeline.end[found] > timeline.start + 1e-9  # several at once on one worker: not one after the other
    found[(found >= 0) & late] = -1
    previous: list[int] = found.tolist()
    return previous
