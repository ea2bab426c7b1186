"""Causes planted into real runs on real workers are each named; a clean run is as planned; one truth about makespan."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from dagnb.planners.heft import Heft
from dagnb.planning import words
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.planner import run_planner
from dagnb.planning.words import seconds as said
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.session.twins import run_line, seconds
from dagnb.widgets.dag import DagWidget
from dagnb.widgets.static import text_summary
from tests.runtime.dags import Sketch, run
from tests.runtime.life import settings, until

#: What the plan believes, in seconds and bytes.
EST = {"load": 0.05, "fetch": 0.15, "clean": 0.1}
SIZE = {"load": 200_000, "fetch": 1_000, "clean": 8}


def load(size: int, seconds: float) -> bytes:
    time.sleep(seconds)
    return bytes(size)


def fetch(data: bytes, seconds_per_byte: float) -> bytes:
    time.sleep(len(data) * seconds_per_byte)
    return bytes(1_000)


def clean(data: bytes, seconds: float) -> int:
    time.sleep(seconds)
    return len(data)


def etl(parts=4, *, size=SIZE["load"], slower=1.0):
    """(graph, plan) whose plan believes EST and SIZE; the tasks do what is said here."""
    sketch = Sketch("etl")
    for _ in range(parts):
        data = sketch(load, size, EST["load"] * slower)
        data = sketch(fetch, data, EST["fetch"] / SIZE["load"] * slower)
        sketch(clean, data, EST["clean"] * slower)
    graph = sketch.graph()
    kinds = [graph.kinds[kind] for kind in graph.kind]
    graph = replace(graph, duration=np.array([EST[k] for k in kinds]), size=np.array([float(SIZE[k]) for k in kinds]))
    return graph, run_planner(Heft(), graph, Cluster.local(2), estimate(graph))


def kinds_of(analysis):
    return [finding.kind for finding in analysis.findings]


@pytest.fixture
def warm(pool):
    """The pool with two workers up: a cold start is a cause of its own."""
    graph, plan = etl(1, slower=0.1)
    run(graph, pool, plan=plan)
    return pool


def test_a_clean_run_is_as_planned(warm):
    graph, plan = etl()
    for _ in range(3):  # the machine may be busy with something else
        done = run(graph, warm, plan=plan)
        analysis = done.analysis()
        if kinds_of(analysis) == ["as planned"]:
            break
    assert kinds_of(analysis) == ["as planned"], str(analysis)
    assert analysis.complete
    assert analysis.client_makespan == done.client_makespan
    assert all(row.execute >= 0.9 * row.execute_planned for row in analysis.tasks)


def test_inputs_that_doubled(warm):
    graph, plan = etl(size=2 * SIZE["load"])
    analysis = run(graph, warm, plan=plan).analysis()
    found = next(f for f in analysis.findings if f.kind == "duration")
    assert found.subject == "fetch"
    assert "what was planned because its inputs doubled" in found.text
    assert 1.9 < found.figures["ratio"] < 2.6
    assert found.seconds > 0.2
    assert analysis.estimate_error > 0.2


def test_everything_slower_is_the_machine(warm):
    graph, plan = etl(slower=1.6)
    analysis = run(graph, warm, plan=plan).analysis()
    found = next(f for f in analysis.findings if f.kind == "machine")
    assert 1.5 < found.figures["ratio"] < 1.9
    assert "duration" not in kinds_of(analysis)


def test_a_worker_that_had_to_be_started(directory):
    """One worker is up when a plan for two begins."""
    pool = LocalPool.connect(settings(directory, workers=1))
    graph, _ = etl(1, slower=0.1)
    run(graph, pool, plan=run_planner(Heft(), graph, Cluster.local(1), estimate(graph)))
    graph, plan = etl(2)
    analysis = run(graph, pool, plan=plan).analysis()
    late = [f for f in analysis.findings if f.kind == "start-up"]
    assert late, str(analysis)
    assert late[0].subject == "w1"
    assert late[0].figures["late"] > 0.03
    assert analysis.model_error > 0.03


def test_a_live_run_is_analysed_as_far_as_it_is(warm):
    graph, plan = etl(2)
    going = start(graph, plan, warm)
    try:
        while not going.timeline.counts[3]:
            time.sleep(0.01)
        analysis = going.analysis()
        assert not analysis.complete
        assert analysis.source is going
        assert math.isnan(analysis.model_error)
        assert kinds_of(analysis)[0] == "unfinished"
    finally:
        going.wait(60)
    assert going.analysis().complete
    assert going.analysis().source is None


def test_one_truth_about_makespan(warm):
    """The workers', the client's and the analysis' figures are of one clock and agree."""
    graph, plan = etl(2)
    done = run(graph, warm, plan=plan)
    analysis = done.analysis()
    assert analysis.makespan == done.makespan == done.timeline.makespan
    assert analysis.client_makespan == done.client_makespan
    first, last = np.nanmin(done.timeline.start), np.nanmax(done.timeline.end)
    assert 0 < first < last <= done.ending.at <= done.client_makespan
    assert done.client_makespan - analysis.makespan < first + 0.1
    assert analysis.planned_client_makespan == plan.makespan
    assert analysis.planned_makespan == pytest.approx(plan.timeline.makespan)


def test_the_widget_and_the_client_say_the_same(warm):
    graph, plan = etl(1)
    going = start(graph, plan, warm)
    widget = DagWidget(graph, plan)
    widget.follow(going)
    going.wait(60)
    ended = threading.Event()
    going.on_end(lambda *_: ended.set())
    assert ended.wait(10)
    until(lambda: widget.summary.get("state") == "done")
    assert widget.summary["makespan"] == going.makespan == going.analysis().makespan
    assert run_line(going).startswith(f"done in {seconds(going.makespan)}")
    assert f" in {said(going.makespan)}" in text_summary(graph, plan, going.timeline)
    assert f"took {words.seconds(going.makespan)}" in going.analysis().headline
    widget.close()


def test_a_result_that_lay_there_was_there_at_the_end(warm):
    """Who waits an hour later does not make the run an hour longer."""
    graph, plan = etl(1)
    going = start(graph, plan, warm)
    time.sleep(0.8)
    assert going.analysis().client_makespan == going.ending.at
    going.wait(60)
    assert going.client_makespan == going.ending.at < 0.6
