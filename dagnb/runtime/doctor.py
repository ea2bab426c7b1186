"""What `dagnb doctor` and `%dag doctor` look at: everything that must be right before a run can begin."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dagnb.errors import DagnbError
from dagnb.runtime.directory import RuntimeDir, is_taken
from dagnb.runtime.server import check_address, find_binary, free_memory
from dagnb.settings import Settings, hide_password

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of /dev/shm below which large values go to Redis instead of shared memory; containers often give 64 MB.
SMALL_SHM = 256 << 20

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
    looks: tuple[Callable[[Settings], Check], ...] = (_redis, _runtime_dir, _supervisor, _stale, _data_dir)
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
    return Check("Runtime dir", ok=True, detail=str(directory.path))


def _supervisor(settings: Settings) -> Check:
    directory = RuntimeDir(settings.runtime_path)
    if not is_taken(directory.lock):
        return Check("Supervisor", ok=True, detail="not running; it starts with the first run")
    from dagnb.runtime.pool import LocalPool

    pool = LocalPool.connect(settings)
    try:
        status = pool.status()
    finally:
        pool.close()
    broken = [worker for worker in status.workers if worker.broken]
    up = sum(worker.state == "up" for worker in status.workers)
    detail = f"process {status.pid}, Redis {status.redis.version}, {up} workers, {len(status.runs)} live runs"
    return Check("Supervisor", ok=not broken, detail=detail, advice=broken[0].broken if broken else "")


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
    free = shutil.disk_usage(there).free
    ok = os.access(there, os.W_OK)
    advice = "" if ok else "Set DAGNB_DATA_DIR to a folder that can be written."
    return Check("Data dir", ok=ok, detail=f"{path}, {free / 1e9:.0f} GB free", advice=advice)


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
