"""What might be: another cluster, the same planner, and nothing remembered."""

import pytest

import dagnb
from dagnb.errors import PlanError
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.session.what_if import Turned, imagine, turned
from dagnb.widgets.actions import Knobs
from tests.browser.recording import pipeline

REAL = Cluster(tuple(WorkerSpec(WorkerId(f"w{i}"), memory=m) for i, m in enumerate((2e9, 4e9))), bandwidth=1e8)
NOW = Knobs(2, 2e9, 1e8)


def test_a_knob_that_was_not_moved_changes_nothing():
    assert turned(REAL, NOW, NOW) == REAL


def test_further_workers_are_like_those_that_are_there():
    grown = turned(REAL, Knobs(5, 2e9, 1e8), NOW)
    assert [w.id for w in grown.workers] == ["w0", "w1", "w2", "w3", "w4"]
    assert [w.memory for w in grown.workers] == [2e9, 4e9, 2e9, 4e9, 2e9]
    assert turned(REAL, Knobs(1, 2e9, 1e8), NOW).workers == REAL.workers[:1]


def test_memory_and_bandwidth_are_those_of_the_sliders():
    other = turned(REAL, Knobs(2, 8e9, 5e6), NOW)
    assert {w.memory for w in other.workers} == {8e9}
    assert other.bandwidth == 5e6


@pytest.mark.parametrize("knobs", [Knobs(0, 2e9, 1e8), Knobs(2, -1.0, 1e8), Knobs(2, 2e9, 0.0)])
def test_what_no_cluster_is_like_is_refused(knobs):
    with pytest.raises(PlanError, match="no cluster is like that"):
        turned(REAL, knobs, NOW)


def test_the_plan_changes_and_so_does_its_fingerprint():
    graph = pipeline()
    plan = dagnb.compare({"x": graph}, "heft", workers=4).best.plan
    now = Turned(None).knobs(plan)
    assert (now.workers, now.bandwidth) == (4, 1e9)
    more = imagine(graph, plan, Knobs(8, now.memory, now.bandwidth), now=now)
    assert (more.planner, len(more.workers)) == ("heft", 8)
    assert more.makespan < plan.makespan
    assert more.fingerprint != plan.fingerprint
    assert imagine(graph, plan, now, now=now).fingerprint == plan.fingerprint
    slow = imagine(graph, plan, Knobs(4, now.memory, 1e6), now=now)
    assert slow.makespan > plan.makespan


def test_a_dag_that_has_changed_is_to_be_planned_again():
    graph = pipeline()
    plan = dagnb.compare({"x": graph}, "heft", workers=4).best.plan
    with dagnb.dag("other", new=True) as other:
        pass
    with pytest.raises(PlanError, match="other has changed since this plan was made"):
        Turned(other)(plan, Knobs(4, 2e9, 1e9))


def test_a_planner_that_is_not_known_by_its_name_gives_way_to_heft():
    from dataclasses import replace

    graph = pipeline()
    plan = replace(dagnb.compare({"x": graph}, "heft", workers=4).best.plan, planner="mine")
    now = Turned(None).knobs(plan)
    assert imagine(graph, plan, Knobs(5, now.memory, now.bandwidth), now=now).planner == "heft"
