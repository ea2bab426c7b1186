"""What all runs of one pool share in this kernel: the store, and connections that wait."""

from __future__ import annotations

import os
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, finalize

from .keys import run_prefix
from .store import Store

if TYPE_CHECKING:
    from .pool import LocalPool
    from .run import Run
    from .wire import Wire

#: Forgotten runs that are told of together.
TOLD = 50

_hubs: WeakKeyDictionary[LocalPool, Hub] = WeakKeyDictionary()


class Hub:
    """The store of a pool; opened again when the supervisor behind it was replaced."""

    def __init__(self, pool: LocalPool) -> None:
        self.pool = pool
        self._lock = Lock()
        self._idle: list[Wire] = []
        self._store: Store | None = None
        self._attachment: object = None
        self._forgotten: deque[str] = deque()

    @classmethod
    def of(cls, pool: LocalPool) -> Hub:
        """The one hub of a pool."""
        hub = _hubs.get(pool)
        if hub is None:
            hub = _hubs[pool] = cls(pool)
        return hub

    @property
    def store(self) -> Store:
        """The store as it is now. Raises StoreUnreachableError."""
        path = self.pool.path  # attaches again where needed
        with self._lock:
            if self._store is None or self._attachment is not self.pool.attachment:
                self._idle.clear()
                self._store, self._attachment = Store(self.pool.wire(), self.pool.secret), self.pool.attachment
                self._store.wire.path = path
            return self._store

    @property
    def latest(self) -> Store:
        """The store as it was when somebody last asked: to open what has come from it just now."""
        return self._store or self.store

    def await_events(self, wire: Wire, run: str, after: str) -> None:
        """Return when there are events after a position, or after a second."""
        wire.send([("XREAD", "BLOCK", 1000, "COUNT", 1, "STREAMS", run_prefix(run) + "ev", after)])
        wire.read()

    def borrow(self) -> Wire:
        """A connection that nobody uses now. Give it back when it has answered everything, else close it."""
        self.store  # noqa: B018  drops idle connections to a server that has gone
        try:
            return self._idle.pop()
        except IndexError:
            return self.pool.wire()

    def give_back(self, wire: Wire) -> None:
        """Others may use it."""
        self._idle.append(wire)

    # ---- runs that nobody has in hand any more ----------------------------------------------------------------------
    def hold(self, run: Run) -> None:
        """Take note when the last reference to a run goes: its results then need not stay for this kernel."""
        finalize(run, self._forget, run.id, os.getpid()).atexit = False  # what a kernel leaves stays for the next

    def _forget(self, run: str, process: int) -> None:
        if process == os.getpid():  # a forked child loses its copy, not the run
            self._forgotten.append(run)

    def forgotten(self) -> list[str]:
        """Runs that were forgotten since the last time; none while they are few."""
        if len(self._forgotten) < TOLD:
            return []
        return [self._forgotten.popleft() for _ in range(TOLD)]
