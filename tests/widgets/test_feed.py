from __future__ import annotations

import base64
import json
import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import WorkerId
from dagnb.planning.plan import Assignment, Plan
from dagnb.trace.events import COMMIT, PROVISIONAL, RETRACTION, Batch
from dagnb.trace.readable import (
    CopyFinished,
    OutputPreloaded,
    TaskFailed,
    TaskFinished,
    TaskRetried,
    TaskStarted,
    WorkerStarted,
)
from dagnb.trace.records import RecordKind
from dagnb.trace.timeline import COLUMNS, Timeline
from dagnb.widgets import feed as feeds
from dagnb.widgets.feed import Feed
from dagnb.widgets.layout import Layout, Spacing, pack
from dagnb.widgets.snapshot import ASIDE, NO_WORKER, ROW, Part, Picture, asides, graph_facts, rows
from tests.browser.recording import Played

FIXTURE = Path(__file__).parents[2] / "js" / "__tests__" / "fixtures" / "patches.json"


class Browser:
    """The other end: keeps what it is sent, folds it, and says what a real one would."""

    def __init__(self, graph: TaskGraph) -> None:
        self.messages: list[tuple[dict[str, Any], list[bytes]]] = []
        self.arrived = threading.Condition()
        self.feed = Feed(self.take, Picture(graph))

    def take(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        with self.arrived:
            self.messages.append((content, buffers or []))
            self.arrived.notify_all()

    def say(self, kind: str, have: str = "") -> None:
        self.feed.hear({"kind": kind, "have": have})

    def wait(self, messages: int, timeout: float = 5) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.messages) >= messages, timeout), self.kinds

    @property
    def kinds(self) -> list[str]:
        return [content["kind"] for content, _ in self.messages]

    def folded(self) -> np.ndarray:
        """State by task after all messages, as the browser has it."""
        state: dict[int, int] = {}
        for content, buffers in self.messages:
            if content["kind"] == "snapshot":
                state = {}
            for row in np.frombuffer(buffers[-1], ROW):
                state[int(row["task"])] = int(row["state"])
        return np.array([state.get(i, 0) for i in range(len(self.feed.timeline))], np.uint8)


def chain(n: int = 3) -> TaskGraph:
    return TaskGraph.build("etl", [[i - 1] if i else [] for i in range(n)])


@pytest.fixture
def browser():
    one = Browser(chain())
    yield one
    one.feed.close()


def test_ready_brings_the_whole_picture_then_patches_follow_in_sequence(browser):
    run = Played(chain())
    browser.say("ready")
    browser.wait(1)
    browser.feed.follow(Picture(run.graph), run, "r1", lambda: run.state)
    browser.wait(2)
    run.emit([TaskStarted(0, 1, 0.1)])
    browser.wait(3)
    run.emit([TaskFinished(0, 1, 0.5, 0.1, 0.05, 0.01, 100.0)])
    browser.wait(4)
    assert browser.kinds == ["snapshot", "snapshot", "patch", "patch"]
    assert [content["seq"] for content, _ in browser.messages] == [1, 2, 3, 4]
    assert browser.messages[-1][0]["run"] == "r1"
    (row,) = np.frombuffer(browser.messages[-1][1][0], ROW)
    assert (row["task"], row["worker"], row["state"], row["size"]) == (0, 1, 3, 100.0)


def test_what_happens_beside_the_tasks_is_told_once(browser):
    run = Played(chain())
    browser.feed.follow(Picture(run.graph), run, "r1", lambda: run.state)
    browser.say("ready")
    browser.wait(1)
    run.emit([WorkerStarted(1, 0.5, 0.25), OutputPreloaded(0, 1, 0.75, 0.5, 10.0)])
    browser.wait(2)
    run.emit([TaskFinished(0, 1, 2.0, 1.0)])
    browser.wait(3)
    run.emit([CopyFinished(0, 0, 2.5, 1.0)])
    browser.wait(4)
    told = [np.frombuffer(buffers[1], ASIDE) if len(buffers) > 1 else None for _, buffers in browser.messages[1:]]
    assert told[0]["kind"].tolist() == [9, 7]
    assert told[0]["cold"].tolist() == [1, 0]
    assert told[1] is None
    assert told[2][["start", "end", "task", "worker", "kind"]].tolist() == [(1.0, 2.5, 0, 0, 8)]
    browser.say("resync", have=run.graph.fingerprint)
    browser.wait(5)
    content, buffers = browser.messages[-1]
    whole = dict(zip([name for name, _ in content["columns"]], buffers, strict=True))
    assert len(np.frombuffer(whole["asides"], ASIDE)) == 3


def test_another_plan_for_the_same_graph_does_not_bring_the_graph_again(browser):
    browser.say("ready")
    browser.wait(1)
    browser.feed.show(Picture(browser.feed._picture.graph))
    browser.wait(2)
    assert [name for name, _ in browser.messages[1][0]["columns"]] == ["records"]


def test_what_the_browser_has_is_not_sent_again(browser):
    browser.say("ready", have=chain().fingerprint)
    browser.wait(1)
    content, buffers = browser.messages[0]
    assert [name for name, _ in content["columns"]] == ["records"]
    assert len(buffers) == 1


def test_a_resync_starts_again_from_a_snapshot(browser):
    run = Played(chain())
    browser.feed.follow(Picture(run.graph), run, "r1", lambda: run.state)
    run.emit([TaskStarted(0, 0, 0.1)])
    browser.say("ready")
    browser.wait(1)
    browser.say("resync")
    browser.wait(2)
    assert browser.kinds == ["snapshot", "snapshot"]
    assert browser.folded().tolist() == [2, 0, 0]


def test_a_burst_becomes_few_patches_and_nothing_is_lost():
    n = 2000
    browser = Browser(TaskGraph.build("wide", [[] for _ in range(n)]))
    run = Played(browser.feed._picture.graph)
    browser.say("ready")
    browser.feed.follow(browser.feed._picture, run, "r1", lambda: run.state)
    began = time.monotonic()
    for i in range(n):
        run.emit([TaskFinished(i, 0, i / n, 0.0)])
        if i % 200 == 0:
            time.sleep(0.02)
    run.end("done")
    browser.feed.touch()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not (browser.folded() == 3).all():
        time.sleep(0.02)
    took = time.monotonic() - began
    assert (browser.folded() == 3).all()
    assert len(browser.messages) <= took / feeds.PACE + 3
    browser.feed.close()


def test_a_run_nobody_watches_is_not_even_listened_to(browser):
    run = Played(chain())
    browser.feed.follow(Picture(run.graph), run, "r1", lambda: run.state)
    assert run._callbacks == []
    browser.say("ready")
    browser.wait(1)
    assert len(run._callbacks) == 1
    browser.say("bye")
    assert run._callbacks == []
    run.emit([TaskStarted(0, 0, 0.1)])
    browser.say("ready")
    browser.wait(2)
    assert browser.folded().tolist() == [2, 0, 0]


def test_without_acks_it_stops_and_the_next_one_brings_a_snapshot(browser, monkeypatch):
    monkeypatch.setattr(feeds, "PATIENCE", 0.2)
    run = Played(chain())
    browser.say("ready")
    browser.feed.follow(Picture(run.graph), run, "r1", lambda: run.state)
    browser.wait(1)
    time.sleep(0.3)
    run.emit([TaskStarted(0, 0, 0.1)])
    time.sleep(0.3)
    assert "patch" not in browser.kinds
    assert run._callbacks == []
    seen = len(browser.messages)
    browser.say("ack")
    browser.wait(seen + 1)
    assert browser.kinds[-1] == "snapshot"
    assert browser.folded().tolist() == [2, 0, 0]


def test_acks_keep_it_going(browser, monkeypatch):
    monkeypatch.setattr(feeds, "PATIENCE", 0.2)
    run = Played(chain(40))
    browser.feed.follow(Picture(run.graph), run, "r1", lambda: run.state)
    browser.say("ready")
    for i in range(10):
        run.emit([TaskStarted(i, 0, 0.1)])
        time.sleep(0.06)
        browser.say("ack")
    assert (browser.folded()[:10] == 2).all()
    assert browser.kinds.count("snapshot") == 1


def test_a_widget_that_cannot_send_does_not_stop_the_others(browser, caplog):
    def refuse(content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        raise OSError("the socket is gone")

    broken = Feed(refuse, Picture(chain()))
    broken.hear({"kind": "ready", "have": ""})
    browser.say("ready")
    browser.wait(1)
    assert "could not send" in caplog.text
    broken.close()


def test_only_daemon_threads(browser):
    browser.say("ready")
    browser.wait(1)
    named = [thread for thread in threading.enumerate() if thread.name.startswith("dagnb")]
    assert named
    assert all(thread.daemon for thread in named)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from("sfxcr")), max_size=40))
def test_patches_give_the_browser_the_timeline(steps):
    """Whatever happens, retractions included: the rows of changed tasks alone add up to all rows."""
    timeline, seen = Timeline(6), {}
    for at, (task, worker, what) in enumerate(steps):
        changed = timeline.apply_batch(_batch(task, worker, what, float(at)))
        for row in np.frombuffer(rows(timeline, changed.astype(np.int32)), ROW):
            seen[int(row["task"])] = row
    for task in range(6):
        want = np.frombuffer(rows(timeline, np.array([task], np.int32)), ROW)[0]
        assert task not in seen or seen[task].tobytes() == want.tobytes()
        if task not in seen:
            assert timeline.state[task] == 0


def _batch(task: int, worker: int, what: str, at: float) -> Batch:
    run = Played(chain(6))
    if what == "s":
        run.emit([TaskStarted(task, worker, at)], PROVISIONAL, worker)
    elif what == "f":
        run.emit([TaskFinished(task, worker, at + 1, at, 0.25, 0.5, 10.0)], PROVISIONAL, worker)
    elif what == "x":
        run.emit([TaskFailed(task, worker, at + 1, at)], PROVISIONAL, worker)
    else:
        run.emit([], COMMIT if what == "c" else RETRACTION, worker)
    return run._batches[0]


# --- one fixture keeps Python and TypeScript in step ---------------------------------------------------------------


def conversation() -> dict[str, Any]:
    """A snapshot and two patches as they travel, and the columns that a reader must hold after each."""
    graph = TaskGraph.build(
        "étl", [[], [0], [0], [1, 2]], keys=["raw", "a[0]", "a[1]", "Σ"], kind=["load", "f", "f", "sum"]
    )
    planned = Timeline.of(
        4, [TaskFinished(i, w, e, s, 0.125) for i, w, s, e in ((0, 0, 0, 1), (1, 0, 1, 2), (2, 1, 1, 3), (3, 1, 3, 4))]
    )
    planned.apply(OutputPreloaded(0, 1, 1.25, 1.0, 8.0))
    planned.apply(WorkerStarted(1, 0.5, 0.0))
    workers = (WorkerId("w0"), WorkerId("w1"))
    plan = Plan(
        tuple(Assignment(workers[w], i) for i, w in enumerate((0, 0, 1, 1))),
        planner="heft", workers=workers, makespan=4.0, lower_bound=3.5, interval=(3.75, 4.5), timeline=planned,
        graph_fingerprint=graph.fingerprint,
    )  # fmt: skip
    picture = Picture(graph, plan)
    picture.drawn = _drawn(graph)
    timeline = Timeline(4)
    said: list[dict[str, Any]] = []

    def note(content: dict[str, Any], buffers: list[bytes]) -> None:
        expected = {name: [None if math.isnan(x) else x for x in getattr(timeline, name).tolist()] for name in COLUMNS}
        expected["worker"] = [NO_WORKER if w < 0 else w for w in expected["worker"]]
        beside = [[*map(float, (a["start"], a["at"])), *map(int, (a["task"], a["worker"], a["kind"])),
                   int(a["kind"] == RecordKind.BEGUN and a["attempt"])] for a in timeline.asides]  # fmt: skip
        expected["asides"] = beside
        said.append({"content": content, "buffers": [base64.b64encode(b).decode() for b in buffers], "live": expected})

    def happen(worker: int, purpose: int, *found: Any) -> np.ndarray:
        run = Played(graph)
        run.emit(found, purpose, worker)
        return timeline.apply_batch(run._batches[0]).astype(np.int32)

    happen(0, COMMIT, TaskFinished(0, 0, 1.5, 0.25, 0.125, 0.0625, 1e6), WorkerStarted(1, 0.75, 0.0))
    begun = rows(timeline, np.flatnonzero(timeline.state).astype(np.int32))
    note(*picture.message("", begun, asides(timeline.asides), run="r1", state="running", seq=7, t=1.5))
    ended = TaskFinished(2, 1, 2.5, 1.75, 0.5, 0.0, 64.0, 2)
    changed = happen(1, PROVISIONAL, TaskStarted(1, 1, 1.75), ended, CopyFinished(2, 0, 2.75, 1.5))
    patch = [rows(timeline, changed), asides(timeline.asides[1:])]
    note({"kind": "patch", "run": "r1", "state": "running", "seq": 8, "t": 2.5}, patch)
    failed = happen(0, COMMIT, TaskFailed(1, 0, 3.5, 2.75, 2), TaskRetried(3, 0, 3.75, 3.5, 1))
    changed = np.union1d(happen(1, RETRACTION), failed).astype(np.int32)
    patch = [rows(timeline, changed), asides(timeline.asides[2:])]
    note({"kind": "patch", "run": "r1", "state": "failed", "seq": 9, "t": 3.5}, patch)
    return {"keys": list(graph.keys), "messages": said}


def _drawn(graph: TaskGraph) -> Part:
    """A drawing by hand, so that a better layout does not change the fixture."""
    x, y = np.array([70, 250, 250, 430], np.float32), np.array([40, 20, 60, 40], np.float32)
    src, dst = graph.deps, np.repeat(np.arange(4, dtype=np.int32), np.diff(graph.dep_start))
    none = np.zeros(0, np.float32)
    layout = Layout(
        x, y, np.array([0, 1, 1, 2], np.int32), np.zeros(4, np.int32), src.astype(np.int32), dst,
        np.zeros(5, np.int32), none.reshape(0, 2), 500.0, 80.0, 0, Spacing(),
    )  # fmt: skip
    head, buffers = pack(layout)
    columns = head.pop("columns")
    keys = json.dumps(graph.keys, ensure_ascii=False).encode()
    named = tuple((name, kind, data) for (name, kind, _), data in zip(columns, buffers, strict=True))
    return Part(
        graph_facts(graph) | {"layout": head}, (("keys", "u1", keys), ("kind", "i4", graph.kind.tobytes()), *named)
    )


def test_the_fixture_of_the_browser_is_what_we_send():
    made = json.dumps(conversation(), ensure_ascii=False, indent=1) + "\n"
    if not FIXTURE.exists():  # delete it after a change of the protocol: it is written anew, and vitest then judges
        FIXTURE.write_text(made, "utf-8")
    assert FIXTURE.read_text("utf-8") == made
