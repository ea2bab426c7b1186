"""Attach a kernel to the supervisor of its user, starting one where none lives.

Whoever attaches stands in the `door` until it is connected under its name; the supervisor leaves through the same door.
So nobody attaches to a supervisor that is leaving, and of many who start at once only one starts.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hiredis

from dagnb.errors import StoreUnreachableError
from dagnb.runtime.directory import RuntimeDir, is_taken, through
from dagnb.runtime.wire import LOST, PATIENCE, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagnb.settings import Settings

#: Seconds a supervisor has to be up; a cold start takes a fifth of one.
START = 10.0
#: Seconds for which a look at its lock holds: it can die right after any look, and who talks to it then finds out.
FRESH = 0.001

MAIN = str(Path(__file__).resolve().parents[1] / "__main__.py")


class KernelWire(Wire):
    """A connection of a kernel. Should the supervisor have been killed, whoever notices starts its successor.

    The successor takes up what was left on disk. After a clean end nothing is left, and then nothing is started.
    """

    def __init__(self, path: str, name: str, directory: RuntimeDir, settings: Settings) -> None:
        self.directory = directory
        self.settings = settings
        self.revives = False  # the first time somebody else stands in the door for us
        super().__init__(path, name, patience=0.0)
        self.revives = True

    def __del__(self) -> None:
        """What nobody holds any more is closed."""
        if hasattr(self, "socket"):
            self.close()

    def connect(self) -> None:
        """(Re)connect. Raises StoreUnreachableError without an answer in half a minute, at once when all is gone."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                super().connect()
            except (StoreUnreachableError, hiredis.ReplyError, *LOST):
                self.close()
                gone = not is_taken(self.directory.lock)
                hopeless = gone and not (self.revives and self.directory.has_history())
                if hopeless or time.monotonic() > end:
                    raise
                if gone:
                    ensure_supervisor(self.settings).close()
                time.sleep(0.01)
            else:
                return


@dataclass(slots=True)
class Attachment:
    """A named connection to the store of a living supervisor."""

    settings: Settings
    directory: RuntimeDir
    wire: Wire
    secret: bytes
    #: Client name, by which the supervisor knows that this kernel is there.
    kernel: str
    #: Identity of the supervisor's lock file when we attached; it touches the file when workers are gone for good.
    lock: tuple[int, int]
    #: When the supervisor was last seen alive, seconds of the monotonic clock.
    seen: float = float("-inf")

    @property
    def path(self) -> str:
        """The socket of the store."""
        return self.wire.path

    def alive(self) -> bool:
        """Does the supervisor that we attached to still live? Microseconds: no round trip.

        Asked several times on the way of one run: what was seen less than `FRESH` seconds ago is believed.
        """
        asked = time.monotonic()
        if asked - self.seen < FRESH:
            return True
        living = _identity(self.directory.lock) == self.lock and is_taken(self.directory.lock)
        self.seen = asked if living else float("-inf")
        return living

    def open(self) -> Wire:
        """Another connection of this kernel; the first one comes back too, should Redis have been restarted.

        Raises StoreUnreachableError when Redis does not come back.
        """
        self.wire.call("ECHO", "")  # never refused, as PING is when the disk is full
        try:
            return KernelWire(self.path, self.kernel, self.directory, self.settings)
        except (StoreUnreachableError, hiredis.ReplyError, *LOST):
            self.wire.call("ECHO", "")  # it was killed since: the first connection brings its successor
            return KernelWire(self.path, self.kernel, self.directory, self.settings)

    def close(self) -> None:
        """Detach."""
        self.wire.close()
        self.lock, self.seen = (0, 0), float("-inf")


def ensure_supervisor(
    settings: Settings, meanwhile: Callable[[], object] = lambda: None, *, anew: bool = True
) -> Attachment:
    """Attach to the living supervisor, else start one; it lives on when this process ends.

    meanwhile   is called while it begins: what this module imports is little, so that it begins soon
    anew        False starts only the successor of one that was killed, and nothing after a clean end

    Raises StoreUnreachableError with the supervisor's own words when it cannot be started within ten seconds, or where
    it shall not be; StoreVersionError, RuntimeDirError, or OptionError for a store that cannot be used.
    """
    socket = _external(settings)
    directory = RuntimeDir(settings.runtime_path)
    if not (anew or directory.lock.exists()):  # who is killed leaves the lock file
        raise _stopped(directory)
    directory.prepare()
    end = time.monotonic() + START
    with through(directory.door):
        while True:
            if not is_taken(directory.lock):
                if not (anew or directory.lock.exists()):  # it was leaving, and took the door along
                    directory.door.unlink(missing_ok=True)
                    raise _stopped(directory)
                _start(directory, settings, end, meanwhile)
            found = _greet(directory, settings, socket or str(directory.socket))
            if found is not None:
                return found
            if time.monotonic() > end:
                raise StoreUnreachableError(_silent(directory))
            time.sleep(0.01)  # it is starting on its own, or leaving


def _stopped(directory: RuntimeDir) -> StoreUnreachableError:
    return StoreUnreachableError(f"the background processes were stopped\n  {directory.path}")


def _external(settings: Settings) -> str | None:
    """The socket of a store that is not ours, checked; None when we run our own."""
    if not settings.redis:
        return None
    from dagnb.runtime.server import address_of, check_address

    check_address(settings.redis, insecure=settings.insecure)
    return address_of(settings.redis)


def _start(directory: RuntimeDir, settings: Settings, end: float, meanwhile: Callable[[], object]) -> None:
    """Start a supervisor and wait until it is up. Raises what it failed with."""
    reading, writing = os.pipe()
    try:
        with open(directory.log, "ab") as output:  # noqa: PTH123  0700 directory
            starter = subprocess.Popen(
                [sys.executable, "-P", MAIN, "supervisor", "--dir", str(directory.path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory.path,
                env=os.environ | settings.environ() | {"DAGNB_READY": str(writing)},
                start_new_session=True,
                pass_fds=(writing,),
            )
    finally:
        os.close(writing)
    try:
        meanwhile()
        answer = _hear(reading, end)
    finally:
        os.close(reading)
        starter.wait()  # it has forked: the supervisor is not our child
    if answer is None:
        raise StoreUnreachableError(_silent(directory))
    if "error" in answer:
        from dagnb.runtime.requests import failure

        raise failure(answer["error"], answer["text"])


def _hear(reading: int, end: float) -> dict[str, str] | None:
    """What a starting process says on its pipe; None when it ends without a word or says nothing in time."""
    said = b""
    while select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        data = os.read(reading, 65536)
        if not data:
            break
        said += data
    with suppress(ValueError):
        found: dict[str, str] = json.loads(said)
        return found
    return None


def _greet(directory: RuntimeDir, settings: Settings, socket: str) -> Attachment | None:
    """Connect under our name; None when nobody answers (yet, or any more). Raises StoreVersionError."""
    kernel = f"kernel-{os.getpid()}-{os.urandom(4).hex()}"
    with suppress(StoreUnreachableError, OSError):
        lock = _identity(directory.lock)
        Wire(socket, patience=0.0).close()  # one try: we stand in the door
        if lock is not None:
            directory.check_language()
            wire = KernelWire(socket, kernel, directory, settings)
            return Attachment(settings, directory, wire, directory.secret(), kernel, lock)
    return None


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _silent(directory: RuntimeDir) -> str:
    from dagnb.runtime.server import tail

    said = tail(directory.log) or "it said nothing"
    return f"the background process did not start within {START:.0f} s\n  {directory.path}\n  Its log says: {said}"
