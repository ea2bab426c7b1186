"""Where files with large values lie: the supervisor makes the directories, tells workers of them, and keeps them tidy.

    /dev/shm/dagnb-<user>-<directory>-<boot>    in memory, where that has room enough
    <runtime directory>/spill                   on its disk: second choice, or the first where there is no such memory

The name holds the boot: what a machine that was switched off left on a disk may be torn, and is not looked at again.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .keys import RUNS, run_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .wire import Wire, Word

#: The filesystem in memory, and bytes that must be free there: containers often have 64 MB in all.
MEMORY, ENOUGH = Path("/dev/shm"), 512 << 20  # noqa: S108  made 0700, and checked to be ours
#: Setting the variable to a list of directories, with `:` between them, replaces all of this; empty: no files.
VARIABLE = "DAGNB_ARENA"
_HOME = "home"  # file that names the runtime directory to which a place belongs


def prepare(runtime: Path) -> list[str]:
    """Make the places of a runtime directory and list them in its file `arena`; remove those of vanished ones."""
    said = os.environ.get(VARIABLE)
    wanted = [Path(p) for p in said.split(":") if p] if said is not None else _choose(runtime)
    places = [str(place) for place in wanted if _make(place, runtime)]
    (runtime / "arena").touch(0o600)
    (runtime / "arena").write_text("\n".join(places))
    _sweep_vanished(str(runtime))
    return places


def listed(runtime: Path) -> list[str]:
    """The places that `prepare` made."""
    try:
        return (runtime / "arena").read_text().splitlines()
    except OSError:
        return []


def clear(runtime: Path) -> None:
    """Remove the places outside the runtime directory, with all that is in them."""
    import shutil

    for place in listed(runtime):
        if home_of(Path(place)) == str(runtime):
            shutil.rmtree(place, ignore_errors=True)


def tidy(places: Sequence[str], wire: Wire, epochs: Mapping[int, int]) -> None:
    """Remove what nobody will read: of runs that have ended, of readers that are all done, of writers that died.

    `epochs`: slot → epoch of the worker that may write there.
    """
    for place in places:
        names = _names(place)
        owners = [name.split(".") for name in names]
        asked: list[tuple[Word, ...]] = [("HMGET", run_prefix(run) + "use", task) for run, _, _, task, _ in owners]
        live = {name.decode() for name in wire.call("HKEYS", RUNS)} if names else set()
        for name, (run, slot, epoch, _, _), (left,) in zip(names, owners, wire.calls(asked), strict=True):
            unborn = left is None and epochs.get(int(slot)) != int(epoch)  # its writer died before it could commit
            if run not in live or unborn or (left is not None and int(left) <= 0):
                _remove(place, name)


def _choose(runtime: Path) -> list[Path]:
    with suppress(OSError):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize >= ENOUGH and os.access(MEMORY, os.W_OK):
            tag = hashlib.sha256(os.fsencode(runtime)).hexdigest()[:12]
            return [MEMORY / f"dagnb-{os.getuid()}-{tag}-{_boot()}", runtime / f"spill-{_boot()}"]
    return [runtime / f"spill-{_boot()}"]


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return "0"


def _make(place: Path, runtime: Path) -> bool:
    """A directory of ours alone; False where it is somebody else's or cannot be made."""
    try:
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        found = os.lstat(place)
        if not place.is_dir() or place.is_symlink() or found.st_uid != os.getuid():
            return False
        place.chmod(0o700)
        (place / _HOME).write_text(str(runtime))
    except OSError:
        return False
    return True


def _sweep_vanished(ours: str) -> None:
    """Places in memory whose runtime directory is gone: somebody removed it by hand."""
    import shutil

    with suppress(OSError):
        for place in MEMORY.glob(f"dagnb-{os.getuid()}-*"):
            home = home_of(place)
            if home not in ("", ours) and not Path(home, "lock").exists():
                shutil.rmtree(place, ignore_errors=True)


def home_of(place: Path) -> str:
    """The runtime directory to which a place of ours belongs; empty where it is none."""
    with suppress(OSError):
        if place.lstat().st_uid == os.getuid():
            return (place / _HOME).read_text()
    return ""


def _names(place: str) -> list[str]:
    with suppress(OSError):
        return [name for name in os.listdir(place) if name.count(".") == 4]  # noqa: PTH208  names only
    return []


def _remove(place: str, name: str) -> None:
    with suppress(OSError):
        os.unlink(f"{place}/{name}")  # noqa: PTH108
