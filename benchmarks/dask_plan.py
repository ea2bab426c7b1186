"""The `dask` planner's forecast beside a real dask.distributed LocalCluster: the same graphs, the same run (Q4).

    python benchmarks/dask_plan.py [FOLDER …] [--workers 4 8] [--seeds 0 1 2] [--repeats 3] [--seconds 6]

FOLDER     WfFormat files; without one, graphs drawn from the seeds (give other seeds: nothing is tuned to these)
--seconds  durations of a graph are scaled so that perfect packing would take so long

Tasks sleep, so that eight workers fit on two cores; sizes are told to Dask without moving bytes. What one task and one
fetch cost in this cluster beside their work is measured first, on a chain, and given to the simulation as overhead and
latency. Predicted is `Plan.makespan`; measured is first start to last end, the median of the repeats, each in a process
of its own.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from dagnb.graph.graph import TaskGraph
from dagnb.planners.dask import dask_keys
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates
from dagnb.planning.planner import find_planner, run_planner

#: Tasks of a trace above which it is left out: a repeat would take minutes of Dask's own time.
LARGEST = 1500


class Blob:
    """Nothing that counts as `size` bytes."""

    def __init__(self, size: float) -> None:
        self.size = size

    def __sizeof__(self) -> int:
        return int(self.size)


def work(seconds: float, size: float, *_: object) -> Blob:
    time.sleep(seconds)
    return Blob(size)


def drawn(seed: int) -> TaskGraph:
    """A graph of 100 to 500 tasks: fan-outs, maps, reductions and shuffles of random widths, one after another.

    Durations are log-normal by kind, sizes too; both differ within a kind by a factor that is drawn as well.
    """
    chance = np.random.default_rng(seed)
    deps: list[list[int]] = [[]]
    kinds, lengths, sizes = ["begin"], [1.0], [1e6]
    last = [0]
    n = int(chance.integers(100, 500))
    while len(deps) < n:
        kind = f"step{len(set(kinds))}"
        style = chance.choice(["fan", "map", "reduce", "shuffle"])
        width = {
            "fan": int(chance.integers(5, 80)),
            "map": len(last),
            "reduce": max(1, len(last) // int(chance.integers(2, 9))),
        }
        count = width.get(style, int(chance.integers(3, 30)))
        length, size, noise = chance.lognormal(0, 1), chance.lognormal(14, 1.5), chance.uniform(0, 0.8)
        begin = len(deps)
        for k in range(count):
            if style == "map":
                needs = [last[k]]
            elif style == "reduce":
                needs = last[k * len(last) // count : (k + 1) * len(last) // count] or [last[0]]
            elif style == "fan":
                needs = [last[int(chance.integers(len(last)))]]
            else:
                needs = sorted({int(x) for x in chance.choice(last, min(len(last), 4))})
            deps.append(needs)
            kinds.append(kind)
            lengths.append(length * chance.lognormal(0, noise))
            sizes.append(size * chance.lognormal(0, noise))
        last = list(range(begin, len(deps)))
    return TaskGraph.build(f"drawn {seed}", deps, kind=kinds, duration=np.array(lengths), size=np.array(sizes))


def cluster_of(workers: int):
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        silence_logs=50,
        memory_limit=0,
    )


def measured(graph: TaskGraph, estimates: Estimates, workers: int, seed: int) -> float:
    """The same in a process of its own, as a notebook is: the scheduler's choices depend on the seed of hashes."""
    os.environ["PYTHONHASHSEED"] = str(seed)
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(once, (graph, estimates, workers))


def once(graph: TaskGraph, estimates: Estimates, workers: int) -> float:
    """Seconds from the first start to the last end on a fresh LocalCluster."""
    warnings.simplefilter("ignore")
    from dask._task_spec import Task, TaskRef
    from distributed import Client, get_task_stream

    keys = dask_keys(graph)
    length, size = estimates.mean.tolist(), estimates.size.tolist()
    tasks = {
        key: Task(key, work, length[i], size[i], *(TaskRef(keys[d]) for d in graph.dependencies(i)))
        for i, key in enumerate(keys)
    }
    sinks = [keys[i] for i in graph.sinks.tolist()]
    with cluster_of(workers) as cluster, Client(cluster) as client:
        with get_task_stream(client, plot=False) as stream:
            client.get(tasks, sinks, optimize_graph=False)
        found = {r["key"]: s for r in stream.data for s in r["startstops"] if s["action"] == "compute"}
    assert len(found) == len(graph), f"{len(found)} of {len(graph)} tasks ran"
    return max(s["stop"] for s in found.values()) - min(s["start"] for s in found.values())


def costs() -> tuple[float, float]:
    """Seconds that a task costs beside its work, and that a fetch costs, in this LocalCluster."""
    from distributed import Client

    nap, rounds = 0.01, 60
    with cluster_of(2) as cluster, Client(cluster) as client:
        names = list(client.scheduler_info()["workers"])
        spans = []
        for places in ([names[0]] * rounds, list(itertools.islice(itertools.cycle(names), rounds))):
            last = client.submit(work, nap, 8, pure=False, workers=[places[0]])
            last.result()
            began = time.perf_counter()
            for place in places:
                last = client.submit(work, nap, 8, last, pure=False, workers=[place])
            last.result()
            spans.append((time.perf_counter() - began) / rounds - nap)
    return max(spans[0], 0.0), max(spans[1] - spans[0], 0.0)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", nargs="*", type=Path)
    options.add_argument("--workers", nargs="+", type=int, default=[4, 8])
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4, 5])
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--seconds", type=float, default=6.0)
    chosen = options.parse_args()
    warnings.simplefilter("ignore")
    graphs = [read(path) for path in files(chosen.folder)] if chosen.folder else [drawn(seed) for seed in chosen.seeds]
    overhead, latency = costs()
    print(f"beside its work a task costs {overhead * 1e3:.2f} ms, a fetch {latency * 1e3:.2f} ms (measured on a chain)")
    print(f"{'graph':44s} tasks workers predicted measured spread error")
    errors = [e for g in graphs if 0 < len(g) <= LARGEST for e in rows(g, chosen, overhead, latency)]
    if errors:
        print(f"mean error {statistics.mean(errors):.1%}, max {max(errors):.1%}, over {len(errors)} cases")


def rows(graph: TaskGraph, chosen: argparse.Namespace, overhead: float, latency: float):
    """One row for each number of workers; yields the error."""
    raw = np.nan_to_num(graph.duration)
    for workers in chosen.workers:
        scale = chosen.seconds * workers / raw.sum()
        estimates = Estimates.of(raw * scale, np.nan_to_num(graph.size) * scale)
        cluster = Cluster.local(workers, overhead=overhead, latency=latency, bandwidth=float("inf"))
        plan = run_planner(find_planner("dask"), graph, cluster, estimates)
        real = [measured(graph, estimates, workers, seed) for seed in range(1, 1 + chosen.repeats)]
        middle = statistics.median(real)
        error = abs(plan.makespan / middle - 1)
        spread = (max(real) - min(real)) / middle
        line = f"{graph.name[:44]:44s} {len(graph):5d} {workers:7d} {plan.makespan:8.2f}s {middle:7.2f}s {spread:6.1%}"
        print(f"{line} {plan.makespan / middle - 1:+6.1%}", flush=True)
        yield error


def files(folders: list[Path]) -> list[Path]:
    return sorted(
        p for folder in folders for p in (folder.iterdir() if folder.is_dir() else [folder]) if ".json" in p.name
    )


def read(path: Path) -> TaskGraph:
    from dagnb.formats.wfformat import read as read_wfformat

    return read_wfformat(path)


if __name__ == "__main__":
    sys.exit(main())
