"""Plan against run: figures worked out by hand, causes planted into simulated runs, and laws that hold for any run."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planners.heft import Heft
from dagnb.planning.analysis import Analysis, analyse
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.phases import TaskRow
from dagnb.planning.planner import find_planner, run_planner
from dagnb.planning.replay import replay
from dagnb.planning.simulator import forecast
from dagnb.testing import sample_clusters, sample_graphs
from dagnb.trace.readable import (
    TaskCancelled,
    TaskFailed,
    TaskFinished,
    TaskReused,
    TaskSkipped,
    TaskStarted,
    WorkerStarted,
)
from dagnb.trace.timeline import Timeline

if TYPE_CHECKING:
    from dagnb.planning.finding import Finding

LAN = Cluster.local(2, bandwidth=100e6, latency=0.001)


def etl(parts=8):
    """load → fetch → clean for each part, and one report."""
    deps, kinds = [], []
    for _ in range(parts):
        first = len(deps)
        deps += [[], [first], [first + 1]]
        kinds += ["load", "fetch", "clean"]
    deps.append([i for i, kind in enumerate(kinds) if kind == "clean"])
    kinds.append("report")
    seconds = {"load": 0.1, "fetch": 0.5, "clean": 0.2, "report": 0.3}
    return TaskGraph.build(
        "etl",
        deps,
        keys=[f"{kind}[{i // 3}]" for i, kind in enumerate(kinds)],
        kind=kinds,
        duration=np.array([seconds[kind] for kind in kinds]),
        size=np.array([1e6 if kind == "load" else 1e4 for kind in kinds]),
    )


def of(graph, kind):
    return graph.kind == graph.kinds.index(kind)


def ran(graph, *, planned=LAN, real=None, durations=None, sizes=None, planner="heft", **options) -> Analysis:
    """The analysis of a simulated run that had other durations, sizes or another cluster than its plan."""
    estimates = estimate(graph)
    plan = run_planner(find_planner(planner, **options), graph, planned, estimates)
    truth = Estimates.of(estimates.mean if durations is None else durations, estimates.size if sizes is None else sizes)
    return analyse(graph, plan, planned, estimates, forecast(graph, plan, real or planned, truth).timeline)


def the(analysis, kind) -> Finding:
    found = [f for f in analysis.findings if f.kind == kind]
    assert len(found) == 1, f"{kind}: {analysis}"
    return found[0]


def kinds_of(analysis):
    return [f.kind for f in analysis.findings]


# --- figures ----------------------------------------------------------------------------------------------------------


def test_phases_by_hand():
    graph = TaskGraph.build("g", [[], [0], [0]], duration=np.array([1.0, 2.0, 2.0]), size=np.array([4.0, 0, 0]))
    plan = run_planner(Heft(), graph, Cluster.local(2), estimate(graph))
    actual = Timeline.of(
        3,
        [
            WorkerStarted(0, at=0.5, start=0.1),
            TaskFinished(0, 0, at=1.75, start=0.5, upload=0.25, size=8.0),
            TaskFinished(1, 0, at=4.0, start=2.0),
            TaskFinished(2, 1, at=5.0, start=2.5, fetch=0.5, attempt=2),
        ],
    )
    found = analyse(graph, plan, Cluster.local(2), estimate(graph), actual, client_makespan=5.25)
    row = found.tasks["t2"]
    assert (row.wait, row.download, row.execute, row.attempt, row.worker) == (0.75, 0.5, 2.0, 2, "w1")
    assert (row.wait_planned, row.download_planned, row.execute_planned) == pytest.approx((0.0, 0.0, 2.0), abs=1e-8)
    assert math.isnan(row.startup)
    first = found.tasks[0]
    assert (first.startup, first.upload, first.size, first.size_planned) == pytest.approx((0.4, 0.25, 8.0, 4.0))
    assert found.tasks["t1"].startup == 0.0
    assert (found.makespan, found.planned_makespan) == pytest.approx((4.5, 3.0))
    assert (found.client_makespan, found.planned_client_makespan) == pytest.approx((5.25, 3.0))
    assert found.replayed_makespan == pytest.approx(1.25 + 2.0)
    assert found.estimate_error == pytest.approx(0.25)
    assert found.model_error == pytest.approx(1.25)


def test_the_table_is_a_data_frame():
    found = ran(etl())
    frame = pd.DataFrame(found.tasks.to_dict())
    assert len(frame) == len(found.tasks) == 25
    assert list(frame["task"][:3]) == ["load[0]", "fetch[0]", "clean[0]"]
    for row, (_, line) in zip(found.tasks, frame.iterrows(), strict=True):
        assert str(row) == str(TaskRow(*line[list(TaskRow._fields)]))
    assert str(found.tasks["fetch[1]"]) == str(found.tasks[4]) == str(found.tasks[3:5][1])  # NaN is not NaN
    assert {row.kind: row.tasks for row in found.kinds} == {"load": 8, "fetch": 8, "clean": 8, "report": 1}


def test_seconds_of_overhead_are_not_the_tasks_own():
    found = ran(etl(), planned=replace(LAN, overhead=0.05))
    assert found.tasks["fetch[0]"].execute_planned == pytest.approx(0.5, abs=1e-6)


# --- planted causes ---------------------------------------------------------------------------------------------------


def test_a_clean_run_is_as_planned():
    found = ran(etl())
    assert kinds_of(found) == ["as planned"]
    assert found.estimate_error == pytest.approx(0, abs=1e-6)
    assert found.model_error == pytest.approx(0, abs=1e-6)
    assert "as planned: " in str(found)
    chance = np.random.default_rng(1)
    noisy = ran(etl(), durations=etl().duration * chance.uniform(0.95, 1.05, 25))
    assert kinds_of(noisy) == ["as planned"], str(noisy)


def test_a_kind_whose_inputs_doubled():
    graph = etl()
    durations = np.where(of(graph, "fetch"), graph.duration * 2.1, graph.duration)
    sizes = np.where(of(graph, "load"), graph.size * 2, graph.size)
    found = the(ran(graph, durations=durations, sizes=sizes), "duration")
    assert found.text == "fetch takes 2.1× what was planned because its inputs doubled"
    assert found.subject == "fetch"
    assert found.figures["inputs"] == pytest.approx(2)
    assert found.seconds == pytest.approx(8 * 0.55 / 2, rel=0.3)


def test_a_kind_that_takes_longer_by_itself():
    graph = etl()
    analysis = ran(graph, durations=np.where(of(graph, "clean"), 0.5, graph.duration))
    found = the(analysis, "duration")
    assert found.text.startswith("clean takes 2.5× what was planned")
    assert "inputs" not in found.text
    assert analysis.estimate_error == pytest.approx(analysis.makespan - analysis.planned_makespan, abs=1e-6)
    assert kinds_of(analysis) == ["duration"]


def test_a_kind_that_takes_less():
    graph = etl()
    found = the(ran(graph, durations=np.where(of(graph, "fetch"), 0.1, graph.duration)), "duration")
    assert found.text.startswith("fetch takes 0.2×")
    assert found.seconds < 0


def test_single_calls_that_take_far_longer():
    graph = etl()
    durations = graph.duration.copy()
    durations[4] = 6.0
    found = the(ran(graph, durations=durations), "duration")
    assert "because of single calls: fetch[1] (6 s)" in found.text


def test_calls_that_differ_while_their_mean_is_right():
    graph = TaskGraph.build("bag", [[] for _ in range(16)], kind=["fit"] * 16, duration=np.ones(16))
    durations = np.full(16, 0.8)
    durations[-1] = 4.0
    found = the(ran(graph, durations=durations, planned=Cluster.local(8)), "noise")
    assert found.subject == "fit"
    assert found.figures["largest"] == pytest.approx(4)
    assert "t15 (4 s)" in found.text


def test_a_busy_machine():
    analysis = ran(etl(), durations=etl().duration * 1.6)
    found = the(analysis, "machine")
    assert found.text.startswith("everything takes 1.6× what was planned, all kinds alike: the machine was busy")
    assert kinds_of(analysis) == ["machine"]
    assert "the machine was faster" in the(ran(etl(), durations=etl().duration * 0.5), "machine").text


def test_a_busy_machine_does_not_hide_a_kind():
    graph = etl(12)
    durations = graph.duration * np.where(of(graph, "clean"), 1.6 * 1.15, 1.6)
    assert kinds_of(ran(graph, durations=durations)) == ["machine"]
    durations = graph.duration * np.where(of(graph, "clean"), 5, 1.0)
    assert kinds_of(ran(graph, durations=durations)) == ["duration"]


def test_a_slow_worker():
    graph = etl(12)
    estimates, cluster = estimate(graph), Cluster.local(3, bandwidth=1e9)
    plan = run_planner(Heft(), graph, cluster, estimates)
    slow = np.array([a.worker == "w1" for a in plan.assignments])
    actual = forecast(graph, plan, cluster, Estimates.of(graph.duration * np.where(slow, 2.5, 1), graph.size)).timeline
    analysis = analyse(graph, plan, cluster, estimates, actual)
    found = the(analysis, "worker")
    assert found.text == "on worker w1 tasks take 2.5× what the same kinds take elsewhere"
    assert found.subject == "w1"
    assert found.seconds > 0.5
    assert "duration" not in kinds_of(analysis)
    assert "machine" not in kinds_of(analysis)


def test_transfers_of_more_bytes():
    graph = TaskGraph.build(
        "shuffle",
        [[], [], [0, 1], [0, 1]],
        kind=["make", "make", "join", "join"],
        duration=np.ones(4),
        size=np.array([5e6, 5e6, 0, 0]),
    )
    found = the(ran(graph, sizes=graph.size * 20), "transfer")
    assert "200 MB travelled in place of 10 MB" in found.text
    assert found.seconds == pytest.approx(0.95, rel=0.1)


def test_transfers_over_a_slower_network():
    graph = TaskGraph.build("shuffle", [[], [], [0, 1], [0, 1]], duration=np.ones(4), size=np.full(4, 5e7))
    found = the(ran(graph, real=replace(LAN, bandwidth=20e6), preload=False), "transfer")
    assert "at 20 MB/s in place of 100 MB/s" in found.text
    assert "bandwidth=2e+07" in found.advice


def test_a_cold_start():
    graph = etl()
    estimates = estimate(graph)
    plan = run_planner(Heft(), graph, LAN, estimates)
    late = forecast(graph, plan, replace(LAN, startup=0.8), estimates).timeline
    asides = [WorkerStarted(w, at=0.8, start=0.1) for w in (0, 1)]
    for aside in () if len(late.asides) else asides:
        late.apply(aside)
    analysis = analyse(graph, plan, LAN, estimates, late)
    found = the(analysis, "start-up")
    assert found.text.startswith(
        "the first task began 800 ms after submission, planned 0 s: its worker had to be started (cold"
    )
    assert analysis.makespan == pytest.approx(analysis.planned_makespan, abs=1e-6)


def worker_late(by):
    """A simulated run in which w1 came later than w0 (shifted by hand: its queue moves as a whole)."""
    graph = TaskGraph.build("bag", [[] for _ in range(8)], duration=np.full(8, 0.5))
    plan = run_planner(Heft(), graph, Cluster.local(2), estimate(graph))
    row = forecast(graph, plan, Cluster.local(2), estimate(graph)).timeline
    events = [
        TaskFinished(i, int(row.worker[i]), float(row.end[i]) + d, float(row.start[i]) + d, size=1.0)
        for i in range(8)
        for d in [by * (row.worker[i] == 1)]
    ]
    return analyse(graph, plan, Cluster.local(2), estimate(graph), Timeline.of(8, events))


def test_a_worker_that_came_late():
    analysis = worker_late(0.7)
    found = the(analysis, "start-up")
    assert found.text.startswith("worker w1 began 700 ms late")
    assert found.seconds == pytest.approx(0.7)
    assert analysis.model_error == pytest.approx(0.7)
    assert kinds_of(analysis) == ["start-up"]
    assert kinds_of(worker_late(0.01)) == ["as planned"]


def test_waiting_that_durations_do_not_explain():
    graph = TaskGraph.build("chain", [[], [0], [1], [2]], duration=np.ones(4))
    plan = run_planner(Heft(), graph, Cluster.local(1), estimate(graph))
    events = [TaskFinished(i, 0, at=i * 1.5 + 1, start=i * 1.5) for i in range(4)]
    found = the(analyse(graph, plan, Cluster.local(1), estimate(graph), Timeline.of(4, events)), "waiting")
    assert found.seconds == pytest.approx(1.5)
    assert "other runs or other programs" in found.text
    tiny = TaskGraph.build("chain", [[], *([i] for i in range(99))], duration=np.full(100, 1e-4))
    plan = run_planner(Heft(), tiny, Cluster.local(1), estimate(tiny))
    events = [TaskFinished(i, 0, at=i * 1e-3 + 1e-4, start=i * 1e-3) for i in range(100)]
    found = the(analyse(tiny, plan, Cluster.local(1), estimate(tiny), Timeline.of(100, events)), "waiting")
    assert "with tasks of 100 µs that is coordination, 891 µs for each" in found.text


def test_a_task_that_ran_twice():
    graph = TaskGraph.build("chain", [[], [0]], duration=np.ones(2))
    plan = run_planner(Heft(), graph, Cluster.local(1), estimate(graph))
    events = [TaskFinished(0, 0, at=1.0, start=0.0), TaskFinished(1, 0, at=3.0, start=2.0, attempt=3)]
    analysis = analyse(graph, plan, Cluster.local(1), estimate(graph), Timeline.of(2, events))
    found = the(analysis, "retried")
    assert found.text == (
        "t1 ran again (3 times at most): a worker was lost, or the task was retried; they waited 1 s longer"
    )


def test_a_better_plan_is_made_and_not_guessed():
    kinds = ["fit" if i % 3 == 0 else "score" for i in range(12)]
    graph = TaskGraph.build("bag", [[] for _ in range(12)], duration=np.ones(12), kind=kinds)
    durations = np.where(of(graph, "fit"), 4.0, 1.0)
    analysis = ran(graph, durations=durations, planned=Cluster.local(3))
    best = run_planner(Heft(), graph, Cluster.local(3), Estimates.of(durations)).makespan
    share = 1 - best / analysis.replayed_makespan
    assert share > 0.05, "the test is to plant a plan that can be bettered"
    found = the(analysis, "duration")
    assert found.figures["saving"] == pytest.approx(share)
    assert found.advice == f"re-plan with heft would save {100 * share:.0f} %"
    assert not any("re-plan" in f.advice for f in ran(graph, planned=Cluster.local(3)).findings)


def test_a_plan_in_task_units_is_compared_in_shape():
    graph = replace(etl(), duration=np.full(25, np.nan), size=np.full(25, np.nan))
    plan = run_planner(Heft(), graph, LAN, estimate(graph))
    actual = forecast(graph, plan, LAN, Estimates.of(etl().duration, etl().size)).timeline
    analysis = analyse(graph, plan, LAN, estimate(graph), actual)
    found = analysis.findings[0]
    assert found.kind == "neutral"
    assert "fetch is 60 % of the work, in the plan 32 %" in found.text
    assert math.isnan(analysis.planned_makespan)
    assert math.isnan(analysis.estimate_error)
    assert analysis.model_error == pytest.approx(0, abs=1e-6)
    assert math.isnan(analysis.tasks[0].execute_planned)
    assert "planned in task units" in analysis.headline


def test_only_what_has_ended_is_compared():
    graph = etl(1)
    plan = run_planner(Heft(), graph, LAN, estimate(graph))
    events = [TaskFinished(0, 0, at=0.1, start=0.0, size=1e6), TaskStarted(1, 0, at=0.1)]
    live = Timeline.of(4, events)
    analysis = analyse(graph, plan, LAN, estimate(graph), live)
    assert not analysis.complete
    assert math.isnan(analysis.model_error)
    assert analysis.estimate_error == pytest.approx(0, abs=1e-6)
    assert the(analysis, "unfinished").text == "1 of 4 tasks have run: this compares those"
    live.apply(TaskFailed(1, 0, at=0.5, start=0.1))
    live.apply(TaskSkipped(2, at=0.5))
    live.apply(TaskCancelled(3, at=0.5))
    assert analysis.tasks[1].state == "waiting", "an analysis does not change under the reader"
    said = the(analyse(graph, plan, LAN, estimate(graph), live), "unfinished").text
    assert said == "1 of 4 tasks have run (1 failed, 1 skipped and 1 cancelled): this compares those"
    nothing = analyse(graph, plan, LAN, estimate(graph), Timeline(4))
    assert str(nothing) == "etl · 4 tasks · not begun\n  • nothing has run to its end yet"


def test_values_that_were_reused_take_no_time():
    graph = etl(1)
    plan = run_planner(Heft(), graph, LAN, estimate(graph))
    events = [TaskReused(0, at=0.0), TaskReused(1, at=0.0), TaskFinished(2, 0, 0.2, 0.0), TaskFinished(3, 0, 0.5, 0.2)]
    analysis = analyse(graph, plan, LAN, estimate(graph), Timeline.of(4, events))
    assert analysis.complete
    assert analysis.replayed_makespan == pytest.approx(0.5)
    assert math.isnan(analysis.tasks[0].execute)


# --- laws -------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(list(sample_graphs())),
    st.sampled_from(list(sample_clusters())),
    st.sampled_from(["heft", "free"]),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.3, 1.0]),
)
@example("zero_length", "equal", "free", 0, 0.0)  # a rounding error was taken for a duration
def test_any_run_has_an_analysis(name, machines, planner, seed, noise):
    """Text, table and figures of anything; the errors add up; a run that went as simulated has none."""
    graph, cluster, chance = sample_graphs()[name], sample_clusters()[machines], np.random.default_rng(seed)
    estimates = estimate(graph)
    plan = run_planner(find_planner(planner), graph, cluster, estimates)
    factor = np.exp(noise * chance.standard_normal(len(graph)))
    truth = Estimates.of(estimates.mean * factor, estimates.size)
    actual = forecast(graph, plan, cluster, truth).timeline
    if noise and len(graph) and seed % 3 == 0:
        actual.apply(TaskFailed(len(graph) - 1, 0, at=1.0, start=0.5))
    found = analyse(graph, plan, cluster, estimates, actual)
    assert str(found)
    assert len(found.tasks.to_dict()["task"]) == len(graph)
    assert all(f.text and "nan" not in f.text for f in found.findings), found
    if found.complete and found.has_seconds:
        assert found.planned_makespan + found.estimate_error + found.model_error == pytest.approx(found.makespan)
        assert found.replayed_makespan == pytest.approx(replay(graph, plan, cluster, actual).span)
    exact = not noise and not cluster.overhead  # real workers do not count the overhead as the task's own
    if exact and found.complete and found.has_seconds:
        assert found.estimate_error == pytest.approx(0, abs=1e-4)
        assert [f.kind for f in found.findings if f.kind != "placement"] in (["as planned"], ["unfinished"])


def test_what_does_not_belong_together_is_refused():
    graph = etl()
    plan = run_planner(Heft(), graph, LAN, estimate(graph))
    with pytest.raises(ValueError, match="a timeline of 3 tasks is not of 'etl', which has 25"):
        analyse(graph, plan, LAN, estimate(graph), Timeline(3))
