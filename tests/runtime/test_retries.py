"""Tasks that are tried again: by a worker that does not wait for them, as often as was asked, whoever dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from dagnb.errors import TaskError
from dagnb.graph.care import Care, careful
from dagnb.planners.free import Free
from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.run import Run, start
from dagnb.trace.events import RecordKind, TaskState
from tests.runtime.dags import Sketch, add, free_plan, inc, leaf, run
from tests.runtime.life import until


class FlakyError(Exception):
    """Of this module: it travels by name."""


def counted(path: str) -> int:
    """How often this was called with this path, this call included."""
    with Path(path).open("a") as file:
        file.write("x")
        file.flush()
        return file.tell()


def fails(path: str, times: int, *_: Any) -> int:
    """Fails so many times, then says how often it was called."""
    tried = counted(path)
    print(f"try {tried}")
    if tried <= times:
        raise FlakyError(f"no luck {tried}")
    return tried


def spoils(path: str, xs: list[int]) -> list[int]:
    """Changes its input before it fails the first time."""
    xs.append(99)
    if counted(path) == 1:
        raise FlakyError
    return xs


def pair(x: int) -> list[int]:
    return [x, x + 1]


def leaves(path: str) -> int:
    counted(path)
    raise SystemExit(3)


def kills_then_fails(path: str) -> int:
    """Fails, kills its worker, fails again, and so on."""
    if counted(path) % 2 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    raise FlakyError


def naps(x: int) -> int:
    time.sleep(0.02)
    return x


def tried(function: Any, retries: int = 3, delay: float = 0.02, **asked: Any) -> Any:
    return careful(Care(retries=retries, delay=delay, **asked), function)


def named(function: Any) -> Any:
    """A sketch wants functions with names."""
    function.__dict__["__name__"] = function.args[1].__name__
    return function


def planned(graph: Any, where: list[int], notes: dict[int, Annotations] | None = None) -> Plan:
    """A plan by hand for two workers."""
    known = graph, Cluster.local(2), estimate(graph)
    return Plan.build(*known, worker=where, sequence=range(len(graph)), annotations=notes or {}, planner="hand")


def attempts(done: Run, task: int) -> list[tuple[int, int, float, float]]:
    """(number, worker, start, end) of the tries of a task that were followed by another."""
    asides = done.timeline.asides
    mine = asides[(asides["kind"] == RecordKind.RETRIED) & (asides["task"] == task)]
    return [(int(a["attempt"]), int(a["worker"]), float(a["start"]), float(a["at"])) for a in mine]


def test_a_task_that_fails_twice_gives_its_value_and_tells_of_each_try(pool, tmp_path):
    sketch = Sketch()
    flaky = sketch(named(tried(fails)), str(tmp_path / "n"), 2, sketch(leaf, 1))
    last = sketch(add, flaky, sketch(inc, sketch(leaf, 5)))
    done = run(sketch.graph(), pool)
    assert done.state == "done"
    assert done.result(last) == 3 + 6
    assert done.errors() == []
    row = done.timeline[flaky.task]
    assert (row.state, row.attempt) == (TaskState.DONE, 3)
    before = attempts(done, flaky.task)
    assert [number for number, *_ in before] == [1, 2]
    assert all(start <= end for *_, start, end in before)
    assert before[0][3] + 0.015 <= before[1][2]
    assert before[1][3] + 0.03 <= row.start, "the second pause is twice as long"
    log = done.logs(flaky)
    assert [(t.attempt, t.of, t.message) for t in log.tries] == [(1, 4, "no luck 1"), (2, 4, "no luck 2")]
    assert [t.stdout for t in log.tries] == ["try 1\n", "try 2\n"]
    assert log.stdout == "try 3\n"
    assert "try 1 of 4 failed on w" in str(log)
    assert done.analysis().findings, "the analysis copes with several tries"


def test_the_last_failure_is_the_one_that_is_raised_with_its_try(pool, tmp_path):
    sketch = Sketch()
    flaky = sketch(named(tried(fails, retries=2)), str(tmp_path / "n"), 9)
    after = sketch(inc, flaky)
    done = run(sketch.graph(), pool)
    (failure,) = done.errors()
    assert (failure.attempt, failure.of, failure.message) == (3, 3, "no luck 3")
    assert [f.message for f in failure.before] == ["no luck 1", "no luck 2"]
    assert done.timeline.state[after.task] == TaskState.SKIPPED
    assert done.timeline[flaky.task].attempt == 3
    with pytest.raises(FlakyError, match=r"try 3 of 3[^$]*try 1 of 3 failed on w\d: FlakyError: no luck 1") as caught:
        done.result(flaky)
    assert isinstance(caught.value, TaskError)


def test_what_was_not_named_is_not_tried_again(pool, tmp_path):
    sketch = Sketch()
    sketch(named(tried(fails, on=(OSError,))), str(tmp_path / "a"), 1)
    sketch(named(tried(leaves)), str(tmp_path / "b"))
    done = run(sketch.graph(), pool)
    assert sorted((f.type, f.attempt) for f in done.errors()) == [("FlakyError", 1), ("SystemExit", 1)]
    assert [(tmp_path / name).stat().st_size for name in "ab"] == [1, 1]


def test_a_try_gets_the_inputs_as_they_were(pool, tmp_path):
    """Also where it was the only one that wanted them, and changed them before it failed."""
    sketch = Sketch()
    spoilt = sketch(named(tried(spoils)), str(tmp_path / "n"), sketch(pair, sketch(leaf, 3)))
    assert run(sketch.graph(), pool).result(spoilt) == [3, 4, 99]


def test_a_worker_does_other_work_while_a_task_waits(pool, tmp_path):
    sketch = Sketch()
    flaky = sketch(named(tried(fails, delay=0.4)), str(tmp_path / "n"), 1)
    others = [sketch(naps, i) for i in range(10)]
    done = run(sketch.graph(kept=[o.task for o in others]), pool, workers=1)
    assert done.result(flaky) == 2
    (first,) = attempts(done, flaky.task)
    between = [done.timeline[o.task].start for o in others]
    assert sum(first[3] <= at < done.timeline[flaky.task].start for at in between) >= 8
    assert done.makespan < 1.0, "the pause is over when it is over, not at the next look"


def test_a_named_worker_has_its_task_again(pool, tmp_path):
    sketch = Sketch()
    tasks = [sketch(named(tried(fails)), str(tmp_path / f"n{i}"), 1) for i in range(4)]
    graph = sketch.graph(kept=range(4))
    done = run(graph, pool, plan=planned(graph, [0, 1, 0, 1]))
    assert [done.result(t) for t in tasks] == [2] * 4
    assert done.timeline.worker.tolist() == [0, 1, 0, 1]


def test_a_task_that_may_be_tried_again_has_no_copies(pool, tmp_path):
    sketch = Sketch()
    flaky = sketch(named(tried(fails)), str(tmp_path / "n"), 1)
    graph = sketch.graph()
    done = run(graph, pool, plan=planned(graph, [0], {0: Annotations(duplicate=("w1",))}))
    assert done.result(flaky) == 2
    assert (tmp_path / "n").stat().st_size == 2


def test_deaths_give_no_further_tries(pool, tmp_path):
    """Tries that were told count whoever dies; a death costs none and gives none."""
    sketch = Sketch()
    sketch(named(tried(kills_then_fails, retries=2)), str(tmp_path / "n"))
    done = run(sketch.graph(), pool)
    (failure,) = done.errors()
    assert (failure.type, failure.attempt, failure.of) == ("FlakyError", 3, 3)
    assert (tmp_path / "n").stat().st_size == 5, "three tries and the two deaths between them"


def test_a_death_of_everybody_while_a_task_waits_loses_nothing(pool, tmp_path):
    sketch = Sketch()
    flaky = sketch(named(tried(fails, delay=0.6)), str(tmp_path / "n"), 1)
    begun = start(sketch.graph(), free_plan(sketch.graph()), pool)
    until(lambda: len(attempts(begun, 0)) == 1)
    for worker in pool.status().workers:
        if worker.pid:
            os.kill(worker.pid, signal.SIGKILL)
    begun.wait(10)
    assert begun.result(flaky) == 2
    assert [number for number, *_ in attempts(begun, 0)] == [1]
    assert begun.timeline[0].attempt == 2
    assert begun.timeline[0].start - attempts(begun, 0)[0][3] > 0.4, "the pause is kept"


def test_a_run_is_cancelled_while_its_task_waits(pool, tmp_path):
    sketch = Sketch()
    sketch(named(tried(fails, delay=60.0)), str(tmp_path / "n"), 1)
    begun = start(sketch.graph(), free_plan(sketch.graph()), pool)
    until(lambda: len(attempts(begun, 0)) == 1)
    begun.cancel()
    assert begun.wait(5).state == "cancelled"
    assert begun.timeline[0].state == TaskState.CANCELLED
    again = Sketch()
    assert run(again.graph(), pool).state == "done"


def test_a_second_run_is_not_in_the_way_of_a_task_that_waits(pool, tmp_path):
    """Workers that have gone to another run come back when its pause is over."""
    first, second = Sketch(), Sketch()
    flaky = first(named(tried(fails, delay=0.3)), str(tmp_path / "n"), 1)
    begun = start(first.graph(), free_plan(first.graph()), pool)
    until(lambda: len(attempts(begun, 0)) == 1)
    second(time.sleep, 2.5)
    other = start(second.graph(), free_plan(second.graph()), pool)
    assert begun.wait(10).result(flaky) == 2
    assert other.state == "running", "one worker is at it, the other one has come back"
    other.cancel()


def test_elastic_workers_do_not_leave_while_a_task_waits(pool, tmp_path):
    sketch = Sketch()
    flaky = sketch(named(tried(fails, delay=0.5)), str(tmp_path / "n"), 2)
    graph = sketch.graph()
    cluster = Cluster.local(2, elastic=True, keep_alive=0.05)
    done = start(graph, Free().plan(graph, cluster, estimate(graph)), pool).wait(20)
    assert done.result(flaky) == 3
