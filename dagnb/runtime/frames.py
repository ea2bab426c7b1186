"""Streams on the wire: a producer's chunks on a unix socket, in signed frames of at most a megabyte, a few in flight.

    hello    what the consumer wants: the token of one attempt at one task, signed
    frame    kind (MORE, LAST), length, signature over (token, number of the frame, bytes), bytes
    ack      one byte of the consumer for each frame that it has taken

The frames cut one sequence of bytes: chunks, or pickled lists of small ones, each behind its length. A connection that
ends before LAST has lost the producer; one that the consumer closes wants no more.
"""

from __future__ import annotations

import pickle
import socket
import struct
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from time import perf_counter_ns as now
from time import sleep
from typing import TYPE_CHECKING, Any

from dagnb.errors import SignatureError

from .serialize import MAC, loads, seal, signature, unseal
from .values import SMALL, Encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Bytes of a frame, at most.
FRAME = 1 << 20
#: Frames that are sent before the first of them is acknowledged.
CREDIT = 4
#: Seconds between two frames that are nearly empty: chunks of a few bytes travel together.
GATHER = 0.001
#: Bytes from which a frame is not nearly empty.
FULL = 1 << 16
#: Small atoms that are pickled together.
GROUP = 1000
#: Seconds that a new connection may take to say what it wants.
GREETING = 5.0
MORE, LAST = 0, 1
#: The first byte of a part: a list of small atoms follows, or one chunk.
_GROUPED, _ALONE = b"A", b"P"
HEAD = struct.Struct("<BI")
LENGTH = struct.Struct("<Q")


def address(directory: Path, slot: int) -> str:
    """Where the worker of a slot gives away what it makes."""
    return str(directory / f"s{slot}")


def _purpose(token: str, number: int) -> bytes:
    return f"stream:{token}:{number}".encode()


class StreamLost(BaseException):
    """The producer has gone before its last chunk. Not an Exception: no task shall take it for an error of its own."""


class Outgoing:
    """What one attempt at a producer has yielded so far. Filled by the tasks' thread, read by one thread a consumer."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.state = Condition()
        self.chunks: list[Any] = []  # atoms, and Encoded for all else
        self.waiting = False
        self.over = self.broken = False
        self.served = self.expected = 0  # consumers that have come; that will have come, known at the end

    def tell(self) -> None:
        """There is more in `chunks`: atoms, and Encoded. Only for somebody who waits: most cost no lock."""
        with self.state:
            self.waiting = False  # until they have come round to it: they would be told for each of thousands of chunks
            self.state.notify_all()

    def end(self, *, broken: bool = False) -> None:
        """There will be no more; `broken`: and what there was is not the whole."""
        with self.state:
            self.over, self.broken = True, broken
            self.state.notify_all()

    def after(self, seen: int) -> tuple[list[Any], bool]:
        """Chunks from the `seen`-th on, and whether these are the last. Waits until there is something to tell."""
        with self.state:
            self.waiting = True  # before the look: what is added after it finds somebody waiting
            while len(self.chunks) == seen and not self.over:
                self.state.wait()
                self.waiting = True
            over = self.over  # before the chunks are taken: none is added after the end
            return ([], False) if self.broken else (self.chunks[seen:], over)


class Porter:
    """Where the consumers of this worker's streams come: a listening socket, and a thread for each of them."""

    def __init__(self, path: str, secret: bytes) -> None:
        self.secret = secret
        self.streams: dict[str, Outgoing] = {}
        Path(path).unlink(missing_ok=True)  # of a predecessor in this slot
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(64)
        Thread(target=self._listen, name="dagnb-streams", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                line, _ = self.socket.accept()
            except OSError:
                sleep(0.1)  # too many open files: whoever waits is served later
                continue
            Thread(target=self._serve, args=(line,), name="dagnb-stream", daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line, suppress(OSError, EOFError, SignatureError, KeyError, ValueError):
            line.settimeout(GREETING)
            (length,) = LENGTH.unpack(_exactly(line, LENGTH.size))
            token = bytes(unseal(self.secret, b"stream hello", _exactly(line, min(length, 1000)))).decode()
            line.settimeout(None)
            stream = self.streams[token]
            with stream.state:
                stream.served += 1
            if stream.over and stream.served >= stream.expected:
                self.streams.pop(token, None)
            _Sender(line, self.secret, token).send(stream)


class _Sender:
    """One connection to a consumer."""

    def __init__(self, line: socket.socket, secret: bytes, token: str) -> None:
        self.line, self.secret, self.token = line, secret, token
        self.number = self.unacknowledged = 0

    def send(self, stream: Outgoing) -> None:
        """All of it, as it comes. Ends early when the stream breaks or the consumer has gone."""
        seen, over = 0, False
        while not over:
            chunks, over = stream.after(seen)
            if not chunks and not over:
                return  # broken: the connection ends without a last frame
            seen += len(chunks)
            size = self._chunks(_packed(chunks), last=over)
            if size < FULL and not over:
                sleep(GATHER)
        while self.unacknowledged:  # the consumer shall not meet the end before it has read what came before
            self._acknowledged()

    def _chunks(self, chunks: Iterable[tuple[bytes, bytes | memoryview]], *, last: bool) -> int:
        """Packed chunks in as few frames as they fill; their size."""
        gathered = bytearray(1)  # the kind comes first
        size = 0
        for form, chunk in chunks:
            size += len(chunk)
            gathered += LENGTH.pack(len(form) + len(chunk)) + form
            rest = memoryview(chunk)
            while len(rest) > (room := FRAME - len(gathered)):
                gathered += rest[:room]
                rest = rest[room:]
                self._frame(MORE, gathered)
                gathered = bytearray(1)
            gathered += rest
            if FRAME - len(gathered) < LENGTH.size + 1:
                self._frame(MORE, gathered)
                gathered = bytearray(1)
        if len(gathered) > 1 or last:
            self._frame(LAST if last else MORE, gathered)
        return size

    def _frame(self, kind: int, data: bytearray) -> None:
        while self.unacknowledged >= CREDIT:
            self._acknowledged()
        data[0] = kind
        mac = signature(self.secret, _purpose(self.token, self.number), data)
        self.line.sendall(HEAD.pack(kind, len(mac) + len(data)) + mac)
        self.line.sendall(data)
        self.number += 1
        self.unacknowledged += 1

    def _acknowledged(self) -> None:
        acks = self.line.recv(CREDIT)
        if not acks:
            raise EOFError
        self.unacknowledged -= len(acks)


class Incoming:
    """An iterator over what a producer yields; blocks until the next chunk is here.

    taken    whether anything was asked of it
    lost     whether the producer has gone before its end
    waited   ns for which somebody has waited for chunks
    """

    def __init__(self, path: str, secret: bytes, token: str) -> None:
        """Connect. Raises OSError when nobody is there."""
        self.secret, self.token = secret, token
        self.number = self.waited = self.size = 0
        self.over = self.lost = False
        self.data = bytearray()
        self.at = 0
        self.rest = self._all()
        self.line = socket.socket(socket.AF_UNIX)
        try:
            self.line.connect(path)
            hello = seal(secret, b"stream hello", token.encode())
            self.line.sendall(LENGTH.pack(len(hello)) + hello)
        except OSError:
            self.line.close()
            raise

    def __iter__(self) -> Iterator[Any]:
        """The one iterator over it; a generator, because that hands out a list of numbers without a call for each."""
        return self.rest

    def __next__(self) -> Any:
        """The next chunk. Raises StreamLost when the producer has gone."""
        return next(self.rest)

    def _all(self) -> Iterator[Any]:
        while True:
            began = 0
            while (chunks := self._unpacked()) is None:
                if self.over:
                    return
                began = began or now()
                self._receive()
            if began:
                self.waited += now() - began
            yield from chunks

    def _unpacked(self) -> list[Any] | None:
        """The chunks of the next whole part of what has been received."""
        begin = self.at + LENGTH.size
        if len(self.data) < begin:
            return None
        end = begin + int(LENGTH.unpack_from(self.data, self.at)[0])
        if len(self.data) < end:
            return None
        self.at = end
        with memoryview(self.data) as data, data[begin + 1 : end] as part:
            found = loads(part)
        return found if self.data[begin] == _GROUPED[0] else [found]

    def _receive(self) -> None:
        """One frame more."""
        if self.at:
            del self.data[: self.at]
            self.at = 0
        try:
            if self.lost:
                raise EOFError
            _, length = HEAD.unpack(_exactly(self.line, HEAD.size))
            if length > FRAME + MAC + 1:
                raise EOFError
            frame = unseal(self.secret, _purpose(self.token, self.number), _exactly(self.line, length))
            self.over = frame[0] == LAST
            self.data += frame[1:]
            self.size += length
            self.number += 1
            self.line.sendall(b"a")
        except (OSError, EOFError, SignatureError, IndexError) as error:
            if not self.over:  # else only the acknowledgement could not be sent, and nobody needs it
                self.lost = True
                raise StreamLost(self.token) from error

    def close(self) -> None:
        """Nothing more is wanted."""
        self.line.close()


def _packed(chunks: list[Any]) -> Iterator[tuple[bytes, bytes | memoryview]]:
    """Form and bytes: of small atoms together, of each other chunk by itself."""
    group: list[Any] = []
    for chunk in chunks:
        kind = type(chunk)
        alone = kind is Encoded or ((kind is str or kind is bytes) and len(chunk) > SMALL)
        if group and (alone or len(group) == GROUP):
            yield _GROUPED, pickle.dumps(group, 5)
            group = []
        if kind is Encoded:
            yield _ALONE, chunk.data
        elif alone:
            yield _ALONE, pickle.dumps(chunk, 5)
        else:
            group.append(chunk)
    if group:
        yield _GROUPED, pickle.dumps(group, 5)


def _exactly(line: socket.socket, size: int) -> memoryview:
    data = memoryview(bytearray(size))
    have = 0
    while have < size:
        got = line.recv_into(data[have:])
        if not got:
            raise EOFError
        have += got
    return data
