"""How good our plans are: every trace of a folder on four sets of machines, every schedule checked.

    python benchmarks/planning.py FOLDER [--only montage] [--most 2500] [--saga 1000] [--budget 1] [--long 20]

FOLDER holds workflows in WfFormat (*.json, *.json.gz), read by `dagnb.formats`. Nothing is tuned to a trace: put others
there and run it again.

Q1  makespan of `heft` ÷ that of HEFT in the package anrg-saga, same model: drawn against drawn, and as simulated here,
    where workers never wait (`pip install anrg-saga`; without it this part is left out)
Q2  makespan of `auto` with --budget ÷ best known: the least of all planners, of `auto` with --long seconds, and of the
    schedule that HEFT draws, in which workers may wait
Q3  tasks per second that `heft` plans, 8 workers, 1,000 and 100,000 tasks
Q8  GB-seconds of `cheapest` at up to 10 % more makespan ÷ those of `heft`, on machines of two sizes

A checker that knows nothing of the simulator looks at every schedule, ours and theirs: every task once and as long as
it takes, inputs there in time, no worker with two tasks at once. A schedule that fails it ends the benchmark.

Seconds of planning are those of the processor: planners have one thread, and what else the machine does is not counted.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from dagnb.errors import DagnbError
from dagnb.formats.wfformat import read
from dagnb.graph.graph import TaskGraph
from dagnb.planners.heft import ranked
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.listing import transfers
from dagnb.planning.placement import place
from dagnb.planning.planner import find_planner, planner_names, run_planner
from dagnb.testing import layered

#: Bytes per second between any two machines.
BANDWIDTH = 125e6

#: Name → speeds.
MACHINES = {
    "8 equal": (1.0,) * 8,
    "4 equal": (1.0,) * 4,
    "16 equal": (1.0,) * 16,
    "8 unequal": (2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5),
}

#: Q8: eight workers of each size in bytes; a task on a smaller one takes (reference ÷ memory) ^ exponent times as long.
SIZES, EXPONENT = (4e9, 2e9, 1e9), 0.3

#: Peers in the race for the best known plan; whoever is not registered is left out.
RIVALS = ("free", "heft", "cpop", "peft", "min_min", "simple", "dask", "wukong")


def machines(speeds):
    return Cluster(tuple(WorkerSpec(WorkerId(f"w{i}"), speed=s) for i, s in enumerate(speeds)), bandwidth=BANDWIDTH)


def traces(folder, only, most):
    """(graph, estimates) of every readable workflow; what is missing in a trace is 0."""
    for path in sorted([*Path(folder).glob("*.json"), *Path(folder).glob("*.json.gz")]):
        if only and only not in path.name:
            continue
        try:
            graph = read(path)
        except DagnbError as error:
            print(f"{path.name}: left out, {str(error).splitlines()[0]}")
            continue
        if 0 < len(graph) <= most:
            yield graph, Estimates.of(np.nan_to_num(graph.duration), np.nan_to_num(graph.size))


# --- the checker ----------------------------------------------------------------------------------------------------


def check(graph, cluster, estimates, worker, begin, compute, end):
    """AssertionError unless the schedule could happen. [n] each: worker, occupied from, computing from, until."""
    slack = 1e-6 * (1 + max(end, default=0.0))
    length = [estimates.on(w) for w in cluster.workers]
    assert len(worker) == len(begin) == len(compute) == len(end) == len(graph), "not every task once"
    for task, w in enumerate(worker):
        assert 0 <= w < len(cluster), f"task {task} is on worker {w}"
        takes = length[w][task]
        assert abs(end[task] - compute[task] - takes) <= slack, f"task {task} takes {end[task] - compute[task]}"
        assert -slack <= begin[task] <= compute[task] + slack, f"task {task} computes before it begins"
        for needed in graph.dependencies(task):
            there = end[needed] + (estimates.size[needed] / cluster.bandwidth if worker[needed] != w else 0.0)
            assert compute[task] >= there - slack, f"task {task} computes before the output of {needed} is there"
    for w in range(len(cluster)):
        mine = sorted((begin[i], end[i]) for i in range(len(graph)) if worker[i] == w and estimates.mean[i] > 0)
        for (_, until), (since, _) in pairwise(mine):
            assert since >= until - slack, f"worker {w} has two tasks at {since}"


def planned(planner, graph, cluster, estimates):
    """A checked plan; its makespan is that of the schedule that was checked."""
    plan = run_planner(planner, graph, cluster, estimates)
    line = plan.timeline
    check(graph, cluster, estimates, line.worker.tolist(), line.start, line.start + line.fetch, line.end)
    assert abs(plan.makespan - line.end.max()) <= 1e-9 * (1 + plan.makespan)
    return plan


# --- Q1 -------------------------------------------------------------------------------------------------------------


def saga_heft(graph, cluster, estimates):
    """(makespan, seconds) of the peer's HEFT, its schedule checked like ours."""
    from saga import Network
    from saga import TaskGraph as Theirs
    from saga.schedulers.heft import HeftScheduler

    names = [f"n{i}" for i in range(len(cluster))]
    network = Network.create(
        nodes=[(name, w.speed) for name, w in zip(names, cluster.workers, strict=True)],
        edges=[(a, b, cluster.bandwidth) for a in names for b in names if a < b],
    )
    tasks = Theirs.create(
        tasks=[(f"t{i}", float(estimates.mean[i])) for i in range(len(graph))],
        dependencies=[
            (f"t{u}", f"t{i}", float(estimates.size[u])) for i in range(len(graph)) for u in graph.dependencies(i)
        ],
    )
    began = time.process_time()
    schedule = HeftScheduler().schedule(network, tasks)
    took = time.process_time() - began
    rows = {row.name: (int(name[1:]), row.start, row.end) for name, found in schedule.items() for row in found}
    worker, start, end = zip(*(rows[f"t{i}"] for i in range(len(graph))), strict=True)
    check(graph, cluster, estimates, worker, start, start, end)
    return max(end), took


def drawn_heft(graph, cluster, estimates):
    """Makespan of the schedule that our HEFT draws, before the simulator lets nobody wait."""
    transfer = transfers(cluster, estimates)
    placed = place(graph, cluster, estimates, transfer, ranked(graph, cluster, estimates, transfer))
    check(graph, cluster, estimates, placed.worker, placed.start, placed.start, placed.end)
    return max(placed.end)


# --- Q3, Q8 ---------------------------------------------------------------------------------------------------------


def speed_of_heft(rounds=5):
    heft, cluster = find_planner("heft"), Cluster.local(8, bandwidth=BANDWIDTH)
    for layers, width in ((20, 50), (200, 500)):
        chance, n = np.random.default_rng(0), layers * width
        graph = TaskGraph.build("layered", layered(layers, width))
        estimates = Estimates.of(chance.exponential(1.0, n), chance.exponential(3e7, n))
        seconds = []
        for _ in range(rounds):
            began = time.process_time()
            heft.plan(graph, cluster, estimates)
            seconds.append(time.process_time() - began)
        took = statistics.median(seconds)
        print(f"Q3  heft plans {n:,} tasks in {took:.3f} s: {n / took:,.0f} tasks/s (median of {rounds})")


def cost_of(plan, cluster, estimates):
    """GB-seconds, counted here and not by the simulator."""
    line = plan.timeline
    occupied = np.where(estimates.mean > 0, line.end - line.start, 0.0)
    return float(occupied @ (np.array([w.memory for w in cluster.workers])[line.worker] / 1e9))


def cheapest_by_best(graph, estimates):
    """(GB-seconds, makespan) of `cheapest` on all sizes, each ÷ those of `heft` on the largest; None without cost."""
    law = Estimates(
        estimates.mean, estimates.p50, estimates.p90, estimates.size, estimates.source, has_seconds=True,
        reference=SIZES[0], share=1.0, exponent=EXPONENT,
    )  # fmt: skip
    workers = [WorkerSpec(WorkerId(f"m{s:.0e}-{i}"), memory=s) for s in SIZES for i in range(8)]
    best, every = (Cluster(tuple(chosen), bandwidth=BANDWIDTH) for chosen in (workers[:8], workers))
    fast = planned(find_planner("heft"), graph, best, law)
    thrifty = planned(find_planner("cheapest", tolerance=0.1), graph, every, law)
    cost = cost_of(fast, best, law)
    return (cost_of(thrifty, every, law) / cost, thrifty.makespan / fast.makespan) if cost else None


# --- the table ------------------------------------------------------------------------------------------------------


def ratios(title, found):
    """One line: how ratios are spread."""
    if found:
        mean, middle = statistics.geometric_mean(found), statistics.median(found)
        print(f"{title}: geomean {mean:.4f}, median {middle:.4f}, max {max(found):.4f} over {len(found)} cases")


def race(graph, cluster, estimates, options):
    """Name → (makespan, seconds of planning) of every planner; `auto` with its budget and as `long`."""
    planners = {name: find_planner(name) for name in RIVALS if name in planner_names()}
    for name, seconds in (("auto", options.budget), ("long", options.long)):
        planners[name] = find_planner("auto", thorough=True, budget=seconds, seed=options.seed)
    found = {}
    for name, planner in planners.items():
        began = time.process_time()
        plan = planned(planner, graph, cluster, estimates)
        found[name] = (plan.makespan, time.process_time() - began)
    found["drawn"] = drawn_heft(graph, cluster, estimates), 0.0
    bound = plan.lower_bound
    assert min(span for span, _ in found.values()) >= bound * (1 - 1e-9), "below the lower bound"
    return found, bound


def compare(options):
    collected = defaultdict(list)
    peer = options.saga > 0 and find_peer()
    print(f"{'trace':42} {'machines':10} {'tasks':>6} best÷bound {'heft':>7} {'auto':>7} {'took':>6}   others ÷ best")
    for graph, estimates in traces(options.folder, options.only, options.most):
        for name, speeds in MACHINES.items():
            if options.machines in (None, name):
                one_case(graph, estimates, name, machines(speeds), options, collected, peer=peer)
        if "cheapest" in planner_names() and (pair := cheapest_by_best(graph, estimates)):
            collected["Q8 cost"].append(pair[0])
            collected["Q8 makespan"].append(pair[1])
    summary(collected, options, peer=peer)


def one_case(graph, estimates, name, cluster, options, collected, *, peer):
    found, bound = race(graph, cluster, estimates, options)
    best = min(span for span, _ in found.values())
    if best <= 0:
        return
    by = {planner: span / best for planner, (span, _) in found.items()}
    for planner, ratio in by.items():
        collected[planner].append(ratio)
        collected[planner, name].append(ratio)
    collected["took"].append(found["auto"][1])
    others = " ".join(f"{planner} {ratio:.3f}" for planner, ratio in by.items() if planner not in ("heft", "auto"))
    if peer and len(graph) <= options.saga:
        try:
            theirs, took = saga_heft(graph, cluster, estimates)
        except ValueError as error:  # it refuses some schedules of its own in which tasks of no length meet others
            others += f" saga: {error}"
        else:
            collected["Q1 drawn"].append(found["drawn"][0] / theirs)
            collected["Q1 simulated"].append(found["heft"][0] / theirs)
            collected["peer"].append(len(graph) / took)
            others += f" saga {theirs / best:.3f}"
    print(
        f"{graph.name[:42]:42} {name:10} {len(graph):6} {best / bound if bound else 1:10.4f} {by['heft']:7.4f} "
        f"{by['auto']:7.4f} {found['auto'][1]:5.1f}s   {others}",
        flush=True,
    )


def find_peer():
    """Whether anrg-saga is there; it warns of every graph with several roots, which is no news here."""
    try:
        import saga.schedulers.heft  # noqa: F401
    except ImportError:
        print("Q1  left out: pip install anrg-saga")
        return False
    logging.disable(logging.WARNING)
    return True


def summary(collected, options, *, peer):
    print("\nevery schedule passed the checker\n")
    if peer:
        ratios("Q1  heft ÷ HEFT of anrg-saga, both as drawn", collected["Q1 drawn"])
        ratios("Q1  heft as simulated ÷ HEFT of anrg-saga as drawn", collected["Q1 simulated"])
        if collected["peer"]:
            print(f"    anrg-saga plans {statistics.median(collected['peer']):,.0f} tasks/s")
    ratios(f"Q2  auto, {options.budget:g} s ÷ best known", collected["auto"])
    over, took = sum(ratio > 1.05 for ratio in collected["auto"]), collected["took"]
    print(f"    over 1.05 in {over} cases; {sum(took):.0f} s in all, {max(took, default=0):.1f} s at most")
    for name in MACHINES:
        ratios(f"    auto on {name}", collected["auto", name])
    for name in (*RIVALS, "drawn", "long"):
        ratios(f"    {name} ÷ best known", collected[name])
    speed_of_heft()
    if "cheapest" in planner_names():
        ratios("Q8  GB-seconds of cheapest at ≤ +10 % ÷ heft on the largest", collected["Q8 cost"])
        ratios("    makespan of the same", collected["Q8 makespan"])
    else:
        print("Q8  left out: no planner is called cheapest")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--only", help="traces with this in their name")
    parser.add_argument("--machines", help="one of " + ", ".join(MACHINES))
    parser.add_argument("--most", type=int, default=2500, help="tasks of a trace")
    parser.add_argument("--saga", type=int, default=1000, help="tasks up to which the peer is asked; 0 leaves it out")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of `auto`")
    parser.add_argument("--long", type=float, default=20.0, help="seconds of the search for the best known")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    compare(options)


if __name__ == "__main__":
    main()
