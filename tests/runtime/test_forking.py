"""Workers that are copies of the supervisor: clean, in their context, replaced at once."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FunctionType

import psutil
import pytest

from dagnb.graph.graph import TaskRef
from dagnb.runtime import forking
from dagnb.runtime.children import Child
from dagnb.runtime.context import Context
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.resources import Resources
from tests.runtime.dags import Sketch, run
from tests.runtime.life import settings, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are started anew")


@pytest.fixture
def pool(directory):
    pool = LocalPool.connect(settings(directory))
    yield pool
    pool.stop()


def value_of(pool, function, *args):
    sketch = Sketch()
    sketch(function, *args)
    return run(sketch.graph(), pool, workers=1).result(TaskRef(0))


def inherited():
    """Targets of all descriptors, whether a signal is blocked, and who leads the group."""
    here = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  numbers
        try:
            here[int(name)] = str(Path(f"/proc/self/fd/{name}").readlink())
        except OSError:
            continue
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return here, len(blocked), os.getpgid(0) == os.getpid() == os.getsid(0), signal.getsignal(signal.SIGTERM)


@linux
def test_a_copy_holds_nothing_of_the_supervisor(pool, directory):
    slot = pool.ensure(1)[0]
    worker = pool.status().workers[slot]
    assert psutil.Process(worker.pid).cmdline() == psutil.Process(pool.status().pid).cmdline(), "it was copied"
    held, blocked, leads, term = value_of(pool, inherited)
    assert held[0] == "/dev/null"
    assert held[1] == held[2], "the pipe that the supervisor reads"
    sockets = [target for target in held.values() if target.startswith("socket:")]
    assert len(sockets) == 2, held  # its own two connections
    assert {t for t in held.values() if t.startswith("pipe:")} == {held[1]}, held
    assert not [t for t in held.values() if t.endswith(("/lock", "/door"))], held
    assert (blocked, leads, term) == (0, True, signal.SIG_DFL)


def threads_and_seed():
    import os
    import random
    import sys

    return os.environ.get("OMP_NUM_THREADS"), "numpy" in sys.modules, random.random()


#: Travels by value, so that the worker does not import this module, and numpy with it.
BY_VALUE = FunctionType(threads_and_seed.__code__, {"__name__": "__main__"}, "threads_and_seed")


@linux
def test_numpy_comes_later_than_the_environment_and_chance_differs(pool):
    pool.ensure(1)
    seen = set()
    for _ in range(3):
        threads, numpy, chance = value_of(pool, BY_VALUE)
        assert threads == os.environ.get("OMP_NUM_THREADS", "1")
        assert not numpy
        seen.add(chance)
        old = pool.status().workers[0].pid
        os.kill(old, signal.SIGKILL)
        until(lambda old=old: (w := pool.status().workers[0]).pid not in (None, old) and w.state == "up")
    assert len(seen) == 3, "a successor does not repeat the random numbers of its predecessor"


@linux
def test_a_context_that_an_interpreter_reads_at_its_start_is_started_anew(pool, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    slot = pool.ensure(1)[0]
    words = psutil.Process(pool.status().workers[slot].pid).cmdline()
    assert "worker" in words
    assert value_of(pool, hash, "dag") == value_of(pool, hash, "dag")


def test_what_can_be_a_copy(monkeypatch):
    here = Context.here()
    monkeypatch.setattr(forking, "_OURS", forking._starting(here.environ))
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not forking.can_fork(here)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # as in a supervisor; tests before this one leave some
    assert forking.can_fork(here) == (sys.platform == "linux")
    assert not forking.can_fork(here.sized(Resources(memory=1 << 30)))
    for name in ("PYTHONOPTIMIZE", "LD_PRELOAD", "LC_ALL"):
        monkeypatch.setenv(name, "x")
        assert not forking.can_fork(Context.here()), name
        monkeypatch.delenv(name)


@linux
def test_a_successor_is_up_soon(pool):
    slot = pool.ensure(1)[0]
    took = []
    for _ in range(5):
        old = pool.status().workers[slot].pid
        began = time.monotonic()
        os.kill(old, signal.SIGKILL)
        until(lambda old=old: (w := pool.status().workers[slot]).pid not in (None, old) and w.state == "up")
        took.append(time.monotonic() - began)
    assert min(took) < 0.5, took  # a few milliseconds on a machine that does nothing else


PROGRAMS = [
    (lambda: None, 0),
    (lambda: 3, 3),
    (lambda: sys.exit(4), 4),
    (lambda: sys.exit("no"), 1),
    (lambda: 1 / 0, 1),
    (lambda: os._exit(19), 19),
    (lambda: os.kill(os.getpid(), signal.SIGSEGV), -signal.SIGSEGV),
]


@linux
@pytest.mark.parametrize(("work", "code"), PROGRAMS)
def test_the_end_of_a_copy_is_known_as_that_of_a_program(tmp_path, work, code):
    child = Child.copy(work, output=tmp_path / "log", cwd=tmp_path, environ={"A": "b"})
    until(child.ended)
    assert child.exit_code == code
    said = (tmp_path / "log").read_text()
    assert ("ZeroDivisionError" in said) == (work is PROGRAMS[4][0])


@linux
def test_a_directory_that_is_not_there_is_told_before(tmp_path):
    with pytest.raises(FileNotFoundError):
        Child.copy(lambda: None, output=tmp_path / "log", cwd=tmp_path / "gone", environ={})


@linux
def test_what_a_copy_leaves_in_its_group_ends_with_it(tmp_path):
    def leave():
        if not os.fork():
            time.sleep(100)
        (tmp_path / "left").write_text("x")
        time.sleep(100)

    child = Child.copy(leave, output=tmp_path / "log", cwd=tmp_path, environ={})
    until((tmp_path / "left").exists)
    group = psutil.Process(child.pid).children(recursive=True)
    assert len(group) == 1
    child.stop(0.0)
    until(lambda: not group[0].is_running() or group[0].status() == psutil.STATUS_ZOMBIE)


@linux
def test_a_copy_collects_garbage(pool):
    """The supervisor does not while it imports; nobody who is copied from it may inherit that."""
    assert value_of(pool, gc.isenabled) is True
