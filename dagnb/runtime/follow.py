"""Follows the events of one run: on demand, or live in a daemon thread while somebody listens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cached_property
from threading import RLock, Thread
from typing import TYPE_CHECKING

from dagnb.errors import DagnbError, StoreUnreachableError
from dagnb.trace.events import Batch

from .wire import LOST

if TYPE_CHECKING:
    from dagnb.trace.timeline import Timeline

    from .run import Run

Listener = Callable[[Batch], None]
log = logging.getLogger("dagnb")

#: Seconds in which batches gather before they are folded together: 50 readings a second cost the kernel little.
GATHER = 0.02


class Follower:
    """Folds the stream of a run into its timeline. A run nobody listens to is read when it is asked for."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lock = RLock()
        self._after = "0"
        self._batches: list[Batch] = []
        self._closed = False
        self._listeners: list[Listener] = []
        self._endings: list[Callable[[Run], None]] = []
        self._thread: Thread | None = None

    @cached_property
    def folded(self) -> Timeline:
        """What was folded so far; a run that nobody looks at has none."""
        from dagnb.trace.timeline import Timeline

        return Timeline(len(self.run.graph))

    @property
    def closed(self) -> bool:
        """Whether the run has ended and everything was folded."""
        return self._closed

    def timeline(self) -> Timeline:
        """The timeline with everything that the store has now."""
        self._pump()
        return self.folded

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See `Run.subscribe`."""
        with self._lock:
            self._pump()
            for batch in self._batches:
                listener(batch)
            self._listeners.append(listener)
            self._listen()

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def on_end(self, callback: Callable[[Run], None]) -> None:
        """See `Run.on_end`."""
        with self._lock:
            if not self._closed:
                self._endings.append(callback)
                self._listen()
                return
        callback(self.run)

    def _listen(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = Thread(target=self._live, name=f"dagnb-run-{self.run.id}", daemon=True)
            self._thread.start()

    def _live(self) -> None:
        """Until the run has ended and everything was told. Whoever stops the pool shall not have it back from here."""
        run, hub = self.run, self.run.hub
        while self._wanted():
            try:
                wire = hub.pool.wire(anew=False)
                try:
                    while self._wanted():
                        hub.await_events(wire, run.id, self._after)
                        time.sleep(GATHER)
                        hub.pool.stays()
                        self._pump()
                finally:
                    wire.close()
            except LOST:
                time.sleep(0.05)
            except StoreUnreachableError as error:
                log.warning("the run %s cannot be followed any longer: %s", run.id, error)
                return
            except DagnbError:
                log.exception("the run %s cannot be followed any longer", run.id)
                return

    def _wanted(self) -> bool:
        """Whether this thread has still somebody to tell; if not, the next listener starts another."""
        with self._lock:
            wanted = not self._closed and bool(self._listeners or self._endings)
            if not wanted:
                self._thread = None
            return wanted

    def _pump(self) -> None:
        """Fold what is new and tell the listeners; after the end, close."""
        with self._lock:
            if self._closed:
                return
            ended = self.run.look()  # before reading: what is read then is all
            if len(self.run.graph):
                self._after, entries = self.run.hub.store.events(self.run.id, self._after)
                self._tell([Batch.unpack(entry) for entry in entries])
            if ended:
                last = self.run.closing_batch()
                self._tell([last] if last is not None else [])
                self._closed = True
        if self._closed:
            self._finish()

    def _tell(self, batches: list[Batch]) -> None:
        """Fold all that is new at once: a late reader finds thousands of batches."""
        self.folded.apply_batches(batches)
        self._batches += batches
        for listener in tuple(self._listeners):
            for batch in batches:
                try:
                    listener(batch)
                except Exception:
                    log.exception("a listener of run %s failed", self.run.id)

    def _finish(self) -> None:
        with self._lock:
            endings, self._endings = self._endings, []
        for callback in endings:
            try:
                callback(self.run)
            except Exception:
                log.exception("a callback at the end of run %s failed", self.run.id)
