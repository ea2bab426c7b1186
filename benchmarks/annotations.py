"""What the annotations of a plan bring when workers obey them: each where it must help, and where it must do no harm.

    python benchmarks/annotations.py [preload duplicate prewarm group] [--rounds 5]

Every case is one graph and one placement, run with the annotation and without it, in turn; every value is checked. The
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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import dagnb
from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.run import Run, start
from dagnb.session import engine

if TYPE_CHECKING:
    from collections.abc import Callable

#: Numbers in a value of one megabyte.
MEGABYTE = 1 << 17
#: Seconds without work after which an elastic worker ends here.
KEEP_ALIVE = 0.8


@dagnb.task
def made(n, *_):
    return np.full(n, 1.0)


@dagnb.task
def read(x, *_):
    return float(x.sum())


@dagnb.task
def spin(seconds, *_):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return 0.0


@dagnb.task
def nap(seconds, *_):
    time.sleep(seconds)
    return 0.0


@dagnb.task
def total(xs):
    return sum(xs)


@dataclass
class Case:
    """A graph, where its tasks go, what is annotated, and what it must give."""

    name: str
    dag: dagnb.Dag
    where: list[int]
    notes: dict[int, Annotations]
    want: float
    cluster: Cluster

    def run(self, *, annotated: bool) -> float:
        graph = self.dag.graph
        notes = self.notes if annotated else {}
        known, order = estimate(graph), range(len(graph))
        plan = Plan.build(graph, self.cluster, known, worker=self.where, sequence=order, annotations=notes)
        pool = engine.connect()
        self._quiet(pool)
        done = start(graph, plan, pool).wait(120)
        assert done.state == "done", done.errors()
        assert done.result(graph.keys[-1]) == self.want, self.name
        self._shown(done, annotated=annotated)
        seconds = done.ending.at
        done.drop()
        return seconds

    def _quiet(self, pool: Any) -> None:
        """All workers rest; those of an elastic cluster have ended."""
        states = ("stopped",) if self.cluster.elastic else ("up", "stopped")
        while True:
            workers = pool.status().workers
            if all(w.task is None and w.state in states for w in workers if w.slot in self._slots(pool)):
                break
            time.sleep(0.02)
        time.sleep(0.05)

    def _slots(self, pool: Any) -> tuple[int, ...]:
        return pool.ensure(self.cluster)

    def _shown(self, done: Run, *, annotated: bool) -> None:
        """The timeline shows what was done, and nothing without the annotation."""
        kinds = set(done.timeline.asides["kind"].tolist())
        assert annotated or not kinds & {7, 8}, kinds


def recorded(build: Callable[[], Any]) -> dagnb.Dag:
    with dagnb.dag("bench", new=True) as dag:
        build()
    return dag


def kinds(dag: dagnb.Dag) -> list[str]:
    graph = dag.graph
    return [graph.kinds[k] for k in graph.kind.tolist()]


def numbered(dag: dagnb.Dag, kind: str) -> list[int]:
    return [i for i, k in enumerate(kinds(dag)) if k == kind]


def preload() -> list[Case]:
    """A large value, and a worker that is busy until it needs it; then a worker that waits for it anyway."""

    def graph(megabytes: int, busy: float) -> dagnb.Dag:
        def build() -> None:
            x = made(megabytes * MEGABYTE)
            total([read(x, spin(busy))])

        return recorded(build)

    def case(name: str, megabytes: int, busy: float) -> Case:
        dag = graph(megabytes, busy)
        where = [{"made": 0}.get(kind, 1) for kind in kinds(dag)]
        (reader,), (source,) = numbered(dag, "read"), numbered(dag, "made")
        notes = {reader: Annotations(preload=(source,))}
        return Case(name, dag, where, notes, megabytes * float(MEGABYTE), Cluster.local(2))

    return [case("32 MB, its reader's worker busy for 1 s", 32, 1.0), case("1 MB, its reader's worker idle", 1, 0.0)]


def duplicate() -> list[Case]:
    """A value that is quickly made and slowly moved, needed on both workers; then a small one that is slowly made."""

    def case(name: str, n: int, before: float) -> Case:
        def build() -> None:
            x = made(n, nap(before)) if before else made(n)
            total([read(x) for _ in range(4)])

        dag = recorded(build)
        readers, (source,) = numbered(dag, "read"), numbered(dag, "made")
        where = [0] * len(dag.graph)
        for i, reader in enumerate(readers):
            where[reader] = i % 2
        two = Cluster.local(2)
        notes = {source: Annotations(duplicate=(two.workers[1].id,))}
        return Case(name, dag, where, notes, 4.0 * n, two)

    return [case("32 MB made in 30 ms, read on two workers", 32 * MEGABYTE, 0.0), case("1 kB, the same", 128, 0.05)]


def prewarm() -> list[Case]:
    """A second worker that is needed late; then one that is needed at once."""

    def case(name: str, first: float, at: float) -> Case:
        def build() -> None:
            x = nap(first) if first else None
            total([nap(0.05, x), nap(0.05)])

        dag = recorded(build)
        where = [0] * len(dag.graph)
        late = numbered(dag, "nap")[1 if first else 0]
        where[late] = 1
        cluster = Cluster.local(2, elastic=True, keep_alive=KEEP_ALIVE)
        return Case(name, dag, where, {late: Annotations(prewarm=at)}, 0.0, cluster)

    return [case("a cold worker needed after 1 s", 1.0, 0.5), case("a cold worker needed at once", 0.0, 0.0)]


def group() -> list[Case]:
    """Fan-ins of large values that belong together; then short tasks without anything to move."""

    def fan_ins(n: int, seconds: float, count: int) -> dagnb.Dag:
        def build() -> None:
            sums = []
            for _ in range(count):
                parts = [made(n) if not seconds else nap(seconds) for _ in range(3)]
                sums.append(joined(parts) if not seconds else total(parts))
            total(sums)

        return recorded(build)

    def case(name: str, n: int, seconds: float, count: int, want: float) -> Case:
        dag = fan_ins(n, seconds, count)
        notes = {i: Annotations(group=i // 4) for i in range(4 * count)}
        return Case(name, dag, [-1] * len(dag.graph), notes, want, Cluster.local(2))

    return [
        case("20 fan-ins of three 4 MB values", 4 * MEGABYTE, 0.0, 20, 60.0 * 4 * MEGABYTE),
        case("40 fan-ins of three 5 ms tasks", 0, 0.005, 40, 0.0),
    ]


@dagnb.task
def joined(xs):
    return float(sum(x.sum() for x in xs))


CASES = {"preload": preload, "duplicate": duplicate, "prewarm": prewarm, "group": group}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", nargs="*", default=list(CASES), help="which (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    home = tempfile.mkdtemp(prefix="da", dir="/tmp")
    os.environ["DAGNB_RUNTIME_DIR"] = f"{home}/r"
    print(f"{'':10} {'':44} {'without':>10} {'with':>10} {'ratio':>7}")
    try:
        for name in options.annotations:
            for case in CASES[name]():
                case.run(annotated=True)  # workers, functions
                rounds = [(case.run(annotated=False), case.run(annotated=True)) for _ in range(options.rounds)]
                off, on = (statistics.median(column) for column in zip(*rounds, strict=True))
                ratio = statistics.median(a / b for a, b in rounds)
                print(f"{name:10} {case.name:44} {off * 1e3:7.1f} ms {on * 1e3:7.1f} ms {ratio:6.2f}×", flush=True)
    finally:
        engine.connect().stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
