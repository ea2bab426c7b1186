"""The error of the model alone: real runs, replayed in the simulator with the durations that they have measured.

    python benchmarks/replay.py [rounds] [scale]

Sleeping tasks of 20 to 100 ms (times scale), so that other programs on the machine do not matter; workers named by
`heft`, and left open by `free`. What the machine costs (overhead of a task, bandwidth, latency) is known from runs made
before, as in any notebook. Each line: the last run, its replay, and by how much they differ; `wire` sends outputs of a
megabyte.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from typing import Any

import dagnb


def nap(seconds: float, *needed: Any) -> int:
    time.sleep(seconds)
    return len(needed)


def made(seconds: float, *_needed: Any) -> bytes:
    time.sleep(seconds)
    return b"x" * 1_000_000


def fan(_chance: random.Random) -> list[list[int]]:
    return [[], *([0] for _ in range(30)), list(range(1, 31))]


def chain(_chance: random.Random) -> list[list[int]]:
    return [[i - 1] if i else [] for i in range(15)]


def layered(chance: random.Random) -> list[list[int]]:
    deps: list[list[int]] = [[] for _ in range(6)]
    for layer in range(1, 6):
        before = range((layer - 1) * 6, layer * 6)
        deps += [sorted(chance.sample(before, chance.randint(1, 3))) for _ in range(6)]
    return deps


def scattered(chance: random.Random) -> list[list[int]]:
    return [sorted(chance.sample(range(i), min(i, chance.randint(0, 4)))) for i in range(40)]


SHAPES = {"fan": (fan, nap), "chain": (chain, nap), "layered": (layered, nap), "any": (scattered, nap)}
SHAPES |= {"wire": (layered, made)}


def build(name: str, seed: int, scale: float) -> dagnb.Dag:
    """A DAG of one shape whose durations are declared."""
    chance = random.Random(seed)
    shape, function = SHAPES[name]
    size = 1_000_000 if function is made else 28
    with dagnb.dag(f"{name}{seed}", new=True) as dag:
        handles: list[Any] = []
        for needed in shape(chance):
            seconds = chance.uniform(0.02, 0.1) * scale
            call = dagnb.task(est=seconds, out_size=size)(function)
            handles.append(call(seconds, *(handles[d] for d in needed)))
        del handles
    return dag


def measure(name: str, planner: str, workers: int, seed: int, scale: float) -> tuple[float, float]:
    """Seconds from submission to the last end: of the run, and of its replay."""
    from dagnb.planning.replay import replay

    dag = build(name, seed, scale)
    run = dag.run(workers=workers, planner=planner, quiet=True)
    return float(run.timeline.end.max()), replay(run.graph, run.plan, run.cluster, run.timeline).makespan


def about_machine() -> str:
    """What has been learned, in words."""
    cluster = build("any", 0, 1.0).plan("heft", workers=2).cluster
    assert cluster is not None
    return (
        f"overhead {cluster.overhead * 1e6:.0f} µs a task, {cluster.bandwidth / 1e6:.0f} MB/s,"
        f" latency {cluster.latency * 1e6:.0f} µs, start-up {cluster.startup * 1e3:.0f} ms"
    )


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    scale = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    home = tempfile.mkdtemp(prefix="dr", dir="/tmp")
    os.environ |= {"DAGNB_RUNTIME_DIR": f"{home}/r", "DAGNB_DATA_DIR": f"{home}/d", "DAGNB_IDLE_TIMEOUT": "3"}
    errors = []
    try:
        for name in SHAPES:  # the workers start, and the machine is learned
            for _ in range(2):
                measure(name, "heft", 2, 100, scale / 2)
        print(about_machine())
        for name in SHAPES:
            for planner in ("heft", "free"):
                found = [measure(name, planner, 2, seed, scale) for seed in range(rounds)]
                apart = [abs(simulated / real - 1) for real, simulated in found]
                errors += apart
                real, simulated = found[-1]
                print(
                    f"{name:9}{planner:6} ran {real * 1e3:8.1f} ms  replayed {simulated * 1e3:8.1f} ms"
                    f"  error {statistics.median(apart):6.2%}  worst {max(apart):6.2%}"
                )
        print(
            f"all: median {statistics.median(errors):.2%}, mean {statistics.mean(errors):.2%}, worst {max(errors):.2%}"
        )
    finally:
        time.sleep(4)  # idle workers leave by themselves
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
