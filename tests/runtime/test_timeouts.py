"""Tasks that take too long: ended in Python and in C, alone to blame, and their worker soon back."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from dagnb.errors import TaskError, TaskTimeoutError
from dagnb.graph.care import Care, careful
from dagnb.runtime import deadlines
from dagnb.runtime.marks import CLOCK, Marks
from dagnb.trace.events import RecordKind, TaskState
from tests.runtime.dags import Sketch, inc, leaf, run
from tests.runtime.life import until

if TYPE_CHECKING:
    from dagnb.runtime.run import Run

#: Seconds from a deadline to the moment when the worker is at work again.
BACK = 1.5


def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def catches_all(seconds: float) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)
    return seconds


def in_c(_: float = 0.0) -> int:
    """Minutes in one call of a library: no handler of a signal can run meanwhile."""
    return len(hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9))


def leaves_a_child(path: str) -> int:
    child = subprocess.Popen(["sleep", "100"])
    Path(path).write_text(str(child.pid))
    return child.wait()


def once_late(path: str) -> int:
    """Late in C the first time, quick the second."""
    with Path(path).open("a") as file:
        file.write("x")
        file.flush()
        tried = file.tell()
    if tried == 1:
        in_c()
    return tried


def limited(function: Any, timeout: float = 0.2, **asked: Any) -> Any:
    made = careful(Care(timeout=timeout, **asked), function)
    made.__dict__["__name__"] = function.__name__
    return made


def ended(done: Run, task: int) -> tuple[float, float]:
    row = done.timeline[task]
    return row.start, row.end


@pytest.mark.parametrize(
    ("function", "soft"), [(sleeps, True), (catches_all, False), (in_c, False)], ids=["python", "stubborn", "C"]
)
def test_a_late_task_fails_by_name_and_alone(pool, function, soft):
    """What the same worker had done, and would have done next, is done."""
    sketch = Sketch()
    late = sketch(limited(function), 20.0)
    after = sketch(inc, late)
    others = [sketch(inc, sketch(leaf, i)) for i in range(50)]
    graph = sketch.graph(kept=[o.task for o in others])
    began = time.monotonic()
    done = run(graph, pool, workers=1)
    took = time.monotonic() - began
    assert [done.result(o) for o in others] == list(range(1, 51))
    (failure,) = done.errors()
    assert (failure.type, failure.key) == ("TaskTimeoutError", graph.keys[late.task])
    assert failure.message == "it took longer than its timeout of 0.2 s"
    assert failure.ending == ("" if soft else "killed by SIGKILL")
    start, end = ended(done, late.task)
    assert 0.2 <= end - start < 0.2 + BACK
    assert took < 0.2 + BACK + 1.0
    with pytest.raises(TimeoutError) as caught:
        done.result(late)
    assert isinstance(caught.value, TaskError)
    assert isinstance(caught.value, TaskTimeoutError)
    if soft:
        assert "in sleeps" in str(caught.value), "the line where it was when its time was over"
        assert "seconds = 20" in str(caught.value)
    assert done.timeline.state[after.task] == TaskState.SKIPPED


def test_a_worker_is_back_soon_after_a_timeout_in_c(pool):
    sketch = Sketch()
    late = sketch(limited(in_c), 1.0)
    second = sketch(sleeps, 0.001)
    graph = sketch.graph()
    done = run(graph, pool, workers=1)
    assert done.errors()[0].key == graph.keys[late.task]
    start, end = ended(done, late.task)
    later = max(end, done.timeline[second.task].start)
    assert later - (start + 0.2) < BACK


def test_a_late_task_is_tried_again_where_that_was_asked(pool, tmp_path):
    sketch = Sketch()
    path = str(tmp_path / "n")
    late = sketch(limited(once_late, retries=2, delay=0.02, on=(TimeoutError,)), path)
    done = run(sketch.graph(), pool)
    assert done.result(late) == 2
    asides = done.timeline.asides
    (one,) = asides[asides["kind"] == RecordKind.RETRIED]
    assert 0.2 <= one["at"] - one["start"] < 0.2 + BACK
    assert done.timeline[late.task].attempt == 2
    (first,) = done.logs(late).tries
    assert (first.type, first.attempt, first.of, first.ending) == ("TaskTimeoutError", 1, 3, "killed by SIGKILL")


def test_what_is_in_time_is_left_alone(pool):
    """Many quick calls, each with a deadline of its own, and none of them is late."""
    sketch = Sketch()
    quick = limited(inc, timeout=0.3)
    refs = [sketch(quick, i) for i in range(300)]
    slow = limited(sleeps, timeout=0.3)
    refs += [sketch(slow, 0.1) for _ in range(8)]
    deaths = pool.status().deaths
    done = run(sketch.graph(), pool)
    assert [done.result(r) for r in refs] == [*range(1, 301), *[0.1] * 8]
    assert pool.status().deaths == deaths


def test_a_process_that_a_late_task_has_started_goes_with_it(pool, tmp_path):
    sketch = Sketch()
    path = tmp_path / "pid"
    sketch(limited(leaves_a_child), str(path))
    (failure,) = run(sketch.graph(), pool).errors()
    assert failure.type == "TaskTimeoutError"
    until(lambda: not alive(int(path.read_text())), 3.0)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_deadline_stands_on_the_page_while_the_call_runs(tmp_path):
    page = Marks(tmp_path / "marks", create=True)
    page.clear(3)
    clock = page.line(3)[CLOCK:].cast("Q")
    seen = []
    deadlines.timed(lambda: seen.append(page.read(3)), 2.0, clock)()
    (mark,) = seen
    assert mark.deadline - mark.start == pytest.approx(2.0)
    assert abs(mark.start - time.perf_counter()) < 5
    assert page.read(3).deadline == page.read(3).start == 0


@pytest.mark.parametrize(("left", "raises"), [(-1, True), (10**10, False), (None, False)])
def test_the_signal_counts_behind_the_deadline_only(tmp_path, left, raises):
    page = Marks(tmp_path / "marks", create=True)
    clock = page.line(0)[CLOCK:].cast("Q")
    clock[deadlines.DEADLINE] = 0 if left is None else time.perf_counter_ns() + left
    interrupt = deadlines.interrupter(clock)
    if raises:
        with pytest.raises(deadlines.TimedOut):
            interrupt(deadlines.LATE, None)
    else:
        interrupt(deadlines.LATE, None)


def test_no_worker_looks_at_the_clock_in_a_run_without_timeouts(pool):
    sketch = Sketch()
    refs = [sketch(inc, sketch(leaf, i)) for i in range(10)]
    done = run(sketch.graph(), pool)
    assert [done.result(r) for r in refs] == list(range(1, 11))
    page = Marks(Path(pool.directory) / "marks")
    assert not any(page.read(slot).deadline for slot in range(4))
