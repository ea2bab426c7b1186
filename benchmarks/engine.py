"""dagnb beside dask.distributed in the same run: interleaved rounds, medians, every value checked.

    python benchmarks/engine.py [P1 P3 P4 P7 P8] [--rounds 5]

P1  no-op makespan, from `dag.run()` on a freshly built DAG (assembling, planning and packing included) to its value
    in hand; Dask: `client.get` of a ready-made graph
P3  the same with a round trip forced for every task
P4  perfect packing ÷ measured, tasks of 10 ms
P7  a two-task DAG again and again
P8  a fresh process, its first DAG of three tasks

Both sides have two workers of one thread. All guarantees of dagnb are on: append-only file, signatures, fencing.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import shapes

COLD_DAGNB = """
import sys, time
began = time.perf_counter()
import dagnb
a = dagnb.task(lambda x: x + 1)
with dagnb.dag("cold") as cold:
    last = a(a(a(0)))
cold.run(workers=2)
assert last.result() == 3
print(time.perf_counter() - began)
from dagnb.session import engine
engine.connect().stop()
"""
COLD_DASK = """
import time
if __name__ == "__main__":
    began = time.perf_counter()
    from dask.distributed import Client, LocalCluster
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    f = lambda x: x + 1
    assert client.get({"a": (f, 0), "b": (f, "a"), "c": (f, "b")}, "c") == 3
    print(time.perf_counter() - began)
    client.close(); cluster.close()
"""


#: Seconds of quiet before each measurement: a peer may still be tidying up after its last run.
QUIET = 0.5


class Dask:
    """dask.distributed in a process of its own: scheduler and client there must not share an interpreter with us."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve_dask, args=(theirs,))
        self.process.start()

    def run(self, recorder: shapes.Recorder) -> tuple[float, object]:
        self.pipe.send(recorder)
        seconds, value = self.pipe.recv()
        return seconds, value

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join(20)


def serve_dask(pipe) -> None:
    """Compute what comes through the pipe; answer with seconds and value."""
    from dask.distributed import Client, LocalCluster

    warnings.simplefilter("ignore")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        for turn in itertools.count():
            recorder = pipe.recv()
            if recorder is None:
                return
            graph, key = recorder.dask(f"r{turn}")
            began = time.perf_counter()
            value = client.get(graph, key)
            pipe.send((time.perf_counter() - began, value))


class Peers:
    """Both sides, started once."""

    def __init__(self) -> None:
        self._dask = Dask()

    def dagnb(self, recorder: shapes.Recorder, *, single: bool = False) -> tuple[float, object]:
        dag = recorder.dagnb()
        time.sleep(QUIET)
        if single:
            return self._single(dag)
        began = time.perf_counter()
        dag.run(workers=2)
        value = dag.answer.result()
        return time.perf_counter() - began, value

    def _single(self, dag) -> tuple[float, object]:
        from dagnb.runtime.run import start
        from dagnb.session import engine

        graph, plan = dag.graph, dag.plan("free", workers=2)
        began = time.perf_counter()
        run = start(graph, plan, engine.connect(), single=True).wait()
        value = run.result(graph.keys[-1])
        return time.perf_counter() - began, value

    def dask(self, recorder: shapes.Recorder) -> tuple[float, object]:
        time.sleep(QUIET)
        return self._dask.run(recorder)

    def close(self) -> None:
        from dagnb.session import engine

        self._dask.close()
        engine.connect().stop()


def spread(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:10.2f} ms ({min(times) * 1e3:.2f}–{max(times) * 1e3:.2f})"


def compare(name: str, ours: list[float], theirs: list[float]) -> None:
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    print(f"{name:34} dagnb {spread(ours):36} dask {spread(theirs):40} {statistics.median(ratios):8.1f}×", flush=True)


def rounds_of(peers: Peers, name: str, make, rounds: int, **options: bool) -> None:
    ours, theirs = [], []
    for _ in range(rounds):
        recorder = make()
        want = recorder.value()
        for side, times in ((lambda r: peers.dagnb(r, **options), ours), (peers.dask, theirs)):
            seconds, value = side(recorder)
            assert value == want, (name, value, want)
            times.append(seconds)
    compare(name, ours, theirs)


def p1(peers: Peers, rounds: int) -> None:
    for name, make in (
        ("10k fan-in", shapes.fan),
        ("2k chain", shapes.chain),
        ("4,096-leaf tree", shapes.tree),
        ("100×50 layered", shapes.layered),
    ):
        rounds_of(peers, f"P1 {name}", make, rounds)


def p3(peers: Peers, rounds: int) -> None:
    rounds_of(peers, "P3 2k fan, a round trip per task", lambda: shapes.fan(2_000), rounds, single=True)
    rounds_of(peers, "P3 40×50 layered, the same", lambda: shapes.layered(40, 50), rounds, single=True)


def p4(peers: Peers, rounds: int) -> None:
    for name, make in (
        ("fan of 400", lambda: shapes.fan(400, shapes.nap)),
        ("10×40 layered", lambda: shapes.layered(10, 40, shapes.nap)),
        ("chain of 100", lambda: shapes.chain(100, shapes.nap)),
    ):
        ideal = shapes.packing(make(), 2, 0.010)
        ours, theirs = [], []
        for _ in range(rounds):
            recorder = make()
            want = recorder.value()
            for side, shares in ((peers.dagnb, ours), (peers.dask, theirs)):
                seconds, value = side(recorder)
                assert value == want
                shares.append(ideal / seconds)
        print(
            f"P4 10 ms, {name:24} dagnb {statistics.median(ours):6.3f} ({min(ours):.3f}–{max(ours):.3f})"
            f"   dask {statistics.median(theirs):6.3f} ({min(theirs):.3f}–{max(theirs):.3f})   of perfect packing",
            flush=True,
        )


def p7(peers: Peers, rounds: int) -> None:
    dag = shapes.chain(2).dagnb()
    dag.run(workers=2)
    ours, theirs = [], []
    for _ in range(rounds * 20):
        began = time.perf_counter()
        dag.run(workers=2)
        assert dag.answer.result() == 1
        ours.append(time.perf_counter() - began)
        theirs.append(peers._dask.run(shapes.chain(2))[0])
    compare("P7 two tasks, warm", ours, theirs)


def p8(_peers: Peers | None, rounds: int) -> None:
    ours, theirs = [], []
    for _ in range(rounds):
        for program, times in ((COLD_DAGNB, ours), (COLD_DASK, theirs)):
            with tempfile.TemporaryDirectory(prefix="db", dir="/tmp") as home:
                script = Path(home) / "cold.py"
                script.write_text(program)
                env = os.environ | {"DAGNB_RUNTIME_DIR": f"{home}/r"}
                env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode, as Dask has
                out = subprocess.run(
                    [sys.executable, script], capture_output=True, text=True, check=True, env=env, cwd=home
                )
                times.append(float(out.stdout.split()[-1]))
    compare("P8 cold, three tasks", ours, theirs)


FIGURES = {"P1": p1, "P3": p3, "P4": p4, "P7": p7, "P8": p8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", default=list(FIGURES), help="which figures (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    home = tempfile.mkdtemp(prefix="db", dir="/tmp")
    os.environ["DAGNB_RUNTIME_DIR"] = f"{home}/r"
    peers = Peers()
    try:
        for warm in (shapes.fan(50), shapes.tree(16)):
            peers.dagnb(warm)
            peers.dask(warm)
        for figure in options.figures:
            FIGURES[figure](peers, options.rounds)
    finally:
        peers.close()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
