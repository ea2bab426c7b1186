"""Where a value lives while a run goes on, and how it is handed from task to task.

Inputs behave as values: what a task does to its arguments is seen by nobody else. Atoms are shared; the only consumer
gets the object itself; of several, each gets a copy (numpy arrays: a read-only view) and the last one the original.
What leaves the worker is encoded when its task returns, before anybody could change it.

    small (≤ SMALL)    many in one signed blob, written with the commit
    up to INLINE       a blob of its own
    larger             a file in memory that the workers of this host map (`dagnb.runtime.arena`); where there is no
                       room, and for what the notebook reads, chunks in keys of their own. Both are written before the
                       commit that names them, and go with that of their last reader.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from dagnb.errors import PickleError

from .arena import Shared
from .serialize import ATOMS, Beside, dumps, loads, seal, unseal

if TYPE_CHECKING:
    from .wire import Wire

#: Bytes up to which values share a blob: what is fetched with one value that is needed is cheap.
SMALL = 2048
#: Bytes up to which a value travels inside the claim that needs it.
INLINE = 1 << 16
#: Bytes of one chunk of a larger value: Redis stalls everybody while it copies one string.
CHUNK = 4 << 20
#: Bytes of small values gathered before the blob is closed.
BLOB = 1 << 18

#: Packages whose values pickle, so that the proof is not worth its time.
_TRUSTED = ("numpy", "pandas", "scipy", "pyarrow", "polars")


class Gone:
    """Stands where there is no value: not computed here, or freed."""


GONE = Gone()


class Encoded:
    """A value as bytes: every consumer gets its own."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data


class Remote:
    """A large value that lies in Redis, in `chunks` keys `key:0`, `key:1`, …"""

    __slots__ = ("chunks", "key", "size")

    def __init__(self, key: str, chunks: int, size: int) -> None:
        self.key, self.chunks, self.size = key, chunks, size

    @property
    def lies(self) -> str:
        """Its keys, as the script is told to remove them: without the prefix of the run."""
        return f":{self.key.rpartition('}:')[2]}:{self.chunks}"

    @property
    def names(self) -> list[str]:
        """The keys of its chunks."""
        return [f"{self.key}:{i}" for i in range(self.chunks)]


class Parcel:
    """A value made ready to leave.

    head        its pickle; None for a bytes object, which is its only buffer
    buffers     large bytes that the pickle refers to, in order, not copied
    size        bytes of both
    """

    __slots__ = ("array", "buffers", "head", "size")

    def __init__(self, value: Any) -> None:
        """Raises PickleError, MemoryError."""
        beside = Beside(INLINE)
        self.head: bytes | None = None
        self.buffers: list[memoryview] = beside.buffers
        self.array = is_array(value)
        if type(value) is bytes and len(value) > INLINE:
            self.buffers.append(memoryview(value))
        else:
            self.head = bytes(value.data) if type(value) is Encoded else dumps(value, beside)
        self.size = len(self.head or b"") + sum(buffer.nbytes for buffer in self.buffers)


def land(value: Any) -> Any:
    """What to hold of a fresh result.

    Raises PickleError for what could not leave this worker: whether it must, depends on where its consumers happen to
    run, and a DAG shall not fail by chance.
    """
    kind = type(value)
    if kind not in ATOMS and kind.__module__.partition(".")[0] not in _TRUSTED:
        dumps(value, Beside(INLINE))  # which copies no large buffer
    return value


def copy_of(value: Any, *, alone: bool, last: bool) -> Any:
    """A value for one consumer: `alone` if there is no other at all, `last` if all others have theirs.

    An array of several consumers is read-only for each of them on every path, or a task would fail by chance.
    """
    kind = type(value)
    if kind is Encoded:
        value = loads(value.data)
        return value if alone or not is_array(value) else _read_only(value)
    if alone:
        return value
    if is_array(value):
        return _read_only(value.view())  # for the last one too: an earlier one may have returned a part of it
    return value if last else loads(dumps(value))


def is_array(value: Any) -> bool:
    """Whether a value is an array of numpy, which need not be imported for that."""
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


def encode(value: Any) -> bytes:
    """The bytes of a held value."""
    return bytes(value.data) if type(value) is Encoded else dumps(value)


def size_of(value: Any) -> int:
    """Bytes, as good as they are known without encoding."""
    kind = type(value)
    if kind is bytes or kind is str:
        return len(value)
    if kind in ATOMS:
        return 8
    if kind is Encoded:
        return len(value.data)
    size = getattr(value, "nbytes", None)
    return int(size) if isinstance(size, int) else 0


def weight(value: Any) -> int:
    """Bytes that a value takes on its way; for what does not tell its size, by encoding it."""
    if type(value) in ATOMS:
        return size_of(value)
    try:
        return len(encode(value))
    except (PickleError, MemoryError):
        return size_of(value)


class Shelf:
    """The large values of one run in Redis, over a connection of its own: they never wait behind a sync."""

    def __init__(self, wire: Wire, secret: bytes, prefix: str, epoch: int) -> None:
        self.wire, self.secret, self.prefix, self.epoch = wire, secret, prefix, epoch

    def put(self, task: int, data: bytes, *, kept: int = 0) -> Remote:
        """Write a large value. `kept`: seconds that it outlives the run, 0 for an intermediate.

        It is listed first, for the end of the run to remove: an intermediate in any case, a kept value if its worker
        dies before it commits.
        """
        key = f"{self.prefix}{'k' if kept else 'p'}{task}.{self.epoch}"
        sealed = memoryview(seal(self.secret, key.encode(), data))
        remote = Remote(key, -(-len(sealed) // CHUNK), len(data))
        try:
            self.wire.call("RPUSH", self.prefix + ("loose" if kept else "pay"), *remote.names)
            for i, name in enumerate(remote.names):
                piece = bytes(sealed[i * CHUNK : (i + 1) * CHUNK])
                self.wire.call("SET", name, piece, *(("EX", kept) if kept else ()))
        except BaseException:  # a cancel interrupts anywhere: no commit will name what is there
            self.wire.close()
            self.wire.connect()
            self.withdraw(remote.names)
            raise
        return remote

    def uses(self, tasks: list[int]) -> list[bytes | None]:
        """How many tasks will still read these large values, as far as commits tell; None: not committed."""
        return list(self.wire.call("HMGET", self.prefix + "use", *tasks)) if tasks else []

    def withdraw(self, names: list[str]) -> None:
        """Remove what no commit has named or will name."""
        self.wire.call("UNLINK", *names)
        self.wire.calls([("LREM", self.prefix + part, 0, name) for part in ("pay", "loose") for name in names])

    def get(self, remote: Remote) -> bytes | None:
        """Read a large value; None when a part of it is missing. Raises SignatureError."""
        pieces = [self.wire.call("GET", name) for name in remote.names]
        if None in pieces:
            return None
        return bytes(unseal(self.secret, remote.key.encode(), b"".join(pieces)))


def pack_blob(values: dict[int, Any]) -> bytes:
    """Values by task as bytes: atoms as they are, others encoded one by one, so that they do not share parts."""
    atoms: dict[int, Any] = {}
    encoded: dict[int, bytes] = {}
    remote: dict[int, tuple[str, int, int]] = {}
    shared: dict[int, tuple[Any, ...]] = {}
    for task, value in values.items():
        kind = type(value)
        if kind in ATOMS:
            atoms[task] = value
        elif kind is Remote:
            remote[task] = (value.key, value.chunks, value.size)
        elif kind is Shared:
            shared[task] = tuple(value)
        else:
            encoded[task] = encode(value)
    return pickle.dumps((atoms, encoded, remote, shared), 5)


def unpack_blob(data: bytes | memoryview) -> dict[int, Any]:
    """What `pack_blob` was given; values are still encoded."""
    atoms, encoded, remote, shared = loads(data)
    values: dict[int, Any] = atoms
    values.update((task, Encoded(part)) for task, part in encoded.items())
    values.update((task, Remote(*part)) for task, part in remote.items())
    values.update((task, Shared(*part)) for task, part in shared.items())
    return values
