"""Writes the outlines of large runs, a moment after their submission: until then the processors are the workers'.

An outline of 10,000 tasks takes as long as a few thousand small tasks do, and on a machine of two processors it took
that time from them. What is still to be written when the process ends is written then: only a kernel that is killed
within the moment leaves a run without names.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections import deque
from threading import Lock, Thread
from typing import TYPE_CHECKING

from dagnb.errors import DagnbError

from .outline import outline_of

if TYPE_CHECKING:
    from .pack import Package
    from .run import Run

log = logging.getLogger("dagnb")

#: Seconds after its submission at which the outline of a run is written: a short one has ended by then.
DELAY = 0.2

_lock = Lock()
_turn = Lock()  # of who writes: the order stays, and the end of the process waits for what the thread has begun
_due: deque[tuple[float, Run, Package]] = deque()
_busy = False  # whether there is a thread


def outline(run: Run, package: Package) -> bytes | None:
    """The outline as it is stored; None where it cannot be written, of which the run is not the worse."""
    try:
        return outline_of(run, package)
    except Exception:  # what a user's objects do when they are compared, nobody knows
        log.info("run %s has no outline for other kernels", run.id, exc_info=True)
        return None


def later(run: Run, package: Package) -> None:
    """Write the outline of a run that has just been submitted, in a while or when the process ends."""
    global _busy  # noqa: PLW0603 -- one thread per process
    with _lock:
        _due.append((time.monotonic() + DELAY, run, package))
        if not _busy:
            _busy = True
            Thread(target=_work, name="dagnb-outline", daemon=True).start()


def _work() -> None:
    """Write one after the other, each at its time; the thread ends with the last."""
    global _busy  # noqa: PLW0603 -- see above
    while True:
        with _lock:
            if not _due:
                _busy = False
                return
            at = _due[0][0]
        left = at - time.monotonic()
        if left > 0:
            time.sleep(left)
        _write()


def _write() -> bool:
    """Write the next one that is due; False when there is none."""
    with _turn:
        try:
            _, run, package = _due.popleft()
        except IndexError:
            return False
        data = outline(run, package) if run.hub.pool.attachment.alive() else None
        if data is not None:
            _keep(run, data)
        return True


def _keep(run: Run, data: bytes) -> None:
    """Store it, unless the store was stopped meanwhile: then the run has gone, and to ask would start another."""
    with run.hub.pool.unstopped() as there:
        try:
            if there:
                run.hub.store.keep_outline(run.id, data)
        except DagnbError:  # it was killed
            log.info("run %s has no outline for other kernels", run.id, exc_info=True)


@atexit.register
def flush() -> None:
    """Write all that is still due."""
    while _write():
        pass


def _forked() -> None:
    """A forked child has neither the thread nor these runs, and nobody who would unlock what was locked."""
    global _lock, _turn, _busy
    _lock, _turn, _busy = Lock(), Lock(), False
    _due.clear()


os.register_at_fork(after_in_child=_forked)
