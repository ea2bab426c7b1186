"""A socket in front of a real Redis, through which everything goes: kernel, supervisor, workers. It does harm as told.

It knows just enough of the protocol to see where requests and answers end.
"""

from __future__ import annotations

import random
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import Counter, deque
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import hiredis

from dagnb.runtime.server import find_binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Harm(StrEnum):
    """What becomes of a request."""

    NONE = "none"
    #: It is sent twice; the client gets the second answer.
    TWICE = "twice"
    #: It is sent once more after the next one; nobody gets that answer.
    LATE = "late"
    #: It is swallowed, and the connection ends.
    LOST = "lost"
    #: Half of it arrives, and the connection ends.
    HALF = "half"
    #: It arrives; the answer is swallowed, and the connection ends.
    DEAF = "deaf"
    #: Half of the answer arrives, and the connection ends.
    TORN = "torn"


#: An answer that the client is not to have.
DROP = "drop"


def end_of(data: bytes | bytearray, at: int = 0) -> int:
    """Where the message that begins at `at` ends; 0 when not all of it is there. Requests are messages, too."""
    todo = 1
    while todo:
        line = data.find(b"\r\n", at)
        if line < 0:
            return 0
        kind, number = data[at : at + 1], data[at + 1 : line]
        at = line + 2
        todo -= 1
        if kind == b"*":
            todo += max(0, int(number))
        elif kind == b"$" and number != b"-1":
            at += int(number) + 2
            if at > len(data):
                return 0
    return at


def words_of(request: bytes) -> list[bytes]:
    """A request, taken apart."""
    reader = hiredis.Reader()
    reader.feed(request)
    found: list[bytes] = reader.gets()
    return found


@dataclass
class Line:
    """One connection of a client, and ours to Redis that belongs to it."""

    client: socket.socket
    server: socket.socket
    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)
    #: What becomes of the answers that are to come, in order; with the request of a deaf one.
    coming: deque[tuple[str, bytes]] = field(default_factory=deque)
    #: A request that is to be sent once more.
    late: bytes = b""


class Relay:
    """Carries what is said on `path` to the server at `to`, and back. One thread."""

    def __init__(self, path: str, to: str) -> None:
        self.url, self.to = f"unix://{path}", to
        self.judge: Callable[[bytes], Harm] = lambda _: Harm.NONE
        #: Called with a request that was answered, before its client, which is not to have the answer, finds out.
        self.applied: Callable[[bytes], None] = lambda _: None
        self.done: Counter[str] = Counter()
        self._selector = selectors.DefaultSelector()
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(path)
        self._door.listen(100)
        self._selector.register(self._door, selectors.EVENT_READ)
        self._ends, self._end = socket.socketpair()
        self._selector.register(self._ends, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections."""
        self._end.send(b"x")
        self._thread.join()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._ends:
                    self._close_all()
                    return
                if key.fileobj is self._door:
                    self._open()
                elif key.fileobj.fileno() >= 0:  # it may have been closed a moment ago
                    self._carry(key.data, key.fileobj)

    def _open(self) -> None:
        client, _ = self._door.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.to)
        except OSError:
            client.close()
            server.close()
            return
        line = Line(client, server)
        for end in (client, server):
            self._selector.register(end, selectors.EVENT_READ, line)

    def _carry(self, line: Line, end: socket.socket) -> None:
        try:
            data = end.recv(1 << 18)
            if data and end is line.client:
                goes_on = self._requests(line, data)
            else:
                goes_on = bool(data) and self._answers(line, data)
        except OSError:
            goes_on = False
        if not goes_on:
            self._close(line)

    def _requests(self, line: Line, data: bytes) -> bool:
        line.asked += data
        while end := end_of(line.asked):
            request = bytes(line.asked[:end])
            del line.asked[:end]
            if not self._ask(line, request):
                return False
        return True

    def _ask(self, line: Line, request: bytes) -> bool:
        """False when the connection is to end."""
        harm = self.judge(request)
        self.done[harm] += 1
        if harm in (Harm.LOST, Harm.HALF):
            line.server.sendall(request[: len(request) // 2] if harm is Harm.HALF else b"")
            return False
        line.server.sendall(request)
        if harm is Harm.TWICE:
            line.server.sendall(request)
            line.coming.append((DROP, b""))
        line.coming.append((harm, request))
        if line.late:
            line.server.sendall(line.late)
            line.coming.append((DROP, b""))
        line.late = request if harm is Harm.LATE else b""
        return True

    def _answers(self, line: Line, data: bytes) -> bool:
        line.answered += data
        while end := end_of(line.answered):
            answer = bytes(line.answered[:end])
            del line.answered[:end]
            harm, request = line.coming.popleft()
            if harm == Harm.DEAF:
                self.applied(request)
                return False
            if harm == Harm.TORN:
                line.client.sendall(answer[: len(answer) // 2])
                return False
            if harm != DROP:
                line.client.sendall(answer)
        return True

    def _close(self, line: Line) -> None:
        for end in (line.client, line.server):
            with suppress(KeyError, ValueError):
                self._selector.unregister(end)
            end.close()

    def _close_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._close(key.data)
        self._selector.close()
        for end in (self._door, self._ends, self._end):
            end.close()


@contextmanager
def relay() -> Iterator[Relay]:
    """A Redis that saves nothing, and the relay in front of it, at `url`."""
    home = Path(tempfile.mkdtemp(prefix="dr", dir="/tmp"))
    there, here = home / "redis.sock", home / "relay.sock"
    words = [find_binary("").path, "--save", "", "--port", "0", "--unixsocket", str(there), "--dir", str(home)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with closing(socket.socket(socket.AF_UNIX)) as probe:
                if probe.connect_ex(str(there)) == 0:
                    break
            assert process.poll() is None
        found = Relay(str(here), str(there))
        yield found
        found.stop()
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home)


def cutting(chance: random.Random, share: float) -> Callable[[bytes], Harm]:
    """A judge that ends the connection in one of four ways at that share of requests."""
    ways = (Harm.LOST, Harm.HALF, Harm.DEAF, Harm.TORN)
    return lambda _: chance.choice(ways) if chance.random() < share else Harm.NONE
