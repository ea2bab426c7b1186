"""What `dagnb doctor` and `%dag doctor` look at: everything that must be right before a run can begin."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dagnb.errors import DagnbError, StoreUnreachableError
from dagnb.runtime.clean import ASIDE, LEARNED
from dagnb.runtime.directory import RuntimeDir, holders, is_taken
from dagnb.runtime.requests import ask
from dagnb.runtime.resources import bytes_text
from dagnb.runtime.server import check_address, find_binary, free_memory
from dagnb.runtime.status import PoolStatus
from dagnb.runtime.wire import Wire
from dagnb.settings import Settings, hide_password

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of /dev/shm below which large values go to Redis instead of shared memory; containers often give 64 MB.
SMALL_SHM = 256 << 20

#: Bytes and files that a disk must have left to be of use.
LITTLE_ROOM, FEW_FILES = 200 << 20, 1000

#: Seconds to wait for anybody.
PATIENCE = 3.0

#: Packages that a notebook needs: name, why, whether nothing works without it.
PACKAGES = (
    ("anywidget", "draws the widget", True),
    ("ipywidgets", "carries the widget", True),
    ("cloudpickle", "carries functions to the workers", True),
    ("hiredis", "speaks to Redis", True),
    ("jupyterlab", "shows notebooks", False),
    ("ipykernel", "runs notebooks", False),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `advice` is empty when there is nothing to do."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def doctor(settings: Settings | None = None) -> list[Check]:
    """Look at everything; starts nothing and changes nothing but an empty runtime directory. Never raises."""
    try:
        settings = settings or Settings.load()
    except DagnbError as error:
        return [_python(), _failed("Settings", error)]
    looks: tuple[Callable[[Settings], Check], ...]
    looks = (_redis, _runtime_dir, _door, _supervisor, _stale, _data_dir, _history)
    return [_python(), *(_guarded(look, settings) for look in looks), _shared_memory(), *map(_package, PACKAGES)]


def _guarded(look: Callable[[Settings], Check], settings: Settings) -> Check:
    try:
        return look(settings)
    except (DagnbError, OSError) as error:
        return _failed(look.__name__.strip("_").replace("_", " ").capitalize(), error)


def _failed(name: str, error: Exception) -> Check:
    """The three parts of an error as a check."""
    what, _, rest = str(error).partition("\n")
    return Check(name, ok=False, detail=what, advice=" ".join(line.strip() for line in rest.splitlines()))


def _python() -> Check:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.prefix}"
    if sys.platform == "win32":
        return Check("Python", ok=False, detail=detail, advice="Use WSL: the background processes need a Unix.")
    return Check("Python", ok=sys.version_info >= (3, 11), detail=detail)


def _redis(settings: Settings) -> Check:
    if settings.redis:
        told = check_address(settings.redis, insecure=settings.insecure)
        return Check("Redis", ok=True, detail=f"{told['redis_version']} at {hide_password(settings.redis)}")
    binary = find_binary(settings.redis_server)
    return Check("Redis", ok=True, detail=f"{binary.number}, {binary.path}; may use {free_memory() / 1e9:.1f} GB")


def _runtime_dir(settings: Settings) -> Check:
    directory = RuntimeDir(settings.runtime_path).prepare()
    free, advice = _room(directory.path)
    return Check("Runtime dir", ok=not advice, detail=f"{directory.path}, {free}", advice=advice)


def _room(folder: Path) -> tuple[str, str]:
    """The free space where a folder lies, in words, and what to do where it is too little."""
    free = shutil.disk_usage(folder).free
    few = os.statvfs(folder).f_files and os.statvfs(folder).f_favail < FEW_FILES
    advice = "Make room: runs cannot be written down, and wait or fail." if free < LITTLE_ROOM or few else ""
    return f"{bytes_text(free)} free{', but hardly a file more' if few else ''}", advice


def _door(settings: Settings) -> Check:
    """Whether kernels can attach: the lock is held for moments only."""
    door = RuntimeDir(settings.runtime_path).door
    end = time.monotonic() + PATIENCE
    while is_taken(door):
        if time.monotonic() > end:
            who = ", ".join(map(str, holders(door))) or "unknown"
            detail = f"{door} is held (process {who}): nobody can attach"
            return Check("Lock", ok=False, detail=detail, advice="End that process; it hangs, or was stopped (Ctrl-Z).")
        time.sleep(0.01)
    return Check("Lock", ok=True, detail="free")


def _supervisor(settings: Settings) -> Check:
    directory = RuntimeDir(settings.runtime_path)
    if not is_taken(directory.lock):
        return Check("Supervisor", ok=True, detail="not running; it starts with the first run")
    directory.check_language()
    status = _status(directory)
    if status is None:
        detail = f"process {directory.told().get('pid', '?')} does not answer"
        advice = (
            f"It may be stopped (kill -CONT), or hang: kill it, and the next run takes up its work. {directory.log}"
        )
        return Check("Supervisor", ok=False, detail=detail, advice=advice)
    broken = [worker for worker in status.workers if worker.broken]
    up = sum(worker.state == "up" for worker in status.workers)
    detail = f"process {status.pid}, Redis {status.redis.version}, {up} workers, {len(status.runs)} live runs"
    return Check("Supervisor", ok=not broken, detail=detail, advice=broken[0].broken if broken else "")


def _status(directory: RuntimeDir) -> PoolStatus | None:
    """What the supervisor says, without starting one; None where it says nothing."""
    try:
        wire = Wire(directory.address.read_text(), patience=PATIENCE)
    except (OSError, StoreUnreachableError):
        return None
    try:
        return PoolStatus.from_dict(ask(wire, directory.secret(), "status", PATIENCE))
    except (OSError, EOFError, StoreUnreachableError):
        return None
    finally:
        wire.close()


def _stale(settings: Settings) -> Check:
    directory = RuntimeDir(settings.runtime_path)
    if is_taken(directory.lock) or not directory.path.exists():
        return Check("Stale files", ok=True, detail="none")
    files = sorted(path.name for path in directory.path.iterdir())
    if not files:
        return Check("Stale files", ok=True, detail="none")
    advice = "A supervisor was killed here. The next run takes up what it left."
    return Check("Stale files", ok=not directory.has_history(), detail=", ".join(files), advice=advice)


def _data_dir(settings: Settings) -> Check:
    path = settings.data_path
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    free, advice = _room(there)
    if not os.access(there, os.W_OK) or not shutil.disk_usage(there).total:
        advice = "Set DAGNB_DATA_DIR to a folder that can be written."
    return Check("Data dir", ok=not advice, detail=f"{path}, {free}", advice=advice)


def _history(settings: Settings) -> Check:
    """Whether what past runs taught can be read."""
    file = settings.data_path / LEARNED
    aside = sorted(settings.data_path.glob(ASIDE)) if settings.data_path.is_dir() else []
    if not settings.history or not (aside or file.exists()):
        return Check("History", ok=True, detail="off" if not settings.history else "nothing learnt yet")
    advice = f"It is set aside by the next run, and learning begins anew; `dagnb clean` removes such files. {file}"
    if file.exists():
        try:
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as db:
                found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            found = str(error)
        if found != "ok":
            return Check("History", ok=False, detail=f"what past runs taught cannot be read: {found}", advice=advice)
    if aside:
        detail = f"{len(aside)} that could not be read set aside"
        return Check("History", ok=True, detail=detail, advice="`dagnb clean` removes them.")
    return Check("History", ok=True, detail=f"{file}, {bytes_text(file.stat().st_size)}")


def _shared_memory() -> Check:
    folder = Path("/dev/shm")  # noqa: S108  looked at, not written to
    if not folder.is_dir():
        return Check("Shared memory", ok=True, detail="no /dev/shm: large values go through Redis")
    size = shutil.disk_usage(folder).total
    ok = size >= SMALL_SHM
    advice = "" if ok else "Large values go through Redis, which is slower; in Docker give --shm-size=1g."
    return Check("Shared memory", ok=ok, detail=f"{size / 1e9:.2f} GB", advice=advice)


def _package(package: tuple[str, str, bool]) -> Check:
    name, why, needed = package
    try:
        return Check(name, ok=True, detail=version(name))
    except PackageNotFoundError:
        return Check(name, ok=not needed, detail="not installed", advice=f"It {why}: `pip install {name}`.")
