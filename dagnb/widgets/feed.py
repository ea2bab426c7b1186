"""Feeds: what brings a run to the browser without flooding it, and costs nothing while nobody watches.

    run ──batches──▶ Feed folds them, notes which tasks changed
                       │ one Flusher thread for all widgets of the kernel, at most 20 patches a second
                       ▼
                     patch seq 1, 2, 3 … ──▶ browser ──▶ ack every half second; a gap in seq ──▶ resync ──▶ snapshot

Jupyter Server drops messages above 1,000 a second, so changes are joined, never queued. Without an ack for 5 s a feed
lets go of its run, and the next word from the browser makes it start again with a snapshot. Only seconds in which the
kernel could listen count: while a cell blocks an ipykernel that has no subshells, acks lie unread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dagnb.trace.timeline import Timeline

from .snapshot import asides, rows

if TYPE_CHECKING:
    from dagnb.trace.events import Batch, EventSource

    from .snapshot import Message, Picture

#: Seconds between two patches, over all widgets of a kernel.
PACE = 0.05
#: Seconds between two patches of one widget that may not be heard: a cell blocks the kernel, and no acks come through.
SLOW = 0.5
#: Seconds without an ack after which nobody is thought to watch.
PATIENCE = 5.0
#: Seconds without work after which the thread ends.
IDLE = 30.0

log = logging.getLogger("dagnb.widgets")


class Send(Protocol):
    """How a message leaves: `ipywidgets.Widget.send`."""

    def __call__(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Send JSON and buffers to every view of the widget."""


class Hearing:
    """Whether the kernel's main loop turns: whether it could hear an ack."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turned = 0.0
        with suppress(RuntimeError):  # no loop: a plain script, or a test
            self._loop = asyncio.get_running_loop()

    def ask(self) -> None:
        """Let the loop leave a mark when it comes round."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._mark)

    def works(self, now: float) -> bool:
        """Whether the loop came round within the last second; True where there is none to ask."""
        return self._loop is None or self._loop.is_closed() or now - self._turned < 1.0

    def _mark(self) -> None:
        self._turned = time.monotonic()


class Feed:
    """The stream of one widget.

    Batches come on the run's thread, words from the browser on another, and patches leave on the flusher's: whatever
    they share is under the lock.
    """

    def __init__(self, send: Send, picture: Picture) -> None:
        self._send = send
        self._lock = threading.RLock()
        self._hearing = Hearing()
        self._leave: Callable[[], None] | None = None
        self._watched = False
        self._have: str | None = None  # a snapshot is due, for a browser that holds the graph of this fingerprint
        self._held = ""  # the graph that went out last: those who watch hold it
        self._owed = 0.0  # since when the browser owes us a word
        self._deaf = 0.0  # when it last could not have been heard
        self._sent = 0.0
        self._seq = 0
        self._become(picture, None, "", str)

    # --- what it follows ---

    def show(self, picture: Picture) -> None:
        """Show a plan, and no run."""
        self._unsubscribe()
        self._become(picture, None, "", str)

    def follow(self, picture: Picture, source: EventSource, run: str, state: Callable[[], str]) -> None:
        """Follow the run named `run`; `state` says how it stands."""
        self._unsubscribe()
        self._become(picture, source, run, state)

    def _become(self, picture: Picture, source: EventSource | None, run: str, state: Callable[[], str]) -> None:
        with self._lock:
            self._picture, self._source, self._run, self._state = picture, source, run, state
            self._clear()
            if self._watched and self._have is None:
                self._have = self._held
        if self._watched:
            self._subscribe()
            FLUSHER.wake(self)

    def _clear(self) -> None:
        tasks = len(self._picture.graph)
        self.timeline = Timeline(tasks)
        self._changed = np.zeros(tasks, bool)
        self._told = 0  # asides that the browser knows
        self._dirty = False
        self._zero = time.monotonic()  # when the run was submitted, by our clock
        self._anchored = False

    def touch(self) -> None:
        """The run's state has changed: say so, although no task has."""
        with self._lock:
            self._dirty = True
        if self._watched:
            FLUSHER.wake(self)

    # --- what the browser says ---

    def hear(self, message: dict[str, Any]) -> None:
        """A word from the browser: ready, resync, ack or bye."""
        kind = message.get("kind")
        if kind == "bye":
            self._rest()
            return
        with self._lock:
            self._owed = self._deaf = 0.0
            woken = not self._watched
            self._watched = True
            if kind in ("ready", "resync") or woken:
                self._have = str(message.get("have", ""))
        if woken:
            self._subscribe()
        FLUSHER.wake(self)

    def close(self) -> None:
        """No more messages."""
        self._rest()
        with self._lock:
            self._source = None

    def _rest(self) -> None:
        """Nobody watches: let go of the run."""
        with self._lock:
            self._watched, self._have, self._held = False, None, ""
        self._unsubscribe()

    def _subscribe(self) -> None:
        with self._lock:
            source = self._source
            self._clear()
        if source is None:
            return
        leave = source.subscribe(self._take)
        with self._lock:
            if self._watched and self._source is source:
                self._leave = leave
                return
        leave()

    def _unsubscribe(self) -> None:
        with self._lock:
            leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def _take(self, batch: Batch) -> None:
        """A batch of the run."""
        with self._lock:
            self._changed[self.timeline.apply_batch(batch)] = True
            self._dirty = True
            if len(batch.records):
                self._anchor(float(batch.records["at"].max()))
        FLUSHER.wake(self)

    def _anchor(self, at: float) -> None:
        """The run's clock shows at least `at` now: the latest news give the best estimate of when it began."""
        zero = time.monotonic() - at
        self._zero = min(self._zero, zero) if self._anchored else zero
        self._anchored = True

    # --- what leaves ---

    @property
    def due(self) -> bool:
        """Whether something waits to be sent, now."""
        if not self._watched or not (self._dirty or self._have is not None):
            return False
        return not self._deaf or time.monotonic() - self._sent >= SLOW

    @property
    def waits(self) -> bool:
        """Whether something waits to be sent, now or later."""
        return self._watched and (self._dirty or self._have is not None)

    def flush(self) -> None:
        """Send what is due: a snapshot, or a patch of what changed."""
        if self._forsaken():
            self._rest()
            return
        have, picture = self._have, self._picture
        if have is not None:
            picture.prepare(have)  # takes long for a large graph: not under the lock
        with self._lock:
            message, buffers = self._message()
            self._sent = time.monotonic()
            self._owed = self._owed or self._sent
        self._send(message, buffers)

    def _message(self) -> Message:
        state = self._state()
        have, self._have = self._have, None
        self._dirty = False
        self._seq += 1
        facts = {"run": self._run, "state": state, "seq": self._seq, "t": self._now(state)}
        if have is not None:
            self._changed[:] = False
            begun = np.flatnonzero(self.timeline.state).astype(np.int32)
            self._held = self._picture.graph.fingerprint
            return self._picture.message(have, rows(self.timeline, begun), self._beside(), **facts)
        tasks = np.flatnonzero(self._changed).astype(np.int32)
        self._changed[tasks] = False
        beside = self._beside(self._told)
        return {"kind": "patch", **facts}, [rows(self.timeline, tasks), beside] if beside else [
            rows(self.timeline, tasks)
        ]

    def _beside(self, known: int = 0) -> bytes:
        """What happened beside the rows since the first `known` of it."""
        found = self.timeline.asides
        self._told = len(found)
        return asides(found[known:])

    def _now(self, state: str) -> float:
        """Seconds since submission: by the clock while it runs, else when the last task ended."""
        if state == "running":
            return max(0.0, time.monotonic() - self._zero)
        ends = self.timeline.end[~np.isnan(self.timeline.end)]
        return float(ends.max()) if len(ends) else 0.0

    def _forsaken(self) -> bool:
        """Whether no ack has come although the kernel would have heard it."""
        now = time.monotonic()
        if not self._owed or now - self._owed < PATIENCE:
            return False
        self._hearing.ask()
        if not self._hearing.works(now):
            self._deaf = now
        # When the loop has just come round again, acks that lay in its queue get a moment to be read.
        return now - self._deaf >= 1.0


class Flusher:
    """One daemon thread for all feeds of a kernel; it ends after a while without work, and starts again when needed."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._feeds: dict[int, Feed] = {}  # in the order in which they became due
        self._thread: threading.Thread | None = None

    def wake(self, feed: Feed) -> None:
        """Something of `feed` waits to be sent."""
        with self._condition:
            self._feeds.setdefault(id(feed), feed)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="dagnb-flusher", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _work(self) -> None:
        while (feed := self._next()) is not None:
            try:
                feed.flush()
            except Exception:
                log.exception("could not send to a widget")
            time.sleep(PACE)

    def _next(self) -> Feed | None:
        """The feed whose turn it is; None when there was nothing to do for long, and the thread may end."""
        with self._condition:
            while True:
                for key, feed in list(self._feeds.items()):
                    if feed.due:
                        del self._feeds[key]
                        return feed
                    if not feed.waits:
                        del self._feeds[key]
                if not self._condition.wait(PACE if self._feeds else IDLE) and not self._feeds:
                    self._thread = None
                    return None


FLUSHER = Flusher()
