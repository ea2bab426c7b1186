"""R5, in miniature: ten thousand short runs, and what each leaves in the memory of every process.

python benchmarks/soak.py [RUNS]        10,000 runs take about half a minute
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass

import psutil

import dagnb
from dagnb.session import engine

#: Share of the runs after which processes count as warm.
WARM = 0.2
#: Looks at the memory, over the rest.
LOOKS = 8


@dagnb.task
def number(i: int) -> int:
    return i


@dagnb.task
def total(xs: list[int]) -> int:
    return sum(xs)


@dataclass
class Soak:
    """What was measured.

    grown    process → bytes that each run added to what is resident, by the slope over all looks after the warm-up
    most     process → bytes resident at most
    runs     runs after the warm-up
    seconds  for all of them
    """

    grown: dict[str, float]
    most: dict[str, int]
    runs: int
    seconds: float


def once(i: int, width: int = 5) -> None:
    """A cell that is run again: built, planned, run, read."""
    with dagnb.dag("soak", new=True) as dag:
        answer = total([number(i + k) for k in range(width)])
    dag.run(workers=2)
    assert answer.result() == sum(range(i, i + width))


def resident() -> dict[str, int]:
    """Bytes of every process of the pool, of this one, and what Redis holds."""
    told = engine.connect().status()
    pids = {"kernel": os.getpid(), "supervisor": told.pid, "Redis": told.redis.pid}
    pids |= {f"worker {worker.slot}": worker.pid for worker in told.workers}
    found = {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items() if pid}
    return found | {"data in Redis": told.redis.memory}


def slope(points: list[tuple[int, int]]) -> float:
    """Of the line through the points, by least squares."""
    n = len(points)
    x, y = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    across = sum((p[0] - x) ** 2 for p in points)
    return sum((p[0] - x) * (p[1] - y) for p in points) / across


def soak(runs: int) -> Soak:
    """So many runs, one after another."""
    warm = int(runs * WARM)
    step = max(1, (runs - warm) // LOOKS)
    seen: list[tuple[int, dict[str, int]]] = []
    began = time.perf_counter()
    for i in range(runs + 1):
        if i >= warm and (i - warm) % step == 0:
            seen.append((i, resident()))
        once(i)
    names = seen[-1][1]
    return Soak(
        {name: slope([(i, look[name]) for i, look in seen if name in look]) for name in names},
        {name: max(look.get(name, 0) for _, look in seen) for name in names},
        runs - warm,
        time.perf_counter() - began,
    )


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="ds", dir="/tmp") as home:
        os.environ |= {"DAGNB_RUNTIME_DIR": f"{home}/r", "DAGNB_DATA_DIR": f"{home}/data"}
        try:
            found = soak(runs)
        finally:
            engine.connect().stop()
    print(f"{runs:,} runs of six tasks in {found.seconds:.0f} s; after the first {runs - found.runs:,}:")
    for name, grown in found.grown.items():
        print(f"  {name:14} {grown:8.0f} bytes a run   {found.most[name] / 1e6:7.1f} MB at most")


if __name__ == "__main__":
    main()
