"""dask: the decisions of distributed's scheduler, one by one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from dask._task_spec import Task, TaskRef
from dask.order import order

from dagnb.graph.graph import TaskGraph
from dagnb.planners.dask import ORDERED, Dask, DaskPolicy, dask_keys, priorities
from dagnb.planners.dask_books import UNKNOWN, Books
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.engine import Engine
from dagnb.planning.estimator import Estimates
from dagnb.planning.planner import find_planner, run_planner
from dagnb.testing import sample_graphs

TWO = Cluster.local(2, bandwidth=100e6)


def planned(graph, seconds, size=0.0, cluster=TWO, **options):
    estimates = Estimates.of(np.broadcast_to(np.array(seconds, float), len(graph)), np.full(len(graph), float(size)))
    return run_planner(Dask(**options), graph, cluster, estimates)


@pytest.mark.parametrize("name", sorted(sample_graphs()))
def test_priorities_are_those_of_dask(name):
    graph = sample_graphs()[name]
    keys = dask_keys(graph)
    tasks = {k: Task(k, len, *(TaskRef(keys[d]) for d in graph.dependencies(i))) for i, k in enumerate(keys)}
    assert priorities(graph) == [order(tasks)[k] for k in keys]


def test_root_like_tasks_are_shared_out_one_by_one():
    plan = planned(TaskGraph.build("bag", [[]] * 10), 1.0)
    assert sorted(a.worker for a in plan.assignments) == ["w0"] * 5 + ["w1"] * 5
    assert plan.makespan == 5.0


def test_a_chain_stays_where_its_data_is():
    plan = planned(TaskGraph.build("chain", [[], [0], [1], [2]]), 1.0, 1e9)
    assert len({a.worker for a in plan.assignments}) == 1
    assert plan.bytes_moved == 0


def test_small_fan_outs_stay_with_their_parent_until_stolen():
    """Four children are no root-like group of two workers: all are sent to the one holder of their input."""
    graph = TaskGraph.build("fan", [[], [0], [0], [0], [0]], kind=["load", *["work"] * 4])
    without = planned(graph, [1.0, 10.0, 10.0, 10.0, 10.0], stealing=False)
    assert {a.worker for a in without.assignments} == {"w0"}
    assert without.makespan == 41.0
    stolen = planned(graph, [1.0, 10.0, 10.0, 10.0, 10.0])
    assert {a.worker for a in stolen.assignments[1:]} == {"w0", "w1"}
    assert 21.0 <= stolen.makespan < 31.0


def test_larger_inputs_decide_among_holders():
    graph = TaskGraph.build("join", [[], [], [0, 1]], kind=["a", "b", "c"])
    estimates = Estimates.of(np.ones(3), np.array([1e6, 9e8, 0.0]))
    plan = run_planner(Dask(), graph, TWO, estimates)
    assert plan.assignments[0].worker != plan.assignments[1].worker
    assert plan.assignments[2].worker == plan.assignments[1].worker


def test_speed_is_not_seen():
    fast = Cluster((WorkerSpec(WorkerId("slow"), speed=0.1), WorkerSpec(WorkerId("fast"), speed=10.0)))
    plan = planned(TaskGraph.build("pair", [[], []]), 1.0, cluster=fast)
    assert sorted(a.worker for a in plan.assignments) == ["fast", "slow"]
    assert plan.makespan == 10.0


def test_books_learn_durations_as_distributed_does():
    graph = TaskGraph.build("g", [[], [], []], kind=["a", "a", "b"])
    books = Books(graph, TWO, Estimates.of(np.ones(3)), 1.1)
    assert books.duration(0) == UNKNOWN
    books.runs_for(0, 3.0)
    assert books.duration(1) == 6.0  # twice the longest seen running
    books.took(0, 2.0)
    books.took(1, 4.0)
    assert books.duration(0) == 3.0
    books.runs_for(1, 7.0)  # over twice the average: unknown again
    assert books.duration(0) == 14.0
    assert books.duration(2) == UNKNOWN


def test_books_balance_after_everything_ran():
    """What a worker awaits and stores comes back to nothing, whatever was stolen in between."""
    chance = np.random.default_rng(3)
    graph = sample_graphs()["random"]
    estimates = Estimates.of(chance.exponential(2.0, len(graph)), chance.exponential(1e8, len(graph)))
    policy = DaskPolicy(graph, TWO, estimates, priorities(graph), chance)
    Engine(graph, policy, TWO, estimates).run()
    policy.on_tick()
    for worker in policy.books.workers:
        assert not worker.processing
        assert not worker.counts
        assert not worker.needs
        assert worker.incoming == pytest.approx(0.0, abs=1e-3)
        assert worker.has <= set(graph.sinks.tolist())


def test_large_graphs_are_ordered_depth_first():
    n = ORDERED + 2
    graph = TaskGraph.build("chains", [[] if i < 2 else [i - 2] for i in range(n)])
    found = priorities(graph)
    assert sorted(found) == list(range(n))
    assert all(found[i] > found[i - 2] for i in range(2, n))
    assert abs(found[4] - found[2]) == 1  # a chain is followed to its end


def test_hours_take_no_longer_than_seconds():
    """Heartbeats of a run of months would be millions: they are spread out."""
    began = time.process_time()
    plan = planned(TaskGraph.build("bag", [[]] * 50), 1e6)
    assert plan.makespan == 25e6
    assert plan.parameters["beat"] > 100
    assert time.process_time() - began < 5


def test_it_is_found_by_name():
    assert find_planner("dask", stealing=False) == Dask(stealing=False)
