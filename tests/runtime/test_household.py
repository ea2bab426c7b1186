"""What a task changes in its process is gone for the next one; a copy of the process does not go on as a worker."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.dags import Sketch, run


def state(_after: Any = None) -> tuple[Any, ...]:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    return (
        *(os.getpid(), str(Path.cwd()), dict(os.environ), sys.getrecursionlimit(), gc.isenabled(), gc.get_threshold()),
        *(type(sys.stdout).__name__, sys.stdout.closed, str(Path("/proc/self/fd/1").readlink()), signal.getitimer(0)),
        *(str(handler).partition(" at ")[0] for handler in handlers),
    )


def moves(_: Any) -> None:
    os.chdir("/")
    os.environ["DAGNB_TEST_COLOUR"] = "green"
    os.environ.pop("PATH", None)


def removes_where_it_is(_: Any) -> None:
    gone = Path(tempfile.mkdtemp())
    os.chdir(gone)
    gone.rmdir()


def takes_the_output(_: Any) -> None:
    sys.stdout.close()
    sys.stdout = io.StringIO()


def closes_the_descriptors(_: Any) -> None:
    os.close(1)
    os.close(2)


def sets_limits(_: Any) -> None:
    sys.setrecursionlimit(60)
    gc.disable()
    gc.set_threshold(1)


def sets_an_alarm(_: Any) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.alarm(1)


def fails_elsewhere(_: Any) -> None:
    os.chdir("/")
    raise ValueError


CHANGES = [
    moves,
    removes_where_it_is,
    takes_the_output,
    closes_the_descriptors,
    sets_limits,
    sets_an_alarm,
    fails_elsewhere,
]


def listens(_: Any) -> str:
    return str(signal.getsignal(signal.SIGINT))


def test_a_worker_still_hears_a_cancel_after_its_first_task(pool):
    sketch = Sketch()
    again = sketch(listens, sketch(listens, 0))
    assert "Desk._interrupted" in run(sketch.graph(), pool, workers=1).result(again)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_task_changes_is_gone_for_the_next(pool, change):
    sketch = Sketch()
    before = sketch(state)
    changed = sketch(change, before)
    after = sketch(state, changed) if change is not fails_elsewhere else sketch(state, before)
    done = run(sketch.graph(kept=[before.task, after.task]), pool, workers=1)
    assert done.result(after) == done.result(before)


def forks(path: str) -> int:
    """The child returns from the task, as a careless one would; it may not live on as a second worker."""
    child = os.fork()
    if not child:
        time.sleep(0.1)
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    return child


def after_fork(child: int, path: str) -> bool:
    """Whether the child has ended."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.01)
    return False


def test_a_copy_of_a_worker_ends_with_its_task(pool, tmp_path):
    sketch = Sketch()
    file = str(tmp_path / "who")
    child = sketch(forks, file)
    ended = sketch(after_fork, child, file)
    done = run(sketch.graph(kept=[child.task]), pool, workers=1)
    assert done.result(ended) is True
    assert len((tmp_path / "who").read_text().split()) == 2
    assert done.result(child) > 0
    assert done.progress.get("failed", 0) == 0
