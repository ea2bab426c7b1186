"""A blocking RESP client on a raw socket: two to three times less per call than redis-py, and quick to import.

For the worker's loop and for submitting a run. Everything else uses redis-py (`dagnb.runtime.server`).
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

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
CHUNK = 1 << 18
LOST = (EOFError, OSError)


class Wire:
    """One connection. `call` sends again after a loss only where the caller says that this is safe."""

    def __init__(self, path: str, name: str = "", patience: float = PATIENCE) -> None:
        self.path = path
        self.name = name
        self.patience = patience
        self.connect()

    def connect(self) -> None:
        """(Re)connect, waiting for a server that restarts or loads. Raises StoreUnreachableError after `patience`."""
        end = time.monotonic() + self.patience
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.reader = hiredis.Reader()
            try:
                self.socket.connect(self.path)
                self.send([("CLIENT", "SETNAME", self.name)] if self.name else [("PING",)])
                self.read()
            except (*LOST, hiredis.ReplyError) as error:
                self.socket.close()
                if time.monotonic() > end:
                    msg = f"Redis at {self.path} does not answer ({error}).\n  `%dag doctor` tells what is wrong."
                    raise StoreUnreachableError(msg) from error
                time.sleep(0.01)
            else:
                return

    def send(self, commands: Iterable[tuple[Word, ...]]) -> None:
        """Send several commands in one piece; read as many answers."""
        self.socket.sendall(b"".join([pack(c) for c in commands]))

    def read(self) -> Any:
        """The next answer. Raises hiredis.ReplyError for an error reply, EOFError when the connection ended."""
        take = self.reader.gets
        answer = take()
        while answer is False:
            data = self.socket.recv(CHUNK)
            if not data:
                raise EOFError
            self.reader.feed(data)
            answer = take()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def call(self, *words: Word) -> Any:
        """One command that may safely be sent twice: sent again after a lost connection."""
        while True:
            try:
                self.send((words,))
                return self.read()
            except LOST:
                self.close()
                self.connect()

    def calls(self, commands: list[tuple[Word, ...]]) -> list[Any]:
        """Several commands, all of which may safely be sent twice, in one round trip."""
        while True:
            try:
                self.send(commands)
                return [self.read() for _ in commands]
            except LOST:
                self.close()
                self.connect()

    def close(self) -> None:
        """Close the socket; `connect` opens another."""
        self.socket.close()
