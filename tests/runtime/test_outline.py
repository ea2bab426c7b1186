"""What a run leaves for other kernels: the same graph without its code, whatever it is made of."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagnb
from dagnb import task
from dagnb.errors import RunError
from dagnb.graph.graph import TaskGraph, TaskRef
from dagnb.graph.identity import identity
from dagnb.planning.estimates import Estimates
from dagnb.runtime import outline
from tests.session.kernels import etl

ROOT = Path(__file__).resolve().parents[2]

names = st.text(max_size=12)
floats = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def graphs(draw):
    n = draw(st.integers(0, 12))
    deps = [draw(st.lists(st.integers(0, i - 1), unique=True, max_size=4)) if i else [] for i in range(n)]
    keys = draw(st.lists(names, min_size=n, max_size=n, unique=True))
    tasks = st.integers(0, n - 1) if n else st.nothing()
    selects = st.lists(st.one_of(st.integers(), names, st.tuples(st.integers(), names), st.none()), max_size=3)
    aliases = draw(st.dictionaries(names, st.builds(TaskRef, tasks, selects.map(tuple)), max_size=4)) if n else {}
    columns = {c: np.array(draw(st.lists(floats, min_size=n, max_size=n))) for c in ("duration", "size", "memory")}
    return TaskGraph.build(
        draw(names),
        deps,
        keys=keys,
        kind=draw(st.lists(names, min_size=n, max_size=n)) if n else None,
        where=tuple(draw(st.lists(names, min_size=n, max_size=n))),
        aliases={key: TaskRef(i) for i, key in enumerate(keys)} | {k: v for k, v in aliases.items() if k not in keys},
        kept=frozenset(draw(st.sets(tasks))) if n else frozenset(),
        **columns,
    )


@given(graphs(), st.data())
def test_a_graph_is_read_as_it_was_written(graph, data):
    kept = frozenset(data.draw(st.sets(st.integers(0, len(graph) - 1)))) if len(graph) else frozenset()
    read = outline.read(outline.write(graph, kept))
    again = read.graph
    assert again.fingerprint == graph.fingerprint
    assert (again.name, again.keys, again.kinds, again.where) == (graph.name, graph.keys, graph.kinds, graph.where)
    assert (dict(again.aliases), again.kept, read.kept) == (dict(graph.aliases), graph.kept, kept)
    for column in ("duration", "size", "cpus", "memory"):
        assert np.array_equal(getattr(again, column), getattr(graph, column), equal_nan=True)
    assert again.calls is None


def test_a_recorded_graph_is_read_as_it_was_written():
    @dagnb.task
    def load(i):
        return i

    @dagnb.task(outs=2)
    def split(x):
        return x, x

    with dagnb.dag("etl", new=True) as dag:
        parts = [load(i) for i in range(300)]
        first = parts[0]
        train, test = split(parts[1])
        again = {"train": train, ("no", "path"): test}
        load_2 = load(train)
        load(load_2), load(again["train"])
    del first, test, load_2
    graph = dag.graph
    read = outline.read(outline.write(graph, graph.kept)).graph
    assert dict(read.aliases) == dict(graph.aliases)
    assert {"first", "parts[0]", "test", "again['train']", "load_2", "split"} <= set(read.aliases)
    assert read.where == tuple(graph.where)
    assert len(set(read.where)) == 4
    assert (read.fingerprint, read.kept) == (graph.fingerprint, graph.kept)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_estimates_are_read_as_they_were_written(durations, seconds, shares):
    n = len(durations)
    mean = np.array(durations)
    known = Estimates(
        mean,
        mean / 2,
        mean * 2,
        np.zeros(n),
        tuple("past" if i % 2 else "neutral" for i in range(n)),
        seconds,
        share=np.linspace(0, 1, n) if shares else 0.5,
        methods=("mean of 3 calls",),
        how=np.zeros(n, np.int32),
    )
    graph = TaskGraph.build("g", [[] for _ in durations])
    read = outline.read(outline.write(graph, frozenset(), known)).estimates
    assert read.fingerprint == known.fingerprint
    assert [read.origin(i) for i in range(n)] == [known.origin(i) for i in range(n)]


def test_a_newer_form_is_refused(monkeypatch):
    monkeypatch.setattr(outline, "FORMAT", 2)
    data = outline.write(TaskGraph.build("g", [[]]), frozenset())
    monkeypatch.setattr(outline, "FORMAT", 1)
    with pytest.raises(RunError, match="begun by a newer version of dagnb"):
        outline.read(data)


# ---- identity -------------------------------------------------------------------------------------------------------
def test_the_identity_is_the_same_in_another_process():
    code = (
        "from tests.session.kernels import etl\n"
        "from dagnb.graph.identity import identity\n"
        "print(identity(etl().graph).digest)"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    mine = identity(etl().graph)
    assert mine.exact
    assert found == [mine.digest, mine.digest]


@pytest.mark.parametrize("change", [{"factor": 4}, {"factor": 3.0}, {"seconds": 0.021}, {"n": 61}])
def test_other_arguments_are_another_identity(change):
    assert identity(etl(**change).graph).digest != identity(etl().graph).digest


def test_how_a_cell_came_to_its_calls_does_not_matter():
    @task
    def f(x, y=0):
        return x + y

    @task
    def g(*parts, **named):
        return parts, named

    def built(*, first):
        with dagnb.dag("one", new=True) as dag:
            if first:
                f(1, y=2)  # nobody needs it by name; the form of the later call is known from here
        with dagnb.dag("one", new=True) as dag:
            a = f(1)
            b = f(a, y=2)
            c = g([a, {"b": b}], np.arange(3), key=(a, "x"))
        assert c is not None
        return identity(dag.graph)

    assert built(first=True) == built(first=False)
    assert built(first=True).exact


def test_what_cannot_be_compared_is_named():
    @task
    def f(x):
        return x

    with dagnb.dag("open", new=True) as dag:
        a = f(threading.Lock())
    assert a is not None
    found = identity(dag.graph)
    assert not found.exact
    assert "lock" in found.unknown[0]
