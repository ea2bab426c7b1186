"""Fetches large values ahead: a thread beside the tasks of a worker, for inputs that the plan wants early.

Whoever commits such a value leaves a notice for the slots that want it (`sync.lua`, `pre<slot>`). The thread takes the
notices on a connection of its own and reads the value while the worker is busy; the task that needs it takes it from
here. Nothing of this is state that matters: without notice, thread or room, the task fetches its input itself.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from threading import Condition, Thread
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

import hiredis

from dagnb.errors import DagnbError
from dagnb.trace.records import Record, RecordKind

from .arena import Shared
from .keys import run_prefix
from .serialize import MAC, unseal
from .values import CHUNK, Remote, unpack_blob
from .wire import LOST, Wire

if TYPE_CHECKING:
    from .loop import Loop

#: Bytes of values that wait for their tasks; the next one waits until there is room.
ROOM = 256 << 20
#: Seconds after which the thread looks whether it is still wanted.
LOOK = 0.5


class Preloader(Thread):
    """One run, one worker. `take` is called by the tasks' thread; everything shared stands behind one condition."""

    def __init__(self, loop: Loop, uses: dict[int, int]) -> None:
        super().__init__(name="dagnb-preload", daemon=True)
        self.run_id, self.slot, self.position, self.submitted = (
            loop.run_id,
            loop.desk.slot,
            loop.position,
            loop.submitted,
        )
        self.secret, self.path, self.arena = loop.desk.secret, loop.desk.talk.wire.path, loop.desk.arena
        self.uses = uses  # object → tasks here that still want it early
        self.state = Condition()
        self.there: dict[str, memoryview] = {}  # key of a payload → its bytes
        self.task_of: dict[str, int] = {}
        self.single: set[str] = set()  # keys of mappings, which are private: each for one task
        self.size = 0
        self.fetching = ""  # key of the payload that is under way
        self.gone: set[str] = set()  # keys that a task has fetched itself
        self.records: deque[Record] = deque()
        self.stopped = False
        self.wire: Wire | None = None

    @classmethod
    def of(cls, loop: Loop) -> Preloader | None:
        """A running one where the plan has tasks on this worker that want inputs early."""
        wanted = loop.graph.annotated.preloads
        uses = {item: seats[loop.position] for item, seats in wanted.items() if loop.position in seats}
        if not uses:
            return None
        preloader = cls(loop, uses)
        preloader.start()
        return preloader

    # ---- from the tasks' thread -------------------------------------------------------------------------------------
    def take(self, key: str) -> memoryview | None:
        """The bytes of a payload, waited for where they are under way; None when they were not fetched ahead."""
        with self.state:
            while self.fetching == key and not self.stopped:
                self.state.wait(LOOK)
            data = self.there.get(key)
            if data is None:
                self.gone.add(key)
            else:
                task = self.task_of[key]
                self.uses[task] -= 1
                if self.uses[task] <= 0 or key in self.single:
                    del self.there[key]
                    self.size -= len(data)
            self.state.notify_all()
            return data

    def told(self) -> list[Record]:
        """Records of what was fetched since the last call."""
        found = []
        while self.records:
            found.append(self.records.popleft())
        return found

    def stop(self) -> None:
        """End the thread, wherever it waits, and let go of what it holds."""
        with self.state:
            self.stopped = True
            self.there.clear()
            self.state.notify_all()
            wire = self.wire
        if wire is not None and wire.socket is not None:
            with suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)

    # ---- the thread -------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Until it is stopped, or something is wrong that the tasks' own way will name."""
        notices = run_prefix(self.run_id) + f"pre{self.slot}"
        with suppress(*LOST, DagnbError, hiredis.ReplyError, KeyError, ValueError):
            wire = self.wire = Wire(self.path, f"worker-{self.slot}-preload")
            try:
                while not self.stopped:
                    wire.send([("BLPOP", notices, LOOK)])
                    answer = wire.read()
                    if answer:
                        task, _, blob = answer[1].decode().partition(":")
                        self._fetch(wire, int(task), blob)
            finally:
                self._settled("")
                wire.close()

    def _fetch(self, wire: Wire, task: int, blob: str) -> None:
        """Fetch one output that was announced, unless its task was quicker."""
        sealed = wire.call("HGET", run_prefix(self.run_id) + "blob", blob)
        if sealed is None:
            return
        remote = unpack_blob(unseal(self.secret, f"val:{self.run_id}:{blob}".encode(), sealed))[task]
        with self.state:
            while self.size + remote.size > max(ROOM, remote.size) and not self.stopped:
                self.state.wait(LOOK)
            if self.stopped or remote.key in self.gone or self.uses.get(task, 0) < 1:
                return
            self.fetching = remote.key
        began = now()
        data: memoryview | None = None
        try:
            if type(remote) is Shared:
                self.single.add(remote.key)
                data = self.arena.view(remote)
            else:
                data = self._bytes(wire, remote)
        finally:
            if data is not None:
                times = ((now() - self.submitted) * 1e-9, (began - self.submitted) * 1e-9, 0.0, 0.0)
                self.records.append((*times, float(remote.size), task, self.position, RecordKind.PRELOADED, 0))
            self._settled(remote.key, task, data)

    def _settled(self, key: str, task: int = 0, data: memoryview | None = None) -> None:
        """Nothing is under way any more."""
        with self.state:
            if data is not None and not self.stopped:
                self.there[key], self.task_of[key] = data, task
                self.size += len(data)
            self.fetching = ""
            self.state.notify_all()

    def _bytes(self, wire: Wire, remote: Remote) -> memoryview | None:
        """The verified bytes of a payload, in few and large pieces: each costs the tasks' thread next to nothing."""
        whole = remote.size + MAC
        sizes = [min(CHUNK, whole - i * CHUNK) for i in range(remote.chunks)]
        if wire.calls([("STRLEN", name) for name in remote.names]) != sizes:
            return None
        sealed = bytearray(whole)
        view = memoryview(sealed)
        for i, (name, size) in enumerate(zip(remote.names, sizes, strict=True)):
            _read_into(wire, name, view[i * CHUNK : i * CHUNK + size])
        return unseal(self.secret, remote.key.encode(), view)


def _read_into(wire: Wire, name: str, into: memoryview) -> None:
    """GET of a value whose size is known: one call of the system, without the interpreter's lock."""
    line: Any = wire.socket
    if not hasattr(line, "recvmsg_into") or "://" in wire.path:
        into[:] = wire.call("GET", name)
        return
    head, tail = bytearray(b"$%d\r\n" % len(into)), bytearray(2)
    wire.send([("GET", name)])
    total = len(head) + len(into) + len(tail)
    got = line.recvmsg_into([head, into, tail], 0, socket.MSG_WAITALL)[0]
    if got != total or bytes(tail) != b"\r\n":
        raise EOFError
