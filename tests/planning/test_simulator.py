"""The simulator against runs worked out by hand: each rule of execution in the smallest graph that shows it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.errors import PlanError
from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerSpec
from dagnb.planning.engine import NONE, Engine, Policy
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.plan import Annotations, Assignment, Plan
from dagnb.planning.planner import find_planner
from dagnb.planning.simulator import best_possible, complete, forecast, simulate
from dagnb.testing import check_schedule, sample_clusters, sample_graphs, scattered
from dagnb.trace.readable import TaskFinished, TaskStarted
from dagnb.trace.timeline import Timeline
from tests.planning.runs import Queue, W, planned, rows, run

SLOW = Cluster.local(2, bandwidth=10.0, latency=0.5)


def test_inputs_are_fetched_when_the_task_starts():
    graph, plan = TaskGraph.build("g", [[], [0]]), planned(0, 1)
    found = forecast(graph, plan, SLOW, Estimates.of(np.array([1.0, 2.0]), np.array([5.0, 0.0])))
    assert found.timeline[1][2:5] == (1.0, 4.0, 1.0)  # start, end, of which fetch
    assert found.bytes_moved == 5.0


def test_preloaded_inputs_travel_while_the_worker_is_busy():
    deps, sizes = [[], [0], []], np.array([5.0, 0.0, 0.0])
    busy = planned(0, 1, 1, priority=[0, 1, 0])
    ahead = planned(0, 1, 1, priority=[0, 1, 0], t1={"preload": (0,)})
    assert rows(run(deps, busy, SLOW, [1, 2, 3], sizes))[1] == (1, 3.0, 6.0)
    assert rows(run(deps, ahead, SLOW, [1, 2, 3], sizes))[1] == (1, 3.0, 5.0)


def test_a_preloading_task_waits_without_holding_its_worker():
    deps, sizes = [[], [0], [0]], np.array([5.0, 0.0, 0.0])
    plan = planned(0, 1, 0, t1={"preload": (0,)})
    assert rows(run(deps, plan, SLOW, [1, 2, 1], sizes)) == [(0, 0.0, 1.0), (1, 2.0, 4.0), (0, 1.0, 2.0)]


def test_an_object_travels_to_a_worker_once():
    graph, plan = TaskGraph.build("g", [[], [0], [0]]), planned(0, 1, 1)
    found = forecast(graph, plan, SLOW, Estimates.of(np.ones(3), np.array([5.0, 0.0, 0.0])))
    assert [found.timeline[i].fetch for i in range(3)] == [0.0, 1.0, 0.0]
    assert found.bytes_moved == 5.0
    assert found.makespan == 4.0


def test_a_thread_waits_for_what_another_thread_is_fetching():
    cluster = Cluster((WorkerSpec(W[0]), WorkerSpec(W[1], threads=2)), bandwidth=10.0, latency=0.5)
    found = forecast(
        TaskGraph.build("g", [[], [0], [0]]), planned(0, 1, 1), cluster, Estimates.of(np.ones(3), np.array([5.0, 0, 0]))
    )
    assert [found.timeline[i].fetch for i in range(3)] == [0.0, 1.0, 1.0]
    assert found.bytes_moved == 5.0


def test_a_worker_does_not_wait_for_a_task_that_is_not_ready():
    # Task 1 comes first on w1 but needs task 0; task 2 is ready at once.
    assert rows(run([[], [0], []], planned(0, 1, 1), Cluster.local(2), [1, 1, 5])) == [(0, 0, 1), (1, 5, 6), (1, 0, 5)]


def test_priority_goes_before_order_and_order_before_number():
    plan = Plan(tuple(Assignment(W[0], order, priority) for order, priority in [(0, 1.0), (2, 0.0), (1, 0.0)]))
    assert rows(run([[], [], []], plan, Cluster.local(1), [1, 1, 1])) == [(0, 2, 3), (0, 1, 2), (0, 0, 1)]


def test_the_finisher_keeps_one_of_what_it_made_ready():
    # w0 ends task 0 and w1 task 1 at the same time: each takes the child of its own.
    deps = [[], [], [1], [0]]
    assert rows(run(deps, planned(None, None, None, None), Cluster.local(2), [1, 1, 1, 1])) == [
        (0, 0, 1), (1, 0, 1), (1, 1, 2), (0, 1, 2),
    ]  # fmt: skip


def test_the_rest_of_a_fan_out_goes_to_whoever_is_idle():
    found = rows(run([[], [0], [0], [0]], planned(None, None, None, None), Cluster.local(3), [1, 1, 1, 1]))
    assert found[1:] == [(0, 1, 2), (1, 1, 2), (2, 1, 2)]


def test_a_worker_takes_the_better_of_its_own_and_what_is_nobodys():
    plan = planned(0, None, 0, priority=[0, 1, 2])
    assert rows(run([[], [], []], plan, Cluster.local(1), [1, 1, 1])) == [(0, 0, 1), (0, 1, 2), (0, 2, 3)]


def test_what_a_busy_worker_leaves_is_taken_by_another():
    # w0 ends 0; its own 1 comes before the child 2, which is nobody's: w1 takes it.
    plan = planned(0, 0, None, priority=[0, 1, 2])
    assert rows(run([[], [], [0]], plan, Cluster.local(2), [1, 1, 1])) == [(0, 0, 1), (0, 1, 2), (1, 1, 2)]


def test_speed_overhead_threads_and_startup():
    cluster = Cluster((WorkerSpec(W[0], speed=2.0, threads=2),), overhead=0.25, startup=1.0)
    assert rows(run([[], [], []], planned(0, 0, 0), cluster, [2, 4, 2])) == [(0, 1, 2.25), (0, 1, 3.25), (0, 2.25, 3.5)]
    found = forecast(TaskGraph.build("g", [[]]), planned(0), cluster, Estimates.of(np.ones(1)))
    assert found.cold_starts == 1
    assert found.gb_seconds == pytest.approx(2.0 * (1.0 + 0.75))  # 2 GB for the start, then overhead + 1 / speed
    assert (found.worker_seconds, found.makespan, found.span) == (1.75, 1.75, 0.75)


def test_a_task_of_length_zero_occupies_nobody():
    deps = [[], [], [0], [2]]
    found = rows(run(deps, planned(0, 0, 0, 1), Cluster.local(2, overhead=0.5), [1, 1, 0, 1]))
    assert found == [(0, 0, 1.5), (0, 1.5, 3.0), (0, 1.5, 1.5), (1, 1.5, 3.0)]


def test_a_long_chain_of_length_zero_needs_no_stack():
    n = 50_000
    graph = TaskGraph.build("g", [[i - 1] if i else [] for i in range(n)])
    found = forecast(graph, planned(*[None] * n), Cluster.local(1), Estimates.of(np.zeros(n)))
    assert found.makespan == 0.0


def test_where_seconds_are_unknown_the_network_costs_nothing():
    graph = TaskGraph.build("g", [[], [0]], size=np.array([1e9, 0.0]))
    found = forecast(graph, planned(0, 1), Cluster.local(2, bandwidth=1.0, latency=9.0, overhead=3.0), estimate(graph))
    assert found.makespan == 2.0  # task units
    assert found.bytes_moved == 1e9


@pytest.mark.parametrize("name", list(sample_graphs()))
@pytest.mark.parametrize("planner", ["free", "heft"])
def test_the_events_fold_to_the_forecast(name, planner):
    graph, cluster = sample_graphs()[name], sample_clusters()["network"]
    plan = find_planner(planner).plan(graph, cluster, estimate(graph))
    events = list(simulate(graph, plan, cluster, estimate(graph)))
    assert Timeline.of(len(graph), events).same_as(forecast(graph, plan, cluster, estimate(graph)).timeline)
    moments = [event.at for event in events if isinstance(event, TaskStarted | TaskFinished)]
    assert moments == sorted(moments)
    assert len(moments) == 2 * len(graph)


def test_measured_durations_can_be_replayed():
    graph = TaskGraph.build("g", [[], [0]])
    assert [e.at for e in simulate(graph, planned(0, 0), Cluster.local(1), np.array([1.5, 2.0]))] == [0, 1.5, 1.5, 3.5]


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(0, 25),
    st.sampled_from(list(sample_clusters())),
    st.booleans(),
)
def test_any_plan_at_all_gives_a_possible_schedule(seed, n, machines, ahead):
    """Workers, priorities and preloads thrown at random: the plan may be silly, the schedule must be possible."""
    cluster, chance = sample_clusters()[machines], np.random.default_rng(seed)
    graph = TaskGraph.build("any", scattered(n, seed))
    estimates = Estimates.of(chance.choice([0.0, 0.5, 1.0, 1.7], n), chance.choice([0.0, 1e6, 5e7], n))
    ids = [None, *(w.id for w in cluster.workers)]
    plan = Plan(
        tuple(
            Assignment(
                ids[chance.integers(len(ids))],
                i,
                float(chance.integers(4)),
                Annotations(preload=tuple(graph.dependencies(i))) if ahead and chance.random() < 0.5 else None,
            )
            for i in range(n)
        )
    )
    done = complete(plan, graph, cluster, estimates)
    check_schedule(graph, plan, cluster, estimates, done.timeline)
    assert done.lower_bound <= done.makespan
    assert done.lower_bound == pytest.approx(best_possible(graph, cluster, estimates))


def test_an_online_policy_runs_in_the_same_engine():
    graph = TaskGraph.build("g", [[], [], [], [0, 1, 2]])
    found = forecast(graph, Queue(), Cluster.local(2), np.ones(4))
    assert [found.timeline[i].end for i in range(4)] == [1, 1, 2, 3]
    assert [found.timeline[i].worker for i in range(4)] == [0, 1, 0, 0]


def test_a_policy_may_act_on_its_ticks_alone():
    found = forecast(TaskGraph.build("g", [[], [0]]), Queue(tick=10.0), Cluster.local(1), np.ones(2))
    assert [found.timeline[i].start for i in range(2)] == [10.0, 20.0]


class Idle(Queue):
    def on_idle(self, worker):
        return NONE


@pytest.mark.parametrize("tick", [0.0, 1.0])
def test_a_policy_that_starts_nothing_is_an_error_and_no_hang(tick):
    with pytest.raises(PlanError, match="2 of 2 tasks are never started"):
        forecast(TaskGraph.build("g", [[], [0]]), Idle(tick), Cluster.local(1), np.ones(2))


def test_the_engine_can_send_ahead_for_any_policy():
    """A task sent ahead is ready on arrival, and `since` is when sending may begin."""

    class Ahead(Policy):
        def begin(self, engine: Engine):
            self.engine, self.ready = engine, {}

        def on_ready(self, task, worker):
            if task and self.engine.load(task, 1, [0], since=self.engine.now + 2):
                return NONE
            return self.on_loaded(task, 0)

        def on_loaded(self, task, worker):
            self.ready[worker] = task
            return worker

        def on_idle(self, worker):
            return self.ready.pop(worker, NONE)

    graph = TaskGraph.build("g", [[], [0]])
    found = forecast(graph, Ahead(), SLOW, Estimates.of(np.ones(2), np.array([5.0, 0.0])))
    assert found.timeline[1][2:5] == (4.0, 5.0, 0.0)
    assert found.timeline[1].worker == 1
