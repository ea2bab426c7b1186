"""Large values between the workers of one host: a file in memory for each, written once and mapped by whoever reads it.

A file never changes once it is named in a commit, and its name is never used again. So a reader maps it without a copy:
an array that several tasks read is read-only, everything else is a private copy on write, and what a task returns may
be a part of its input: the mapping lives as long as anything looks at it, also after the file is gone. There is no
allocator whose state a death could tear: what is there, stands in the directory; what is wanted, in Redis (`use`).

A file goes with the commit of its last reader: its writer looks before it writes more; the supervisor looks for those
whose writer has died (`sweep`). A value that is not there any more, because Redis went back in time or the machine was
restarted, is made again from its inputs (`dagnb.runtime.remake`).

The directories belong to one user (0700), as does the secret that signs payloads: who could write here could sign as
well. So the *descriptor*, which passes through Redis, is signed, and the bytes are not.
"""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from .serialize import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .values import Parcel

#: Bytes to which every part is aligned, for vector instructions.
LINE = 64
#: Bytes of a pickle that still travels with its descriptor.
HEAD = 2048
#: Bytes written between two looks at what is not wanted any more, at least.
LOOK = 32 << 20
#: Seconds for which the room that was found counts, and the bytes that may be written on it.
FRESH, TRUST = 0.2, 64 << 20
#: Names that a filesystem in memory gives when it is full, and others that mean: not here.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.EACCES, errno.EROFS, errno.EFBIG, errno.EIO})


class Shared(NamedTuple):
    """A value that lies in a file: where, and how to read it.

    name    of the file: run, slot, epoch, number (`File`)
    place   number of the directory
    parts   bytes of each part; each begins at a multiple of LINE
    head    the pickle whose buffers the parts are; empty: the first part is that pickle; None: a bytes object
    private whoever reads it may write into what it gets; else it is an array that several tasks read as one
    size    bytes of all
    """

    name: str
    place: int
    parts: tuple[int, ...]
    head: bytes | None
    private: bool
    size: int

    @property
    def key(self) -> str:
        """What names it among all payloads."""
        return self.name

    @property
    def lies(self) -> str:
        """The script has nothing to remove."""
        return ""


class Arena:
    """The directories as one worker uses them: those in memory come first, then those on a disk."""

    def __init__(self, places: Sequence[str], slot: int, epoch: int, room: Callable[[str], int] | None = None) -> None:
        self.places, self.slot, self.epoch = list(places), slot, epoch
        self.room = room or free_room
        self.lent: dict[str, dict[int, tuple[str, int]]] = {}  # run → task → path and size of what we wrote
        self.number = 0
        self.size = 0  # bytes of all that is lent
        self._look_at = LOOK
        self._rooms: dict[str, tuple[float, int]] = {}

    # ---- write ------------------------------------------------------------------------------------------------------
    def put(self, run: str, task: int, parcel: Parcel, *, alone: bool) -> Shared | None:
        """Write a value; None where there is no room for it, or no directory. `alone`: only one task reads it."""
        head, parts = parcel.head, list(parcel.buffers)
        if head is not None and len(head) > HEAD:
            head, parts = b"", [memoryview(head), *parts]
        sizes = tuple(part.nbytes for part in parts)
        for place, directory in enumerate(self.places):
            if not self._has_room(directory, parcel.size):
                continue
            self.number += 1
            name = f"{run}.{self.slot}.{self.epoch}.{task}.{self.number}"
            path = f"{directory}/{name}"
            if _write(path, parts):
                self.lent.setdefault(run, {})[task] = path, parcel.size
                self.size += parcel.size
                return Shared(name, place, sizes, head, alone or not parcel.array, parcel.size)
            self._rooms[directory] = perf_counter(), 0
        return None

    def _has_room(self, directory: str, size: int) -> bool:
        at, room = self._rooms.get(directory, (0.0, 0))
        if perf_counter() - at > FRESH:
            room = min(self.room(directory), TRUST) if size <= TRUST else self.room(directory)
            at = perf_counter()
        self._rooms[directory] = at, room - size
        return room >= size

    # ---- read -------------------------------------------------------------------------------------------------------
    def view(self, shared: Shared) -> memoryview | None:
        """The bytes of a value, mapped; None when they are not there any more. Raises MemoryError.

        What is written into private ones is seen by nobody else; others cannot be written.
        """
        try:
            file = os.open(f"{self.places[shared.place]}/{shared.name}", os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, IndexError):
            return None
        try:
            size = _end(shared.parts)
            if os.fstat(file).st_size < size:
                return None
            if not size:
                return memoryview(b"")
            return memoryview(mmap.mmap(file, size, access=mmap.ACCESS_COPY if shared.private else mmap.ACCESS_READ))
        except OSError as error:
            msg = f"no memory for an input of {shared.size} bytes"
            raise MemoryError(msg) from error
        finally:
            os.close(file)

    # ---- forget -----------------------------------------------------------------------------------------------------
    def due(self) -> bool:
        """Whether so much was written since the last look that it is time for another."""
        return self.size >= self._look_at

    def collect(self, run: str, uses: Callable[[list[int]], list[bytes | None]]) -> None:
        """Remove what nobody will read any more. `uses`: how many readers tasks still have, None if unknown.

        What is committed has a number there; only a commit that was answered may be in `lent` (`Outbox`).
        """
        tasks = list(self.lent.get(run, ()))
        for task, left in zip(tasks, uses(tasks), strict=True):
            if left is not None and int(left) <= 0:
                self._drop(run, task)
        self._look_at = max(LOOK, 2 * self.size)

    def forget(self, run: str) -> None:
        """The run has ended: nothing of it is wanted."""
        for task in list(self.lent.get(run, ())):
            self._drop(run, task)
        self.lent.pop(run, None)

    def _drop(self, run: str, task: int) -> None:
        path, size = self.lent[run].pop(task)
        self.size -= size
        remove(path)


def assemble(shared: Shared, view: memoryview) -> Any:
    """The value from its bytes. Raises whatever unpickling raises."""
    parts, at = [], 0
    for size in shared.parts:
        parts.append(view[at : at + size])
        at = _aligned(at + size)
    if shared.head is None:
        return bytes(parts[0])
    if shared.head:
        return loads(shared.head, parts)
    return loads(parts[0], parts[1:])


def free_room(directory: str) -> int:
    """Bytes that may be written: a quarter of the filesystem stays free, and of the memory an eighth. 0: none."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    room = free - total // 4
    if directory.startswith("/dev/shm"):  # noqa: S108  the place itself, not a file in it
        room = min(room, _free_memory())
    return max(0, room)


def _free_memory() -> int:
    try:
        with open("/proc/meminfo", "rb") as file:  # noqa: PTH123  hot path
            lines = dict(line.split(b":", 1) for line in file.read().splitlines())
        free = (int(lines[b"MemAvailable"].split()[0]) - int(lines[b"MemTotal"].split()[0]) // 8) * 1024
        return min(free, _free_in_group())
    except (OSError, KeyError, ValueError):
        return 1 << 62


def _free_in_group() -> int:
    """The same for a container: its limit counts files in memory, too."""
    try:
        with open("/sys/fs/cgroup/memory.max", "rb") as most, open("/sys/fs/cgroup/memory.current", "rb") as used:  # noqa: PTH123
            limit = most.read().strip()
            return 1 << 62 if limit == b"max" else int(limit) * 7 // 8 - int(used.read())
    except (OSError, ValueError):
        return 1 << 62


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108  hot path


def _write(path: str, parts: Iterable[memoryview]) -> bool:
    """Write a new file whole; False, and no file, where there is no room."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    at = 0
    try:
        for part in parts:
            rest = part
            start = at
            while len(rest):
                done = os.pwrite(file, rest, start)
                rest, start = rest[done:], start + done
            at = _aligned(start)
    except OSError as error:
        remove(path)
        if error.errno in _FULL:
            return False
        raise
    finally:
        os.close(file)
    return True


def _aligned(at: int) -> int:
    return at + LINE - 1 & -LINE


def _end(parts: Iterable[int]) -> int:
    at = end = 0
    for size in parts:
        end = at + size
        at = _aligned(end)
    return end
