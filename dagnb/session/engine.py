"""The pool of this kernel: connected at the first run, attached again when the background processes have gone."""

from __future__ import annotations

from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from dagnb.errors import OptionError
from dagnb.settings import Settings

if TYPE_CHECKING:
    from dagnb.runtime.pool import LocalPool

_lock = Lock()
_pool: LocalPool | None = None
#: What a connection that was begun ahead failed with, and when: it is raised by whoever wants that connection.
_failed: tuple[Exception, float] | None = None
#: Seconds after which it is tried again instead.
STALE = 5.0
#: What `%dag workers N` set for this kernel; None leaves it to the settings.
_wanted: int | None = None


def connect() -> LocalPool:
    """The pool of this kernel. Starts Redis and the supervisor when they are not there; raises StoreError."""
    global _pool, _failed  # noqa: PLW0603 -- one pool per process, like the supervisor it talks to
    with _lock:
        failed, _failed = _failed, None
        if failed is not None and monotonic() - failed[1] < STALE:
            raise failed[0]
        if _pool is None:
            from dagnb.runtime.attach import ensure_supervisor

            settings = Settings.load()
            attachment = ensure_supervisor(settings, _read_pool)
            from dagnb.runtime.pool import LocalPool

            _pool = LocalPool(settings, attachment)
        return _pool


def _read_pool() -> None:
    import dagnb.runtime.pool  # noqa: F401  while the supervisor begins


def ahead(workers: int | None) -> None:
    """A run is about to be planned: start what is not there meanwhile, and so many workers if that is known."""
    if _pool is None:
        import dagnb.runtime.attach  # noqa: F401  here: two threads that import at once hold up one another

        Thread(target=_prepare, args=(workers,), name="dagnb-start", daemon=True).start()


def _prepare(workers: int | None) -> None:
    global _failed  # noqa: PLW0603 -- see `connect`
    try:
        pool = connect()
        if workers is not None:
            pool.ensure(workers)
    except Exception as error:  # noqa: BLE001 -- told to who waits for the pool
        if _pool is None:
            _failed = (error, monotonic())


def connected() -> LocalPool | None:
    """The pool, if a run has already connected it: asking starts nothing."""
    return _pool


def want(workers: int) -> int:
    """Use so many workers in this kernel from now on."""
    global _wanted  # noqa: PLW0603 -- a setting of the process
    _wanted = checked(workers)
    return _wanted


def worker_count(workers: object = None, settings: Settings | None = None) -> int:
    """How many workers an argument means; None is `%dag workers`, else the setting. Raises OptionError."""
    if workers is None:
        return _wanted or (settings or Settings.load()).workers
    return checked(workers)


def checked(workers: object) -> int:
    """A number of workers. Raises OptionError."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise OptionError(f"workers is a whole number from 1 on, not {workers!r}.\n  Write workers=4, or leave it out.")
    return workers
