"""A graph that was read: its nodes are handles by name, and nothing can be recorded into it."""

import pytest

from dagnb.errors import BuildError, NotRunError, UnknownNameError
from dagnb.graph.fixed import FixedGraph
from dagnb.graph.graph import TaskGraph, TaskRef
from dagnb.graph.task import task
from tests.graph.kernel import BASICS, Kernel

GRAPH = TaskGraph.build(
    "trace", [[], [0], [0], [1, 2]], keys=["raw", "fit_1", "fit_2", "end"], kind=["load", "fit", "fit", "end"]
)


@task
def load(x):
    return x


def test_nodes_by_name_and_by_kind():
    fixed = FixedGraph(GRAPH)
    assert fixed.graph() is GRAPH
    assert (len(fixed), fixed.names, fixed.problems, fixed.warnings) == (4, GRAPH.keys, (), [])
    assert (fixed["fit_2"].key, fixed["fit_2"].name, fixed["fit_2"].kind) == ("fit_2", "fit_2", "fit")
    assert [handle.key for handle in fixed["fit"]] == ["fit_1", "fit_2"]
    assert fixed["end"].key == "end", "the node comes before the kind"
    assert fixed["raw"]["column"].name == "raw['column']"
    assert fixed.locate(fixed["fit_1"]["a"]) == TaskRef(1, ("a",))
    assert "raw" in fixed
    assert "fit" not in fixed
    assert 3 not in fixed
    assert repr(fixed["raw"]) == "<raw: a load() of trace, not computed here>"


def test_a_wrong_name_names_the_near_ones():
    with pytest.raises(UnknownNameError, match=r"trace has no node fitt\.\n  Did you mean fit"):
        FixedGraph(GRAPH)["fitt"]
    with pytest.raises(UnknownNameError, match="Its kinds are load, fit, end"):
        FixedGraph(GRAPH)["zzzzzz"]


def test_handles_refuse_what_every_handle_refuses():
    raw = FixedGraph(GRAPH)["raw"]
    with pytest.raises(BuildError, match="cannot loop over raw"):
        list(raw)
    with pytest.raises(BuildError, match=r"raw\.mean is not known before the run"):
        raw.mean  # noqa: B018
    with pytest.raises(NotRunError, match="raw was never run"):
        raw.result()
    with pytest.raises(BuildError, match="got the handle raw outside of any DAG"):
        load(raw)


def test_nothing_can_be_recorded_into_it():
    fixed = FixedGraph(GRAPH)
    with pytest.raises(BuildError, match=r"trace was read from a document: its tasks are fixed(.|\n)*another name"):
        fixed.begin({}, "file")
    fixed.drop_cell("any")
    assert fixed.graph() is GRAPH


def test_its_nodes_are_no_arguments_of_another_dag():
    kernel = Kernel(BASICS)
    kernel.ns["raw"] = FixedGraph(GRAPH)["raw"]
    error = kernel.run("A", "%%dag etl\nx = clean(raw)")
    assert isinstance(error, BuildError)
    assert "raw belongs to the DAG trace" in str(error)
    assert kernel.etl.names == ()
