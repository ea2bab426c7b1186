"""Forecasts against runs that are drawn, not run: what is the forecast's fault, and what is chance.

    python benchmarks/forecast_offline.py [constant tenth log-normal modes size] [--trials 12] [--workers 2 8]

The trials of `forecast.py` without workers: three runs of a DAG are simulated with durations drawn from the noise and
teach an empty history; the forecast made from that is held against `RUNS` further runs. The simulator is right by
construction, so that only the estimates and the choice of the figure are judged.

forecast   the makespan of the plan: the middle of simulated runs
means      the makespan of one simulated run with the mean durations
chance     what would be off if the distribution of makespans were known exactly: no forecast can do better
"""

from __future__ import annotations

import argparse
import random
from typing import TYPE_CHECKING, Any

import numpy as np
from forecast import NOISES, SHAPES, kind

from dagnb.graph.fingerprint import codes
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimates import Estimates
from dagnb.planning.estimator import estimate
from dagnb.planning.planner import find_planner, run_planner
from dagnb.planning.simulator import forecast
from dagnb.trace.history import History
from dagnb.trace.samples import Resources, taught

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

#: Runs that each forecast is held against.
RUNS = 15


def truth(graph: TaskGraph, noise: Any, chance: random.Random) -> Estimates:
    """Seconds and bytes of one run."""
    size = np.array([chance.randrange(5_000, 30_000) for _ in range(len(graph))], np.float64)
    seconds = [noise(chance, int(size[list(graph.dependencies(t))].sum())) for t in range(len(graph))]
    return Estimates.of(np.array(seconds), size)


def learnt(graph: TaskGraph, noise: Any, cluster: Cluster, chance: random.Random) -> History:
    """What three runs have taught."""
    history, found = History(), codes(graph)
    plan = find_planner("free").plan(graph, cluster, Estimates.of(np.ones(len(graph))))
    for run in (1, 2, 3):
        timeline = forecast(graph, plan, cluster, truth(graph, noise, chance)).timeline
        lesson = taught(graph, timeline, found, [Resources()] * len(cluster), run)
        lesson.machine.clear()
        history.add(lesson)
    return history


def trial(make: Any, noise: Any, workers: int, chance: random.Random) -> tuple[Plan, np.ndarray]:
    """A completed plan, and the makespans of runs of it."""
    graph, cluster = make(kind(noise, spin=False)).dagnb().graph, Cluster.local(workers)
    history = learnt(graph, noise, cluster, chance)
    planner = find_planner("auto", defaults={"budget": 0.05, "thorough": True})
    plan = run_planner(planner, graph, cluster, estimate(graph, history, cluster))
    history.close()
    return plan, np.array([forecast(graph, plan, cluster, truth(graph, noise, chance)).makespan for _ in range(RUNS)])


def line(name: str, rows: list[tuple[Plan, np.ndarray]]) -> None:
    def off(figure: Callable[[Plan, np.ndarray], float]) -> str:
        errors = np.concatenate([np.abs(figure(plan, real) / real - 1) for plan, real in rows])
        return f"{np.median(errors):6.1%} p90 {np.quantile(errors, 0.9):6.1%}"

    held = [
        (low * (1 - 1e-3) <= real) & (real <= high * (1 + 1e-3))
        for plan, real in rows
        for low, high in [plan.interval or (plan.makespan, plan.makespan)]
    ]
    print(
        f"{name:24} off: median {off(lambda plan, _: plan.makespan)}   means {off(_of_means)}"
        f"   chance {off(lambda _, real: float(np.median(real)))}   interval holds {np.mean(held):4.0%}",
        flush=True,
    )


def _of_means(plan: Plan, _: np.ndarray) -> float:
    return float(plan.timeline.end.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("noises", nargs="*", default=list(NOISES), help="which kinds of noise (default: all)")
    parser.add_argument("--trials", type=int, default=12, help="of each kind and shape")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    options = parser.parse_args()
    chance = random.Random(1)
    for workers in options.workers:
        everything = []
        for name in options.noises:
            for shape, make in SHAPES.items():
                rows = [trial(make, NOISES[name], workers, chance) for _ in range(options.trials)]
                line(f"{name}, {shape}, {workers} workers", rows)
                everything += rows
        line(f"all, {workers} workers", everything)


if __name__ == "__main__":
    main()
