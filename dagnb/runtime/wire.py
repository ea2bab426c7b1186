"""A blocking RESP client on a raw socket: two to three times less per call than redis-py, and quick to import.

For the worker's loop and for submitting a run. Everything else uses redis-py (`dagnb.runtime.server`).
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import hiredis

from dagnb.errors import StoreUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterable

Word = str | bytes | int | float | memoryview


def pack(words: tuple[Word, ...]) -> bytes:
    """One command as it travels."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub wants a tuple of one memoryview type
    return packed


#: Seconds to keep trying to come back: Redis is restarted by its supervisor within one or two.
PATIENCE = 30.0
#: Seconds to wait for a host that may be far away.
REACH = 5.0
CHUNK = 1 << 18
#: Seconds of the shortest wait: Redis 6.2 cuts what is below a millisecond to 0, and that means for ever.
SHORTEST = 0.01
LOST = (EOFError, OSError)
#: How refusals begin that change nothing and pass: no memory, no disk, a history that is read, a script that runs long.
PASSING = ("OOM", "MISCONF", "LOADING", "BUSY")
#: Seconds between two tries while Redis refuses.
PAUSE = 0.05


def passes(refusal: str) -> bool:
    """Whether what was refused may be sent again. Redis 6.2 wraps what a script was refused into words of its own."""
    wrapped = "Error running script" in refusal and any(f"-{word} " in refusal for word in PASSING)
    return wrapped or refusal.startswith(PASSING)


def open_socket(address: str) -> socket.socket:
    """A connected socket: `address` is the path of a unix socket, or redis://… or rediss://…. Raises OSError."""
    if "://" not in address:
        plain = socket.socket(socket.AF_UNIX)
        try:
            plain.connect(address)
        except OSError:
            plain.close()
            raise
        return plain
    parts = urlsplit(address)
    host = parts.hostname or "localhost"
    line = socket.create_connection((host, parts.port or 6379), timeout=REACH)
    line.settimeout(None)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parts.scheme != "rediss":
        return line
    import ssl

    return ssl.create_default_context().wrap_socket(line, server_hostname=host)


def greeting(address: str, name: str) -> list[tuple[Word, ...]]:
    """What a new connection says first: who it is, which database it wants, and that it waits for a loading server."""
    words: list[tuple[Word, ...]] = []
    if "://" in address:
        parts = urlsplit(address)
        if parts.password is not None:
            user = unquote(parts.username or "default")
            words.append(("AUTH", user, unquote(parts.password)))
        if parts.path.strip("/"):
            words.append(("SELECT", parts.path.strip("/")))
    if name:
        words.append(("CLIENT", "SETNAME", name))
    return [*words, ("PING",)]


class Wire:
    """One connection. `call` sends again after a loss only where the caller says that this is safe.

    patience    seconds to wait for a server that is not there
    bears       seconds to wait for one that is there and refuses, because memory or disk are full
    """

    def __init__(self, path: str, name: str = "", patience: float = PATIENCE, bears: float = 0.0) -> None:
        self.path = path
        self.name = name
        self.patience = patience
        self.bears = bears
        self.socket: Any = None
        self._buffer = bytearray(CHUNK)  # kept: a fresh one of this size costs more than the answer that it takes
        self.connect()

    def connect(self) -> None:
        """(Re)connect, waiting for a server that restarts or loads. Raises StoreUnreachableError after `patience`."""
        end = time.monotonic() + self.patience
        while True:
            self.reader = hiredis.Reader()
            try:
                self.socket = open_socket(self.path)
                words = greeting(self.path, self.name)
                self.send(words)
                self._greeted(len(words))
            except (*LOST, hiredis.ReplyError) as error:
                self.close()
                if time.monotonic() > end:
                    from dagnb.settings import hide_password

                    where = hide_password(self.path)
                    msg = f"Redis at {where} does not answer ({error}).\n  `%dag doctor` tells what is wrong."
                    raise StoreUnreachableError(msg) from error
                time.sleep(0.01)
            else:
                return

    def _greeted(self, words: int) -> None:
        """PING is refused while Redis still reads what it remembers; also when its disk is full: then it is there."""
        for _ in range(words):
            try:
                self.read()
            except hiredis.ReplyError as error:
                if "MISCONF" not in str(error):
                    raise

    def send(self, commands: Iterable[tuple[Word, ...]]) -> None:
        """Send several commands in one piece; read as many answers."""
        self.socket.sendall(b"".join([pack(c) for c in commands]))

    def read(self) -> Any:
        """The next answer. Raises hiredis.ReplyError for an error reply, EOFError when the connection ended."""
        answer = self.reads(1)[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def reads(self, count: int) -> list[Any]:
        """So many answers, error replies as objects among them. Raises EOFError when the connection ended."""
        found: list[Any] = []
        take = self.reader.gets
        while len(found) < count:
            answer = take()
            if answer is not False:
                found.append(answer)
                continue
            length = self.socket.recv_into(self._buffer)
            if not length:
                raise EOFError
            self.reader.feed(self._buffer, 0, length)  # type: ignore[arg-type]  # its stub knows no other buffers
        return found

    def waits(self) -> bool:
        """Whether a part of an answer has been read from the system, so that the socket need not become readable."""
        pending = getattr(self.socket, "pending", None)  # of TLS
        return bool(self.reader.has_data() or (pending is not None and pending()))

    def call(self, *words: Word) -> Any:
        """One command that may safely be sent twice: sent again after a lost connection."""
        return self.calls([words])[0]

    def calls(self, commands: list[tuple[Word, ...]]) -> list[Any]:
        """Several commands, all of which may safely be sent twice, in one round trip.

        Raises hiredis.ReplyError for the first that is refused, when all answers are read.
        """
        end = 0.0
        while True:
            try:
                self.send(commands)
                answers = self.reads(len(commands))
            except LOST:
                self.close()
                self.connect()
                continue
            refused = next((answer for answer in answers if isinstance(answer, Exception)), None)
            if refused is None:
                return answers
            end = end or time.monotonic() + self.bears
            if not passes(str(refused)) or time.monotonic() >= end:
                raise refused
            time.sleep(PAUSE)

    def close(self) -> None:
        """Close the socket; `connect` opens another."""
        if self.socket is not None:
            self.socket.close()
