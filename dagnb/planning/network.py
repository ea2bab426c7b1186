"""The network of the simulator: which output is where since when. Outputs travel to a worker once.

A transfer takes latency + bytes ÷ bandwidth; links do not disturb each other. Where `Cluster.publish` is finite,
outputs above INLINE bytes are first written to the store, which takes bytes ÷ publish more.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from dagnb.trace.events import RecordKind

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimates import Estimates

#: Bytes up to which an output travels inside the message that says it is there: it is never written to the store.
INLINE = 1 << 16

#: Bytes that a stream carries in one piece.
PIECE = 1 << 20

#: Later than any run.
NEVER = float("inf")

#: What happened beside the tasks: at, start, size, task, worker, kind, attempt (fields of `trace.events.RECORD`).
Aside = tuple[float, float, float, int, int, RecordKind, int]


class Network:
    """One of an engine, whose columns `where` and `end` it reads.

    moved      bytes that travelled between workers
    arrived    (output, worker) → seconds since submission at which it is there
    asides     outputs that were sent ahead
    """

    def __init__(
        self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, where: list[int], end: list[float]
    ) -> None:
        self.moved = 0.0
        self.arrived: dict[tuple[int, int], float] = {}
        self.asides: list[Aside] = []
        self.where, self.end = where, end
        self.size: list[float] = estimates.size.tolist()
        self.latency, self.bandwidth, self.publish = cluster.latency, cluster.bandwidth, cluster.publish
        self.keep = cluster.keep
        self.travels = cluster.latency > 0 or bool(estimates.size.any())
        self.dep_start, self.deps = graph.dep_start.tolist(), graph.deps.tolist()

    def bring(self, task: int, worker: int, now: float) -> float:
        """Seconds until all inputs of a task that starts now are on its worker."""
        arrived, where = self.arrived, self.where
        wait, size, missing = 0.0, 0.0, []
        for needed in self.deps[self.dep_start[task] : self.dep_start[task + 1]]:
            if where[needed] == worker:
                continue
            at = arrived.get((needed, worker))
            if at is None:
                missing.append(needed)
                size += self.size[needed]
            elif at - now > wait:
                wait = at - now
        if missing:
            self.moved += size
            wait = max(wait, self.latency + size / self.bandwidth)
            for needed in missing:
                arrived[needed, worker] = now + wait
        return wait

    def send(self, objects: Iterable[int], worker: int, since: float) -> float:
        """Send outputs ahead, each from `since` on or as soon as it exists. Returns when the last is there."""
        latest = 0.0
        for needed in objects:
            if self.holds(needed, worker):
                continue
            at = self.arrived.get((needed, worker))
            if at is None:
                size = self.size[needed]
                self.moved += size
                start = max(since, self.end[needed])
                at = self.arrived[needed, worker] = (
                    start + self.written(needed, start) + self.latency + size / self.bandwidth
                )
                self.asides.append((at, start, size, needed, worker, RecordKind.PRELOADED, 0))
            latest = max(latest, at)
        return latest

    def holds(self, needed: int, worker: int) -> bool:
        """Whether the output was made on this worker and is there still."""
        return self.where[needed] == worker

    def written(self, needed: int, at: float) -> float:  # noqa: ARG002  a store asks which
        """Seconds until an output that is asked for at a time is in the store."""
        return 0.0


class Store(Network):
    """The network with all that plans may ask of it: outputs that wait to be sent, streams, and workers that forget.

    until     seconds since submission before which the task that was last brought its inputs cannot end
    """

    def __init__(
        self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, where: list[int], end: list[float]
    ) -> None:
        super().__init__(graph, cluster, estimates, where, end)
        self.until = 0.0
        self.streams: set[tuple[int, int]] = set()  # (consumer, producer)
        self._written = [NEVER] * len(where)  # when each output is in the store
        self._born = [0.0] * len(cluster.workers)
        self._needed = [low < high for low, high in pairwise(graph.children[0].tolist())]

    def upload(self, task: int, at: float, *, kept: bool = False) -> float:
        """Seconds that writing an output to the store takes from a time on; what is kept for the user is written apart.

        Of what is kept and nobody needs only that is written.
        """
        size = self.size[task]
        if size <= INLINE:
            self._written[task] = at
            return 0.0
        seconds = 0.0 if kept and not self._needed[task] else size / self.publish
        self._written[task] = at + seconds
        return seconds + (size / self.keep if kept else 0.0)

    def bring(self, task: int, worker: int, now: float) -> float:
        """Seconds until all inputs are here; what streams in takes the latency now and says in `until` when it ends."""
        arrived = self.arrived
        wait = size = writing = self.until = 0.0
        missing = []
        for needed in self.deps[self.dep_start[task] : self.dep_start[task + 1]]:
            if (task, needed) in self.streams and self.end[needed] > now:
                wait = max(wait, self._flow(needed, worker))
                continue
            if self.holds(needed, worker):
                continue
            at = arrived.get((needed, worker))
            if at is None:
                missing.append(needed)
                size += self.size[needed]
                writing += self.written(needed, now)
            else:
                wait = max(wait, at - now)
        if missing:
            self.moved += size
            wait = max(wait, writing + self.latency + size / self.bandwidth)
            for needed in missing:
                arrived[needed, worker] = now + wait
        return wait

    def _flow(self, needed: int, worker: int) -> float:
        """An output comes while it is made; returns seconds before its first piece."""
        if self.where[needed] == worker:
            self.until = max(self.until, self.end[needed])
            return 0.0
        size = self.size[needed]
        last = self.end[needed] + self.latency + min(size, PIECE) / self.bandwidth
        if (needed, worker) not in self.arrived:
            self.moved += size
            self.arrived[needed, worker] = last
        self.until = max(self.until, last)
        return self.latency

    def holds(self, needed: int, worker: int) -> bool:
        """Not what a worker had before it stopped."""
        return self.where[needed] == worker and self.end[needed] >= self._born[worker]

    def written(self, needed: int, at: float) -> float:
        """An output that was kept where it was made is written when it is first asked for."""
        if self._written[needed] == NEVER:
            return self.upload(needed, at)
        return max(0.0, self._written[needed] - at)

    def forget(self, worker: int, now: float) -> None:
        """The worker starts anew with empty hands; what it made lies in the store."""
        self._born[worker] = now
        for place in [place for place in self.arrived if place[1] == worker]:
            del self.arrived[place]
