"""The detached owner of Redis and the workers: one per user, interpreter and protocol. Kernels come and go and attach.

One thread, one loop. It waits for five things: a signal (a child has ended, we are to end), a request of a kernel, a
worker that says it is up, a word for a worker that is not there (`dagnb.runtime.elastic`), and the next moment at which
something is due. It holds the flock `lock` as long as it lives,
and what it starts dies with it. Without kernel and run it ends after `idle_timeout` and leaves an empty directory.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from dagnb.errors import DagnbError, StoreError
from dagnb.runtime import places, requests
from dagnb.runtime.context import Context
from dagnb.runtime.directory import RuntimeDir, take
from dagnb.runtime.ear import Ear
from dagnb.runtime.elastic import Elastic
from dagnb.runtime.forking import preload
from dagnb.runtime.keeper import OWNER, Keeper
from dagnb.runtime.marks import Marks
from dagnb.runtime.presence import Presence
from dagnb.runtime.repair import repair
from dagnb.runtime.resources import PLAIN, Resources
from dagnb.runtime.room import forget, make_room
from dagnb.runtime.serialize import seal, unseal
from dagnb.runtime.slot import Command, Recovery, Slot, worker_command
from dagnb.runtime.slots import Slots
from dagnb.runtime.store import Store
from dagnb.runtime.wire import Wire
from dagnb.settings import PROTOCOL, PYTHON, Settings, hide_password

if TYPE_CHECKING:
    from types import FrameType

    from dagnb.runtime.status import PoolStatus

#: Hash of contexts, sealed: what a successor needs to start workers again.
CONTEXTS, CONTEXT = "dagnb:contexts", b"context"
#: Seconds between two looks at who is there: a quarter of the time-out, within these bounds.
SHORTEST_LOOK, LONGEST_LOOK = 0.05, 5.0
#: Seconds to wait for the lock: somebody may be testing it.
LOCK_PATIENCE = 1.0
#: Seconds that Redis has to write down what a live run needs.
FAREWELL = 10.0

OpenRecovery = Callable[[Wire, bytes], Recovery]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A kernel that waits for its workers to be up."""

    reply: str
    slots: list[Slot]


class Supervisor:
    """Start, loop, end."""

    lock: int
    secret: bytes
    places: list[str]
    calls: Wire
    ear: Ear
    slots: Slots
    presence: Presence
    elastic: Elastic

    def __init__(
        self, directory: RuntimeDir, settings: Settings, open_recovery: OpenRecovery, command: Command = worker_command
    ) -> None:
        self.directory = directory
        self.settings = settings
        self.open_recovery = open_recovery
        self.command = command
        self.redis = Keeper(directory, settings, log)
        #: Why we are to end; empty: we stay.
        self.leaving = ""
        self.began = time.time()
        self.waiting: list[Waiting] = []
        self.next_look = 0.0

    # -- start ---------------------------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Take the lock, start Redis, take up what a predecessor left. False when another supervisor lives."""
        self.directory.prepare()
        lock = take(self.directory.lock, LOCK_PATIENCE)
        if lock is None:
            return False
        self.lock = lock
        self._catch_signals()
        self.secret = self.directory.make_secret()
        self.places = places.prepare(self.directory.path)
        self.redis.start(preload)  # while Redis begins
        self.calls = self.redis.connect("supervisor")
        self.redis.claim(self.calls)
        self.slots = Slots(
            directory=self.directory,
            marks=Marks(self.directory.marks, create=True),
            recovery=self.open_recovery(self.calls, self.secret),
            max_deaths=self.settings.max_deaths,
            command=self.command,
            log=log,
            stranded=self._strand,
        )
        self.presence = Presence(self.calls, self.slots)
        self.elastic = Elastic(self.calls, self.slots, self.presence)
        self.ear = Ear(self.redis.connect("supervisor-requests"), self.calls, self.elastic.inboxes)
        self.redis.died, self.redis.back = self.presence.redis_died, self._write_state
        self._resume()
        self.ear.listen()
        self._write_state()
        self.next_look = time.monotonic() + self._pause()  # who was waiting for us comes first
        return True

    def _catch_signals(self) -> None:
        """Signals become bytes on a pipe that the loop reads."""
        self.woken, wake = os.pipe()
        for end in (self.woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, or the pipe stays silent
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked_to_leave)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def _asked_to_leave(self, number: int, _frame: FrameType | None) -> None:
        self.leaving = signal.Signals(number).name

    def _resume(self) -> None:
        """Fence every slot of a predecessor, and start its workers again where a run is live."""
        flat = self.calls.call("HGETALL", CONTEXTS)
        for key, sealed in zip(flat[::2], flat[1::2], strict=True):
            with suppress(DagnbError, ValueError, KeyError):
                found = json.loads(bytes(unseal(self.secret, CONTEXT, sealed)))
                context = Context.from_json(found["context"])
                self.slots.adopt(key.decode(), context, found["slots"])
        live = self.presence.contexts_of_runs()
        for slot in self.slots.slots.values():
            self.slots.fence(slot)
            if slot.context in live and not self.slots.resources(slot).elastic:
                self.slots.respawn(slot)
        self.elastic.worry()
        if self.slots.slots:
            log(f"took up {len(self.slots.slots)} slots of a predecessor; contexts with a live run: {len(live)}")

    def _write_state(self) -> None:
        state = {
            "pid": os.getpid(),
            "redis": self.redis.child.pid if self.redis.child else None,
            "version": self.redis.version,
            "socket": hide_password(self.redis.path),
            "began": self.began,
            "protocol": PROTOCOL,
            "python": sys.executable,
            "language": PYTHON,
        }
        try:
            self.directory.write(self.directory.state, json.dumps(state).encode())
        except OSError as error:  # a full disk: what is there stays
            log(f"{self.directory.state} could not be written: {error}")

    # -- loop ----------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until we are to end. Raises StoreError when Redis cannot be started again."""
        while not self.leaving:
            self._wait()
            now = time.monotonic()
            self.slots.tick(now)
            self.elastic.tick(now)
            self.ear.turn()
            self._settle()
            if now >= self.next_look:
                self._look(now)

    def _wait(self) -> None:
        """Sleep until something happens, and do it."""
        poll = select.poll()
        inbox = self.ear.descriptor
        starting = {slot.ready: slot for slot in self.slots.starting()}
        voices = self.slots.voices()
        for descriptor in (self.woken, inbox, *starting, *voices):
            poll.register(descriptor, select.POLLIN)
        pause = max(0.0, min(self.next_look, self.slots.due(), self.elastic.next) - time.monotonic())
        ready = {descriptor for descriptor, _ in poll.poll(int(pause * 1000) + 1)}
        for descriptor in ready & starting.keys():
            self.slots.heard(starting[descriptor])
        for descriptor in ready & voices.keys():
            voices[descriptor].hear()
        if self.woken in ready:
            self._children()
        if inbox in ready:
            self._request()

    def _children(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self.woken, 4096):
                pass
        self.redis.revive()
        self.slots.reap()
        self.elastic.worry()

    def _strand(self, slot: Slot) -> None:
        """A slot was given up: nobody waits for it for ever.

        Kernels believe that their workers are there as long as the lock file is unchanged: now they will ask again.
        """
        os.utime(self.lock)
        repair(slot, self.presence, self.slots)
        self.elastic.worry()

    def _look(self, now: float) -> None:
        """Who is there? Dismiss the workers that nobody uses, and leave when nobody is there at all."""
        timeout = self.settings.idle_timeout
        self.next_look = now + self._pause()
        self.redis.renew(self.calls)
        self.slots.deadlines.ring()  # a word may have gone with Redis
        unused, alone = self.presence.look(now, timeout)
        for slot in [slot for slot in self.slots.slots.values() if slot.broken]:
            repair(slot, self.presence, self.slots)  # a run may have been submitted just before it was given up
        epochs = {number: slot.epoch for number, slot in self.slots.slots.items()}
        places.tidy(self.places, self.calls, epochs)
        forget(self.calls)
        if gone := make_room(self.calls):
            log(f"Redis is half full: the results of {gone} runs that ended first were removed")
        awaited = {slot.context for waiting in self.waiting for slot in waiting.slots}
        for context in unused - awaited:
            if self.slots.dismiss(context):
                self.presence.unused.pop(context, None)
                self.calls.call("HDEL", CONTEXTS, context)
        if alone and not self.waiting:
            self._leave_if_alone()

    def _pause(self) -> float:
        """Seconds between two looks."""
        return min(max(self.settings.idle_timeout / 4, SHORTEST_LOOK), LONGEST_LOOK)

    def _leave_if_alone(self) -> None:
        """Leave, unless somebody stands in the door: a kernel attaches before it lets go of it."""
        door = take(self.directory.door, patience=0.0)
        if door is None:
            return
        if self.presence.alone():
            self.leaving = "idle"  # the door stays locked until we are gone
        else:
            os.close(door)

    # -- requests ------------------------------------------------------------------------------------------------------

    def _request(self) -> None:
        """Something was said, or the connection is gone."""
        key, word = self.ear.heard()
        if key != requests.LIST:
            self.elastic.heard(key, word)
        elif word:
            self._obey(word)
        if not self.leaving:
            self.ear.listen()

    def _obey(self, data: bytes) -> None:
        """Do what was asked; whatever is wrong with it, we go on: we own the runs of others."""
        try:
            verb, fields = requests.unpack_request(self.secret, data)
        except (DagnbError, ValueError) as error:
            log(f"a request was refused: {error}")
            return
        reply = str(fields.get("reply", ""))
        try:
            self._act(verb, fields, reply)
        except Exception as error:  # noqa: BLE001  see above
            log(f"{verb} failed: {type(error).__name__}: {error}")
            self._refuse(reply, f"{verb} failed: {error}\n  {self.directory.log}\n  `%dag doctor` tells more.")

    def _act(self, verb: str, fields: dict[str, Any], reply: str) -> None:
        match verb:
            case "ensure":
                self._ensure(fields, reply)
            case "cancel":
                self.slots.cancel(fields["run"], float(fields.get("grace", 1.0)))
            case "deadlines":
                self.slots.deadlines.ring()
            case "status":
                self._answer(reply, self.status().to_dict())
            case "stop":
                self._answer(reply, {})
                self.leaving = "stop"
            case _:
                self._refuse(
                    reply,
                    f"the supervisor knows no {verb!r}\n  {self.directory.path}\n  It is of another version: end it.",
                )

    def _ensure(self, fields: dict[str, Any], reply: str) -> None:
        """Have workers of these sizes; the answer waits for those that are started now."""
        context = Context.from_json(fields["context"])
        sizes = [Resources.from_dict(size) for size in fields.get("sizes", ())] or [PLAIN] * int(fields["workers"])
        chosen: dict[Resources, list[Slot]] = {}
        for size, workers in Counter(sizes).items():
            place = context.sized(size)
            chosen[size], new = self.slots.ensure(place, workers)
            if new:
                self._remember(place)
        if "kernel" in fields:
            self.presence.users[fields["kernel"]] = frozenset(context.sized(size).key for size in chosen)
        taken = {size: iter(slots) for size, slots in chosen.items()}
        self.waiting.append(Waiting(reply, [next(taken[size]) for size in sizes]))
        self._settle()

    def _remember(self, context: Context) -> None:
        """Store a context and its slots for a successor."""
        numbers = [slot.number for slot in self.slots.of(context.key)]
        stored = json.dumps({"context": context.to_json(), "slots": numbers})
        self.calls.call("HSET", CONTEXTS, context.key, seal(self.secret, CONTEXT, stored.encode()))

    def _settle(self) -> None:
        """Answer the kernels whose workers are all up, or will never be."""
        for waiting in list(self.waiting):
            broken = next((slot.broken for slot in waiting.slots if slot.broken), "")
            if broken:
                self._refuse(waiting.reply, f"the workers do not start: {broken}")
            elif all(slot.up or self.slots.resources(slot).elastic for slot in waiting.slots):
                self._answer(waiting.reply, {"slots": [slot.number for slot in waiting.slots]})
            else:
                continue
            self.waiting.remove(waiting)

    def _answer(self, reply: str, fields: dict[str, Any]) -> None:
        if reply:
            requests.answer(self.calls, self.secret, reply, fields)

    def _refuse(self, reply: str, text: str) -> None:
        self._answer(reply, {"error": "StoreError", "text": text})

    def status(self) -> PoolStatus:
        """What runs in the background, now."""
        from dagnb.runtime.status import PoolStatus

        return PoolStatus(
            pid=os.getpid(),
            began=self.began,
            directory=str(self.directory.path),
            idle_timeout=self.settings.idle_timeout,
            redis=self.redis.status(self.calls),
            kernels=tuple(sorted(self.presence.kernels())),
            runs=tuple(sorted(self.presence.runs())),
            deaths=self.slots.deaths,
            workers=tuple(self.slots.status()),
        )

    # -- end -----------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """End workers and Redis, and leave an empty directory.

        After a signal while a run is live (the machine goes down), what the run needs to go on is left there.
        """
        unfinished = self.leaving not in {"idle", "stop"} and bool(self.presence.runs())
        log(f"leaving ({self.leaving})" + ("; a run is live: it goes on when somebody attaches" if unfinished else ""))
        self.slots.end()
        if not unfinished:
            self.calls.call("DEL", OWNER, CONTEXTS)  # it may be the Redis of somebody else
        self.redis.stop(FAREWELL if unfinished else 0.0)
        if not unfinished:
            self.directory.clear()


def log(text: str) -> None:
    """One line into supervisor.log."""
    with suppress(OSError):  # its disk may be full, which must not end us
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
        sys.stderr.flush()


def serve(supervisor: Supervisor, ready: int) -> int:
    """Start, say so on the pipe `ready`, loop, end. The exit code."""
    try:
        started = supervisor.start()
    except Exception as error:  # noqa: BLE001  whatever it is, the kernel that waits must hear of it
        log(f"could not start: {type(error).__name__}: {error}")
        supervisor.redis.stop(1.0)
        _say(ready, {"error": type(error).__name__, "text": str(error)})
        return 1
    _say(ready, {})
    if not started:
        return 0
    try:
        supervisor.run()
    except StoreError as error:
        log(f"ending: {error}")
        return 1
    supervisor.end()
    return 0


def _say(ready: int, fields: dict[str, str]) -> None:
    if ready >= 0:
        with suppress(BrokenPipeError):  # the kernel has gone meanwhile
            os.write(ready, json.dumps(fields).encode())
        os.close(ready)


def main(arguments: list[str], ready: int = -1) -> Never:
    """The program `python -m dagnb supervisor --dir DIRECTORY`."""
    directory = RuntimeDir(Path(arguments[arguments.index("--dir") + 1]))
    sys.exit(serve(Supervisor(directory, Settings.load(), Store), ready))
