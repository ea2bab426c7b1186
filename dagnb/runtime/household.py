"""What belongs to the whole process and that a task may have changed: put back for the next one.

A task that changes the working directory, the environment or sys.stdout would otherwise change what later tasks of the
same worker do, and which those are is chance. Looked at after the first call of each function, after every task that
is not short, after a failure, and with every sync.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal.getsignal looks for an enum member: 5 µs for each
import gc
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .deadlines import LATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from .execute import Capture

#: Signals whose handlers are the worker's own affair.
_OWN = (LATE, signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE)
SIGNALS = tuple(map(int, _OWN))  # plain numbers: the enum's members take ten times as long to ask about
#: What Python says before it changes the working directory or the environment (PEP 578).
MOVES = frozenset({"os.chdir", "os.putenv", "os.unsetenv"})


class Household:
    """As it is when a worker begins.

    left    called in a copy that a task has made of this process (`os.fork`): it must not go on as a worker
    """

    def __init__(self, out: Capture, err: Capture, left: Callable[[], None]) -> None:
        self.out, self.err = out, err
        self.cwd = os.getcwd()  # noqa: PTH109  compared after every task
        self.environ = self._environ()
        self.depth = sys.getrecursionlimit()
        self.handlers = self._handlers()
        self.thresholds = gc.get_threshold()
        self.log = os.dup(2)  # closed by an exec, as all of Python's are
        self.written = self._written()
        self.moved = False
        os.register_at_fork(after_in_child=left)
        sys.addaudithook(self._heard)

    def _heard(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if event in MOVES:
            self.moved = True

    def glance(self) -> None:
        """Put back what tasks change most often, as far as it shows at once: output, directory, environment."""
        if sys.stdout is not self.out or sys.stderr is not self.err:
            sys.stdout, sys.stderr = self.out, self.err
        if self.moved:
            self._come_home()

    def restore(self) -> None:
        """Put back what is not as it was. Where nothing was changed 5 µs, and 50 µs when the task before has slept.

        Directory and environment are looked at only when Python has said that they change: that took as long again.
        """
        self.glance()
        if sys.getrecursionlimit() != self.depth:
            sys.setrecursionlimit(self.depth)
        if not gc.isenabled() or gc.get_threshold() != self.thresholds:
            gc.enable()
            gc.set_threshold(*self.thresholds)
        if self._handlers() != self.handlers:
            for number, handler in zip(SIGNALS, self.handlers, strict=True):
                signal.signal(number, handler)
        if signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._written() != self.written:
            os.dup2(self.log, 1)
            os.dup2(self.log, 2)

    def _come_home(self) -> None:
        """To the directory and the environment of the notebook."""
        if self._environ() != self.environ:
            os.environ.clear()
            os.environ.update({os.fsdecode(name): os.fsdecode(value) for name, value in self.environ.items()})
        with suppress(OSError):  # it was removed: nobody can come back to it
            os.chdir(self.cwd)
        self.moved = False

    @staticmethod
    def _environ() -> dict[bytes, bytes]:
        return dict(os.environ._data)  # type: ignore[attr-defined]  # noqa: SLF001  60 µs by its public face

    @staticmethod
    def _handlers() -> list[Any]:
        return [_signal.getsignal(number) for number in SIGNALS]

    @staticmethod
    def _written() -> tuple[int, ...]:
        """Which files stdout and stderr are."""
        try:
            out, err = os.fstat(1), os.fstat(2)
        except OSError:
            return ()
        return out.st_dev, out.st_ino, err.st_dev, err.st_ino
