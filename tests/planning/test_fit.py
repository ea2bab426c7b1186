"""Tasks that say what they need, on workers of several sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
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
from dagnb.planning.planner import run_planner

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
