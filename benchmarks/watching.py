"""P10: what it costs that somebody looks on. A feed such as the widget's, with a browser that says what it must."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import shapes
from table import Goal, Row, show

if TYPE_CHECKING:
    from peers import Peers

#: Tasks a second on two workers, each an event, and for how many seconds.
PER_SECOND, SECONDS = 5_000, 3


class Browser:
    """Takes what a feed sends, and answers every half second."""

    def __init__(self, graph: Any, plan: Any) -> None:
        from dagnb.widgets.feed import Feed
        from dagnb.widgets.snapshot import Picture

        self.picture, self.messages, self.answered = Picture(graph, plan), 0, 0.0
        self.feed = Feed(self.take, self.picture)

    def follow(self, run: Any) -> None:
        self.feed.follow(self.picture, run, run.id, lambda: "running")
        self.feed.hear({"kind": "ready", "have": ""})

    def take(self, content: dict[str, Any], _buffers: list[bytes] | None = None) -> None:
        self.messages += 1
        if time.monotonic() - self.answered > 0.5:
            self.answered = time.monotonic()
            self.feed.hear({"kind": "ack", "seq": content.get("seq", 0)})


def p10(_peers: Peers, rounds: int) -> None:
    """Makespan with and without, on 100×50 layered no-ops; processor time of the kernel at 5,000 events a second."""
    makespans: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for watched in (False, True):
            makespans[watched].append(run(shapes.layered(), watched=watched)[0])
    value = statistics.median(on / off for off, on in zip(makespans[False], makespans[True], strict=True))
    goal = Goal(1.10, 1.03, most=True)
    show(Row("P10", "watched ÷ not, makespan", makespans[True], makespans[False], "not watched", goal, value=value))
    shares = []
    for _ in range(max(1, rounds // 2)):
        spent, took, tasks = 0.0, 0.0, PER_SECOND * SECONDS
        for watched, sign in ((True, 1), (False, -1)):
            recorder = shapes.bag(tasks, 2 / PER_SECOND)
            _, seconds, used = run(recorder, watched=watched)
            spent += sign * used
            took = seconds if watched else took
        shares.append(spent / took)
    value = statistics.median(shares) * 100
    goal = Goal(2, 0.5, most=True, unit=" %")
    note = f"({tasks / took:,.0f} events a second)"
    show(
        Row(
            "P10",
            "kernel's processor time for that",
            [s * 100 for s in shares],
            goal=goal,
            unit="%",
            value=value,
            note=note,
        )
    )


def run(recorder: shapes.Recorder, *, watched: bool) -> tuple[float, float, float]:
    """(makespan, seconds from submission to the end, processor seconds of this process meanwhile)."""
    from dagnb.runtime.run import start
    from dagnb.session import engine

    dag = recorder.dagnb()
    graph, plan = dag.graph, dag.plan("free", workers=2)
    browser = Browser(graph, plan) if watched else None
    if browser is not None:
        browser.picture.prepare("")
    pool = engine.connect()
    pool.ensure(2)
    time.sleep(0.3)
    begun = start(graph, plan, pool)
    before, began = time.process_time(), time.perf_counter()
    if browser is not None:
        browser.follow(begun)
    begun.wait()
    took, used = time.perf_counter() - began, time.process_time() - before
    assert begun.result(graph.keys[-1]) == recorder.value()
    if browser is not None:
        assert browser.messages > 0
    return begun.makespan, took, used
