"""Memory that was freed stays with a worker while it works, and goes back when it rests."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from dagnb.runtime.pool import LocalPool
from tests.runtime.dags import Sketch, leaf, run, total
from tests.runtime.life import settings, until

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

PROGRAM = """
import os, resource
from dagnb.runtime import heap
if not heap.hold():
    raise SystemExit(77)
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def fill():
    return [np.full(131_072, 1.0) for _ in range(50)]
fill()
before = faults()
fill()
again = faults() - before
held = resident()
heap.give_back()
print(again, held - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="another malloc")
def test_pages_are_touched_once_and_given_back():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("another malloc")
    faults, given = map(int, done.stdout.split())
    assert faults < 1280  # a tenth of the 12,800 pages of fifty megabytes
    assert given > 40 << 20


def test_a_worker_that_rests_has_forgotten_large_graphs(directory):
    """A hundred thousand tasks took 40 to 80 MB of each worker for as long as it lived."""
    pool = LocalPool.connect(settings(directory, workers=1))
    try:
        run(fan_in(100), pool, workers=1)
        (pid,) = [worker.pid for worker in pool.status().workers]
        before = own(pid)
        run(fan_in(60_000), pool, workers=1)
        until(lambda: own(pid) < before + (8 << 20))
    finally:
        pool.stop()


def fan_in(tasks: int) -> TaskGraph:
    sketch = Sketch()
    sketch(total, [sketch(leaf, i) for i in range(tasks)])
    return sketch.graph()


def own(pid: int | None) -> int:
    """Bytes that nobody shares with this process."""
    return int(psutil.Process(pid).memory_full_info().uss)
