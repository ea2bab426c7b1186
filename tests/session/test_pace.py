"""Graphs of tiny tasks are planned without a look into the history, all others with it."""

from __future__ import annotations

import time

import pytest

import dagnb
from dagnb import task
from dagnb.planning.estimates import PAST
from dagnb.session import pace, past, plans


@pytest.fixture(autouse=True)
def remembering(monkeypatch, tmp_path):
    """History on, in a folder of this test's own; nothing is remembered of other tests."""
    past.flush()
    monkeypatch.setenv("DAGNB_HISTORY", "1")
    monkeypatch.setenv("DAGNB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(pace, "_paces", {})
    monkeypatch.setattr(past, "_taught_at", {})
    yield
    past._pending.clear()
    for path in [p for p in past._histories if tmp_path in p.parents]:
        past._histories.pop(path).close()


def fan(n, seconds=0.0):
    @task
    def load(i):
        time.sleep(seconds)
        return i

    @task
    def add(*xs):
        return sum(xs)

    with dagnb.dag("etl", new=True) as dag:
        total = add(*[load(i) for i in range(n)])
    del total
    return dag


def looked(monkeypatch):
    """What is asked of the history from now on."""
    asked = []
    real = past.estimates
    monkeypatch.setattr(past, "estimates", lambda *a, **k: asked.append(a[0]) or real(*a, **k))
    return asked


def test_a_new_graph_of_tiny_tasks_does_not_look(monkeypatch):
    fan(5).run(workers=2)
    past.flush()
    asked = looked(monkeypatch)
    dag = fan(20)
    dag.run(workers=2)
    assert not asked
    assert dag.last.planned.planner == "auto"
    assert dag.plan(workers=2).has_seconds  # who looks gets all that is known
    assert asked


def test_many_tiny_tasks_do_look(monkeypatch):
    monkeypatch.setattr(pace, "_paces", {})  # what other tests have run may be slower
    fan(5).run(workers=2)
    past.flush()
    monkeypatch.setattr(pace, "WORK", 30 * max(pace._paces.values()))
    assert pace.slight(fan(20).graph)
    assert not pace.slight(fan(40).graph)


def test_a_function_that_has_become_slow_is_looked_up_again(monkeypatch):
    @task
    def load(i):
        time.sleep(i)
        return i

    def graph(seconds):
        with dagnb.dag("etl", new=True) as dag:
            one = load(seconds)
        del one
        return dag

    graph(0.0).run(workers=2)
    past.flush()
    assert pace.slight(graph(0.2).graph)
    graph(0.2).run(workers=2)
    past.flush()
    assert not pace.slight(graph(0.2).graph)
    asked = looked(monkeypatch)
    graph(0.2).run(workers=2)
    assert asked


def test_a_function_nobody_knows_is_no_slight_one():
    fan(5).run(workers=2)
    past.flush()
    assert pace.slight(fan(5).graph)
    assert not pace.slight(fan(5, 0.001).graph)
    assert not pace.slight(dagnb.dag("nothing", new=True).graph)


def test_a_planner_asked_for_by_name_is_told_everything(monkeypatch):
    fan(5).run(workers=2)
    past.flush()
    asked = looked(monkeypatch)
    dag = fan(5)
    dag.run(workers=2, planner="heft")
    assert asked
    assert set(plans.estimates_of(dag.graph, dag.last.planned).source) == {PAST}


def test_fresh_graphs_of_the_same_tiny_functions_teach_once_a_second(monkeypatch):
    monkeypatch.setattr(past, "AGAIN", 3600.0)
    for _ in range(3):
        fan(5).run(workers=2)
        past.flush()
    counts = [len(past.history().records(code)[0].runs) for code in pace._paces]
    assert counts == [1, 1]


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(pace, "FUNCTIONS", 3)
    pace.remember({str(i): 1.0 for i in range(5)})
    pace.remember({"3": 2.0})
    assert pace._paces == {"2": 1.0, "4": 1.0, "3": 2.0}
