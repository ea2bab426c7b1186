"""A look at the live runs whose kernel is gone, by a process that is not attached. Starts nothing, imports little."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hiredis

from dagnb.errors import StoreError

from .directory import RuntimeDir, is_taken
from .keys import RUNS
from .presence import is_alive
from .wire import LOST, Wire

if TYPE_CHECKING:
    from dagnb.settings import Settings


@dataclass(frozen=True, slots=True)
class Orphan:
    """A run that goes on although its kernel is gone.

    graph    fingerprint of its graph
    folder   where its kernel worked
    begun    when it was submitted, seconds of the epoch
    """

    id: str
    dag: str
    tasks: int
    graph: str
    folder: str
    begun: float
    acted: bool

    @property
    def age(self) -> float:
        """Seconds since it was submitted."""
        return max(0.0, time.time() - self.begun)


def orphans(settings: Settings) -> list[Orphan]:
    """Those of the living background processes, the newest first; none where there are no such processes."""
    directory = RuntimeDir(settings.runtime_path)
    if not is_taken(directory.lock):
        return []
    try:
        wire = Wire(directory.address.read_text(), "peek", patience=0.0)
        try:
            found, clients = wire.calls([("HGETALL", RUNS), ("CLIENT", "LIST")])
        finally:
            wire.close()
    except (StoreError, hiredis.ReplyError, *LOST):  # it is starting, or leaving
        return []
    connected = {word[5:] for word in clients.decode().split() if word.startswith("name=")}
    told = {run.decode(): json.loads(about) for run, about in zip(found[::2], found[1::2], strict=True)}
    return sorted((_orphan(run, about) for run, about in told.items() if _gone(about, connected)), key=_latest)


def _gone(about: dict[str, str], connected: set[str]) -> bool:
    """Whether the kernel that began a run is neither connected nor alive. Where nobody said which it was: no."""
    kernel = about.get("kernel")
    return kernel is not None and kernel not in connected and not is_alive(kernel)


def _orphan(run: str, about: dict[str, object]) -> Orphan:
    known = {name: about[name] for name in ("dag", "tasks", "graph", "folder", "acted")}
    return Orphan(run, begun=about["at"], **known)  # type: ignore[arg-type]  # as `start` wrote them


def _latest(orphan: Orphan) -> float:
    return -orphan.begun
