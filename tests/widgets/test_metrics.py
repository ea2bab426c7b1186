"""The metrics: curves against sums done by hand, data that may travel, and a pane that answers its browser."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planners.heft import Heft
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.phases import Phases
from dagnb.planning.planner import run_planner
from dagnb.planning.simulator import forecast
from dagnb.testing import sample_clusters, sample_graphs
from dagnb.trace.events import COMMIT, RECORD, Batch, RecordKind
from dagnb.trace.readable import TaskFailed, TaskFinished, TaskStarted
from dagnb.trace.timeline import Timeline
from dagnb.widgets import metrics as panes
from dagnb.widgets.metrics import MetricsPane, bokehjs
from dagnb.widgets.metrics_data import BINS, DOTS, Curves, bars, dots, kinds_shown
from dagnb.widgets.metrics_figures import Metrics, figures
from dagnb.widgets.metrics_svg import metrics_svg

ROOT = Path(__file__).parents[2]
HOSTILE = ["<script>alert(1)</script>", "a & b", "\"q\" 'r'", "x" * 500, "\u202egnp\x00"]


def planned(graph, workers=2):
    return run_planner(Heft(), graph, Cluster.local(workers), estimate(graph))


def two_workers():
    """w0 makes 100 bytes in 0–1 and uses them until 4; w1 fetches them from 2 to 2.5 and computes until 3."""
    graph = TaskGraph.build("g", [[], [0], [0]], kind=["make", "use", "use"])
    line = Timeline.of(
        3,
        [
            TaskFinished(0, 0, at=1.0, start=0.0, size=100.0),
            TaskFinished(1, 0, at=4.0, start=1.0),
            TaskFinished(2, 1, at=3.0, start=2.0, fetch=0.5),
        ],
    )
    return graph, line


def test_curves_by_hand():
    graph, line = two_workers()
    curves = Curves.of(graph, line, 4.0, 4.0)
    assert len(curves.at) == BINS
    at = lambda moment: int(np.searchsorted(curves.at, moment))  # noqa: E731
    assert curves.busy[at(0.5)] == pytest.approx(1)
    assert curves.busy[at(2.5)] == pytest.approx(2)
    assert curves.busy[at(3.5)] == pytest.approx(1)
    assert curves.moved[at(2.4)] == 0
    assert curves.moved[at(2.6)] == 100
    assert curves.held[at(0.5)] == 0
    assert curves.held[at(1.5)] == 100
    assert curves.held[at(3.5)] == 100, "task 1 is still at it"
    assert curves.held[-1] == 0
    assert curves.rate[at(1.0)] > 0 == curves.rate[at(2.0)]


def test_a_live_run_is_drawn_up_to_now():
    graph, _ = two_workers()
    line = Timeline.of(3, [TaskFinished(0, 0, at=1.0, start=0.0, size=100.0), TaskStarted(1, 0, at=1.0)])
    curves = Curves.of(graph, line, 4.0, 2.0)
    assert curves.at[-1] == pytest.approx(2.0, abs=4 / BINS)
    assert curves.busy[-2] == pytest.approx(1)
    assert curves.held[-1] == 100


def test_bars_are_means_by_kind():
    graph, line = two_workers()
    found = bars(graph, Phases.of(graph, line), [0, 1])
    assert found["execute"] == [1.0, pytest.approx((3 + 0.5) / 2)]
    assert found["download"] == [0.0, 0.25]
    assert found["wait"] == [0.0, 0.5]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(sample_graphs())), st.sampled_from(list(sample_clusters())), st.floats(0, 1.2))
def test_what_the_curves_hold_is_what_happened(name, machines, share):
    """Their area is the work, their end the bytes; whatever the run, the data is finite and may travel."""
    graph, cluster = sample_graphs()[name], sample_clusters()[machines]
    estimates = estimate(graph)
    plan = run_planner(Heft(), graph, cluster, estimates)
    run = forecast(graph, plan, cluster, Estimates.of(estimates.mean * 1.3, estimates.size))
    last = float(run.timeline.end.max(initial=0.0))
    if last > 0:
        curves = Curves.of(graph, run.timeline, last, last)
        work = float((run.timeline.end - run.timeline.start).sum())
        assert curves.busy.sum() * last / BINS == pytest.approx(work, rel=1e-6, abs=1e-9)
        assert curves.moved[-1] <= run.bytes_moved * (1 + 1e-9) + 1e-9
        assert (curves.held >= 0).all()
    for timeline, now in ((None, None), (run.timeline, None), (run.timeline, share * last)):
        sources = Metrics(graph, plan).sources(timeline, now)
        json.dumps(sources, allow_nan=False)
        for columns in sources.values():
            assert len({len(values) for values in columns.values()}) == 1


def test_many_tasks_and_kinds_are_thinned():
    n = 5_000
    graph = TaskGraph.build("wide", [[] for _ in range(n)], kind=[f"k{i % 30}" for i in range(n)], duration=np.ones(n))
    plan = planned(graph)
    phases = Phases.of(graph, plan.timeline)
    assert DOTS / 2 < len(dots(phases, phases)) <= DOTS
    assert len(kinds_shown(graph, plan.timeline)) == 10
    assert len(json.dumps(Metrics(graph, plan).sources(plan.timeline))) < 400_000


@pytest.mark.parametrize(("name", "theme"), [("empty", "light"), ("random", "dark"), ("unknown", "light")])
def test_plots_have_their_data_in_named_sources(name, theme):
    from bokeh.embed import json_item

    graph = sample_graphs()[name]
    plan = planned(graph)
    text = json.dumps(json_item(figures(Metrics(graph, plan), plan.timeline, theme=theme)))
    for source in Metrics(graph, plan).sources(plan.timeline):
        assert f'"name": "{source}"' in text


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", list(sample_graphs()))
def test_every_structure_has_a_picture(name, theme):
    graph = sample_graphs()[name]
    plan = planned(graph)
    for timeline in (None, plan.timeline):
        svg = metrics_svg(Metrics(graph, plan), timeline, title=graph.name, theme=theme)
        assert ET.fromstring(svg).tag.endswith("svg")
        assert len(svg) < 60_000


def test_names_of_users_are_only_ever_text():
    graph = TaskGraph.build("g", [[] for _ in HOSTILE], keys=HOSTILE, kind=HOSTILE, duration=np.ones(len(HOSTILE)))
    plan = planned(graph)
    svg = metrics_svg(Metrics(graph, plan), plan.timeline, title=HOSTILE[0])
    words = " ".join(ET.fromstring(svg).itertext())
    assert "<script" not in svg
    assert "<script>" in words
    assert "\u202e" not in words
    sources = Metrics(graph, plan).sources(plan.timeline)
    assert all(len(name) <= 60 and "\x00" not in name for name in sources["dots"]["task"])


def test_a_plan_in_task_units_is_not_drawn_as_seconds():
    graph = sample_graphs()["unknown"]
    plan = planned(graph)
    metrics = Metrics(graph, plan)
    assert metrics.sources(plan.timeline)["planned"]["at"] == []
    assert metrics.sources(plan.timeline)["actual"]["at"] != []


# --- the pane ---------------------------------------------------------------------------------------------------------


class Live:
    """A run that goes on as it is told to."""

    id, state = "r", "running"

    def __init__(self, graph):
        self.graph, self.submitted = graph, time.perf_counter_ns()
        self.listeners, self.endings = [], []

    def subscribe(self, callback):
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback) if callback in self.listeners else None

    def on_end(self, callback):
        self.endings.append(callback)

    def tell(self, task):
        record = np.zeros(1, RECORD)
        record["task"], record["kind"], record["attempt"] = task, RecordKind.FINISHED, 1
        record["start"], record["at"] = task * 0.1, task * 0.1 + 0.1
        for listener in tuple(self.listeners):
            listener(Batch(COMMIT, 0, record))

    def end(self):
        for callback in self.endings:
            callback(self)


@pytest.fixture
def opened(monkeypatch):
    """A pane and what it has said."""
    monkeypatch.setattr(panes, "PACE", 0.02)
    made = []

    def make(*args, **options):
        pane = MetricsPane(*args, **options)
        said = []
        pane.send = lambda content, buffers=None: said.append((content, buffers or []))
        made.append(pane)
        return pane, said

    yield make
    for pane in made:
        pane.close()


def until(true, patience=5.0):
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_pane_answers_with_bokehjs_and_the_document(opened):
    graph = sample_graphs()["random"]
    plan = planned(graph)
    pane, said = opened(graph, plan, plan.timeline)
    pane._hear(None, {"kind": "need-bokehjs"}, [])
    pane._hear(None, {"kind": "need-doc", "dark": True}, [])
    until(lambda: len(said) == 2)
    (first, buffers), (second, _) = said
    assert first == {"kind": "bokehjs"}
    assert buffers == [bokehjs()]
    assert b"export default root.Bokeh" in buffers[0]
    assert second["kind"] == "doc"
    json.dumps(second, allow_nan=False)
    assert "#e6eaf0" in json.dumps(second["item"]), "the dark theme"


def test_a_live_run_is_followed_while_somebody_looks(opened):
    graph = TaskGraph.build("g", [[] for _ in range(5)], duration=np.full(5, 0.1))
    run = Live(graph)
    pane, said = opened(graph, planned(graph), run=run)
    run.tell(0)
    assert run.listeners == [], "a run nobody watches costs nothing"
    pane._hear(None, {"kind": "need-doc"}, [])
    until(lambda: any(content["kind"] == "data" for content, _ in said))
    for task in range(4):
        run.tell(task)
    until(lambda: len(said[-1][0].get("sources", {}).get("dots", {}).get("task", [])) == 4)
    run.tell(4)
    run.end()
    until(lambda: not run.listeners)
    last = said[-1][0]["sources"]
    assert len(last["dots"]["task"]) == 5
    assert sum(last["actual"]["busy"]) > 0
    told = len(said)
    time.sleep(0.1)
    assert len(said) == told, "after the end it is silent"


def test_a_pane_lets_go_when_the_browser_leaves(opened):
    graph = TaskGraph.build("g", [[]], duration=np.ones(1))
    run = Live(graph)
    pane, said = opened(graph, planned(graph), run=run)
    pane._hear(None, {"kind": "need-doc"}, [])
    until(lambda: run.listeners)
    pane._hear(None, {"kind": "bye"}, [])
    until(lambda: not run.listeners)
    time.sleep(0.05)
    told = len(said)
    time.sleep(0.1)
    assert len(said) == told


def test_a_failed_run_has_plots(opened):
    graph = TaskGraph.build("g", [[], [0]], duration=np.ones(2))
    line = Timeline.of(2, [TaskFinished(0, 0, at=1.0, start=0.0), TaskFailed(1, 0, at=1.5, start=1.0)])
    json.dumps(Metrics(graph, planned(graph)).sources(line), allow_nan=False)
    svg = metrics_svg(Metrics(replace(graph, name="f"), None), line)
    assert "actual" in svg
