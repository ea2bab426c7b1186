"""Bad input of every kind that came to mind: a named error within five seconds, and a pool that works on after it.

TASKS are functions that misbehave on a worker; each runs between a sound producer and a sound consumer. CALLS are what
a user writes in a cell by mistake. ODD are things that look wrong and must simply work.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import dagnb
from dagnb import Assignment, Cluster, Plan, WorkerSpec, task
from dagnb.errors import (
    BuildError,
    DagnbError,
    FormatError,
    NotRunError,
    OptionError,
    PickleError,
    PlanError,
    StoreUnreachableError,
    TaskError,
    UnknownNameError,
    UnknownPlannerError,
    WorkerLostError,
)
from dagnb.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK = threading.Lock()
#: Seconds within which everything must be said.
PATIENCE = 5.0


class NoTuple:
    def __reduce__(self) -> Any:
        return 7


class LiesWhenRead:
    def __reduce__(self) -> Any:
        return int, ("x",)


class RefusesItsState:
    def __init__(self) -> None:
        self.a = 1

    def __setstate__(self, _state: Any) -> None:
        raise RuntimeError("no state for me")


class RaisesWhenWritten:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("while it was written")


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class NoStrError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class WithLockError(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class TwoArgumentsError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class NotAnException(BaseException):
    pass


def raises(error: Callable[[], BaseException]) -> Callable[[Any], Any]:
    def bad(_: Any) -> Any:
        raise error()

    return bad


def with_a_bad_local(_: Any) -> Any:
    odd = NoRepr()
    raise ValueError(f"beside {type(odd).__name__}")


def nested(_: Any) -> Any:
    value: list[Any] = []
    for _i in range(100_000):
        value = [value]
    return value


def recurses(x: Any) -> Any:
    return recurses(x)


def recurses_in_c(_: Any) -> Any:
    value: Any = 1
    for _i in range(200_000):
        value = (value,)
    return hash(value)


def signals(number: int) -> Callable[[Any], Any]:
    def bad(_: Any) -> Any:
        os.kill(os.getpid(), number)
        time.sleep(2)

    return bad


def endless_numbers(_: Any) -> Any:
    return (i for i in iter(int, 1))


def closes_everything(_: Any) -> int:
    os.closerange(3, 200)
    return 1


def kills_its_group(_: Any) -> Any:
    os.killpg(0, signal.SIGKILL)


def asks(_: Any) -> str:
    return input("who is there? ")


def missing_module(_: Any) -> Any:
    import a_module_that_is_nowhere

    return a_module_that_is_nowhere


def hostile_text(_: Any) -> Any:
    print("<script>alert(1)</script>\x1b]0;title\x07\x00\ud800")
    raise ValueError("<img src=x onerror=alert(1)>\x00\ud800")


async def fails_later(_: Any) -> Any:
    raise LookupError("in a coroutine")


def raises_a_group(_: Any) -> Any:
    raise ExceptionGroup("several", [ValueError("one"), NoStrError()])


def warns_as_error(_: Any) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("a warning", UserWarning, stacklevel=1)


TASKS: list[tuple[str, Callable[[Any], Any], type[BaseException], str]] = [
    ("__reduce__ that is no tuple", lambda _: NoTuple(), PickleError, "NoTuple cannot be pickled"),
    ("__reduce__ that raises", lambda _: RaisesWhenWritten(), PickleError, "while it was written"),
    ("a lock as a value", lambda _: {"deep": [threading.Lock()]}, PickleError, "['deep'][0]"),
    ("a generator as a value", endless_numbers, PickleError, "generator"),
    ("a value nested too deep", nested, PickleError, "recursion"),
    ("a socket as a value", lambda _: socket.socket(), PickleError, "cannot be pickled"),
    ("a broken repr among the locals", with_a_bad_local, ValueError, "beside NoRepr"),
    ("a broken text of an exception", raises(NoStrError), NoStrError, "whose text cannot be made"),
    ("an exception with a lock", raises(lambda: WithLockError("locked")), TaskError, "locked"),
    ("an exception that cannot be made again", raises(lambda: TwoArgumentsError(1, 2)), TaskError, "1 and 2"),
    ("no Exception at all", raises(lambda: NotAnException("from below")), TaskError, "from below"),
    ("a group of exceptions", raises_a_group, TaskError, "several"),
    ("SystemExit", raises(lambda: SystemExit("bye")), TaskError, "bye"),
    ("KeyboardInterrupt", raises(KeyboardInterrupt), TaskError, ""),
    ("GeneratorExit", raises(lambda: GeneratorExit("out")), TaskError, "out"),
    ("StopIteration", raises(lambda: StopIteration("no more")), StopIteration, "no more"),
    ("MemoryError", raises(lambda: MemoryError("a lot")), MemoryError, "a lot"),
    ("recursion", recurses, RecursionError, "recursion"),
    ("a failing coroutine", fails_later, LookupError, "in a coroutine"),
    ("a warning made an error", warns_as_error, UserWarning, "a warning"),
    ("a module that is missing", missing_module, ModuleNotFoundError, "a_module_that_is_nowhere"),
    ("input()", asks, EOFError, "EOF"),
    ("hostile texts", hostile_text, ValueError, "onerror"),
    ("os._exit", lambda _: os._exit(3), WorkerLostError, "exit code 3"),
    ("a segmentation fault", lambda _: ctypes.string_at(0), WorkerLostError, "SIGSEGV"),
    ("abort", lambda _: os.abort(), WorkerLostError, "SIGABRT"),
    ("SIGTERM to itself", signals(signal.SIGTERM), WorkerLostError, "SIGTERM"),
    ("SIGINT to itself", signals(signal.SIGINT), TaskError, ""),
    ("SIGKILL to its group", kills_its_group, WorkerLostError, "SIGKILL"),
    ("all descriptors closed", closes_everything, TaskError, "exit code 1"),
]


# ---- what looks wrong and works -------------------------------------------------------------------------------------
def a_gigabyte_of_text(_: Any) -> int:
    block = "x" * (1 << 20)
    for _i in range(1024):
        sys.stdout.write(block)
    return 1


def a_gigabyte_below_python(_: Any) -> int:
    block = b"x" * (1 << 20)
    for _i in range(1024):
        os.write(2, block)
    return 1


def leaves_a_thread(_: Any) -> int:
    threading.Thread(target=time.sleep, args=(20,)).start()
    return 1


def leaves_a_process(_: Any) -> int:
    subprocess.Popen(["sleep", "20"])
    return 1


def a_thread_that_fails(_: Any) -> int:
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    return 1


def shuts_the_output(_: Any) -> int:
    sys.stdout.close()
    print("still heard")
    return 1


def named(name: str) -> Callable[[Any], int]:
    def function(_: Any) -> int:
        return 1

    function.__name__ = function.__qualname__ = name
    return function


ODD: list[tuple[str, Callable[[Any], Any]]] = [
    ("a gigabyte of stdout", a_gigabyte_of_text),
    ("a gigabyte to descriptor 2", a_gigabyte_below_python),
    ("a thread left running", leaves_a_thread),
    ("a process left running", leaves_a_process),
    ("a thread that fails", a_thread_that_fails),
    ("sys.stdout closed", shuts_the_output),
    ("NaN", lambda _: math.nan),
    ("half a surrogate pair", lambda _: "\ud800"),
    ("a task as a value", lambda _: task(len)),
    ("a function with a long name", named("f" * 1_000_000)),
]


@task
def number(x: int) -> int:
    return x


@task
def use(x: Any) -> str:
    return type(x).__name__


def works_on() -> bool:
    with dagnb.dag("sound", new=True) as dag:
        found = [use(number(i)) for i in range(4)]
    dag.run()
    return [handle.result() for handle in found] == ["int"] * 4


def story(function: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The function between a sound producer and a sound consumer, beside a sound branch."""
    with dagnb.dag("bad", new=True) as dag:
        before = number(1)
        wrong = task(function)(before)
        after = use(wrong)
        beside = use(before)
    del wrong
    return dag, (after, beside)


@pytest.mark.parametrize(("function", "error", "text"), [row[1:] for row in TASKS], ids=[row[0] for row in TASKS])
def test_what_misbehaves_on_a_worker_has_a_name(function, error, text):
    dag, (after, beside) = story(function)
    began = time.monotonic()
    with pytest.raises(error) as caught:
        dag.run()
    assert time.monotonic() - began < PATIENCE
    assert isinstance(caught.value, TaskError)
    assert text in str(caught.value)
    if text != "exit code 1":  # its worker may have taken the sound branch along before it was found out
        assert beside.result() == "int"
    with pytest.raises(DagnbError):
        after.result()
    assert works_on()


@pytest.mark.parametrize("function", [row[1] for row in ODD], ids=[row[0] for row in ODD])
def test_what_looks_wrong_and_works(function):
    dag, (after, beside) = story(function)
    began = time.monotonic()
    dag.run()
    assert time.monotonic() - began < PATIENCE
    assert (type(after.result()), beside.result()) == (str, "int")
    assert works_on()


@pytest.mark.parametrize(("kind", "text"), [(RefusesItsState, "no state for me"), (LiesWhenRead, "invalid literal")])
def test_a_value_that_can_be_written_but_not_read(kind, text):
    """Of two readers on one worker one gets a copy, which fails by the value's own error; the notebook is told too."""
    with dagnb.dag("kept", new=True) as dag:
        value = task(kind)()
        readers = [use(value), use(value)]
    with pytest.raises(TaskError, match=text):
        dag.run(workers=1)
    with pytest.raises(PickleError, match=text):
        value.result()
    del readers
    assert works_on()


# ---- what is wrong in a cell ----------------------------------------------------------------------------------------
def built() -> dagnb.Dag:
    with dagnb.dag("cell", new=True) as dag:
        one = number(1)
        two = use(one)
    del two
    return dag


def other() -> dagnb.Dag:
    with dagnb.dag("other", new=True) as dag:
        _ = [number(i) for i in range(3)]
    return dag


def in_a_block(wrong: Callable[[Any], Any]) -> None:
    with dagnb.dag("cell", new=True) as dag:
        wrong(number(1))
    dag.run()


def planned(*assignments: Any) -> Any:
    """Run what a planner of one's own has made."""

    class Mine:
        def plan(self, *_: Any) -> Any:
            return Plan(assignments)

    return built().run(planner=Mine, workers=2)


CALLS: list[tuple[str, Callable[[], Any], type[BaseException], str]] = [
    ("a loop over a handle", lambda: in_a_block(lambda h: [x + 1 for x in h]), BuildError, "loop"),
    ("if handle", lambda: in_a_block(lambda h: 1 if h else 2), BuildError, "test"),
    ("handle + 1", lambda: in_a_block(lambda h: h + 1), BuildError, "calculate"),
    ("a method of a handle", lambda: in_a_block(lambda h: h.mean()), BuildError, "mean"),
    ("a generator as an argument", lambda: in_a_block(lambda h: use(x for x in [h])), BuildError, "generator"),
    ("too many arguments", lambda: in_a_block(lambda h: use(h, h, h)), TypeError, "argument"),
    ("an unknown keyword", lambda: in_a_block(lambda h: use(h, colour=1)), TypeError, "colour"),
    ("a lock as an argument", lambda: in_a_block(lambda _: use([LOCK])), PickleError, "[0]"),
    ("a function with a lock", lambda: in_a_block(task(lambda h, k=LOCK: k)), PickleError, "lock"),
    ("an unknown option of a task", lambda: task(retires=3)(len), OptionError, "retries"),
    ("a number as the name", lambda: task(name=7)(len), OptionError, "name"),
    ("a negative size", lambda: task(out_size=-1)(len), OptionError, "out_size"),
    ("a task name of 10 MB", lambda: task(name="x" * 10_000_000)(len), OptionError, "10,000,002 characters"),
    ("a NaN for seconds", lambda: task(est=math.nan)(len), OptionError, "est"),
    ("no function", lambda: task(7), DagnbError, "7"),
    ("an empty name of a DAG", lambda: dagnb.dag(""), DagnbError, ""),
    ("a DAG name with HTML", lambda: dagnb.dag("<b>x</b>"), DagnbError, "<b>"),
    ("a DAG name of 10 MB", lambda: dagnb.dag("x" * 10_000_000), OptionError, "10,000,002 characters"),
    ("an unknown planner", lambda: built().plan("hefty"), UnknownPlannerError, "heft"),
    ("an option that the planner lacks", lambda: built().plan("heft", depth=3), OptionError, "depth"),
    ("a planner that gives rubbish", lambda: planned(7, 8), PlanError, "int in place of an Assignment"),
    ("no workers", lambda: built().plan("heft", workers=0), DagnbError, "worker"),
    ("a text for a number of workers", lambda: built().run(workers="many"), DagnbError, "many"),
    ("negative memory", lambda: Cluster([WorkerSpec("a", memory=-1)]), ValueError, "memory"),
    ("two workers of one name", lambda: Cluster([WorkerSpec("a"), WorkerSpec("a")]), ValueError, "a"),
    ("an unknown option of a run", lambda: built().run(worker=2), OptionError, "workers"),
    ("an unknown node", lambda: built()["tow"], UnknownNameError, "two"),
    ("an unknown worker in a plan", lambda: planned(Assignment("w99"), Assignment("w0", 1)), PlanError, "w99"),
    ("a NaN priority", lambda: planned(Assignment(priority=math.nan), Assignment(order=1)), PlanError, "priority nan"),
    ("a plan of another graph", lambda: built().run(plan=other().plan()), PlanError, "Plan it again"),
    ("a result before any run", lambda: built()["two"].result(), NotRunError, "run"),  # noqa: PLW0108
    ("a document that is none", lambda: dagnb.from_wfformat(os.devnull), FormatError, ""),
    ("a document that is missing", lambda: dagnb.from_wfformat("/nowhere.json"), (DagnbError, OSError), "nowhere"),
    ("an unknown setting", lambda: Settings.load(workres=2), OptionError, "workers"),
    ("a setting of the wrong type", lambda: Settings.load(workers="two"), OptionError, "workers"),
    ("a server that is not there", lambda: connected("redis://127.0.0.1:9"), StoreUnreachableError, "127.0.0.1:9"),
    ("another host without TLS", lambda: connected("redis://example.invalid:6379"), OptionError, "rediss"),
]


def connected(url: str) -> Any:
    from dagnb.runtime.server import check_address

    return check_address(url)


@pytest.mark.parametrize(("call", "error", "text"), [row[1:] for row in CALLS], ids=[row[0] for row in CALLS])
def test_what_is_wrong_in_a_cell_has_a_name(call, error, text):
    began = time.monotonic()
    with pytest.raises(error) as caught:
        call()
    assert time.monotonic() - began < PATIENCE
    assert text in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert works_on()


def test_there_are_many_kinds():
    names = [row[0] for row in (*TASKS, *ODD, *CALLS)]
    assert len(set(names)) == len(names) >= 75
