"""`dagnb clean`: what background processes that are gone have left behind, and nothing of those that live.

Looked at are the runtime directory of these settings, its neighbours of other interpreters, and the data directory.
A directory whose lock is taken belongs to a living supervisor and is not touched. One that nobody holds may still have
a run in it that goes on when a kernel attaches (the machine went down, the supervisor was killed): Redis is asked, and
such a directory stays, unless everything is to go.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dagnb.errors import DagnbError
from dagnb.runtime.directory import RuntimeDir, is_taken, take, through
from dagnb.runtime.keeper import HISTORY
from dagnb.runtime.keys import RUNS
from dagnb.runtime.resources import bytes_text
from dagnb.runtime.server import find_binary, launch, wait_ready
from dagnb.runtime.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagnb.settings import Settings

#: One of these lies in every directory that a supervisor has ever used.
OURS = ("lock", "door", "secret", "supervisor.log")
#: Files of the history of runs; those that could not be read were set aside with a longer name.
LEARNED, ASIDE = "history.sqlite", "history.sqlite.broken-*"


@dataclass(frozen=True, slots=True)
class Remains:
    """Something that was found: `size` in bytes; `stays` says why it is kept, and is empty for what is removed."""

    path: str
    what: str
    size: int
    stays: str = ""

    def said(self, done: str = "removed") -> str:
        """`PATH (what it is, size): removed`."""
        return f"{self.path} ({self.what}, {bytes_text(self.size)}): " + (f"kept: {self.stays}" if self.stays else done)


def clean(settings: Settings, *, dry: bool = False, everything: bool = False) -> list[Remains]:
    """Remove what nobody needs any more, and say of everything that was found what became of it.

    dry         say only what would be done
    everything  also runs that could go on, what past runs taught, and what cannot be read

    Raises OSError where something of ours cannot be removed.
    """
    found = [_directory(path, settings, dry=dry, everything=everything) for path in _directories(settings)]
    return [*(remains for remains in found if remains), *_data(settings.data_path, dry=dry, everything=everything)]


def _directories(settings: Settings) -> Iterator[Path]:
    """The runtime directory, and those of other interpreters of this user beside it."""
    own = settings.runtime_path
    neighbours = [] if settings.runtime_dir or not own.parent.is_dir() else sorted(own.parent.iterdir())
    for path in dict.fromkeys((own, *neighbours)):
        with suppress(OSError):
            mine = path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid()
            if mine and any((path / name).exists() for name in OURS):
                yield path


def _directory(path: Path, settings: Settings, *, dry: bool, everything: bool) -> Remains | None:
    directory, size = RuntimeDir(path), _size(path)
    if is_taken(directory.lock):
        return Remains(str(path), "background processes", size, "they are running")
    with through(directory.door):
        lock = take(directory.lock, patience=0.0)
        if lock is None:
            return Remains(str(path), "background processes", size, "they are starting")
        try:
            stays = "" if everything else _unfinished(directory, settings)
            if not (dry or stays):
                directory.clear()
        finally:
            os.close(lock)
    if not (dry or stays) and path != settings.runtime_path:
        with suppress(OSError):
            path.rmdir()
    return Remains(str(path), "left by background processes that are gone", size, stays)


def _unfinished(directory: RuntimeDir, settings: Settings) -> str:
    """Which runs wait there for a kernel, in words; why that cannot be found out; empty: none. We hold the lock."""
    if not directory.has_history():
        return ""
    try:
        child = launch(directory, find_binary(settings.redis_server))
        try:
            wait_ready(directory, child, HISTORY)
            wire = Wire(str(directory.socket), patience=0.0)
            about = wire.call("HVALS", RUNS)
            wire.close()
        finally:
            child.stop(1.0)
    except (DagnbError, OSError) as error:
        return f"its Redis cannot be asked what is in it ({str(error).splitlines()[0]}); --all removes it"
    names = ", ".join(sorted({str(json.loads(facts).get("dag", "?")) for facts in about}))
    return f"a run of {names} goes on when a kernel attaches; --all gives it up" if about else ""


def _data(path: Path, *, dry: bool, everything: bool) -> Iterator[Remains]:
    """What lies in the data directory: histories that could not be read, and the one that can."""
    with suppress(OSError):
        for file in sorted(path.glob(ASIDE)):
            yield _file(file, "history of runs that could not be read", dry=dry)
        for file in sorted(path.glob(LEARNED + "*")):
            if ".broken-" not in file.name:
                stays = "" if everything else "forecasts learn from it; --all forgets it"
                yield _file(file, "what past runs taught", dry=dry, stays=stays)


def _file(file: Path, what: str, *, dry: bool, stays: str = "") -> Remains:
    size = file.stat().st_size
    if not (dry or stays):
        file.unlink(missing_ok=True)
    return Remains(str(file), what, size, stays)


def _size(path: Path) -> int:
    """Bytes of all files below."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  os.walk gives strings
    return total
