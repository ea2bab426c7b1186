"""The disk of the runtime directory is full in the middle of a run: everybody waits, and goes on when there is room."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dagnb.errors import StoreError
from dagnb.runtime import line
from tests.chaos.spree import SOUND, Siege, Verdict, audit, siege

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.chaos

#: Bytes of the little disk.
SIZE = 16 << 20


@contextmanager
def little_disk() -> Iterator[Path]:
    """A file system of its own. Skips where this user may not mount one."""
    with tempfile.TemporaryDirectory(prefix="dd", dir="/tmp") as place:
        words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", place]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a disk of its own cannot be mounted here: {done.stderr.strip()}")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)


def fill(home: Path) -> Path:
    """Leave no byte."""
    file = home / "ballast"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for size in (1 << 20, 4096, 1):
        with suppress(OSError):
            while os.write(descriptor, bytes(size)):
                pass
    os.close(descriptor)
    return file


def refuses(found: Siege) -> bool:
    """Whether Redis has noticed."""
    wire = found.pool.wire()
    told = wire.call("INFO", "persistence")
    wire.close()
    return b"aof_last_write_status:err" in told


def filled(found: Siege, home: Path) -> Path:
    """Leave no byte until Redis has noticed; what takes the room."""
    ballast, end = fill(home), time.monotonic() + 10
    while not refuses(found):
        assert time.monotonic() < end, "Redis does not notice"
        fill(home)  # a log may have been shortened
        found.go_on(0.1)
    return ballast


def fault(seed: int) -> Verdict:
    """Twice there is no room for longer than a second; once a worker dies in it."""
    with little_disk() as home, siege(seed, tasks=1_000, home=home) as found:
        found.under_way()
        for strike in range(2):
            victim = found.chance.choice(found.workers())
            ballast = filled(found, home)
            if strike:
                found.strike(victim.pid)
            assert found.go_on(1.0)
            ballast.unlink()
            found.go_on(1.5)
        while found.go_on(0.5):
            pass
        assert "exit code" not in found.directory.log.read_text(), "a worker did not wait"
        return audit(found)


def test_no_disk_for_a_while():
    assert fault(1) == SOUND


def test_no_disk_for_long_is_told_and_the_run_is_not_lost(monkeypatch):
    monkeypatch.setattr(line, "PATIENCE", 1.0)
    with little_disk() as home, siege(2, tasks=1_000, home=home) as found:
        found.under_way()
        ballast = filled(found, home)
        with pytest.raises(StoreError, match=r"(?s)nothing for 1 s: MISCONF .*No space left.*not lost"):
            found.run.wait()
        ballast.unlink()
        while found.go_on(0.5):
            pass
        assert audit(found) == SOUND
