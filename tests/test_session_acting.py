"""Acting a DAG out: real workers, tasks that sleep as long as theirs would take, scaled."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

import dagnb
from dagnb import Cluster, task
from dagnb.errors import NotRunError, OptionError, PlanError
from dagnb.graph.graph import TaskGraph
from dagnb.planning.assignment import Annotations
from dagnb.planning.estimator import Estimates, estimate
from dagnb.session.acting import ALL, LARGEST, act, acted, plan_for
from tests.formats import samples


@task(est=20, out_size="1MB")
def fetch(i):
    raise AssertionError("an acted run calls no function of the user's")


@task(est=10)
def join(parts):
    raise AssertionError("an acted run calls no function of the user's")


def etl(n=4):
    with dagnb.dag("etl", new=True) as dag:
        parts = [fetch(i) for i in range(n)]
        whole = join(parts)
    return dag, whole


# ---- the graph -------------------------------------------------------------------------------------------------------
def test_the_acted_graph_is_the_same_but_for_its_calls():
    graph = etl()[0].graph
    acting = acted(graph, estimate(graph), 0.01)
    assert acting.fingerprint == graph.fingerprint
    assert (acting.keys, acting.kinds, acting.where) == (graph.keys, graph.kinds, graph.where)
    assert acting.duration.tolist() == pytest.approx([0.2] * 4 + [0.1])
    assert acting.size.tolist() == [10_000] * 4 + [0]
    assert acting.calls.functions == (act, act), "one for each kind: workers measure by function"
    assert acting.calls.function.tolist() == graph.kind.tolist()
    assert [len(args) for args in acting.calls.args] == [2, 2, 2, 2, 6], "inputs are arguments: they are fetched"
    assert not acting.kept


def test_payloads_are_bounded_one_by_one_and_together():
    graph = TaskGraph.build("large", [[] for _ in range(100)])
    acting = acted(graph, Estimates.of(np.ones(100), np.full(100, 1e12)), 1.0)
    assert acting.size.sum() <= ALL
    assert acting.size.max() <= LARGEST
    few = TaskGraph.build("few", [[], []])
    assert acted(few, Estimates.of(np.ones(2), np.array([1e12, 4.0])), 0.5).size.tolist() == [LARGEST, 2]


def test_act_sleeps_and_returns():
    assert act(0.0, 3, "anything") == b"\0\0\0"


# ---- the run ---------------------------------------------------------------------------------------------------------
def test_plan_and_actual_agree():
    dag, whole = etl()
    run = dag.run(mode="sleep", scale=0.01, workers=2, planner="heft")
    assert run.state == "done"
    assert run.acted
    assert run is dag.last
    assert run.plan.makespan == pytest.approx(0.5, abs=0.02)
    assert 0.5 <= run.makespan < 1.0
    took = run.timeline.end - run.timeline.start - run.timeline.fetch
    assert (took >= run.graph.duration).all()
    assert run.timeline.size[:4].min() >= 10_000, "so many bytes were really made"
    with pytest.raises(NotRunError, match="whole has no value yet: etl was never run"):
        whole.result()


def test_a_trace_is_acted_out(tmp_path):
    (tmp_path / "small.json").write_text(samples.text("1.4"))
    trace = dagnb.from_wfformat(tmp_path / "small.json")
    run = asyncio.run(trace.run_async(mode="sleep", scale=0.01, workers=2))
    assert run.state == "done"
    assert run.makespan == pytest.approx(0.2375, abs=0.2)
    assert run.timeline[run.graph.index["plot_ID04"]].duration < 0.1
    assert not np.isnan(trace.graph.duration).any()


def test_a_plan_of_the_real_graph_is_obeyed_with_figures_of_the_acting():
    dag, _ = etl()
    plan = dag.plan("heft", workers=2)
    run = dag.run(mode="sleep", scale=0.005, plan=plan)
    assert plan.makespan == pytest.approx(50, rel=0.02)
    assert run.plan.makespan == pytest.approx(0.25, abs=0.02)
    assert run.plan.assignments == plan.assignments
    assert run.plan.cluster == plan.cluster
    assert run.plan.lower_bound <= run.plan.makespan
    where = run.timeline.worker
    assert len({int(w) for w in where[:4]}) == 2
    with pytest.raises(PlanError, match="was changed after it was made"):
        etl(5)[0].run(mode="sleep", plan=plan)


def test_moments_that_a_plan_names_are_scaled():
    graph = etl()[0].graph
    plan = etl()[0].plan("heft", workers=2)
    notes = {0: Annotations(prewarm=40.0, keep_local=True), 1: Annotations(preload=(2,))}
    planned = replace(plan, assignments=replace(plan.columns, notes=notes))
    acting = plan_for(planned, graph, acted(graph, estimate(graph), 0.01), 0.01)
    assert acting.columns.notes == {0: Annotations(prewarm=0.4, keep_local=True), 1: notes[1]}
    assert (acting.makespan, acting.timeline, acting.seed) == (None, None, plan.seed)


def test_values_of_the_last_real_run_stay():
    @task(est=1)
    def one():
        return 1

    with dagnb.dag("both", new=True) as dag:
        x = one()
    real = dag.run()
    played = dag.run(mode="sleep", scale=0.01, keep="x")
    assert (dag.last, dag.real) == (played, real)
    assert x.result() == 1
    assert played["x"] == b""
    assert not real.acted
    dag.drop()
    assert dag.last is dag.real is None


def test_a_cluster_may_be_given():
    run = etl()[0].run(mode="sleep", scale=0.001, workers=Cluster.local(3), planner="simple", wait=False)
    assert run.wait(30).state == "done"
    assert len(run.plan.workers) == 3


def test_an_empty_dag_is_acted_out():
    with dagnb.dag("nothing", new=True) as dag:
        pass
    assert dag.run(mode="sleep").state == "done"


# ---- what is refused -------------------------------------------------------------------------------------------------
def test_unknown_durations_are_refused_by_name():
    @task
    def guess(x):
        return x

    with dagnb.dag("unsaid", new=True) as dag:
        guess(fetch(1))
    with pytest.raises(OptionError, match=r"nobody has said how long guess takes\.\n  Say it, @task\(est="):
        dag.run(mode="sleep", scale=0.1)
    assert dag.last is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "act"}, r"no mode 'act'\.\n  It is 'real', or 'sleep'"),
        ({"mode": "slep"}, r"Did you mean sleep"),
        ({"mode": None}, "no mode None"),
        ({"scale": 0.5}, r"scale=0.5 is for acting out\.\n  Write run\(mode='sleep', scale=0.5\)"),
        ({"mode": "sleep", "scale": 0}, "a finite number above 0, not 0"),
        ({"mode": "sleep", "scale": -1}, "above 0, not -1"),
        ({"mode": "sleep", "scale": float("nan")}, "above 0, not nan"),
        ({"mode": "sleep", "scale": "1%"}, "above 0, not '1%'"),
        ({"mode": "sleep", "scale": True}, "above 0, not True"),
    ],
)
def test_modes_and_scales_that_cannot_be(options, message):
    dag, _ = etl()
    with pytest.raises(OptionError, match=message):
        dag.run(**options)
    assert dag.last is None
