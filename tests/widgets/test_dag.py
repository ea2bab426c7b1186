from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.planner import find_planner, run_planner
from dagnb.trace.events import TaskState
from dagnb.trace.readable import TaskFinished
from dagnb.widgets.actions import Actions, Knobs
from dagnb.widgets.dag import TAIL, DagWidget
from tests.browser.recording import Played, pipeline


@dataclass
class Log:
    stdout: str = ""
    stderr: str = ""
    traceback: str = ""


def planned(graph: TaskGraph) -> Any:
    return run_planner(find_planner("heft"), graph, Cluster.local(4), estimate(graph))


class Front:
    """Keeps what a widget says, and says what a browser would, over the widget's own message door."""

    def __init__(self, widget: DagWidget) -> None:
        self.widget, self.said = widget, []
        widget.feed._send = widget.send = self.take

    def take(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.said.append(content)

    def say(self, **message: Any) -> None:
        self.widget._handle_custom_msg(message, [])

    def answer(self, kind: str) -> dict[str, Any]:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            found = [content for content in self.said if content["kind"] == kind]
            if found:
                self.said.remove(found[0])
                return found[0]
            time.sleep(0.005)
        raise AssertionError(f"no {kind} among {[c['kind'] for c in self.said]}")


@pytest.fixture
def graph():
    return pipeline(4)


@pytest.fixture
def show(graph):
    shown = []

    def make(plan: Any = None, **actions: Any) -> Front:
        front = Front(DagWidget(graph, plan, actions=Actions(**actions)))
        shown.append(front.widget)
        return front

    yield make
    for widget in shown:
        widget.close()


def test_the_header_has_a_forecast_only_when_the_plan_has_seconds(graph, show):
    header = show(planned(graph)).widget.header
    assert header["name"] == "digits"
    assert header["forecast"] > header["lower_bound"] * 0.999
    assert header["workers"] == 4
    plain = TaskGraph.build("x", [[], [0]])
    without = DagWidget(plain, planned(plain))
    assert without.header["forecast"] is None
    assert not without.header["has_seconds"]
    without.close()


def test_saved_state_is_small_and_holds_no_graph(graph, show):
    front = show(planned(graph))
    state = {name: value for name, value in front.widget.get_state().items() if name != "_esm"}
    assert len(str(state)) < 2000


def test_ready_brings_graph_plan_and_names(graph, show):
    front = show(planned(graph))
    front.say(kind="ready", have="")
    snapshot = front.answer("snapshot")
    assert snapshot["graph"]["tasks"] == len(graph)
    assert snapshot["plan"]["planner"] == "heft"
    assert snapshot["workers"] == ["w0", "w1", "w2", "w3"]
    assert snapshot["run"] == ""


def test_a_large_graph_comes_with_its_groups():
    from tests.browser.recording import montage

    big = montage(400)
    front = Front(DagWidget(big))
    front.say(kind="ready", have="")
    snapshot = front.answer("snapshot")
    assert "of" in [name for name, _ in snapshot["columns"]]
    assert "project" in snapshot["graph"]["heads"]
    front.widget.close()


def test_a_run_is_followed_to_its_end(graph, show):
    front = show(planned(graph))
    ended: list[Any] = []
    front.widget.on_end(ended.append)
    run = Played(graph)
    front.say(kind="ready", have="")
    front.answer("snapshot")
    front.widget.follow(run)
    assert front.answer("snapshot")["state"] == "running"
    run.emit([TaskFinished(0, 0, 0.5, 0.0)])
    assert front.answer("patch")["seq"] == 3
    run.makespan = 2.5
    run.progress = {TaskState.DONE: 1, TaskState.FAILED: 0}  # type: ignore[attr-defined]  # as a Run has it
    run.end("done")
    assert ended == [run]
    assert front.widget.summary["state"] == "done"
    assert front.widget.summary["makespan"] == 2.5
    assert front.widget.summary["counts"] == {"done": 1}
    while front.answer("patch")["state"] != "done":
        pass


def test_another_plan_takes_the_run_out_of_the_picture(graph, show):
    front = show(planned(graph))
    run = Played(graph)
    front.say(kind="ready", have="")
    front.widget.follow(run)
    front.widget.show_plan(planned(graph))
    run.end("done")
    assert front.widget.summary == {}


def test_buttons_are_those_that_somebody_answers(show):
    assert show().widget.header["actions"] == []
    assert show(run=lambda: None).widget.header["actions"] == ["run"]


def test_an_action_runs_away_from_the_thread_that_asked_and_is_answered(show):
    import threading

    threads = []
    front = show(run=lambda: threads.append(threading.current_thread()))
    front.say(kind="action", name="run")
    assert front.answer("said") == {"kind": "said", "action": "run", "ok": True, "text": ""}
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


def test_an_action_that_refuses_says_why(show):
    def refuse() -> None:
        raise RuntimeError("etl runs already\n  cancel it first")

    front = show(run=refuse)
    front.say(kind="action", name="run")
    assert front.answer("said")["text"] == "etl runs already"
    front.say(kind="action", name="__class__")
    assert not front.answer("said")["ok"]


def test_details_come_from_the_run_and_the_session(graph, show):
    front = show(planned(graph), detail=lambda key: {"resources": {"cpus": 2}, "note": f"about {key}"})
    run = Played(graph)
    run.logs = lambda key: Log(stdout="x" * (TAIL + 10), traceback="ValueError: no")  # type: ignore[attr-defined]
    front.widget.follow(run)
    front.say(kind="ready", have="")
    run.emit([TaskFinished(0, 0, 0.5, 0.0)])
    front.answer("snapshot")
    front.say(kind="get-detail", task=0)
    detail = front.answer("detail")["detail"]
    assert detail["resources"] == {"cpus": 2}
    assert detail["note"] == "about raw"
    assert detail["traceback"] == "ValueError: no"
    assert len(detail["stdout"]) == TAIL + 2


@pytest.mark.parametrize(
    "message", [{"kind": "get-detail", "task": 10_000}, {"kind": "get-detail", "task": "0"}, {}, {"kind": 3}]
)
def test_nonsense_from_a_page_does_no_harm(show, message):
    front = show()
    front.say(**message)
    front.say(kind="ready", have="")
    front.answer("snapshot")


def test_logs_that_cannot_be_read_are_said_so(graph, show):
    front = show(detail=lambda key: {}[key])
    front.say(kind="get-detail", task=1)
    assert "could not be read" in front.answer("detail")["detail"]["note"]


def test_an_empty_graph_and_odd_names_are_sent(show):
    odd = TaskGraph.build("<b>", [[], [0]], keys=["</script><img src=x>", "\ud800"], kind=["k\n", "k2"])
    for graph in (TaskGraph.build("none", []), odd):
        front = Front(DagWidget(graph))
        front.say(kind="ready", have="")
        assert front.answer("snapshot")["graph"]["tasks"] == len(graph)
        front.widget.close()


# --- plans side by side, and plans that might be -----------------------------------------------------------------


def compared(graph: TaskGraph, *planners: Any) -> Any:
    import dagnb

    return dagnb.compare({graph.name: graph}, planners or ("heft", "simple"), workers=[2, 4])


class Slow:
    """Sliders whose plans are simulated on as many workers as they say."""

    def __init__(self) -> None:
        self.asked: list[Knobs] = []

    def knobs(self, plan: Any) -> Knobs:
        return Knobs(len(plan.workers), 2e9, 1e9)

    def __call__(self, plan: Any, knobs: Knobs) -> Any:
        self.asked.append(knobs)
        if knobs.workers > 50:
            raise ValueError("so many workers\nare nowhere")
        time.sleep(0.1)
        return run_planner(find_planner("heft"), pipeline(4), Cluster.local(knobs.workers), estimate(pipeline(4)))


def test_a_comparison_is_told_when_asked_for_and_a_pick_makes_a_row_the_plan(graph, show):
    front = show(planned(graph))
    comparison = compared(graph)
    front.widget.show_comparison(comparison.rows, comparison.best_of(graph.name))
    assert front.widget.mode == "compare"
    assert front.widget.compared == {"id": 1, "rows": 4, "chosen": 2}
    front.say(kind="get-compare")
    assert [row["planner"] for row in front.answer("compare")["rows"]] == ["heft", "simple", "heft", "simple"]
    front.say(kind="ready", have="")
    front.answer("snapshot")
    front.say(kind="pick", row=1)
    assert front.answer("snapshot")["plan"]["planner"] == "simple"
    assert front.widget.plan is comparison[1].plan
    assert front.widget.compared["chosen"] == 1
    for row in (9, -1, "x", None, 1.5):
        front.say(kind="pick", row=row)
    front.say(kind="get-detail", task=0)
    front.answer("detail")
    assert front.widget.plan is comparison[1].plan


def test_another_graph_takes_the_comparison_away(graph, show):
    front = show(planned(graph))
    front.widget.show_comparison(compared(graph).rows, 0)
    other = pipeline(5)
    front.widget.show_plan(planned(other), other)
    assert front.widget.compared == {}
    assert front.widget.mode == "plan"


def test_while_a_run_goes_on_it_is_what_is_shown(graph, show):
    sliders = Slow()
    front = show(planned(graph), what_if=sliders)
    front.widget.show_comparison(compared(graph).rows, 0)
    run = Played(graph)
    front.widget.follow(run)
    front.say(kind="pick", row=1)
    assert "a run is going on" in front.answer("said")["text"]
    front.say(kind="what-if", id=1, workers=3, memory=2e9, bandwidth=1e9)
    refused = front.answer("planned")
    assert not refused["ok"]
    assert "a run is going on" in refused["text"]
    assert sliders.asked == []


def test_sliders_bring_a_plan_that_might_be_and_the_newest_position_wins(graph, show):
    sliders = Slow()
    real = planned(graph)
    front = show(real, what_if=sliders)
    before = front.widget.header
    assert before["knobs"] == {"workers": 4, "memory": 2e9, "bandwidth": 1e9}
    assert not before["what_if"]
    for number in range(1, 9):
        front.say(kind="what-if", id=number, workers=number, memory=2e9, bandwidth=1e9)
    while front.answer("planned")["id"] != 8:
        pass
    assert [knobs.workers for knobs in sliders.asked] in ([1, 8], [8])
    assert len(front.widget.plan.workers) == 8
    header = front.widget.header
    assert header["what_if"]
    assert header["knobs"]["workers"] == 8
    assert header["fingerprint"] != before["fingerprint"]
    front.say(kind="what-if", id=9, reset=True)
    assert front.answer("planned")["id"] == 9
    assert front.widget.plan is real
    assert front.widget.header == before


def test_reset_brings_back_the_run_that_was_shown(graph, show):
    front = show(planned(graph), what_if=Slow())
    run = Played(graph)
    front.widget.follow(run)
    run.makespan = 2.0
    run.end("done")
    summary = front.widget.summary
    front.say(kind="what-if", id=1, workers=3, memory=2e9, bandwidth=1e9)
    front.answer("planned")
    assert front.widget.summary == {}
    front.say(kind="what-if", id=2, reset=True)
    front.answer("planned")
    assert front.widget.summary == summary


def test_what_cannot_be_planned_says_why_and_changes_nothing(graph, show):
    real = planned(graph)
    front = show(real, what_if=Slow())
    for wrong, why in (({"workers": 99}, "so many workers"), ({"workers": "many"}, "invalid literal")):
        front.say(kind="what-if", id=1, memory=2e9, bandwidth=1e9, **wrong)
        answer = front.answer("planned")
        assert not answer["ok"]
        assert why in answer["text"]
    front.say(kind="what-if", id=2)
    assert not front.answer("planned")["ok"]
    assert front.widget.plan is real
    assert front.widget.imagined is None
