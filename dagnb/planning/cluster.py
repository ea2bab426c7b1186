"""Cluster: what a plan may use. Seconds, bytes, and bytes per second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NewType, Self

#: The name of a worker in plans, timelines and texts: "w0", "w1", …
WorkerId = NewType("WorkerId", str)


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker.

    cpus, memory    what a task on it may use
    speed           relative; ≠ 1 exists in simulated clusters only
    threads         tasks at once
    price           per GB of memory and second

    On this machine cpus and memory are enforced (see `Cluster.limits`); a task's duration may depend on memory
    (`Estimates.on`).
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
    warm        seconds before a worker that runs can begin with its first task: after the submission, and of an elastic
                cluster after a pause
    keep_alive  of an elastic cluster: seconds without work after which a worker stops, and its next start is cold
    elastic     workers are launched when their first task is ready (or prewarmed), not all at submission
    publish     bytes per second at which a worker writes a large output to the store before others can fetch it;
                infinite where that is part of `bandwidth`
    keep        the same for a large value that the user keeps; infinite: as `publish`
    limits      whether the sizes of the workers mean something: then a task that says what it needs (`@task(memory=…)`)
                goes where it has that, and workers on this machine are held to cpus and memory. `Cluster.local` has
                none: as many equal workers as asked for, each free to take what the machine gives
    """

    workers: tuple[WorkerSpec, ...]
    bandwidth: float = 1e9
    latency: float = 0.0
    overhead: float = 0.0
    startup: float = 0.0
    warm: float = 0.0
    keep_alive: float = float("inf")
    elastic: bool = False
    limits: bool = True
    publish: float = float("inf")
    keep: float = float("inf")
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
        rates = all(rate > 0 for rate in (self.bandwidth, self.publish, self.keep))  # False for what is not a number
        if not rates or not self.keep_alive >= 0 or not all(0 <= d < float("inf") for d in delays):
            msg = "a cluster needs a bandwidth above 0, and delays (latency, startup, keep_alive, …) not below 0"
            raise ValueError(msg)

    @classmethod
    def local(cls, workers: int, **network: Any) -> Self:
        """`workers` equal workers on this machine, named w0, w1, …; no limits, unless `limits=True` is given."""
        specs = tuple(WorkerSpec(WorkerId(f"w{i}")) for i in range(workers))
        return cls(specs, **{"limits": False} | network)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, which know no infinity: None stands for it."""
        facts = {name: getattr(self, name) for name in self._facts()}
        found = {name: None if value == math.inf else value for name, value in facts.items()}
        return {"workers": [asdict(spec) for spec in self.workers], **found}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """What `to_dict` gave. Raises LookupError, TypeError or ValueError for anything else."""
        facts: dict[str, Any] = {
            name: math.inf if found[name] is None else found[name] for name in cls._facts() if name in found
        }
        return cls(tuple(WorkerSpec(**spec) for spec in found["workers"]), **facts)

    @classmethod
    def _facts(cls) -> list[str]:
        """Fields that are single values."""
        return [f.name for f in fields(cls) if f.name not in ("workers", "index")]

    def __len__(self) -> int:
        return len(self.workers)
