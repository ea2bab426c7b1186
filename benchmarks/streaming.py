"""What streaming brings: a consumer that works while its producer does, and where there is nothing to win.

    python benchmarks/streaming.py [--rounds 5] [--case PART]

Every case is one graph and one placement, run with `stream=True` and without, in turn; every value is checked. The
table shows the medians of submission → last value committed, and the median of the rounds' ratios (without ÷ with):
above 1 it has helped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import dagnb
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.run import start
from dagnb.session import engine

#: Numbers in a value of one megabyte.
MEGABYTE = 1 << 17


@dagnb.task
def made(chunks: int, seconds: float, n: int) -> Iterator[Any]:
    for i in range(chunks):
        time.sleep(seconds)
        yield np.full(n, i, np.int64)


@dagnb.task
def counted(chunks: int) -> Iterator[int]:
    yield from range(chunks)


@dagnb.task
def read(chunks: Iterator[Any], seconds: float) -> float:
    found = 0.0
    for chunk in chunks:
        if seconds:
            time.sleep(seconds)
        found += chunk if isinstance(chunk, int) else float(np.sum(chunk))
    return found


@dagnb.task
def passed(chunks: Iterator[Any], seconds: float) -> Iterator[Any]:
    for chunk in chunks:
        time.sleep(seconds)
        yield chunk


@dagnb.task
def total(xs: list[float]) -> float:
    return sum(xs)


@dataclass
class Case:
    """A graph as a function of whether it streams, where its tasks go (None: whoever is free), what it must give."""

    name: str
    build: Callable[..., None]
    where: list[int] | None
    want: float
    workers: int = 2

    def run(self, *, stream: bool) -> float:
        with dagnb.dag("bench", new=True) as dag:
            self.build(stream=stream)
        graph, cluster = dag.graph, Cluster.local(self.workers)
        where = [-1] * len(graph) if self.where is None else self.where
        plan = Plan.build(graph, cluster, estimate(graph), worker=where, sequence=range(len(graph)))
        pool = engine.connect()
        pool.ensure(cluster)
        while any(w.task is not None for w in pool.status().workers):
            time.sleep(0.02)
        time.sleep(0.05)
        done = start(graph, plan, pool).wait(120)
        assert done.state == "done", done.errors()
        assert done.result(graph.keys[-1]) == self.want, self.name
        seconds: float = done.ending.at
        done.drop()
        return seconds


def reading(*, stream: bool) -> Any:
    return read.options(stream=stream)


def pair(chunks: int, make: float, take: float, n: int) -> Callable[..., None]:
    def build(*, stream: bool) -> None:
        reading(stream=stream)(made(chunks, make, n), take)

    return build


def row(*, stream: bool) -> None:
    middle = passed.options(stream=stream)(made(40, 0.01, 128), 0.01)
    reading(stream=stream)(middle, 0.01)


def tiny(*, stream: bool) -> None:
    reading(stream=stream)(counted(100_000), 0.0)


def wide(*, stream: bool) -> None:
    """Enough to do for everybody without streams."""
    total([reading(stream=stream)(made(10, 0.005, 128), 0.005) for _ in range(8)])


def triangle(n: int) -> float:
    return n * (n - 1) / 2


CASES = [
    Case("40 chunks, made and read in 10 ms each", pair(40, 0.01, 0.01, 128), [0, 1], 128 * triangle(40)),
    Case("the same, nobody is named", pair(40, 0.01, 0.01, 128), None, 128 * triangle(40)),
    Case("10 chunks of 4 MB, 40 ms each", pair(10, 0.04, 0.04, 4 * MEGABYTE), [0, 1], 4 * MEGABYTE * triangle(10)),
    Case("three in a row, 10 ms each, three workers", row, [0, 1, 2], 128 * triangle(40), 3),
    Case("all on one worker", pair(40, 0.01, 0.01, 128), [0, 0], 128 * triangle(40)),
    Case("a consumer that takes no time", pair(40, 0.01, 0.0, 128), [0, 1], 128 * triangle(40)),
    Case("100,000 numbers, no work", tiny, None, triangle(100_000)),
    Case("8 pairs on 2 workers, nobody is named", wide, None, 8 * 128 * triangle(10)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", default="", help="a part of the name of those that are wanted (default: all)")
    options = parser.parse_args()
    home = tempfile.mkdtemp(prefix="ds", dir="/tmp")
    os.environ["DAGNB_RUNTIME_DIR"], os.environ["DAGNB_DATA_DIR"] = f"{home}/r", f"{home}/d"
    print(f"{'':44} {'whole':>10} {'streamed':>10} {'ratio':>7}")
    try:
        for case in (case for case in CASES if options.case in case.name):
            case.run(stream=True)  # workers, functions
            rounds = [(case.run(stream=False), case.run(stream=True)) for _ in range(options.rounds)]
            off, on = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(a / b for a, b in rounds)
            print(f"{case.name:44} {off * 1e3:7.1f} ms {on * 1e3:7.1f} ms {ratio:6.2f}×", flush=True)
    finally:
        engine.connect().stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
