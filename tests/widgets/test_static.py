"""Pictures and text for readers without a kernel: well-formed, safe, small, and true to the timeline."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planners.heft import Heft
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.planning.planner import run_planner
from dagnb.planning.words import seconds
from dagnb.testing import chain, fan, layered, sample_graphs
from dagnb.trace.critical import critical_chain
from dagnb.trace.events import TaskState
from dagnb.trace.readable import TaskCancelled, TaskFailed, TaskFinished, TaskSkipped, TaskStarted
from dagnb.trace.timeline import Timeline
from dagnb.widgets.static import figure_svg, gantt_svg, graph_svg, text_summary
from dagnb.widgets.theme import DARK, LIGHT, MARKS
from dagnb.widgets.wording import clean, shorten, text_width

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "</text><script>alert(1)</script>",
    "a\"b'c&d<e>]]>&lt;",
    "bell \x07 null \x00 escape \x1b[31m",
    "lone \ud800 surrogate \uffff",
    "\u202egnp.exe",
    "x" * 5_000,
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "javascript:alert(1)\nsecond line\t",
    "任务 😀 مهمة",
]


def plan_of(graph: TaskGraph, workers: int = 4) -> Plan:
    return run_planner(Heft(), graph, Cluster.local(workers), estimate(graph))


def timed(name: str, deps: list[list[int]], **columns) -> TaskGraph:
    chance = np.random.default_rng(len(deps))
    return TaskGraph.build(name, deps, duration=chance.uniform(0.5, 3, len(deps)), **columns)


def etl() -> TaskGraph:
    return TaskGraph.build(
        "etl",
        [[], [], [0, 1], [2]],
        keys=["parts[0]", "parts[1]", "table", "report"],
        kind=["load", "load", "merge", "summarise"],
        duration=np.array([3.0, 4.0, 2.0, 1.5]),
    )


def parsed(svg: str) -> ET.Element:
    """The document; refuses what is not wanted in any picture."""
    root = ET.fromstring(svg)
    kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert kinds <= {"svg", "g", "rect", "path", "text", "tspan", "title", "desc"}
    for element in root.iter():
        for name in element.attrib:
            assert not name.startswith("on"), name
            assert name not in ("style", "href", "id", "class"), name
    assert "url(" not in svg
    return root


def words(root: ET.Element) -> str:
    return " ".join("".join(element.itertext()) for element in root.iter(f"{SVG}text"))


def number(element: ET.Element, name: str) -> float:
    return float(element.attrib[name])


# -- any graph, any state -------------------------------------------------------------


@pytest.mark.parametrize("name", sample_graphs())
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_structure_has_a_picture(name, theme):
    graph = sample_graphs()[name]
    plan = plan_of(graph)
    root = parsed(figure_svg(graph, plan, plan.timeline, theme=theme))
    assert root.attrib["role"] == "img"
    page = root.find(f"{SVG}rect")
    assert page is not None
    assert page.attrib["fill"] == (LIGHT if theme == "light" else DARK).page
    width, height = number(root, "width"), number(root, "height")
    for group in root.findall(f"{SVG}g"):
        moved = re.fullmatch(r"translate\(([\d.-]+),([\d.-]+)\)", group.attrib["transform"])
        assert moved is not None
        dx, dy = map(float, moved.groups())
        for box in group.iter(f"{SVG}rect"):
            x, y = number(box, "x") + dx, number(box, "y") + dy
            assert 0 <= x <= x + number(box, "width") <= width
            assert 0 <= y <= y + number(box, "height") <= height


@settings(max_examples=60)
@given(st.lists(st.sampled_from(list(TaskState)), min_size=1, max_size=30))
def test_the_legend_counts_every_state(states):
    graph = TaskGraph.build("g", [[] for _ in states])
    said = words(parsed(graph_svg(graph, np.array(states, np.uint8))))
    for state in TaskState:
        expected = states.count(state)
        assert (f"{expected} {state.name.lower()}" in said) == (expected > 0)


@pytest.mark.parametrize("tasks", [40, 2_000])
def test_names_of_users_are_only_ever_text(tasks):
    names = [f"{HOSTILE[i % len(HOSTILE)]}{i}" for i in range(tasks)]
    kinds = [HOSTILE[i % len(HOSTILE)] for i in range(tasks)]
    graph = TaskGraph.build("<b>\x00&", fan(tasks - 2), keys=names, kind=kinds, duration=np.ones(tasks))
    plan = plan_of(graph)
    timeline = Timeline(tasks)
    timeline.state[:] = TaskState.FAILED
    for svg in (
        figure_svg(graph, plan, plan.timeline),
        graph_svg(graph, title=HOSTILE[0]),
        gantt_svg(graph, plan.timeline, workers=HOSTILE),
    ):
        parsed(svg)
        assert "<script" not in svg
        assert "\u202e" not in svg
        svg.encode()  # no lone surrogates
    text = text_summary(graph, plan, timeline)
    assert len(text.splitlines()) == 4
    assert not set(text) & {"\x00", "\x1b", "\u202e", "\x07"}


@given(st.text(max_size=300))
def test_cleaned_text_may_stand_in_any_document(text):
    found = clean(text)
    assert len(found) <= 200
    assert "\n" not in found
    ET.fromstring(f"<a>{found.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}</a>".encode())


@given(st.text(min_size=1, max_size=120), st.floats(20, 300))
def test_shortened_text_fits(text, room):
    found = shorten(text, room)
    assert text_width(found, 12) <= room or len(found) <= 2


# -- graph ----------------------------------------------------------------------------


def test_small_graphs_show_every_task_by_name():
    root = parsed(graph_svg(etl()))
    said = words(root)
    assert all(key in said for key in etl().keys)
    titles = [element.text for element in root.iter(f"{SVG}title")]
    assert "table: waiting" in titles


def test_large_graphs_show_boxes_with_counts():
    graph = TaskGraph.build("big", fan(20_000), kind=["load", *["fit"] * 20_000, "rank"])
    states = np.full(len(graph), TaskState.DONE, np.uint8)
    states[77] = TaskState.FAILED
    root = parsed(graph_svg(graph, states))
    said = words(root)
    assert "×20,000" in said
    assert "1 failed" in said
    assert number(root, "height") < 300
    failed = [r for r in root.iter(f"{SVG}rect") if r.attrib.get("fill") == LIGHT.strong[TaskState.FAILED]]
    assert number(failed[0], "width") >= 2  # one failure in 20,000 is seen


def test_the_critical_path_is_marked():
    plain, marked = graph_svg(etl()), graph_svg(etl(), critical=[1, 2, 3])
    root = parsed(marked)
    frames = [g for g in root.iter(f"{SVG}g") if g.attrib.get("stroke") == LIGHT.critical]
    assert sum(len(list(g)) for g in frames) == 3
    assert "critical path" in words(root)
    assert "critical path" not in plain


# -- Gantt ----------------------------------------------------------------------------


def bars(root: ET.Element) -> dict[str, tuple[float, float, float, float]]:
    """What every bar says under the pointer → its box."""
    return {
        title.text or "": tuple(number(box, name) for name in ("x", "y", "width", "height"))  # type: ignore[misc]  # four of them
        for box in root.iter(f"{SVG}rect")
        if (title := box.find(f"{SVG}title")) is not None and box.attrib.get("fill-opacity") == "0"
    }


def test_bars_lie_where_the_timeline_says():
    timeline = Timeline.of(3, [
        TaskFinished(0, 0, at=2.0, start=0.0),
        TaskFinished(1, 1, at=4.0, start=1.0),
        TaskFinished(2, 0, at=8.0, start=4.0),
    ])  # fmt: skip
    graph = TaskGraph.build("g", [[], [], [0, 1]])
    found = bars(parsed(gantt_svg(graph, timeline, workers=["w0", "w1"])))
    a, b, c = (next(box for said, box in found.items() if said.startswith(f"t{i}:")) for i in range(3))
    second = (c[0] - a[0]) / 4
    assert b[0] - a[0] == pytest.approx(second, abs=0.2)
    for box, length in ((a, 2), (b, 3), (c, 4)):
        assert box[2] == pytest.approx(length * second, abs=1)
    assert a[1] == c[1] < b[1]


def test_planned_stands_above_actual():
    graph = etl()
    plan = plan_of(graph, 2)
    assert plan.timeline is not None
    actual = Timeline.of(4, [
        TaskFinished(0, 0, at=5.0, start=0.0),
        TaskFailed(1, 1, at=4.0, start=0.5),
        TaskSkipped(2, 5.0),
        TaskSkipped(3, 5.0),
    ])  # fmt: skip
    root = parsed(figure_svg(graph, plan, actual))
    found = bars(root)
    planned = {k.partition(":")[0]: v for k, v in found.items() if ": planned" in k}
    real = {k.partition(":")[0]: v for k, v in found.items() if ": planned" not in k}
    assert set(planned) == set(graph.keys)
    assert set(real) == {"parts[0]", "parts[1]"}
    assert any("parts[1]: failed 0.5" in k or "parts[1]: failed 500 ms" in k for k in found)
    said = words(root)
    assert f"planned {seconds(plan.makespan or 0)}" in said
    assert "actual 5 s" in said
    assert "failed after 5 s" in said
    for key in real:
        row = [box for name, box in planned.items() if abs(box[1] - real[key][1]) < 30]
        assert all(box[1] + box[3] <= real[key][1] + 0.1 for box in row if box[1] < real[key][1])


def test_task_units_are_never_called_seconds():
    graph = TaskGraph.build("g", chain(3))
    plan = plan_of(graph)
    assert not plan.has_seconds
    said = words(parsed(figure_svg(graph, plan)))
    assert "task units" in said
    assert "no forecast yet" in said
    assert not re.search(r"\d m?s\b", said)
    actual = Timeline.of(3, [TaskFinished(0, 0, at=0.002, start=0.0)])
    said = words(parsed(figure_svg(graph, plan, actual)))
    assert "task units" not in said  # the two have no common axis: what happened is shown
    assert "2 ms" in said


def test_a_running_task_reaches_to_the_last_known_moment():
    timeline = Timeline.of(2, [TaskStarted(0, 0, at=1.0), TaskFinished(1, 1, at=3.0, start=1.0)])
    found = bars(parsed(gantt_svg(TaskGraph.build("g", [[], []]), None, timeline)))
    running, finished = (next(v for k, v in found.items() if k.startswith(name)) for name in ("t0", "t1"))
    assert running[2] == pytest.approx(finished[2])
    assert any(k.startswith("t0: running") for k in found)


def test_a_run_without_a_bar_has_no_chart():
    graph = TaskGraph.build("g", chain(2))
    cancelled = Timeline.of(2, [TaskCancelled(0, 0.1), TaskCancelled(1, 0.1)])
    root = parsed(figure_svg(graph, None, cancelled))
    assert "2 cancelled" in words(root)
    assert not bars(root)


def test_many_tasks_become_bins_that_keep_the_gaps():
    """One worker, busy in the first and last quarter: what is filled is half of the axis."""
    n = 1_000
    start = np.concatenate([np.linspace(0, 25, 500, endpoint=False), np.linspace(75, 100, 500, endpoint=False)])
    timeline = Timeline.of(n, [TaskFinished(i, 0, at=t + 0.05, start=t) for i, t in enumerate(start.tolist())])
    root = parsed(gantt_svg(TaskGraph.build("g", [[] for _ in range(n)]), timeline))
    shape = next(p for p in root.iter(f"{SVG}path") if "scale" in p.attrib.get("transform", ""))
    pieces = re.findall(r"M(\d+),[\d.]+v-([\d.]+)h(\d+)", shape.attrib["d"])
    assert sum(int(length) for _, _, length in pieces) == pytest.approx(240 / 2, abs=6)
    assert len({height for _, height, _ in pieces}) <= 4


# -- the critical path ----------------------------------------------------------------


def test_the_critical_chain_goes_through_dependencies_and_busy_workers():
    graph = TaskGraph.build("g", [[], [], [0], [1]])
    timeline = Timeline.of(4, [
        TaskFinished(0, 0, at=4.0, start=0.0),
        TaskFinished(1, 0, at=5.0, start=4.0),
        TaskFinished(2, 1, at=4.5, start=4.0),
        TaskFinished(3, 1, at=7.0, start=5.0),
    ])  # fmt: skip
    assert critical_chain(graph, timeline) == [0, 1, 3]
    assert critical_chain(graph, Timeline(4)) == []


@pytest.mark.parametrize("name", sample_graphs())
def test_the_critical_chain_of_a_plan_has_no_slack(name):
    graph = sample_graphs()[name]
    line = plan_of(graph).timeline
    assert line is not None
    chain_ = critical_chain(graph, line)
    assert bool(chain_) == bool(len(graph))
    assert len(set(chain_)) == len(chain_)
    for before, after in itertools.pairwise(chain_):
        assert line.end[before] <= line.end[after]
    if chain_:
        assert line.end[chain_[-1]] == line.end.max()


# -- size and time --------------------------------------------------------------------


@pytest.mark.parametrize(
    "deps",
    [layered(20, 15), layered(30, 20), layered(25, 40), layered(100, 100), fan(20_000), fan(290), chain(1_500),
     [list(range(max(0, i - 100), i)) for i in range(300)], [[] for _ in range(600)]],
    ids=["300", "600", "1000", "10000", "fan", "smallfan", "chain", "dense", "bag"],
)  # fmt: skip
def test_a_picture_is_small_whatever_the_graph(deps):
    n = len(deps)
    kind = [f"kind_{i * 11 // n}" for i in range(n)]
    graph = timed("g", deps, keys=[f"some_{k}_with_a_long_name[{i}]" for i, k in enumerate(kind)], kind=kind)
    began = time.process_time()
    line = Timeline(n)
    worker, length = np.arange(n) % 8, np.random.default_rng(0).uniform(0.2, 1, n)
    line.start[:] = np.arange(n) // 8 + length / 9
    line.end[:], line.worker[:], line.state[:] = line.start + length, worker, TaskState.DONE
    line.state[::17] = TaskState.FAILED
    plan = Plan((), workers=tuple(f"w{i}" for i in range(8)), makespan=1.0, timeline=line)  # type: ignore[arg-type]  # names
    svg = figure_svg(graph, plan, line)
    took = time.process_time() - began
    print(f"{n} tasks: {len(svg)} bytes, {took * 1000:.0f} ms")
    assert len(svg.encode()) <= 120_000
    assert took < 4
    root = parsed(svg)
    assert number(root, "width") < 2_400
    assert number(root, "height") < 2_600


# -- text -----------------------------------------------------------------------------


def test_the_summary_says_what_the_picture_shows():
    graph = etl()
    plan = plan_of(graph, 2)
    first, kinds = text_summary(graph, plan).splitlines()
    assert first == (
        f"etl · 4 tasks · declared forecast {seconds(plan.makespan or 0)} on 2 workers"
        f" · best possible {seconds(plan.lower_bound or 0)}"
    )
    assert kinds == "2 load, 1 merge, 1 summarise"
    ended = TaskFinished(0, 0, at=3, start=1), TaskFailed(1, 1, at=4, start=1), TaskSkipped(2, 4), TaskSkipped(3, 4)
    said = text_summary(graph, plan, Timeline.of(4, ended)).splitlines()
    assert said[2:] == ["1 failed, 2 skipped, 1 done in 3 s", "failed: parts[1]"]


def test_without_seconds_there_is_no_forecast():
    graph = TaskGraph.build("etl", chain(3))
    assert text_summary(graph).splitlines()[0] == "etl · 3 tasks · no forecast yet"
    assert text_summary(graph, plan_of(graph, 3)).splitlines()[0] == "etl · 3 tasks · no forecast yet on 3 workers"
    assert text_summary(TaskGraph.build("etl", [])) == "etl · 0 tasks · no forecast yet"


def test_many_failures_are_counted():
    graph = TaskGraph.build("g", [[] for _ in range(9)])
    timeline = Timeline(9)
    timeline.state[:] = TaskState.FAILED
    assert text_summary(graph, None, timeline).splitlines()[-1] == "failed: t0, t1, t2, t3, t4 (+4 more)"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0 s"), (3e-7, "0.3 µs"), (4e-4, "400 µs"), (0.0004567, "457 µs"), (0.999, "999 ms"), (0.0123, "12 ms"),
     (1, "1 s"), (41.2, "41 s"), (9.96, "10 s"), (99.4, "99 s"), (100, "1 min 40 s"), (125, "2 min 5 s"),
     (3600, "1 h"), (12_000, "3 h 20 min"), (float("nan"), "–")],
)  # fmt: skip
def test_seconds_in_words(value, said):
    assert seconds(value) == said


# -- colours --------------------------------------------------------------------------


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_are_read_and_told_apart(theme):
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    def contrast(a: str, b: str) -> float:
        high, low = sorted((light(a), light(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    assert all(contrast(theme.text, soft) >= 7 for soft in (*theme.soft, theme.page))
    assert contrast(theme.quiet, theme.page) >= 4.5
    assert all(contrast(strong, theme.page) >= 3 for strong in theme.strong)
    assert all(contrast(theme.ink(kind), kind) >= 4 for kind in theme.kinds)
    assert len(set(MARKS.values())) == len(TaskState)  # a shape of its own for each state
    assert len(set(theme.strong)) == len(TaskState)
    assert not set(theme.kinds) & set(theme.strong)


def test_the_canvas_has_the_same_colours():
    source = Path(__file__).parents[2].joinpath("js", "theme.ts").read_text()
    light, dark = source.split("export const DARK")
    for theme, text in ((LIGHT, light), (DARK, dark)):
        colours = set(re.findall(r"#[0-9a-f]{6}", text))
        assert {*theme.strong, *theme.soft, *theme.kinds, theme.page, theme.text, theme.edge} <= colours


def test_an_unknown_theme_says_which_there_are():
    with pytest.raises(ValueError, match="'light' or 'dark'"):
        graph_svg(etl(), theme="sepia")
