"""What runs in the background, as `%dag status` and the doctor show it; the supervisor fills it in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker process: `state` is up, starting, waiting (to be started again), stopped or broken.

    size         what it is held to ("2 cpus, 512 MB", "elastic"); empty where nothing is
    processors   that it is bound to; none: not bound
    """

    slot: int
    pid: int | None
    state: str
    context: str
    cwd: str
    run: str | None
    task: int | None
    broken: str
    size: str = ""
    processors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RedisStatus:
    """The server; memory in bytes."""

    pid: int
    version: str
    memory: int
    max_memory: int
    socket: str


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """Supervisor, Redis, workers, and who uses them; `began` in seconds of the epoch."""

    pid: int
    began: float
    directory: str
    idle_timeout: float
    redis: RedisStatus
    kernels: tuple[str, ...]
    runs: tuple[str, ...]
    deaths: int
    workers: tuple[WorkerStatus, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> PoolStatus:
        """What `to_dict` gave, after its way through JSON."""
        workers = tuple(
            WorkerStatus(**worker | {"processors": tuple(worker["processors"])}) for worker in found["workers"]
        )
        names = {"kernels": tuple(found["kernels"]), "runs": tuple(found["runs"])}
        return cls(**found | names | {"redis": RedisStatus(**found["redis"]), "workers": workers})
