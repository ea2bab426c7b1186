"""What the store keeps of a failed task, and how the notebook reads it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dagnb.errors import TaskError, WorkerLostError
from dagnb.graph.care import Care, careful
from dagnb.graph.graph import TaskRef
from dagnb.runtime.failures import Failures
from dagnb.runtime.keys import run_prefix
from dagnb.runtime.run import start
from tests.runtime.dags import Sketch, free_plan, leaf, run


def fits(x: Any, step: int) -> float:
    total = float(x.sum())
    print("fitting", file=sys.stderr)
    if total > 0:
        raise ValueError(f"step {step} is <b>bad</b>")
    return total


def array(n: int) -> Any:
    return np.ones((n, 2))


def crashes(_: int) -> None:
    sys.__stderr__.write("last words\n")
    sys.__stderr__.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(_: int) -> None:
    os._exit(7)


def test_one_record_for_each_failed_task_lies_in_the_store(pool):
    sketch = Sketch()
    bad = sketch(fits, sketch(array, 5), 3)
    done = run(sketch.graph(), pool)
    stored = done.hub.store._call("HGETALL", run_prefix(done.id) + "err")
    assert [int(task) for task in stored[::2]] == [bad.task]
    record = json.loads(stored[1])
    assert record["type"] == "ValueError"
    assert record["stderr"] == "fitting\n"
    assert (record["attempt"], record["tries"]) == (1, 1)
    assert 10e6 < record["peak"] < 1e9


def test_failures_are_objects_with_everything_that_is_known(pool):
    sketch = Sketch()
    bad = sketch(fits, sketch(array, 5), 3)
    graph = sketch.graph()
    done = run(graph, pool)
    failures = done.errors()
    assert isinstance(failures, Failures)
    (one,) = failures
    assert one.key == graph.keys[bad.task]
    assert repr(one) == f"<{one.key} failed on {one.worker}: ValueError: step 3 is <b>bad</b>>"
    assert repr(failures) == repr(one)
    assert one.peak > 10e6
    table = failures._repr_html_()
    assert "&lt;b&gt;bad&lt;/b&gt;" in table
    assert "<b>" not in table
    assert " MB</td>" in table
    with pytest.raises(ValueError, match="step 3") as caught:
        done.result(bad)
    text = str(caught.value)
    assert isinstance(caught.value, TaskError)
    for part in ("test_errors.py, line", "in fits", "total = 10.0", "ndarray (5, 2) float64", one.worker, "fitting"):
        assert part in text, part


def test_nothing_has_failed(pool):
    sketch = Sketch()
    sketch(leaf, 1)
    failures = run(sketch.graph(), pool).errors()
    assert repr(failures) == "<no task has failed>"
    assert "no task has failed" in failures._repr_html_()


@pytest.mark.parametrize(
    ("function", "ending", "said"), [(crashes, "killed by SIGSEGV", "last words"), (leaves, "exit code 7", "")]
)
def test_a_task_that_kills_its_workers_is_told_with_their_end(pool, function, ending, said):
    sketch = Sketch()
    bad = sketch(function, 1)
    done = run(sketch.graph(), pool)
    (one,) = done.errors()
    assert one.type == "WorkerLostError"
    assert one.message == f"3 workers died running it ({ending})"
    assert one.ending == ending
    assert said in one.stderr
    assert "dagnb/runtime" not in one.stderr
    with pytest.raises(WorkerLostError, match="3 workers died"):
        done.result(bad)
    assert said in str(done.logs(bad))


def test_deaths_and_tries_are_counted_apart(pool, tmp_path):
    """A task that fails once and then kills its workers: the record says at which try that was."""
    sketch = Sketch()
    path = str(tmp_path / "n")
    bad = sketch(named(careful(Care(retries=2, delay=0.01), fails_then_kills)), path)
    done = run(sketch.graph(), pool)
    (one,) = done.errors()
    assert (one.type, one.attempt) == ("WorkerLostError", 2)
    assert [f.type for f in one.before] == ["ValueError"]
    assert Path(path).stat().st_size == 1 + 3
    assert "try 1 of 3 failed" in str(done.logs(bad))


def fails_then_kills(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("x")
        file.flush()
        if file.tell() == 1:
            raise ValueError("once")
    os.kill(os.getpid(), signal.SIGKILL)


def named(function: Any) -> Any:
    function.__dict__["__name__"] = function.args[1].__name__
    return function


def test_the_logs_of_one_task_are_asked_for_alone(pool):
    """Not those of all tasks, and also while the run goes on."""
    sketch = Sketch()
    talkers = [sketch(talks, i) for i in range(3)]
    sketch(time.sleep, 0.6)
    graph = sketch.graph()
    begun = start(graph, free_plan(graph), pool)
    while not all(begun.timeline.state[t.task] == 3 for t in talkers):
        time.sleep(0.01)
    assert begun.state == "running"
    assert [begun.logs(t).stdout for t in talkers] == ["I am 0\n", "I am 1\n", "I am 2\n"]
    assert begun.logs(TaskRef(3)).stdout == ""
    begun.wait(10)


def talks(i: int) -> int:
    print("I am", i)
    time.sleep(0.03)
    return i
