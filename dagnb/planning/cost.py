"""What a run costs, simulated or real: memory × time, time of workers, starts, and bytes between workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.trace.events import RecordKind

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .cluster import Cluster

Floats = NDArray[np.float64]
Workers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds and bytes.

    gb_seconds       memory of the worker × time, over tasks with their uploads, second copies, and starts of workers
    worker_seconds   from the launch of a worker (from submission, where none is told) to its last end before the next
    cold_starts      workers that were started for the run, as often as they were
    bytes_moved      outputs that another worker than their producer needed, once for each; 0.0 without a graph

    The memory is that of the cluster's workers, as it would be paid for, not what the tasks have touched.
    """

    gb_seconds: float
    worker_seconds: float
    cold_starts: int
    bytes_moved: float


def costs(timeline: Timeline, cluster: Cluster, graph: TaskGraph | None = None) -> Costs:
    """What the run of a timeline has cost so far: what has ended counts, by the same rules as in a forecast."""
    ran = np.flatnonzero((timeline.worker >= 0) & (timeline.end > timeline.start))
    asides = timeline.asides
    copies = asides[np.isin(asides["kind"], (RecordKind.COPIED, RecordKind.RETRIED))]
    begun = asides[asides["kind"] == RecordKind.BEGUN]
    where = np.concatenate([timeline.worker[ran], copies["worker"]]).astype(np.int32)
    start = np.concatenate([timeline.start[ran], copies["start"]])
    end = np.concatenate([timeline.end[ran] + timeline.upload[ran], copies["at"]])
    return Costs(
        gb_seconds(cluster, where, end - start, begun),
        worker_seconds(where, end, begun),
        int((begun["attempt"] == 1).sum()),
        bytes_moved(timeline, graph) if graph is not None else 0.0,
    )


def gb_seconds(cluster: Cluster, where: Workers, occupied: Floats, begun: NDArray[np.void]) -> float:
    """Memory × time: `occupied` seconds on the workers `where`, and the starts of workers (records)."""
    memory = np.array([w.memory for w in cluster.workers]) / 1e9
    return float(occupied @ memory[where] + (begun["at"] - begun["start"]) @ memory[begun["worker"]])


def worker_seconds(where: Workers, end: Floats, begun: NDArray[np.void]) -> float:
    """From each cold start of a worker, or from submission where none is told, to its last end before the next."""
    total = 0.0
    cold = begun[begun["attempt"] == 1]
    for worker in np.unique(np.concatenate([where, cold["worker"]])).tolist():
        ends = end[where == worker]
        mine = np.sort(cold[cold["worker"] == worker], order="start")
        launches, ups = (mine["start"], mine["at"]) if len(mine) else (np.zeros(1), np.zeros(1))
        for launch, up, following in zip(launches, ups, [*launches[1:], np.inf], strict=True):
            total += float(ends[ends <= following].max(initial=up)) - float(launch)
    return total


def bytes_moved(timeline: Timeline, graph: TaskGraph) -> float:
    """Bytes of outputs that another worker than their producer needed, once for each such worker."""
    needs = graph.deps
    user = np.repeat(timeline.worker, np.diff(graph.dep_start))
    moved = (user >= 0) & (timeline.worker[needs] >= 0) & (timeline.worker[needs] != user)
    pairs = np.unique(np.stack([needs[moved], user[moved]]), axis=1)
    return float(timeline.size[pairs[0]].sum())
