"""Values of a megabyte between tasks: dagnb beside dask.distributed in the same run, interleaved, every value checked.

    python benchmarks/values.py [P6 P6b] [--rounds 5]

P6   200 arrays of 1 MB, each made once and used twice, and a sum over all uses
P6b  100 arrays of 1 MB, each placed on one of two workers; 100 tasks, placed alike, that each read four of them: half
     of what is read comes from the other worker. Cold: the first run of fresh processes; warm: the runs after it

Both sides have two workers of one thread, and both are told the same placement in P6b (Dask: `workers=`). Beside P6
stands what a bare loop takes: two processes that each call half of the functions, with their inputs at hand.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import shutil
import statistics
import tempfile
import time
import warnings

import numpy as np
import peers as others
import shapes

#: Numbers of eight bytes in an array of a megabyte.
MEGABYTE = 131_072
#: Seconds of quiet before each measurement: a peer may still be tidying up after its last run.
QUIET = 0.5


def produce(c):
    return np.full(MEGABYTE, float(c))


def consume(c, a):
    return float(a[0]) + c


def mix(*arrays):
    return float(sum(a[0] for a in arrays))


def total(xs):
    return sum(xs)


def used_twice(n: int = 200) -> shapes.Recorder:
    r = shapes.Recorder()
    made = [r(produce, i) for i in range(n)]
    r(total, [r(consume, use, a) for a in made for use in (0, 1)])
    return r


def shuffle(n: int = 100, inputs: int = 4, seed: int = 2) -> shapes.Recorder:
    chance, r = random.Random(seed), shapes.Recorder()
    made = [r(produce, i) for i in range(n)]
    r(total, [r(mix, *chance.sample(made, inputs)) for _ in range(n)])
    return r


def seats(recorder: shapes.Recorder) -> list[int]:
    """Every second call of a kind on the other worker, and the last on the first."""
    count: dict[object, itertools.count] = {}
    return [next(count.setdefault(f, itertools.count())) % 2 for f, _ in recorder.calls]


class Dask:
    """dask.distributed in a process of its own."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve_dask, args=(theirs,))
        self.process.start()

    def run(self, recorder: shapes.Recorder, placed: list[int] | None = None) -> tuple[float, object]:
        time.sleep(QUIET)
        self.pipe.send((recorder, placed))
        seconds, value = self.pipe.recv()
        return seconds, value

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join(20)


def serve_dask(pipe) -> None:
    """Compute what comes through the pipe; answer with seconds and value."""
    import dask
    from dask.distributed import Client, LocalCluster

    warnings.simplefilter("ignore")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        names = sorted(client.scheduler_info()["workers"])
        for turn in itertools.count():
            task = pipe.recv()
            if task is None:
                return
            recorder, placed = task
            graph, key = recorder.dask(f"r{turn}")
            workers = dict(zip(graph, (names[p] for p in placed), strict=True)) if placed else None
            began = time.perf_counter()
            if workers is None:
                value = client.get(graph, key)
            else:
                with dask.annotate(workers=lambda k, of=workers: of[k]):
                    layer = dask.highlevelgraph.MaterializedLayer(graph, annotations=dict(dask.get_annotations()))
                value = client.get(dask.highlevelgraph.HighLevelGraph({"all": layer}, {"all": set()}), key)
            pipe.send((time.perf_counter() - began, value))


class Dagnb:
    def run(self, recorder: shapes.Recorder, placed: list[int] | None = None) -> tuple[float, object]:
        dag = recorder.dagnb()
        time.sleep(QUIET)
        if placed is not None:
            return self._placed(dag, placed)
        began = time.perf_counter()
        dag.run(workers=2)
        value = dag.answer.result()
        return time.perf_counter() - began, value

    def _placed(self, dag, placed: list[int]) -> tuple[float, object]:
        from dagnb.planning.cluster import Cluster
        from dagnb.planning.estimator import estimate
        from dagnb.planning.plan import Plan
        from dagnb.runtime.run import start
        from dagnb.session import engine

        graph, cluster = dag.graph, Cluster.local(2)
        plan = Plan.build(graph, cluster, estimate(graph), worker=placed, sequence=range(len(graph)), planner="hand")
        began = time.perf_counter()
        value = start(graph, plan, engine.connect()).wait().result(graph.keys[-1])
        return time.perf_counter() - began, value

    def close(self) -> None:
        from dagnb.session import engine

        engine.connect().stop()


def spread(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:8.1f} ms ({min(times) * 1e3:.1f}–{max(times) * 1e3:.1f})"


def rounds_of(name: str, peers, make, rounds: int, *, placed: bool = False, bare=None) -> None:
    ours, theirs, limit = [], [], []
    for _ in range(rounds):
        recorder = make()
        want, where = recorder.value(), seats(recorder) if placed else None
        for peer, times in zip(peers, (ours, theirs), strict=True):
            seconds, value = peer.run(recorder, where)
            assert value == want, (name, value, want)
            times.append(seconds)
        if bare is not None:
            limit.append(bare.run(recorder)[0])
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    beside = f"   bare loop {spread(limit).strip()}" if limit else ""
    print(f"{name:32} dagnb {spread(ours):30} dask {spread(theirs):34} {ratio:7.1f}×{beside}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", default=["P6", "P6b"], help="which figures (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    home = tempfile.mkdtemp(prefix="db", dir="/tmp")
    os.environ["DAGNB_RUNTIME_DIR"], os.environ["DAGNB_DATA_DIR"] = f"{home}/r", f"{home}/d"
    peers: tuple = Dagnb(), Dask()
    try:
        for peer in peers:
            peer.run(shapes.fan(50))
        if "P6b" in options.figures:
            rounds_of("P6b shuffle of 1 MB, cold", peers, shuffle, 1, placed=True)
            rounds_of("P6b shuffle of 1 MB, warm", peers, shuffle, options.rounds, placed=True)
        if "P6" in options.figures:
            bare = others.Apart(others.serve_loop)
            peers += (bare,)
            rounds_of("P6 200 × 1 MB, each used twice", peers[:2], used_twice, options.rounds, bare=bare)
    finally:
        for peer in peers:
            peer.close()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
