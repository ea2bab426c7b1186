"""The way of a small run from the kernel to the workers and back: one piece out, and no question after the end."""

from __future__ import annotations

import threading
import time

import pytest

from dagnb.errors import StoreError
from dagnb.graph.graph import TaskRef
from dagnb.runtime import wire
from dagnb.runtime.hub import Hub
from dagnb.runtime.line import Line
from dagnb.runtime.run import RunState, start
from tests.runtime.dags import Sketch, free_plan


def add(x):
    return x + 1


def nap(seconds):
    time.sleep(seconds)
    return seconds


def chain(n=2, first=0):
    sketch = Sketch("line")
    value = first
    for _ in range(n):
        value = sketch(add, value)
    return sketch.graph()


def test_a_warm_run_sends_once(pool, monkeypatch):
    graph = chain()
    plan = free_plan(graph)
    for _ in range(2):
        start(graph, plan, pool).wait(60)
    sent = []
    plain = wire.Wire.send

    def counted(self, commands):
        sent.append((threading.current_thread().name, list(commands)))
        plain(self, sent[-1][1])

    monkeypatch.setattr(wire.Wire, "send", counted)
    done = start(graph, plan, pool).wait(60)
    assert done.result(TaskRef(1)) == 2
    assert done.state is RunState.DONE
    mine = [words for thread, words in sent if thread == threading.current_thread().name]
    assert len(mine) == 1, [[w[0] for w in words] for words in mine]


def test_an_answer_that_is_to_come_does_not_hold_up_a_timeout(pool):
    sketch = Sketch("line")
    sketch(nap, 0.5)
    run = start(sketch.graph(), free_plan(sketch.graph()), pool)
    began = time.monotonic()
    run.wait(0.05)
    assert time.monotonic() - began < 0.4
    assert run.ending is None
    assert run.wait(60).result(TaskRef(0)) == 0.5


def test_many_wait_for_one_run(pool):
    sketch = Sketch("line")
    sketch(nap, 0.2)
    run = start(sketch.graph(), free_plan(sketch.graph()), pool)
    found = []
    threads = [threading.Thread(target=lambda: found.append(run.wait(60).result(TaskRef(0)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [0.2] * 4


def test_a_lost_connection_submits_once(pool, monkeypatch):
    """The transaction was applied and the answer lost: it is not applied again."""
    graph = chain(3)
    lost = []
    plain = Line._accepted

    def cut(self, line, commands, further):
        plain(self, line, commands, further)
        if not lost:
            lost.append(True)
            raise EOFError

    monkeypatch.setattr(Line, "_accepted", cut)
    done = start(graph, free_plan(graph), pool).wait(60)
    assert lost
    assert done.result(TaskRef(2)) == 3
    assert list(done.timeline.state) == [3, 3, 3] or done.state is RunState.DONE


def test_a_refused_submission_is_an_error_and_leaves_no_connection_half_read(pool):
    hub = Hub.of(pool)
    line = Line(hub, "f" * 16, frozenset())
    with pytest.raises(StoreError, match="refused"):
        line.submit([("MULTI",), ("NO-SUCH-COMMAND",), ("EXEC",)])
    graph = chain()
    assert start(graph, free_plan(graph), pool).wait(60).result(TaskRef(1)) == 2


STEP = 1


def step(x):
    return x + STEP


def test_what_a_function_uses_may_change_between_two_runs_of_a_graph(pool, monkeypatch):
    sketch = Sketch("line")
    by_value = type(step)(step.__code__, {"STEP": 1, "__name__": "__main__"}, "step")
    sketch(by_value, 1)
    graph = sketch.graph()
    plan = free_plan(graph)
    assert start(graph, plan, pool).wait(60).result(TaskRef(0)) == 2
    by_value.__globals__["STEP"] = 10
    assert start(graph, plan, pool).wait(60).result(TaskRef(0)) == 11


def test_arguments_that_can_change_are_sent_as_they_are_now(pool):
    sketch = Sketch("line")
    given = [1, 2]
    sketch(sum, given)
    graph = sketch.graph()
    plan = free_plan(graph)
    assert start(graph, plan, pool).wait(60).result(TaskRef(0)) == 3
    given.append(3)
    assert start(graph, plan, pool).wait(60).result(TaskRef(0)) == 6


def test_a_chain_calls_one_worker_and_a_fan_behind_it_gets_the_other(pool):
    sketch = Sketch("line")
    root = sketch(add, 0)
    naps = [sketch(nap_after, root) for _ in range(8)]
    sketch(sum, naps)
    graph = sketch.graph()
    done = start(graph, free_plan(graph), pool).wait(60)
    assert done.result(TaskRef(9)) == 8
    assert len(set(done.timeline.worker.tolist())) == 2


def nap_after(x):
    time.sleep(0.05)
    return x
