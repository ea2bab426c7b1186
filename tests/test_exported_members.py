"""The exported names are a promise: pinned here, each found, nothing else let in by a star."""

import pytest

import dagnb

EXPORTED = [
    *("Assignment", "Cluster", "Dag", "DagnbError", "Estimates", "Handle", "Plan", "Planner", "Run", "Sweep"),
    *("TaskError", "TaskGraph", "WorkerSpec"),
    *("attach", "compare", "dag", "from_dask", "from_wfformat", "param", "task", "when"),
]

#: Reachable as `dagnb.x`, never exported: `import *` must not shadow `help`.
REACHABLE = ["cache", "config", "connect", "doctor", "drop", "help", "runs", "status", "workers"]


def test_exported_names_are_pinned():
    assert sorted(dagnb.__all__) == sorted(EXPORTED)
    space = {}
    exec("from dagnb import *", space)
    assert sorted(name for name in space if not name.startswith("_")) == sorted(EXPORTED)


def test_every_name_is_there_and_listed():
    for name in (*EXPORTED, *REACHABLE):
        assert getattr(dagnb, name) is not None
        assert name in dir(dagnb)
    assert not set(REACHABLE) & set(dagnb.__all__)


def test_a_name_that_is_none():
    with pytest.raises(AttributeError, match="module 'dagnb' has no attribute 'nonsense'"):
        _ = dagnb.nonsense


def test_classes_are_those_of_the_rooms():
    from dagnb.graph.handle import Handle
    from dagnb.runtime.run import Run
    from dagnb.session.dag import Dag

    assert (dagnb.Dag, dagnb.Handle, dagnb.Run) == (Dag, Handle, Run)


def test_twins_are_text():
    assert "%dag run etl" in dagnb.help()
    assert "workers: " in repr(dagnb.status())
    assert dagnb.workers() >= 1
