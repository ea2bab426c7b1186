"""Many short runs after one another: no process grows."""

from __future__ import annotations

import pytest

import dagnb
from benchmarks import soak
from dagnb.runtime.room import SPARED
from dagnb.session import engine

#: Bytes that a run may leave behind, by process; MANY when Redis has the results of as many runs as it may (`SPARED`).
LEAVES = {"kernel": 6_000, "supervisor": 1_000, "Redis": 16_000, "data in Redis": 10_000}
MANY = {"kernel": 1_000, "supervisor": 500, "Redis": 1_000, "data in Redis": 500}
WORKER = 1_500
#: Bytes that a short look cannot tell from nothing: allocators take memory in pieces.
BLUR = 2_000_000


@pytest.mark.parametrize("runs", [500, pytest.param(10_000, marks=pytest.mark.long)])
def test_short_runs_leave_no_process_larger(runs):
    engine.connect().stop()  # workers of other tests are warm in other ways
    found = soak.soak(runs)
    for name, grown in found.grown.items():
        assert grown < (MANY if runs > 2 * SPARED else LEAVES).get(name, WORKER) + BLUR / found.runs, (name, found)
    print(f"{runs} runs in {found.seconds:.1f} s: " + ", ".join(f"{k} {v:.0f}" for k, v in found.grown.items()))
    assert dagnb.dag("soak")
