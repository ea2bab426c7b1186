"""Memory that was freed stays with a worker while it works, and goes back when it rests."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
