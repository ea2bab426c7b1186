"""A worker as a copy of the supervisor: it is up in milliseconds, because what it imports is there already.

The supervisor has one thread, no numpy and nothing of a notebook, so that a copy of it is as clean as a process that
was started anew, once it has let go of what belongs to the supervisor: descriptors, signal handlers, environment. The
copy never returns into the code that made it, so that nothing of the supervisor's is ever freed there (a socket that
is collected would close a descriptor that is somebody else's by then).

What an interpreter reads only when it starts cannot be changed in a copy: a context that differs in that is started
anew, and so is a worker whose memory is limited, because the limit counts from a bare process.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dagnb.runtime.context import Context

#: Variables that count only when an interpreter, or what it is linked with, starts. PYTHONPATH is not one of them: the
#: search path is set in any case.
_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_TUNABLES", "OPENSSL_")
_PATH = "PYTHONPATH"
_STEP = 0.001


def _starting(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_AT_START) and name != _PATH}


#: Those of this process, as they were when it started.
_OURS = _starting(os.environ)


def can_fork(context: Context) -> bool:
    """Whether a copy of this process can be a worker of this context."""
    plain = context.resources.memory is None and _starting(context.environ) == _OURS
    return plain and sys.platform == "linux" and threading.active_count() == 1


class Forked:
    """A copy of this process, with the part of `subprocess.Popen` that a `Child` needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """The exit code, waited for."""
        while (code := self.poll()) is None:
            time.sleep(_STEP)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it is dead."""
        if self.poll() is None:
            os.kill(self.pid, number)


def preload() -> None:
    """Import what a worker needs, and take all of it out of the sight of the garbage collector.

    A collection would touch every object, and the copies would no longer share the memory. Until here there was none
    (`dagnb.__main__`): the few hundred objects that it would have found cost less than looking for them.
    """
    import cloudpickle  # noqa: F401  functions of a notebook are read with it

    import dagnb.runtime.worker  # noqa: F401

    gc.freeze()
    gc.enable()


def fork(
    work: Callable[[], object],
    *,
    bind: Callable[[], None] | None,
    output: int,
    cwd: str | Path,
    environ: Mapping[str, str],
    keep: tuple[int, ...],
) -> Forked:
    """Copy this process; the copy calls `work` in a session of its own, and ends with what that returns.

    bind      called first: ties its life to ours
    output    descriptor of the file that takes what it says
    keep      descriptors that it inherits

    Raises OSError when `cwd` is not there, or there is no room for a process.
    """
    os.close(os.open(cwd, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))  # raises what the copy could only log
    sys.stdout.flush()
    sys.stderr.flush()
    every = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, every)  # a signal to the copy must not meet our handlers
    try:
        pid = os.fork()
        if not pid:
            _become(work, bind, output, cwd, environ, keep)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Forked(pid)


def _become(
    work: Callable[[], object],
    bind: Callable[[], None] | None,
    output: int,
    cwd: str | Path,
    environ: Mapping[str, str],
    keep: tuple[int, ...],
) -> Never:
    """In the copy: let go of what is the supervisor's, take over the context, work."""
    code = 1
    try:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        os.setsid()
        if bind is not None:
            bind()
        _redirect(output, keep)
        _reset_signals()
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        sys.path_importer_cache.clear()  # a relative entry means another folder here
        code = _exit_code(work())
    except SystemExit as left:
        code = _exit_code(left.code)
    except BaseException:  # noqa: BLE001  as the interpreter does it: into the log of the worker
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            import atexit

            atexit._run_exitfuncs()  # noqa: SLF001  what tasks have registered, as at the end of any interpreter
            if sys.__stderr__ is not None:
                sys.__stderr__.flush()
        finally:
            os._exit(code)


def _redirect(output: int, keep: tuple[int, ...]) -> None:
    """Nothing to read, what is said into `output`, and no other descriptor but those to keep."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  numbers, not paths
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:  # the one that the listing was made with
                continue


def _reset_signals() -> None:
    """As a new interpreter has them."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _exit_code(said: object) -> int:
    """What the interpreter makes of the value that a program ends with."""
    if said is None:
        return 0
    if isinstance(said, int):
        return said & 0xFF
    sys.stderr.write(f"{said}\n")
    return 1
