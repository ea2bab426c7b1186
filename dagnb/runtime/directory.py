"""The runtime directory: who may be in it, and what each file in it is.

    lock              flock of the supervisor, as long as it lives
    door              flock of whoever attaches, starts or leaves: attaching and idle exit cannot cross
    r.sock            Redis
    address           where Redis is: the path of r.sock, or the URL of one that is not ours (0600)
    secret            32 random bytes that sign every payload (0600)
    supervisor.json   who is in charge: process ids, version, address
    supervisor.log    what the supervisor says
    redis.log         what Redis says
    appendonlydir/    what Redis remembers through a crash (Redis 6.2: appendonly.aof)
    arena, spill-*    where files with large values lie (`dagnb.runtime.places`), and those on this disk
    marks             one line per slot: the task that runs there (`dagnb.runtime.marks`)
    s<slot>           where others listen to the streams of a worker (`dagnb.runtime.frames`)
    worker-<slot>.log what a worker says outside its tasks

All of it belongs to us alone, and all of it is gone after an idle exit.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagnb.errors import RuntimeDirError, StoreVersionError
from dagnb.settings import PYTHON

from . import places

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Longest path of a unix socket in bytes; Redis cuts a longer one silently, and the socket then lies elsewhere.
LONGEST_SOCKET = 100

#: Seconds to wait for a lock that others hold for moments only, or for as long as a supervisor takes to start.
PATIENCE = 15.0

ADVICE = "Set DAGNB_RUNTIME_DIR to a short path of yours that can be written, such as /tmp/dagnb-me."


class RuntimeDir:
    """Paths in one runtime directory. Making one touches nothing; `prepare` creates and checks it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.lock = self.path / "lock"
        self.door = self.path / "door"
        self.socket = self.path / "r.sock"
        self.address = self.path / "address"
        self.secret_file = self.path / "secret"
        self.state = self.path / "supervisor.json"
        self.log = self.path / "supervisor.log"
        self.redis_log = self.path / "redis.log"
        self.marks = self.path / "marks"

    def prepare(self) -> RuntimeDir:
        """Create the directory (0700) where needed. Raises RuntimeDirError when it cannot serve, saying why."""
        length = len(os.fsencode(self.socket))
        if length > LONGEST_SOCKET:
            raise _refused(self.path, f"its path is too long: a socket in it has {length} bytes of {LONGEST_SOCKET}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
            self._check_owner()
            probe = self.path / f".probe-{os.getpid()}-{os.urandom(4).hex()}"
            probe.touch(0o600)
            probe.unlink()
        except OSError as error:
            raise _refused(self.path, f"it cannot be used: {error.strerror or error}") from error
        return self

    def _check_owner(self) -> None:
        """Nobody else may own it or reach into it: in a shared /tmp another user may have made it first."""
        found = os.lstat(self.path)
        if not stat.S_ISDIR(found.st_mode):
            raise _refused(self.path, "it is a file or a link, not a directory")
        if found.st_uid != os.getuid():
            raise _refused(self.path, f"it belongs to another user (number {found.st_uid})")
        if found.st_mode & 0o077:
            self.path.chmod(0o700)

    def secret(self) -> bytes:
        """The key that signs payloads. Raises FileNotFoundError before a supervisor has made it."""
        return self.secret_file.read_bytes()

    def make_secret(self) -> bytes:
        """The key that is there, else a new one; written whole or not at all."""
        with suppress(FileNotFoundError):
            if 32 <= len(key := self.secret()) <= 64:  # what the signature takes
                return key
        key = os.urandom(32)
        self.write(self.secret_file, key)
        return key

    def write(self, file: Path, data: bytes) -> None:
        """Replace a file of ours atomically; readable by its owner only."""
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        fresh.touch(0o600)
        fresh.write_bytes(data)
        fresh.replace(file)

    def worker_log(self, slot: int) -> Path:
        """What the worker of a slot says outside its tasks."""
        return self.path / f"worker-{slot}.log"

    def told(self) -> dict[str, Any]:
        """What supervisor.json says; nothing where there is none."""
        try:
            found: dict[str, Any] = json.loads(self.state.read_bytes())
        except (OSError, ValueError):
            return {}
        return found

    def check_language(self) -> None:
        """Raises StoreVersionError when the workers here are of another Python than this process."""
        theirs = self.told().get("language", PYTHON)
        if theirs != PYTHON:
            msg = (
                f"the workers run Python {theirs}, and this kernel Python {PYTHON}, which cannot share functions\n"
                f"  {self.path}\n  Give each its own DAGNB_RUNTIME_DIR, or leave it unset."
            )
            raise StoreVersionError(msg)

    def has_history(self) -> bool:
        """Is there an append-only file of an earlier Redis?"""
        return (self.path / "appendonlydir").is_dir() or (self.path / "appendonly.aof").is_file()

    def forget_history(self) -> None:
        """Remove what a Redis wrote that we did not use."""
        import shutil

        shutil.rmtree(self.path / "appendonlydir", ignore_errors=True)
        (self.path / "appendonly.aof").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove every file; the locks last, so that whoever waits for them finds an empty room."""
        import shutil

        places.clear(self.path)
        last = {self.lock, self.door}
        with suppress(FileNotFoundError):
            for entry in self.path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                elif entry not in last:
                    entry.unlink(missing_ok=True)
        for entry in (self.door, self.lock):
            entry.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what a killed supervisor left; nothing while one lives."""
        if not self.lock.exists():
            return
        with through(self.door):
            lock = take(self.lock, patience=0.0)
            if lock is not None:
                self.clear()
                os.close(lock)


def take(file: Path, patience: float = PATIENCE) -> int | None:
    """Take the exclusive flock of a file and return its descriptor, else None after `patience` seconds.

    The lock goes with the process. A file that was removed while we waited is not the one others see: then again.
    """
    end = time.monotonic() + patience
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(descriptor, file):
                return descriptor
        except BlockingIOError:
            pass
        os.close(descriptor)
        if time.monotonic() >= end:
            return None
        time.sleep(0.005)


def is_taken(file: Path) -> bool:
    """Does a living process hold the flock of this file?"""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def holders(file: Path) -> list[int]:
    """The processes that hold the flock of this file, where the system tells (Linux)."""
    try:
        found, lines = file.stat(), Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    inode = f":{found.st_ino}"
    return [int(words[4]) for words in map(str.split, lines) if words[1] == "FLOCK" and words[5].endswith(inode)]


@contextmanager
def through(door: Path) -> Iterator[None]:
    """Be the only one who attaches, starts or leaves. Raises RuntimeDirError when somebody stands in the door."""
    descriptor = take(door)
    if descriptor is None:
        raise _refused(door.parent, f"somebody has held the lock {door.name} for {PATIENCE:.0f} s")
    try:
        yield
    finally:
        os.close(descriptor)


def _same(descriptor: int, file: Path) -> bool:
    try:
        there = file.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _refused(path: Path, why: str) -> RuntimeDirError:
    msg = f"the runtime directory cannot be used: {why}\n  {path}\n  {ADVICE}"
    return RuntimeDirError(msg)
