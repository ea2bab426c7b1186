"""Planners side by side: figures that follow from the plans, rows that are found, failures that hide nothing."""

import math

import pytest

import dagnb
from dagnb import task
from dagnb.errors import OptionError, PlanError, UnknownNameError, UnknownPlannerError
from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster
from dagnb.planning.plan import Plan
from dagnb.planning.planner import planner_names
from dagnb.session.compare import locality
from tests.browser.recording import montage, pipeline


class OnOne:
    """All tasks on the first worker."""

    name = "on_one"

    def plan(self, graph, cluster, estimates):
        return Plan.build(
            graph, cluster, estimates, worker=[0] * len(graph), sequence=range(len(graph)), planner="on_one"
        )


class Broken:
    name = "broken"

    def plan(self, graph, cluster, estimates):
        raise RuntimeError("out of ideas")


@task(est="1s")
def work(*xs):
    return sum(xs)


@pytest.fixture
def etl():
    with dagnb.dag("etl", new=True) as dag:
        parts = [work() for _ in range(4)]
        total = work(*parts)  # noqa: F841 -- a name of the DAG
    return dag


def test_planners_times_workers_in_the_order_asked_for(etl):
    comparison = etl.compare(["heft", OnOne], workers=[2, 4])
    assert [(r.dag, r.planner, r.workers) for r in comparison] == [
        ("etl", "heft", 2), ("etl", "on_one", 2), ("etl", "heft", 4), ("etl", "on_one", 4),
    ]  # fmt: skip
    assert [r.makespan for r in comparison] == [3.0, 5.0, 2.0, 5.0]
    assert comparison["heft", 4].gap == 0.0
    assert comparison["on_one", 2].gap == pytest.approx(5 / 3 - 1)
    assert comparison["on_one", "2"] is comparison[1]


def test_the_figures_are_those_of_the_plan(etl):
    row = etl.compare("heft", workers=2)[0]
    plan = etl.plan("heft", workers=2)
    for name in ("makespan", "interval", "gb_seconds", "worker_seconds", "bytes_moved", "cold_starts", "lower_bound"):
        assert getattr(row, name) == getattr(plan, name)


def test_the_best_of_those_as_short_is_that_of_fewest_workers(etl):
    comparison = etl.compare(["heft", OnOne()], workers=[2, 8, 4])
    assert (comparison.best.planner, comparison.best.workers) == ("heft", 4)


def test_all_registered_planners_are_compared_by_default(etl):
    comparison = etl.compare()
    assert {row.planner for row in comparison} == set(planner_names()) - {"free"}
    assert len({row.workers for row in comparison}) == 1
    assert all(row.plan is not None or row.error for row in comparison)
    assert comparison["heft"].makespan is not None


def test_a_planner_that_fails_is_a_row_with_its_error(etl):
    comparison = etl.compare([Broken(), "heft"], workers=2)
    assert comparison["broken"].error == "RuntimeError: out of ideas"
    assert comparison["broken"].makespan is comparison["broken"].gap is comparison["broken"].locality is None
    assert comparison.best.planner == "heft"
    assert "broken: RuntimeError: out of ideas" in comparison.table()
    with pytest.raises(PlanError, match="no planner has made a plan"):
        _ = etl.compare(Broken).best


def test_what_is_no_planner_or_no_number_of_workers_is_refused_at_once(etl):
    with pytest.raises(UnknownPlannerError, match="did you mean heft"):
        etl.compare(["simple", "hefft"])
    for workers in (0, [4, -1], [2.5], "4"):
        with pytest.raises(OptionError, match="workers is a whole number"):
            etl.compare("heft", workers=workers)
    for empty in ({"planners": []}, {"workers": []}):
        with pytest.raises(OptionError):
            etl.compare(empty.get("planners", "heft"), workers=empty.get("workers", 2))
    with pytest.raises(PlanError, match="is not a planner"):
        etl.compare([42])
    with pytest.raises(OptionError, match="no DAG to compare"):
        dagnb.compare({})


def test_a_row_that_is_none_names_those_that_are(etl):
    comparison = etl.compare(["heft", "simple"], workers=[2, 4])
    with pytest.raises(UnknownNameError, match="did you mean simple"):
        _ = comparison["simpel", 2]
    with pytest.raises(UnknownNameError, match="2 rows are meant"):
        _ = comparison["heft"]
    with pytest.raises(UnknownNameError, match="There are: heft on 2"):
        _ = comparison["heft", 16]


def test_clusters_of_equal_size_are_told_apart(etl):
    slow = Cluster.local(2, bandwidth=1e3)
    comparison = etl.compare("heft", workers=[2, slow])
    assert [row.label for row in comparison] == ["2 #1", "2 #2"]
    assert comparison["heft", slow].plan.cluster == slow


def test_without_durations_nothing_is_said_in_seconds():
    text = dagnb.compare({"x": TaskGraph.build("x", [[], [0], [0]])}, "heft", workers=2).table()
    assert "task units" in text
    assert " s " not in text


def test_several_kinds_of_workflow_by_ratio_and_geometric_mean():
    dags = {"digits": pipeline(), "montage": montage(100)}
    comparison = dagnb.compare(dags, ["heft", OnOne], workers=4)
    ratios, means = comparison.ratios(), comparison.geomeans()
    for name in dags:
        spans = {row.planner: row.makespan for row in comparison.of(name)}
        assert ratios[name]["on_one", "4"] == pytest.approx(spans["on_one"] / spans["heft"])
        assert min(ratios[name].values()) == 1.0
    assert means["on_one", "4"] == pytest.approx(math.prod(ratios[name]["on_one", "4"] for name in dags) ** 0.5)
    lines = comparison.table().splitlines()
    assert lines[0].startswith("2 DAGs")
    assert lines[1].split() == ["tasks", "shortest", "heft", "on_one"]
    assert lines[-1].startswith("geometric mean")
    with pytest.raises(OptionError, match=r"of\(.digits.\)\.best"):
        _ = comparison.best
    assert comparison.of("montage").best.planner == "heft"
    with pytest.raises(UnknownNameError, match="did you mean digits"):
        comparison.of("digit")


def test_locality_is_the_share_of_bytes_that_stay():
    from dataclasses import replace

    import numpy as np

    graph = TaskGraph.build("x", [[], [], [0, 1], [0]])
    sized = replace(graph, duration=np.ones(4), size=np.array([3e6, 1e6, 0, 0]))
    cluster = Cluster.local(2)

    class Split(OnOne):
        def plan(self, graph, cluster, estimates):
            return Plan.build(graph, cluster, estimates, worker=[0, 1, 1, 1], sequence=[0, 1, 2, 3])

    for of, share in ((sized, 4 / 7), (graph, 2 / 3)):  # a moves once and is needed twice; without sizes inputs count
        row = dagnb.compare({"x": of}, Split, workers=cluster)[0]
        assert row.locality == pytest.approx(share)
        moved = row.bytes_moved
        assert moved == (3e6 if of is sized else 0)
    assert locality(graph, dagnb.compare({"x": graph}, OnOne, workers=2)[0].plan) == 1.0


def test_the_best_plan_runs_on_as_many_workers_as_it_was_made_for(etl):
    comparison = etl.compare(["heft", "simple"], workers=[1, 3])
    run = etl.run(plan=comparison["heft", 3].plan)
    assert run.plan is comparison["heft", 3].plan
    assert len(run.slots) == 3
    assert {int(w) for w in run.timeline.worker} <= {0, 1, 2}
    assert etl["total"].result() == 0
