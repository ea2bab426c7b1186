"""For authors of planners: sample graphs of every structure, a checker of schedules, the suite that planners pass.

    from dagnb.testing import PlannerConformance

    class TestMine(PlannerConformance):
        planner = MyPlanner()

pytest collects the suite by itself; nothing here imports it.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from dagnb.graph.graph import TaskGraph
from dagnb.planning.checker import check_schedule
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.planning.planner import Planner, find_planner, run_planner

Deps = list[list[int]]

# --- sample graphs --------------------------------------------------------------------------------------------------


def chain(n: int) -> Deps:
    """0 → 1 → 2 → …"""
    return [[i - 1] if i else [] for i in range(n)]


def fan(n: int) -> Deps:
    """One root, n tasks that need it, one that needs all of them."""
    return [[], *([0] for _ in range(n)), list(range(1, n + 1))]


def lattice(side: int) -> Deps:
    """A square grid; each task needs its neighbours above and to the left."""
    return [[i - side] * (i >= side) + [i - 1] * (i % side > 0) for i in range(side * side)]


def tree(leaves: int) -> Deps:
    """Pairs are joined until one is left."""
    deps: Deps = [[] for _ in range(leaves)]
    first = 0
    while first + 1 < len(deps):
        deps.append([first, first + 1])
        first += 2
    return deps


def layered(layers: int, width: int, seed: int = 0) -> Deps:
    """Every task needs one to three tasks of the layer before."""
    chance = random.Random(seed)
    before = [range((layer - 1) * width, layer * width) for layer in range(layers)]
    return [
        sorted(chance.sample(before[i // width], min(width, chance.randint(1, 3)))) if i >= width else []
        for i in range(layers * width)
    ]


def map_reduce(maps: int, reduces: int) -> Deps:
    """Every reduce needs every map; one task at the end."""
    deps: Deps = [[] for _ in range(maps)]
    deps += [list(range(maps)) for _ in range(reduces)]
    return [*deps, list(range(maps, maps + reduces))]


def scattered(n: int, seed: int = 0) -> Deps:
    """Any acyclic graph: each task needs up to four earlier ones."""
    chance = random.Random(seed)
    return [sorted(chance.sample(range(i), min(i, chance.randint(0, 4)))) for i in range(n)]


def sample_graphs(scale: int = 1) -> dict[str, TaskGraph]:
    """Name → graph, one of every structure that has surprised a planner; `scale` multiplies the number of tasks.

    Durations (seconds) and sizes (bytes) are declared, except in "unknown".
    """
    side = max(3, round(5 * scale**0.5))
    structures: dict[str, Deps] = {
        "empty": [],
        "one": [[]],
        "chain": chain(12 * scale),
        "fan": fan(20 * scale),
        "bag": [[] for _ in range(20 * scale)],
        "lattice": lattice(side),
        "roots_and_sinks": [[] for _ in range(8 * scale)] + [[i, (i + 3) % (8 * scale)] for i in range(8 * scale)],
        "disconnected": chain(5 * scale) + [[d + 5 * scale for d in ds] for ds in fan(6 * scale)] + [[]],
        "tree": tree(16 * scale),
        "layered": layered(4, 6 * scale),
        "map_reduce": map_reduce(8 * scale, 3),
        "random": scattered(40 * scale),
        "zero_length": layered(4, 6 * scale, seed=1),
        "all_zero": layered(3, 4 * scale, seed=2),
        "unknown": layered(4, 6 * scale, seed=3),
    }
    return {name: _sample(name, deps) for name, deps in structures.items()}


def _sample(name: str, deps: Deps) -> TaskGraph:
    """The graph of a structure, with durations and sizes that its name fixes."""
    n, chance = len(deps), np.random.default_rng(len(name))
    duration = chance.exponential(1.0, n) + 0.01
    size = np.where(chance.random(n) < 0.2, 0.0, chance.exponential(3e7, n))
    if name == "zero_length":
        duration[chance.random(n) < 0.4] = 0.0
    if name == "all_zero":
        duration[:] = 0.0
    if name == "unknown":
        return TaskGraph.build(name, deps)
    return TaskGraph.build(name, deps, duration=duration, size=size)


def cut_rows(rows: int, tasks: int, seed: int = 0) -> tuple[TaskGraph, Cluster, float]:
    """A graph, a cluster of `rows` equal workers, and the shortest makespan, known because the graph was cut from it.

    Every row is full from 0 to the end and cut into tasks; tasks need only what ended before they start.
    """
    chance = random.Random(seed)
    length = 100.0
    pieces: list[tuple[float, float]] = []
    for _ in range(rows):
        cuts = [0.0, *sorted(chance.random() * length for _ in range(max(1, tasks // rows) - 1)), length]
        pieces += pairwise(cuts)
    pieces.sort()
    by_end = sorted(range(len(pieces)), key=lambda i: pieces[i][1])
    ends = [pieces[i][1] for i in by_end]
    deps: Deps = []
    for start, _ in pieces:
        ended = by_end[: bisect_left(ends, start + 1e-12)][-6 * rows :]
        deps.append(sorted(chance.sample(ended, min(len(ended), chance.randint(0, 3)))))
    duration = np.array([end - start for start, end in pieces])
    return TaskGraph.build(f"cut{rows}x{tasks}", deps, duration=duration), Cluster.local(rows), length


def sample_clusters() -> dict[str, Cluster]:
    """Name → cluster: one worker, equal ones, a slow network, speeds, threads, workers to be started, or on demand."""
    speeds = (2.0, 1.0, 1.0, 0.5)
    different = tuple(WorkerSpec(WorkerId(f"s{i}"), speed=speed) for i, speed in enumerate(speeds))
    threaded = tuple(WorkerSpec(WorkerId(f"t{i}"), threads=i + 1) for i in range(3))
    return {
        "one": Cluster.local(1),
        "equal": Cluster.local(4),
        "network": Cluster.local(4, bandwidth=3e7, latency=0.05, overhead=0.01),
        "speeds": Cluster(different, bandwidth=1e8, latency=0.01),
        "threads": Cluster(threaded, bandwidth=1e8, startup=0.5),
        "elastic": Cluster.local(3, bandwidth=1e8, startup=0.5, warm=0.1, keep_alive=1.0, elastic=True),
    }


# --- the suite ------------------------------------------------------------------------------------------------------


class PlannerConformance:
    """What every planner promises. Subclass it and set `planner`: an instance, a class, or a registered name.

    speed    seconds that planning a graph of 2,000 tasks may take, with time to spare on a slow machine
    """

    planner: ClassVar[Any]
    speed: ClassVar[float] = 5.0

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Every test once per graph and cluster that it asks for."""
        if "sample" in metafunc.fixturenames:
            metafunc.parametrize("sample", list(sample_graphs()))
        if "machines" in metafunc.fixturenames:
            metafunc.parametrize("machines", list(sample_clusters()))

    def made(self, graph: TaskGraph, cluster: Cluster) -> Plan:
        """The plan of this planner, with its simulated figures."""
        planner: Planner = find_planner(type(self).planner)
        return run_planner(planner, graph, cluster, estimate(graph))

    def test_its_schedule_is_possible(self, sample: str, machines: str) -> None:
        """Every task once; dependencies, transfers and threads respected."""
        graph, cluster = sample_graphs()[sample], sample_clusters()[machines]
        plan = self.made(graph, cluster)
        assert plan.timeline is not None
        plan.validate(graph, cluster)
        check_schedule(graph, plan, cluster, estimate(graph), plan.timeline)

    def test_same_input_same_plan(self, sample: str) -> None:
        """Nothing depends on the clock, on the hash seed, or on what was planned before."""
        graph, cluster = sample_graphs()[sample], sample_clusters()["network"]
        assert self.made(graph, cluster) == self.made(sample_graphs()[sample], sample_clusters()["network"])

    def test_json_gives_the_same_plan(self, sample: str) -> None:
        """A plan is stored with its run."""
        plan = self.made(sample_graphs()[sample], sample_clusters()["speeds"])
        read = Plan.from_json(plan.to_json())
        assert read == plan
        assert read.timeline is not None
        assert read.timeline.same_as(plan.timeline)

    def test_figures_are_those_of_the_schedule(self, sample: str) -> None:
        """A plan that a user holds has its figures."""
        plan = self.made(sample_graphs()[sample], sample_clusters()["equal"])
        assert plan.makespan is not None
        assert plan.lower_bound is not None
        assert 0 <= plan.lower_bound <= plan.makespan
        assert plan.planner
        assert plan.planning_time is not None

    def test_it_is_fast_enough(self) -> None:
        """Nobody waits for a plan of 2,000 tasks."""
        graph = _sample("layered", layered(40, 50))
        began = time.perf_counter()
        find_planner(type(self).planner).plan(graph, Cluster.local(8), estimate(graph))
        assert time.perf_counter() - began < self.speed
