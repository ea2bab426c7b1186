"""Kernels, supervisors, Redis and workers killed at random moments, again and again: at the end nothing is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from dagnb.runtime import places
from dagnb.runtime.pool import LocalPool
from tests.runtime.life import ROOT, private_directory, processes, settings, until

if TYPE_CHECKING:
    from dagnb.runtime.status import PoolStatus

KERNEL = """
from dagnb.runtime.pool import LocalPool
from tests.runtime import dags
from tests.chaos.test_cycles import large
pool = LocalPool.connect()
pool.ensure(2)
print("up", flush=True)
sketch = dags.Sketch()
for i in range(40):
    sketch(dags.total, [sketch(large, i), 1])
graph = sketch.graph()
while True:
    done = dags.run(graph, pool)
    assert not done.errors() and len(done.graph) == 80
    print("done", flush=True)
"""


def large(i: int) -> object:
    """A value that lies in a file in memory, after a moment in which anything may be killed."""
    import numpy as np

    time.sleep(0.001)
    return np.full(20_000, i)


def kernel(directory: Path) -> subprocess.Popen[bytes]:
    environ = {"DAGNB_RUNTIME_DIR": str(directory), "DAGNB_IDLE_TIMEOUT": "0.5", "DAGNB_WORKERS": "2"}
    return subprocess.Popen(
        [sys.executable, "-c", KERNEL],
        env=os.environ | environ | {"PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def victims(told: PoolStatus, kernel: int) -> dict[str, int]:
    found = {"kernel": kernel, "supervisor": told.pid, "redis": told.redis.pid}
    return found | {f"worker {one.slot}": one.pid for one in told.workers if one.pid}


def segments(directory: Path) -> list[Path]:
    """Folders in memory that belong to a runtime directory."""
    return [place for place in places.MEMORY.glob("dagnb-*") if places.home_of(place) == str(directory)]


@pytest.mark.parametrize("cycles", [20, pytest.param(200, marks=pytest.mark.long)])
def test_after_many_starts_and_kills_nothing_is_left(cycles):
    chance = random.Random(cycles)
    began = time.monotonic()
    killed: list[str] = []
    with private_directory() as directory:
        mine: list[subprocess.Popen[bytes]] = []
        looking = LocalPool.connect(settings(directory, workers=2, idle_timeout=0.5))
        try:
            for _ in range(cycles):
                if not mine or mine[-1].poll() is not None:
                    mine.append(kernel(directory.path))
                    assert mine[-1].stdout is not None
                    assert mine[-1].stdout.readline() == b"up\n"
                told = victims(looking.status(), mine[-1].pid)
                for name in chance.sample(sorted(told), chance.choice([1, 1, 1, 2])):
                    killed.append(name.split()[0])
                    with suppress(ProcessLookupError):
                        os.kill(told[name], signal.SIGKILL)
                time.sleep(chance.uniform(0, 0.2))
            mine.append(kernel(directory.path))  # and still everything works
            assert mine[-1].stdout is not None
            assert [mine[-1].stdout.readline() for _ in range(3)] == [b"up\n", b"done\n", b"done\n"]
        finally:
            for one in mine:
                one.kill()
                one.communicate()
            looking.close()
        until(lambda: not processes(directory), 15)
        assert [path.name for path in directory.path.iterdir()] == []
        assert segments(directory.path) == []
        sockets = [line for line in psutil.net_connections("unix") if str(directory.path) in str(line.laddr)]
        assert sockets == []
    assert set(killed) == {"kernel", "supervisor", "redis", "worker"}
    print(f"{cycles} cycles, {len(killed)} kills in {time.monotonic() - began:.0f} s, nothing left")
