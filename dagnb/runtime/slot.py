"""A place for a worker, the command that fills it, and what the store does when its worker has died."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dagnb.runtime.children import Child
    from dagnb.runtime.voice import Voice

MAIN = str(Path(__file__).resolve().parents[1] / "__main__.py")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the task at which a worker ended.

    task      it fails, with an error of class `kind` for `reason`
    began     it was only late: when it began, in ns of the monotonic clock; whether it is tried again its run knows
    ending    how the worker ended: `killed by SIGSEGV`; `said`: the end of what it wrote where nobody listens
    peak      bytes that were resident in it beyond those of an empty one, where they were too many; else 0
    """

    task: int
    reason: str
    kind: str = "WorkerLostError"
    began: int = 0
    ending: str = ""
    said: str = ""
    peak: int = 0


class Recovery(Protocol):
    """The part of the store that the life of workers needs."""

    def recover(self, run_id: str | None, slot: int, epoch: int, verdict: Verdict | None, /) -> int:
        """Fence the slot and give back what its worker had not committed; the number of tasks.

        The task of the `verdict` is not run again as it is.
        """
        ...

    def reroute(self, run: str, slot: int, heir: int | None, /) -> int:
        """Give the tasks that a plan names for a slot to `heir`, with None to whoever is free; how many were ready."""
        ...

    def fail(self, run: str, reason: str, /) -> bool:
        """End a run now, as failed; False when it had ended before."""
        ...


#: (slot, epoch, runtime directory) → the command of a worker.
Command = Callable[[int, int, Path], list[str]]


def worker_command(slot: int, epoch: int, directory: Path) -> list[str]:
    """The program of a worker. -P: what lies in its working directory must not shadow the standard library."""
    return [sys.executable, "-P", MAIN, "worker", *_options(slot, epoch, directory)]


def _options(slot: int, epoch: int, directory: Path) -> list[str]:
    return ["--slot", str(slot), "--epoch", str(epoch), "--dir", str(directory)]


def work_in_copy(slot: int, epoch: int, directory: Path) -> object:
    """What `worker_command` does, in a copy of the supervisor."""
    from dagnb.runtime.worker import begin

    options = _options(slot, epoch, directory)
    sys.argv[1:] = ["worker", *options]
    return begin(options)


@dataclass(slots=True)
class Slot:
    """A place for a worker."""

    number: int
    context: str
    epoch: int = 0
    child: Child | None = None
    #: Read end of the pipe on which the worker says that it is up; -1 once it has, or never will.
    ready: int = -1
    #: What its worker says outside Python; None while there is no worker.
    voice: Voice | None = None
    #: Has its worker said that it is there?
    up: bool = False
    #: When its worker was started, in seconds of the monotonic clock.
    since: float = 0.0
    #: Workers in a row that ended soon, without having run a task.
    failures: int = 0
    #: When the first of them ended, in seconds of the monotonic clock.
    failing: float = 0.0
    #: When to start again, in seconds of the monotonic clock; 0: not waiting.
    again: float = 0.0
    #: When to kill what should have ended by itself; 0: nothing is to be killed.
    deadline: float = 0.0
    #: Why it was given up.
    broken: str = ""
    #: It is to end and not to be replaced.
    stopping: bool = False
    #: It is killed for what no task of it has done.
    excused: bool = False
    #: Processors that its worker is bound to; none: not bound.
    processors: frozenset[int] = frozenset()
    #: Bytes resident in its worker before the first task, and those beyond that were found to be too much; 0: none.
    bare: int = 0
    peak: int = 0
    #: The deadline behind which its task was told, and when that was, in seconds of the monotonic clock; 0: none.
    late: float = 0.0
    warned: float = 0.0
    #: Its worker is ended because its task was late.
    overdue: bool = False

    @property
    def state(self) -> str:
        """One word for `status`."""
        if self.broken:
            return "broken"
        if self.child is None:
            return "waiting" if self.again else "stopped"
        return "up" if self.up else "starting"
