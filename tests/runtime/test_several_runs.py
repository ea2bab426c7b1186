"""Workers that take part in several runs: none of these waits for one that sits in another without work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dagnb.graph.graph import TaskRef
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime import store
from dagnb.runtime.run import start
from dagnb.runtime.scripts import script
from tests.runtime.dags import Sketch
from tests.runtime.life import until

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph


def named(graph: TaskGraph, where: list[int], workers: int = 2) -> Plan:
    cluster = Cluster.local(workers)
    return Plan.build(graph, cluster, estimate(graph), worker=where, sequence=range(len(graph)), planner="hand")


def of_naps(*seconds: float, chain: bool = False) -> TaskGraph:
    sketch = Sketch()
    for duration in seconds:
        sketch(naps, duration, *([TaskRef(len(sketch.calls) - 1)] if chain and sketch.calls else []))
    return sketch.graph()


def naps(seconds: float, *_: Any) -> float:
    time.sleep(seconds)
    return seconds


def test_a_worker_whose_word_was_lost_joins_a_run_beside_one_that_has_nothing_for_it(pool, monkeypatch):
    """Words go with a worker that dies, and its successor may sit in an older run that is not over."""
    older = of_naps(20.0)
    busy = start(older, named(older, [0]), pool)
    try:
        until(lambda: busy.hub.store._call("SISMEMBER", f"dagnb:{{{busy.id}}}:idle", busy.slots[1]))
        lost = script("call").replace("inbox:", "lost:")
        monkeypatch.setattr(store, "script", lambda name: lost if name == "call" else script(name))
        younger = of_naps(0.0)
        done = start(younger, named(younger, [1]), pool).wait(5)
        assert (done.state, busy.state) == ("done", "running")
    finally:
        busy.cancel()
        for slot in busy.slots:
            busy.hub.store._call("DEL", f"dagnb:lost:{slot}")


def test_a_worker_comes_back_to_a_run_that_it_left_before_that_had_work_for_it(pool):
    """Three runs: it sits in the oldest, hears of the third while it waits in the second, and returns to the oldest."""
    oldest, second, third = of_naps(20.0), of_naps(1.5, 0.0, chain=True), of_naps(0.0)
    busy = start(oldest, named(oldest, [0], 3), pool)
    try:
        waits = start(second, named(second, [2, 1], 3), pool)
        until(lambda: waits.hub.store._call("SISMEMBER", f"dagnb:{{{waits.id}}}:idle", waits.slots[1]))
        assert start(third, named(third, [1], 3), pool).wait(5).state == "done"
        assert waits.wait(6).state == "done"
        assert busy.state == "running"
    finally:
        busy.cancel()
