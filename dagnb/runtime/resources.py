"""What a worker process of this machine may use: its size, read off a cluster, and imposed on the process.

    cpus        affinity to so many processors (rounded up), and as many BLAS and OpenMP threads
    memory      RLIMIT_DATA: the allocation that would pass it raises MemoryError inside the task. What that limit
                does not count (shared memory, files, processes that the task starts) is seen by the supervisor's
                watch of resident memory (`dagnb.runtime.watch`)

Both count from the bare worker: what the interpreter and our own modules take (12 MB of data, 21 MB resident) comes on
top; what a task imports, and values that wait here for other tasks, do not. Elsewhere than on Linux only the number of
threads is imposed.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagnb.errors import OptionError, WorkerMemoryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagnb.planning.cluster import Cluster, WorkerSpec

#: Bytes below which a worker cannot even import what tasks use.
LEAST = 32e6


@dataclass(frozen=True, slots=True)
class Resources:
    """Part of the context of a worker.

    cpus         processors it is bound to; None: all, as the operating system gives them
    memory       bytes that tasks on it may take; None: no limit
    keep_alive   None for a worker that stays. Else it is elastic: started when there is work for it, ended after so
                 many seconds without
    """

    cpus: int | None = None
    memory: int | None = None
    keep_alive: float | None = None

    @property
    def elastic(self) -> bool:
        """Does it come and go?"""
        return self.keep_alive is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        forever = self.keep_alive == math.inf
        return {"cpus": self.cpus, "memory": self.memory, "keep_alive": "inf" if forever else self.keep_alive}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Resources:
        """What `to_dict` gave. Raises LookupError, TypeError or ValueError for anything else."""
        cpus, memory, stays = found["cpus"], found["memory"], found["keep_alive"]
        return cls(
            None if cpus is None else int(cpus),
            None if memory is None else int(memory),
            None if stays is None else float(stays),
        )

    def __str__(self) -> str:
        """`2 cpus, 512 MB, elastic`, as `%dag status` says it; empty for a worker without limits."""
        size = [f"{self.cpus} cpu{'s' * (self.cpus > 1)}"] if self.cpus else []
        size += [bytes_text(self.memory)] if self.memory else []
        return ", ".join([*size, *["elastic"] * self.elastic])


#: A worker as it has always been: no limits, and it stays.
PLAIN = Resources()


def bytes_text(size: float) -> str:
    """`512 MB`, `2 GB`."""
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def memory_reason(limit: int, peak: int, words: str = "") -> str:
    """Why a task failed that took too much; its name and its worker stand in the line below.

    `words` are those of the MemoryError that it met; empty when the watch ended it.
    """
    refused = f" when it was refused more{f' ({words})' if words else ''}" if peak <= limit else ""
    return (
        f"out of memory: its worker has {bytes_text(limit)}, and {bytes_text(max(peak, 0))} were in use{refused}\n"
        "Give it a larger worker, with @task(memory=…) so that plans know, or let it work in smaller pieces."
    )


def machine() -> int:
    """Processors that workers started from here may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resources_of(cluster: Cluster) -> tuple[Resources, ...]:
    """What each worker of a cluster gets on this machine.

    Raises OptionError, naming the worker, for one that this machine cannot be: a speed or threads other than 1, more
    processors than there are, less memory than an interpreter needs.
    """
    return tuple(_of(spec, cluster) for spec in cluster.workers)


#: What no real worker can be told, and why.
_SIMULATED = {"speed": "nobody can make this machine faster", "threads": "a worker runs one task at a time"}


def _of(spec: WorkerSpec, cluster: Cluster) -> Resources:
    keep_alive = cluster.keep_alive if cluster.elastic else None
    for name, why in _SIMULATED.items():
        if getattr(spec, name) != 1:
            raise OptionError(
                f"worker {spec.id!r} has {name}={getattr(spec, name):g}, which is for simulated clusters only: {why}.\n"
                f"  Plan and compare with it; to run, give {name}=1."
            )
    if not cluster.limits:
        return PLAIN if keep_alive is None else Resources(keep_alive=keep_alive)
    cpus, there = math.ceil(spec.cpus), machine()
    if cpus > there:
        raise OptionError(
            f"worker {spec.id!r} wants {spec.cpus:g} cpus, and this machine has {there}.\n"
            f"  Plan with it as you like; to run here, give it cpus={there} or less."
        )
    if spec.memory < LEAST:
        raise OptionError(
            f"worker {spec.id!r} has memory={spec.memory:g}, which is too little for Python.\n"
            f"  Memory is in bytes: {LEAST:g} ({bytes_text(LEAST)}) is the least."
        )
    return Resources(cpus, int(spec.memory), keep_alive)


# ---- inside the worker -----------------------------------------------------------------------------------------------

#: Bytes that tasks here may take, and those that the bare worker has; empty: no limit.
_held: list[int] = []


def impose(memory: int) -> None:
    """Hold this process to so many bytes beyond those that it has now. Called in the worker, before its first task."""
    _held[:] = [memory, data_size()]
    _limit(sum(_held))


@contextmanager
def room_for(error: BaseException) -> Iterator[BaseException]:
    """The MemoryError of a task in words, and room to tell of it; the same error where there is no limit.

    What the task held is let go of at the end, because its frames are.
    """
    if not _held:
        yield error
        return
    limit, bare = _held
    held = data_size() - bare
    _limit(None)
    try:
        from traceback import clear_frames  # behind the lifted limit

        named = WorkerMemoryError(memory_reason(limit, min(held, limit), str(error)))
        yield named
        clear_frames(error.__traceback__)
        error.__traceback__ = error.__context__ = None
    finally:
        _limit(limit + bare)


def lift() -> None:
    """No limit from here on: this process is about to end, and has something to tell before."""
    if _held:
        _limit(None)


def _limit(size: int | None) -> None:
    """Set the soft limit of this process; None lifts it."""
    if sys.platform != "linux":
        return  # elsewhere RLIMIT_DATA does not count what malloc maps: the watch remains
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if size is None else size if hard < 0 else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def data_size() -> int:
    """Bytes of this process that RLIMIT_DATA counts."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  also called when there is no memory to speak of
        return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
