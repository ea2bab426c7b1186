"""A run whose kernel is gone: found without an id, shown whole, joined by the same cells, never begun twice."""

import logging
import os
import statistics
import time

import pytest

import dagnb
from dagnb.errors import NotRunError, OptionError, RunError, TaskError
from dagnb.runtime.context import folder
from dagnb.runtime.hub import Hub
from dagnb.session import engine, joining
from dagnb.session.names import DAGS
from dagnb.trace.events import TaskState
from dagnb.trace.timeline import Timeline
from tests.session.kernels import ROOT, etl, expected, kernel, kill, orphan


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """As a kernel that has just begun: no DAG, nothing looked for, no run of an earlier test."""
    monkeypatch.chdir(ROOT)
    forget()
    yield
    forget()


def forget():
    DAGS.clear()
    joining._looked = None
    store = Hub.of(engine.connect()).store
    for facts in store.remembered():
        if facts.state == "running":
            store.cancel(facts.run)
            engine.connect().cancel(facts.run)
        store.drop(facts.run)


def live():
    return list(Hub.of(engine.connect()).store.live_runs())


# ---- without an id --------------------------------------------------------------------------------------------------
def test_the_run_of_a_killed_kernel_is_attached_without_an_id():
    begun = orphan(seconds=0.08)
    run = dagnb.attach()
    assert (run.id, str(run.state)) == (begun, "running")
    assert 0 < run.progress[TaskState.DONE] < 61
    run.wait(30)
    assert str(run.state) == "done"
    assert run["report"] == expected()
    assert run.timeline.counts[TaskState.DONE] == 61
    assert run.plan.graph_fingerprint == run.graph.fingerprint
    assert run.graph.kinds == ("grow", "total")
    assert run.graph.where[0].startswith("File kernels.py, line")
    assert "61 tasks" in str(run.analysis())
    assert run.logs("report").stdout == "adding 60\n"
    dag = DAGS["", "etl"]
    assert dag.last is run
    assert dag["report"].result() == expected()
    assert dagnb.attach("etl") is run  # again: the same object


def test_what_failed_is_told_as_if_it_had_been_begun_here():
    orphan(bad=True)
    run = dagnb.attach("etl")
    run.wait(30)
    assert str(run.state) == "failed"
    (failure,) = run.errors()
    assert (failure.key, failure.type, failure.stdout) == ("wrong", "ValueError", "about to fail\n")
    with pytest.raises(TaskError, match="bad 0") as told:
        run.result("wrong")
    assert isinstance(told.value, ValueError)
    assert run["report"] == expected()


def test_events_come_from_the_first_on():
    orphan()
    run, heard = dagnb.attach(), []
    run.subscribe(heard.append)
    run.wait(30)
    run.timeline  # noqa: B018 -- tells the listeners what is left
    again = Timeline(61)
    for batch in heard:
        again.apply_batch(batch)
    assert (again.state == TaskState.DONE).all()
    assert (again.start == run.timeline.start).all()


def test_an_attached_run_can_be_cancelled():
    orphan(400, after=0.8)
    run = dagnb.attach()
    run.cancel()
    assert str(run.wait(10).state) == "cancelled"
    assert live() == []


def test_a_run_that_ended_meanwhile_is_attached_with_its_values():
    begun = orphan(5, after=1.0)
    assert live() == []
    run = dagnb.attach()
    assert (run.id, str(run.state)) == (begun, "done")
    assert run["report"] == expected(5)
    assert str(run.analysis()).startswith("etl · 6 tasks")


def test_what_has_expired_is_said_by_its_name():
    begun = orphan(5, after=1.0)
    store = Hub.of(engine.connect()).store
    store._call("DEL", f"dagnb:{{{begun}}}:keep")
    run = dagnb.attach()
    with pytest.raises(NotRunError, match="the value of report has expired"):
        run["report"]
    store.drop(begun)
    forget()
    with pytest.raises(OptionError, match=f"there is no run {begun[:8]}"):
        dagnb.attach(begun[:8])


# ---- which ----------------------------------------------------------------------------------------------------------
def test_of_several_that_go_on_the_user_says_which():
    one, two = orphan(400, after=0.8), orphan(400, name="other", after=0.8)
    with pytest.raises(OptionError, match="which run\\? Several go on") as told:
        dagnb.attach()
    assert one[:6] in str(told.value)
    assert two[:6] in str(told.value)
    assert dagnb.attach("other").id == two
    assert dagnb.attach(one[:6]).id == one
    table = str(dagnb.runs())
    assert [line.split()[1] for line in table.splitlines()] == ["dag", "other", "etl"]
    assert table.count("gone") == 2


def test_the_newest_of_a_name_and_folder_is_taken():
    older, newest = orphan(400, after=0.8), orphan(400, factor=4, after=0.8)
    assert older != newest
    assert dagnb.attach().id == newest


def test_a_run_of_another_folder_is_attached_by_its_id_only(tmp_path):
    begun = orphan(400, cwd=tmp_path, after=0.8)
    with pytest.raises(OptionError, match="no other kernel has begun a run in this folder") as told:
        dagnb.attach()
    assert f"%dag attach {begun[:6]}" in str(told.value)
    assert str(tmp_path) in str(told.value)
    assert dagnb.attach(begun[:6]).id == begun


def test_nothing_to_attach_is_said():
    with pytest.raises(OptionError, match="no other kernel has begun a run in this folder"):
        dagnb.attach()
    with pytest.raises(OptionError, match="there is no run elt"):
        dagnb.attach("elt")


def test_a_run_of_a_kernel_that_lives_can_be_watched_and_is_not_joined():
    with kernel(400) as (process, begun):
        dag = etl(400)
        run = dag.run(wait=False, workers=2)
        assert run.id != begun
        run.cancel()
        watched = dagnb.attach(begun)
        assert watched.id == begun
        assert "another" in str(dagnb.runs())
        kill(process)
        watched.cancel()


# ---- the same cells -------------------------------------------------------------------------------------------------
def test_running_the_same_dag_joins_the_live_run(caplog):
    begun = orphan()
    dag = etl()
    with caplog.at_level(logging.WARNING, "dagnb"):
        run = dag.run(workers=2)
    assert run.id == begun
    assert "a run of etl is under way since" in caplog.text
    assert dag["report"].result() == expected()
    assert len(Hub.of(engine.connect()).store.remembered()) == 1
    again = dag.run(workers=2)  # the run that was joined has ended: this is a new one
    assert again.id != begun
    assert dag["report"].result() == expected()


@pytest.mark.parametrize("change", [{"factor": 4}, {"n": 61}, {"seconds": 0.021}])
def test_another_graph_starts_anew_and_says_that_the_other_goes_on(caplog, change):
    begun = orphan(60, 0.1)
    dag = etl(**({"n": 60, "seconds": 0.1} | change))
    with caplog.at_level(logging.WARNING, "dagnb"):
        run = dag.run(wait=False, workers=2)
    assert run.id != begun
    assert "another run of etl goes on since" in caplog.text
    assert begun[:6] in caplog.text
    assert set(live()) == {begun, run.id}
    run.cancel()
    beside = dagnb.attach(begun)
    assert [dag.name for dag in DAGS.values() if dag.last is beside] == [f"etl_{begun[:4]}"]


def test_what_the_other_does_not_keep_needs_a_run_of_its_own():
    begun = orphan(400, after=0.8)
    dag = etl(400)
    run = dag.run(wait=False, workers=2, keep="parts[1]")
    assert (run.id == begun) == (run.graph.index["parts[1]"] in dag.graph.kept)
    run.cancel()


def test_cells_after_an_attach_find_the_values_of_the_run():
    begun = orphan()
    run = dagnb.attach()
    dag = etl()
    assert dag.last is run
    joining.recorded(dag)
    assert run.graph is dag.graph
    assert dag.run().id == begun  # it goes on: followed to its end
    assert dag["report"].result() == expected()
    changed = etl(factor=5)
    changed.last = changed.real = run
    with pytest.raises(NotRunError, match="changed"):
        changed["report"].result()


def test_a_dag_of_an_attached_run_has_no_functions():
    orphan(5, after=1.0)
    dagnb.attach()
    dag = DAGS["", "etl"]
    assert len(dag) == 6
    with pytest.raises(RunError, match="its functions went with its kernel"):
        dag.run()


# ---- elsewhere ------------------------------------------------------------------------------------------------------
def test_status_shows_runs_without_a_kernel():
    orphan(400, after=0.8)
    assert "etl · 401 tasks · goes on since" in str(dagnb.status())
    dagnb.attach()
    assert "its kernel is gone" not in str(dagnb.status())


def test_an_outline_that_somebody_else_wrote_is_refused():
    begun = orphan(400, after=0.8)
    store = Hub.of(engine.connect()).store
    key = f"dagnb:{{{begun}}}:outline"
    sealed = store._call("GET", key)
    store._call("SET", key, sealed[:-1] + b"?")
    with pytest.raises(dagnb.DagnbError, match="not signed with this user's secret"):
        dagnb.attach()


def test_without_an_outline_the_cells_are_asked_for():
    begun = orphan(400, after=0.8)
    store = Hub.of(engine.connect()).store
    store._call("DEL", f"dagnb:{{{begun}}}:outline")
    store._call("HSET", f"dagnb:{{{begun}}}:meta", "submitted", 1)
    with pytest.raises(RunError, match="its kernel died before it had written down the names"):
        dagnb.attach()
    dag = etl(400)
    run = dagnb.attach(begun)  # names and edges are those of this DAG
    assert run is dag.last
    run.cancel()


def test_two_thousand_tasks_are_attached_in_less_than_a_fifth_of_a_second():
    begun = orphan(2000, 0.005, after=1.0)
    times = []
    for _ in range(5):
        DAGS.clear()
        began = time.perf_counter()
        run = dagnb.attach()
        done = run.progress[TaskState.DONE]
        times.append(time.perf_counter() - began)
        assert (run.id, done > 0) == (begun, True)
    assert statistics.median(times) < 0.2, times
    run.cancel()


def test_the_folder_may_be_gone(tmp_path, monkeypatch):
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    there.rmdir()
    assert folder() == ""
    assert joining.orphans() == []
    os.chdir(ROOT)
