"""The Redis of one supervisor: started, started again when it has died, and used by nobody else."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import hiredis

from dagnb.errors import StoreError, StoreUnreachableError
from dagnb.runtime.server import (
    OLDEST,
    Binary,
    address_of,
    find_binary,
    first_binary,
    launch,
    parse_info,
    version_of,
    wait_ready,
)
from dagnb.runtime.wire import PATIENCE, Wire, passes
from dagnb.settings import hide_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagnb.runtime.children import Child
    from dagnb.runtime.directory import RuntimeDir
    from dagnb.runtime.status import RedisStatus
    from dagnb.runtime.wire import Word
    from dagnb.settings import Settings

#: Key of the supervisor that uses this Redis, and the seconds it counts without being renewed.
OWNER, OWNED = "dagnb:owner", 30
#: Seconds to wait while Redis refuses because memory or disk are full. Then we end; a successor takes up what is there.
BEARS = 60.0
#: Pauses in seconds between attempts to start a Redis that has died.
PAUSES = (0.0, 0.1, 0.5, 2.0, 5.0)
#: Seconds that a new Redis has to be up, and one that has a history to read: a gigabyte takes about ten.
START, HISTORY = 10.0, 600.0


class OwnWire(Wire):
    """A connection to a Redis of ours: when it is lost, we are the one who starts Redis again."""

    def __init__(self, path: str, revive: Callable[[], None], name: str) -> None:
        self.revive = revive
        super().__init__(path, name, patience=0.0, bears=BEARS)

    def connect(self) -> None:
        """(Re)connect, to a new server if the old one has ended: its sockets close a moment before it is dead."""
        end = time.monotonic() + PATIENCE
        while True:
            self.revive()
            try:
                super().connect()
            except StoreUnreachableError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)
            else:
                return

    def calls(self, commands: list[tuple[Word, ...]]) -> list[Any]:
        """See `Wire.calls`. Raises StoreError when Redis has refused for too long."""
        try:
            return super().calls(commands)
        except hiredis.ReplyError as error:
            if not passes(str(error)):
                raise
            msg = f"Redis has refused for {self.bears:.0f} s: {error}\n  {hide_password(self.path)}"
            raise StoreError(msg) from error


class Keeper:
    """Our own server, or a claim on the one of the setting `redis`."""

    path: str
    binary: Binary

    def __init__(self, directory: RuntimeDir, settings: Settings, log: Callable[[str], None]) -> None:
        self.directory = directory
        self.settings = settings
        self.log = log
        #: The process, None when it is not ours.
        self.child: Child | None = None
        self.version = ""
        #: Called before a Redis that has died is started again.
        self.died: Callable[[], None] = lambda: None
        #: Called after that.
        self.back: Callable[[], None] = lambda: None

    def start(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Have a server, and call `meanwhile` while it begins. Raises StoreUnreachableError or StoreVersionError."""
        external = bool(self.settings.redis)
        self.path = address_of(self.settings.redis) if self.settings.redis else str(self.directory.socket)
        self.directory.write(self.directory.address, self.path.encode())
        if external:
            meanwhile()
        elif self.directory.has_history():
            self.log("a predecessor was killed; reading what it left")
            self._find()
            self._launch(HISTORY, meanwhile)
        elif not self._launched_unseen(meanwhile):
            self._find()
            self._launch(START)

    def _find(self) -> None:
        self.binary = find_binary(self.settings.redis_server)

    def _launched_unseen(self, meanwhile: Callable[[], None]) -> bool:
        """Start the first server that is found without asking it for its version first, which takes as long as that.

        False when it is not one that we can use: then all are looked at, and whoever reads the error learns why.
        """
        binary = None if self.settings.redis_server else first_binary()
        if binary is None:
            meanwhile()
            return False
        self.binary = binary
        try:
            self._launch(START, meanwhile)
        except (StoreUnreachableError, OSError) as error:
            if isinstance(error, StoreUnreachableError) and (self.child is None or not self.child.ended()):
                raise  # it is not the fault of the program
            self.log(f"{binary.path} could not be used: {error}")
            return False
        version = version_of(self.version)
        if version >= OLDEST:
            self.binary = Binary(binary.path, version)
            return True
        assert self.child is not None
        self.child.stop(1.0)
        self.directory.forget_history()
        return False

    def _launch(self, patience: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.child = launch(self.directory, self.binary)
        meanwhile()
        self.version = wait_ready(self.directory, self.child, patience)["redis_version"]

    def revive(self) -> None:
        """Start it again if it has ended; it reads what it remembers. Raises StoreError when that cannot be done."""
        if self.child is None or not self.child.ended():
            return
        self.log(f"redis (pid {self.child.pid}) ended: {self.child.ending()}; starting it again")
        self.died()
        for pause in PAUSES:
            time.sleep(pause)
            try:
                self._launch(HISTORY)
            except (StoreError, OSError) as error:
                self.log(str(error))
            else:
                self.back()
                return
        msg = f"Redis could not be started again\n  {self.directory.path}\n  What it remembers was left there."
        raise StoreError(msg)

    def connect(self, name: str) -> OwnWire:
        """A connection that brings Redis back where needed."""
        return OwnWire(self.path, self.revive, name)

    def claim(self, wire: Wire) -> None:
        """One supervisor per Redis: slots and requests of two would mix. Raises StoreUnreachableError."""
        me = f"{socket.gethostname()}:{self.directory.path}"
        owner = wire.call("GET", OWNER)
        if owner is not None and owner.decode() != me:
            who = f"{owner.decode()}\n  {hide_password(self.path)}"
            msg = f"this Redis is in use by the background processes of {who}\n"
            raise StoreUnreachableError(msg + "  Give each user and host a Redis of its own, or unset DAGNB_REDIS.")
        wire.call("SET", OWNER, me, "EX", OWNED)

    def renew(self, wire: Wire) -> None:
        """Say that we are still here."""
        wire.call("EXPIRE", OWNER, OWNED)

    def status(self, wire: Wire) -> RedisStatus:
        """The server as it is now."""
        from dagnb.runtime.status import RedisStatus

        told = parse_info(wire.call("INFO"))
        return RedisStatus(
            pid=int(told["process_id"]),
            version=told["redis_version"],
            memory=int(told["used_memory"]),
            max_memory=int(told.get("maxmemory", 0)),
            socket=hide_password(self.path),
        )

    def stop(self, patience: float) -> None:
        """End our own server; SIGKILL after `patience` seconds."""
        if self.child is not None:
            self.child.stop(patience)
