"""Tasks that say what they need, on workers of several sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.errors import PlanError
from dagnb.graph.graph import TaskGraph
from dagnb.planners.free import Free
from dagnb.planners.heft import Heft
from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.fit import check_fit, fit, fitting
from dagnb.planning.plan import Plan
from dagnb.planning.planner import find_planner, run_planner
from dagnb.testing import scattered

NAN = float("nan")
SIZES = Cluster(tuple(WorkerSpec(WorkerId(n), memory=m, cpus=c) for n, m, c in (("a", 1e9, 1), ("b", 4e9, 2))))


def graph_of(memory: list[float], cpus: list[float] | None = None) -> TaskGraph:
    n = len(memory)
    needs = {"memory": np.array(memory), "cpus": np.array(cpus or [NAN] * n)}
    return TaskGraph.build("g", [[i - 1] if i else [] for i in range(n)], **needs)


def certain(graph: TaskGraph) -> Estimates:
    return Estimates.of(np.ones(len(graph)))


def plan_of(graph: TaskGraph, where: list[int], notes: dict[int, Annotations] | None = None) -> Plan:
    return Plan.build(graph, SIZES, certain(graph), worker=where, sequence=range(len(graph)), annotations=notes)


def where(plan: Plan) -> list[str | None]:
    return [a.worker for a in plan.assignments]


def test_what_does_not_fit_is_moved_and_the_rest_stays():
    graph = graph_of([NAN, 2e9, 5e8, NAN], [NAN, NAN, NAN, 2])
    assert where(fit(plan_of(graph, [0, 0, 0, -1]), graph, SIZES, certain(graph))) == ["a", "b", "a", "b"]


def test_whoever_is_free_is_named_only_where_some_are_too_small():
    graph = graph_of([2e9, NAN, 1e9])
    assert where(fit(plan_of(graph, [-1, -1, -1]), graph, SIZES, certain(graph))) == ["b", None, None]


def test_moved_tasks_keep_the_order_of_the_plan_and_go_to_the_least_loaded():
    three = Cluster((*SIZES.workers, WorkerSpec(WorkerId("c"), memory=4e9)))
    graph = graph_of([NAN, 2e9, 2e9, 2e9])
    plan = Plan.build(graph, three, certain(graph), worker=[1, 0, 0, 0], sequence=[0, 3, 2, 1])
    found = fit(plan, graph, three, certain(graph))
    assert where(found) == ["b", "c", "b", "c"]
    assert np.argsort(found.columns.priority).tolist() == [0, 3, 2, 1]
    found.validate(graph, three)


def test_copies_and_groups_follow():
    graph = graph_of([2e9, 2e9])
    notes = {0: Annotations(duplicate=(WorkerId("a"),)), 1: Annotations(group=3)}
    found = fit(plan_of(graph, [1, -1], notes), graph, SIZES, certain(graph))
    assert found.assignments[0].annotations == Annotations()
    assert found.assignments[1].annotations == Annotations()
    found.validate(graph, SIZES)


@pytest.mark.parametrize(
    ("memory", "cpus", "words"),
    [
        ([NAN, 8e9], None, r"t1 needs 8 GB: larger than any of the 2 workers \('b' has 4 GB and 2 cpus\)"),
        ([NAN], [16.0], "t0 needs 16 cpus: larger than any"),
        ([8e9] * 9, None, "t0 needs 8 GB; t1 needs 8 GB; t2 needs 8 GB and 6 more: larger"),
    ],
)
def test_a_task_larger_than_every_worker_is_refused_by_name(memory, cpus, words):
    graph = graph_of(memory, cpus)
    with pytest.raises(PlanError, match=words):
        run_planner(Free(), graph, SIZES, certain(graph))


def test_without_limits_nothing_is_too_large_and_nothing_moves():
    graph = graph_of([8e12, NAN])
    on = Cluster.local(2)
    assert fitting(graph, on) is None
    plan = Plan.build(graph, on, certain(graph), worker=[0, 1], sequence=[0, 1])
    assert fit(plan, graph, on, certain(graph)) is plan
    check_fit(plan, graph, on)


def test_a_plan_from_elsewhere_is_checked():
    graph = graph_of([2e9, 2e9])
    check_fit(plan_of(graph, [1, 1]), graph, SIZES)
    with pytest.raises(
        PlanError, match=r"t0 needs 2 GB, and the plan puts it on 'a', which has 1 GB and 1 cpu \(1 more"
    ):
        check_fit(plan_of(graph, [0, 0]), graph, SIZES)
    with pytest.raises(PlanError, match="t1 needs 2 GB, and the plan leaves it to whoever is free"):
        check_fit(plan_of(graph, [1, -1]), graph, SIZES)


#: Planners that place every task where it fits; what they say is never changed afterwards.
PLACING = ("auto", "cheapest", "cpop", "heft", "min_min", "peft")


@pytest.mark.parametrize("name", PLACING)
def test_planners_know_what_tasks_need(name):
    """Two large tasks and four small ones of 1 s: the large ones on `b`, and the small ones on `a` and `b`.

    Moved afterwards, the large ones would follow what the planner had given to `b` itself: 5 s, not 3.
    """
    graph = TaskGraph.build("bag", [[]] * 6, memory=np.array([2e9, NAN, 2e9, NAN, NAN, NAN]), cpus=np.full(6, NAN))
    made = find_planner(name).plan(graph, SIZES, certain(graph))
    check_fit(made, graph, SIZES)
    plan = run_planner(find_planner(name), graph, SIZES, certain(graph))
    assert where(plan) == where(made)
    assert [where(plan)[task] for task in (0, 2)] == ["b", "b"]
    if name != "cheapest":  # which may take longer
        assert plan.makespan == 3.0


@pytest.mark.parametrize("name", PLACING)
@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([NAN, 5e8, 2e9]), min_size=1, max_size=15),
    st.sampled_from([0.0, 0.3]),
    st.integers(0, 10**6),
)
def test_no_task_is_placed_where_it_does_not_fit(name, memory, zeros, seed):
    chance, n = np.random.default_rng(seed), len(memory)
    needs = {"memory": np.array(memory), "cpus": chance.choice([NAN, 1.0, 2.0], n)}
    graph = TaskGraph.build("g", scattered(n, seed), **needs)
    specs = [(1e9, 1, 4.0), (4e9, 2, 1.0), (1e9, 2, 2.0), (4e9, 2, 1.0), (4e9, 1, 2.0)]
    cluster = Cluster(
        tuple(WorkerSpec(WorkerId(f"w{i}"), memory=m, cpus=c, speed=s) for i, (m, c, s) in enumerate(specs)),
        bandwidth=1e8,
    )
    length = np.where(chance.random(n) < zeros, 0.0, chance.exponential(1.0, n))
    known = Estimates.of(length, chance.exponential(3e7, n))
    options = {"thorough": True, "evaluations": 10} if name == "auto" else {}
    made = find_planner(name, **options).plan(graph, cluster, known)
    check_fit(made, graph, cluster)
    made.validate(graph, cluster)
    assert fit(made, graph, cluster, known) is made


@pytest.mark.parametrize("name", ["uniform", "non_uniform"])
def test_planners_of_sizes_take_one_with_room_for_all(name):
    graph = TaskGraph.build("bag", [[]] * 3, memory=np.array([2e9, NAN, NAN]), cpus=np.full(3, NAN))
    quick = Cluster((WorkerSpec(WorkerId("a"), memory=1e9, speed=4.0), WorkerSpec(WorkerId("b"), memory=4e9)))
    made = find_planner(name).plan(graph, quick, certain(graph))
    assert where(made) == ["b", "b", "b"]


@given(
    st.lists(st.sampled_from([NAN, 5e8, 1e9, 2e9, 4e9]), min_size=1, max_size=12),
    st.sampled_from([Free, Heft]),
)
def test_whatever_a_planner_does_every_task_has_what_it_needs(memory, planner):
    graph = graph_of(memory)
    plan = run_planner(planner(), graph, SIZES, certain(graph))
    check_fit(plan, graph, SIZES)
    plan.validate(graph, SIZES)
    assert plan.makespan is not None
    assert plan.makespan >= len(memory), "a chain"


def test_needs_come_from_the_options_of_a_task():
    from dagnb import dag, task

    @task(memory="2GB", cpus=2)
    def large() -> int:
        return 1

    with dag("needs") as needs:
        large()
        large.options(memory=None, cpus=1)()
    try:
        assert needs.graph.memory.tolist()[0] == 2e9
        assert np.isnan(needs.graph.memory[1])
        assert needs.graph.cpus.tolist() == [2.0, 1.0]
        assert where(needs.plan("free", workers=SIZES)) == ["b", None]
    finally:
        needs.drop()
