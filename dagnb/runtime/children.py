"""Processes that a supervisor starts and that may not outlive it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagnb.runtime.forking import Forked, fork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: prctl option: the signal that the kernel sends us when the thread that started us ends (linux/prctl.h).
_PR_SET_PDEATHSIG = 1
#: Seconds between two looks at a process that is to end.
_STEP = 0.001


@dataclass(slots=True)
class Child:
    """One process in a session of its own."""

    process: subprocess.Popen[bytes] | Forked

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        output: Path | int,
        cwd: Path | str,
        environ: Mapping[str, str] | None = None,
        keep: tuple[int, ...] = (),
        processors: frozenset[int] = frozenset(),
    ) -> Child:
        """Start it; what it says goes to the file or descriptor `output`, `keep` are descriptors that it inherits.

        `processors` are those that it and what it starts may run on; none named: all that we may.

        To be called from the main thread only: the parent-death signal fires when the thread that started it ends.
        Raises OSError when the program or `cwd` is not there.
        """
        descriptor = output if isinstance(output, int) else _opened(output)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=cwd,
                env=environ,
                start_new_session=True,
                pass_fds=keep,
                preexec_fn=_die_with_parent(processors),  # noqa: PLW1509  the supervisor has one thread
            )
        finally:
            if descriptor != output:
                os.close(descriptor)
        return cls(process)

    @classmethod
    def copy(
        cls,
        work: Callable[[], object],
        *,
        output: Path | int,
        cwd: Path | str,
        environ: Mapping[str, str],
        keep: tuple[int, ...] = (),
        processors: frozenset[int] = frozenset(),
    ) -> Child:
        """The same by a copy of this process, which calls `work` (`dagnb.runtime.forking`). Raises OSError."""
        descriptor = output if isinstance(output, int) else _opened(output)
        try:
            bind = _die_with_parent(processors)
            return cls(fork(work, bind=bind, output=descriptor, cwd=cwd, environ=environ, keep=keep))
        finally:
            if descriptor != output:
                os.close(descriptor)

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self.process.pid

    def ended(self) -> bool:
        """Has it died? Does not wait. What it left behind in its group is killed before its number can be reused."""
        if self.process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            return self.process.poll() is not None
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        return True

    def ending(self) -> str:
        """How it ended, in words: `killed by SIGSEGV`, `exit code 1`."""
        code = self.process.returncode
        if code is None:
            return "still running"
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, None while it lives."""
        return self.process.returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it is dead."""
        if not self.ended():
            self.process.send_signal(number)

    def stop(self, patience: float) -> None:
        """End it and what it left in its group: SIGTERM, and SIGKILL if it is still there after `patience` seconds."""
        self.send(signal.SIGTERM)
        end = time.monotonic() + patience
        while not self.ended():
            if time.monotonic() >= end:
                self.send(signal.SIGKILL)
                end = float("inf")
            time.sleep(_STEP)


def _opened(output: Path) -> int:
    return os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _die_with_parent(processors: frozenset[int]) -> Callable[[], None] | None:
    """What the new process calls before it becomes the program; None where the system has no such signal.

    SIGKILL also for Redis: what it has answered is written, and a slow end would remove the socket of its
    successor.
    """
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    prctl = _libc().prctl

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os.kill(os.getpid(), signal.SIGKILL)
        if processors:
            os.sched_setaffinity(0, processors)

    return bind


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
