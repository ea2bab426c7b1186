"""Plans side by side as bytes and as pictures: every row has its own bars, and large graphs stay small."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import dagnb
from dagnb.graph.graph import TaskGraph
from dagnb.planning.words import byte_count
from dagnb.trace.readable import CopyFinished, OutputPreloaded, TaskFinished, TaskRetried, WorkerStarted
from dagnb.trace.timeline import Timeline
from dagnb.widgets.compared import BINS, LANES, compare_message, small_gantts
from dagnb.widgets.static import gantt_svg
from dagnb.widgets.svg_compare import ROWS, compare_svg
from dagnb.widgets.theme import DARK
from dagnb.widgets.wording import between, header_line
from tests.browser.recording import layered, montage, pipeline


class Refusing:
    name = "refusing"

    def plan(self, *_):
        raise dagnb.errors.PlanError("no such plan")


def compared(graph, planners=("heft", "simple"), workers=(2, 4)):
    return dagnb.compare({graph.name: graph}, planners, workers=workers)


def columns(message):
    head, buffers = message
    types = {"i4": np.int32, "u2": np.uint16, "f4": np.float32, "u1": np.uint8}
    return {name: np.frombuffer(data, types[kind]) for (name, kind), data in zip(head["columns"], buffers, strict=True)}


def test_small_graphs_have_a_bar_for_each_task():
    graph = pipeline()
    comparison = compared(graph)
    for row, bars in zip(comparison, small_gantts(comparison.rows, graph.kind), strict=True):
        assert bars.lanes == row.workers
        line = row.plan.timeline
        assert sorted(bars.start.tolist()) == pytest.approx(sorted(line.start.tolist()), rel=1e-6)
        assert set(bars.lane.tolist()) <= set(range(row.workers))
        assert (bars.height == 1).all()


def test_bins_of_a_large_graph_cover_the_time_that_workers_are_busy():
    graph = layered(20, 200)
    comparison = compared(graph, workers=(8, 32))
    for row, bars in zip(comparison, small_gantts(comparison.rows, graph.kind), strict=True):
        assert bars.lanes == min(row.workers, LANES)
        assert len(bars.lane) <= BINS * LANES
        line = row.plan.timeline
        busy = float((line.end - line.start).sum()) / row.workers * bars.lanes
        drawn = float(((bars.end - bars.start) * bars.height).sum())
        assert drawn == pytest.approx(busy, rel=0.1)


def test_the_message_holds_facts_by_row_and_bars_by_column():
    graph = pipeline()
    comparison = compared(graph, ["heft", Refusing()])
    message = compare_message(comparison.rows, graph.kind, 5, comparison.best_of(graph.name))
    head, found = message[0], columns(message)
    assert (head["kind"], head["id"], head["best"]) == ("compare", 5, 2)
    assert found["first"].tolist() == [0, 31, 31, 62, 62]
    assert [row["error"] for row in head["rows"]] == ["", "no such plan"] * 2
    assert head["rows"][1]["makespan"] is None
    assert head["rows"][0]["makespan"] == comparison[0].makespan
    assert len(found["kind"]) == len(found["lane"]) == 62


def test_nothing_to_draw_is_no_fault():
    graph = TaskGraph.build("empty", [])
    comparison = compared(graph)
    assert columns(compare_message(comparison.rows, graph.kind, 1, 0))["first"].tolist() == [0] * 5
    assert "<svg" in compare_svg("empty", graph.kind, comparison.rows, 0)
    failed = compared(pipeline(), [Refusing()])
    assert "no such plan" in compare_svg("x", pipeline().kind, failed.rows, -1)


def test_the_picture_marks_the_best_its_interval_and_the_bound():
    graph = pipeline()
    rows = compared(graph).rows
    rows = [replace(row, plan=replace(row.plan, interval=(1.0, 100.0))) for row in rows]
    drawn = compare_svg("digits", graph.kind, rows, 2, theme=DARK)
    text = " ".join(ET.fromstring(drawn).itertext())
    assert text.count("★") == 1
    assert "Best: heft on 4 workers" in text
    assert "1 min" in text  # the axis reaches to the end of the interval
    assert DARK.strong[3] in drawn


def test_rows_beyond_a_page_are_counted():
    graph = TaskGraph.build("x", [[], [0]])
    comparison = compared(graph, "heft", range(1, ROWS + 4))
    assert "and 3 more rows" in compare_svg("x", graph.kind, comparison.rows, 0)


@pytest.mark.parametrize("n", [300, 2000])
def test_pictures_stay_small(n):
    graph = montage(n)
    comparison = compared(graph, ("heft", "simple"), (2, 4, 8, 16, 24, 32))
    assert len(compare_svg("m", graph.kind, comparison.rows, 0)) < 150_000


def test_what_happens_beside_the_tasks_is_in_the_still_picture_and_its_legend():
    graph = pipeline()
    plan = compared(graph, "heft", 4)[0].plan
    line = Timeline.of(len(graph), [TaskFinished(0, 0, 1.0, 0.0), TaskFinished(1, 1, 2.0, 1.0)])
    plain = gantt_svg(graph, line)
    for event, words in (
        (CopyFinished(1, 2, 2.5, 1.0), "copy that came second"),
        (OutputPreloaded(0, 1, 1.5, 1.0, 8.0), "fetched ahead"),
        (TaskRetried(2, 0, 1.5, 1.0), "failed, tried again"),
        (WorkerStarted(2, 0.5, 0.0), "worker starting"),
    ):
        assert words not in plain
        line.apply(event)
        plain = gantt_svg(graph, line)
        assert words in plain
    assert "w2" in plain  # a worker that only had a copy has a row, too
    assert "2.5 s" in plain  # and the axis reaches to its end
    assert plan is not None


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(36, 52, "(36–52)"), (0.9, 1.1, "(900 ms – 1.1 s)"), (50, 130, "(50 s – 2 min 10 s)"), (60, 120, "(60–120)")],
)
def test_an_interval_has_the_unit_once_where_it_can(low, high, text):
    assert between(low, high) == (text if text != "(60–120)" else "(60 s – 2 min)")


def test_the_header_says_where_the_makespan_is_to_be_expected():
    graph = pipeline()
    plan = replace(compared(graph, "heft", 8)[0].plan, makespan=41.0, interval=(36.0, 52.0), lower_bound=34.0)
    assert header_line(graph, plan) == "digits · 31 tasks · forecast 41 s (36–52) on 8 workers · best possible 34 s"


def test_bytes_as_disks_count_them():
    assert [byte_count(v) for v in (0, 812, 48e6, 1.26e9, 3e15)] == ["0 B", "812 B", "48 MB", "1.3 GB", "3000 TB"]
