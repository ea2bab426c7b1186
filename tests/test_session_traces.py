"""DAGs from documents and documents of DAGs, as a user has them."""

import json
from pathlib import Path

import numpy as np
import pytest

import dagnb
from dagnb import task
from dagnb.errors import BuildError, FormatError, NotRunError, OptionError, RunError, UnknownNameError
from dagnb.formats.wfformat import read
from dagnb.session import registry
from tests.formats import samples


@pytest.fixture
def trace(tmp_path):
    """A DAG that was read."""
    (tmp_path / "small.json").write_text(samples.text())
    return dagnb.from_wfformat(tmp_path / "small.json")


@task(est=2, out_size=1000)
def load(x):
    return x


@task(est="1s")
def add(*xs):
    return sum(xs)


def etl():
    with dagnb.dag("etl", new=True) as dag:
        parts = [load(i) for i in range(3)]
        total = add(*parts)
    return dag, total


def test_a_trace_is_a_dag_to_look_at(trace):
    assert trace.name == "small"
    assert repr(trace) == "<dag small: 5 tasks>"
    assert set(trace) == set(samples.PARENTS)
    assert len(trace) == 5
    assert "cut_ID01" in trace
    assert trace["cut_ID01"].kind == "cut"
    assert {handle.key for handle in trace["fit"]} == {"fit_ID02", "fit_ID03"}
    assert trace.graph.name == "small"
    with pytest.raises(UnknownNameError, match="Did you mean cut_ID01"):
        trace["cut_ID1"]
    assert "small · 5 tasks · never run" in dagnb.status()


def test_a_trace_can_be_planned_and_compared(trace):
    plan = trace.plan("heft", workers=2)
    assert plan.has_seconds
    assert plan.makespan == pytest.approx(1.5 + 22.25, abs=0.1)
    plan.validate(trace.graph, dagnb.Cluster.local(2))


def test_a_trace_has_no_functions_to_run_and_no_values(trace):
    with pytest.raises(RunError, match=r'small .* no functions to run\.\n  Act it out: small.run\(mode="sleep"'):
        trace.run()
    assert trace.last is None
    with pytest.raises(NotRunError, match="small was read from a document: cut_ID01 never has a value here"):
        trace["cut_ID01"].result()


def test_nothing_can_be_recorded_into_a_trace(trace):
    with pytest.raises(BuildError, match="small was read from a document"), trace:
        load(1)
    assert len(trace) == 5


def test_its_name(tmp_path):
    assert registry.find(dagnb.from_wfformat(samples.text()).name).name == "small"
    for file, name in {
        "montage-2mass.05d.json": "montage_2mass_05d",
        "1000genome.json": "trace_1000genome",
        "class.json": "trace_class",
        "…json": "json",
        "+.json": "trace",
    }.items():
        (tmp_path / file).write_text(samples.text())
        found = dagnb.from_wfformat(tmp_path / file)
        assert found.name == found.graph.name == name
        assert name.isidentifier()
        assert registry.dags()[name] is found
    mine = dagnb.from_wfformat(tmp_path / "+.json", "mine")
    assert registry.find("mine") is mine
    mine.drop()
    assert "mine" not in registry.dags()
    with pytest.raises(OptionError, match="not a name for a DAG"):
        dagnb.from_wfformat(tmp_path / "+.json", "not a name")
    with pytest.raises(FormatError, match="cannot be read"):
        dagnb.from_wfformat(tmp_path / "nothing.json")


def test_export_before_a_run_writes_what_was_declared(tmp_path):
    dag, _ = etl()
    path = dag.export(tmp_path / "etl.json")
    graph = read(path)
    assert graph.keys == dag.graph.keys
    assert graph.kinds == ("load", "add")
    assert graph.duration.tolist() == [2, 2, 2, 1]
    assert graph.size.tolist()[:3] == [1000, 1000, 1000]
    assert np.isnan(graph.size[3])
    assert set(dagnb.from_wfformat(path, "again")) == set(dag)


def test_export_after_a_run_writes_what_was_measured(tmp_path):
    dag, total = etl()
    run = dag.run(workers=2)
    path = dag.export(str(tmp_path / "etl.json.gz"))
    graph = read(path)
    assert (graph.duration < 0.5).all(), "not the declared two seconds"
    assert graph.size[:3].tolist() == run.timeline.size[:3].tolist()
    dag.export(tmp_path / "etl.json")
    execution = json.loads((tmp_path / "etl.json").read_text())["workflow"]["execution"]
    assert execution["makespanInSeconds"] == run.makespan
    assert {one["machines"][0] for one in execution["tasks"]} <= {"w0", "w1"}
    assert total.result() == 3


def test_a_graph_that_changed_after_the_run_has_no_measured_durations(tmp_path):
    def build(n):
        with dagnb.dag("growing") as dag:
            parts = [load(i) for i in range(n)]  # noqa: F841  a name of the DAG
        return dag

    build(2).run()
    assert read(build(3).export(tmp_path / "x.json")).duration.tolist() == [2, 2, 2]


@pytest.mark.parametrize("name", ["x.py", "x.svg", "x.html", "x.dot", "x.mmd"])
def test_other_forms_are_refused_by_name(name):
    with pytest.raises(OptionError, match=rf"etl.export\('…\{name[1:]}'\) is not available(.|\n)*writes WfFormat"):
        etl()[0].export(name)
    assert not Path(name).exists()


def test_an_end_that_is_none_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"'x\.jsn' does not say(.|\n)*did you mean \.json"):
        etl()[0].export(tmp_path / "x.jsn")
    with pytest.raises(OptionError, match=r"export\('x.json'\) writes WfFormat"):
        etl()[0].export(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        etl()[0].export(tmp_path / "nowhere" / "x.json")
