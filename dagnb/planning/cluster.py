"""Cluster: what a plan may use. Seconds, bytes, and bytes per second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NewType

#: The name of a worker in plans, timelines and texts: "w0", "w1", …
WorkerId = NewType("WorkerId", str)


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker.

    cpus, memory    what a task on it may use
    speed           relative; ≠ 1 exists in simulated clusters only
    threads         tasks at once
    price           per GB of memory and second

    On this machine cpus and memory are enforced; a task's duration may depend on memory (`Estimates.on`).
    """

    id: WorkerId
    cpus: float = 1.0
    memory: float = 2e9
    speed: float = 1.0
    threads: int = 1
    price: float = 1.0

    def __post_init__(self) -> None:
        for name in ("cpus", "memory", "speed"):
            if not 0 < getattr(self, name) < float("inf"):
                msg = f"worker {self.id!r} has {name} {getattr(self, name)}: give a finite number above 0"
                raise ValueError(msg)
        if self.threads < 1 or self.price < 0:
            msg = f"worker {self.id!r} has {self.threads} threads at price {self.price}: at least 1, and not below 0"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Workers and the network between them.

    bandwidth   bytes per second between two workers
    latency     seconds before the first byte
    overhead    seconds of coordination per task
    startup     seconds that a cold start takes (0: they run already)
    warm        seconds before a worker that runs can begin with its first task after a pause
    keep_alive  seconds without work after which a worker of an elastic cluster stops, and its next start is cold
    elastic     workers are launched when their first task is ready (or prewarmed), not all at submission
    """

    workers: tuple[WorkerSpec, ...]
    bandwidth: float = 1e9
    latency: float = 0.0
    overhead: float = 0.0
    startup: float = 0.0
    warm: float = 0.0
    keep_alive: float = float("inf")
    elastic: bool = False
    index: dict[WorkerId, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {w.id: i for i, w in enumerate(self.workers)})
        if len(self.index) < len(self.workers):
            msg = "two workers of a cluster share an id"
            raise ValueError(msg)
        if not self.workers:
            msg = "a cluster needs at least one worker"
            raise ValueError(msg)
        delays = (self.latency, self.overhead, self.startup, self.warm)
        if not self.bandwidth > 0 or not all(0 <= d < float("inf") for d in delays) or not self.keep_alive >= 0:
            msg = "a cluster needs a bandwidth above 0, and delays (latency, startup, keep_alive, …) not below 0"
            raise ValueError(msg)

    @classmethod
    def local(cls, workers: int, **network: Any) -> Cluster:
        """`workers` equal workers on this machine, named w0, w1, …"""
        return cls(tuple(WorkerSpec(WorkerId(f"w{i}")) for i in range(workers)), **network)

    def __len__(self) -> int:
        return len(self.workers)
