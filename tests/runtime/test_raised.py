"""The class that a failed task raises: TaskError and the original at once, whatever the original is."""

import pickle
import sqlite3
import subprocess
import zipfile
from types import SimpleNamespace

import pytest

from dagnb.errors import TaskError, WorkerLostError
from dagnb.runtime.failures import TaskFailure
from dagnb.runtime.raised import failure_text, joined, task_error


class DemandingError(Exception):
    def __init__(self, code, *, reason):
        super().__init__(code)
        self.code, self.reason = code, reason


class RefusingError(Exception):
    def __new__(cls, *args):
        if cls is not RefusingError:
            raise RuntimeError("no subclass of mine")
        return super().__new__(cls, *args)


class FinalError(Exception):
    def __init_subclass__(cls):
        raise TypeError("final")


def failure(exception=None, key="x", **facts):
    base = {
        "kind": "f",
        "type": type(exception).__name__,
        "message": str(exception),
        "traceback": "Cell In[2], line 3, in f\n    raise\nOops: it",
        "stdout": "",
        "stderr": "",
        "worker": "w1",
        "attempt": 1,
    }
    return TaskFailure(key=key, exception=exception, **(base | facts))


RUN = SimpleNamespace(id="run")

JOINED = [
    ValueError("bad"),
    KeyError("k"),
    FileNotFoundError(2, "No such file", "a.csv"),
    StopIteration(3),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    subprocess.CalledProcessError(1, ["false"]),
    zipfile.BadZipFile("no zip"),
    sqlite3.OperationalError("locked"),
    DemandingError(7, reason="why not"),
    AssertionError(),
]


@pytest.mark.parametrize("original", JOINED, ids=lambda e: type(e).__name__)
def test_caught_as_both(original):
    error = task_error([failure(original)], RUN, "Cell In[3], line 2")
    for kind in (type(original), TaskError):
        with pytest.raises(kind) as caught:
            raise error
        assert caught.value.__cause__ is original
    assert type(error).__name__ == type(original).__name__
    assert error.args == original.args
    assert "x (Cell In[3], line 2) failed on w1" in str(error)
    assert (error.run, error.key) == (RUN, "x")


def test_attributes_are_carried_over():
    assert task_error([failure(FileNotFoundError(2, "No", "a.csv"))], RUN).filename == "a.csv"
    error = task_error([failure(DemandingError(7, reason="why not"))], RUN)
    assert (error.code, error.reason) == (7, "why not")


@pytest.mark.parametrize(
    "original",
    [
        SystemExit(1),
        KeyboardInterrupt(),
        SyntaxError("x"),
        RefusingError("a"),
        FinalError("b"),
        ExceptionGroup("g", [ValueError()]),
    ],
)
def test_what_does_not_join_is_a_task_error_all_the_same(original):
    error = task_error([failure(original, message="it went wrong")], RUN)
    assert isinstance(error, TaskError)
    assert not isinstance(error, SystemExit | KeyboardInterrupt | SyntaxError | BaseExceptionGroup)
    assert str(error).startswith("it went wrong\n")
    assert error.__cause__ is original


def test_two_failures_of_a_kind_are_of_one_class():
    assert joined(ValueError) is joined(ValueError)
    assert type(task_error([failure(ValueError("a"))], RUN)) is joined(ValueError)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ZeroDivisionError", ZeroDivisionError),
        ("UnicodeDecodeError", TaskError),
        ("mine.Own", TaskError),
        ("print", TaskError),
    ],
)
def test_an_exception_that_could_not_travel_is_told_by_its_name(name, kind):
    error = task_error([failure(type=name, message="text alone")], RUN)
    assert isinstance(error, kind)
    assert isinstance(error, TaskError)
    assert str(error).startswith("text alone\n")
    assert error.__cause__ is None


def test_lost_workers_have_their_own_class():
    error = task_error([failure(type="WorkerLostError", message="3 workers died running it")], RUN)
    assert isinstance(error, WorkerLostError)
    assert str(error).startswith("3 workers died running it\n")


def test_the_text_counts_the_others_and_shows_what_was_printed():
    found = [failure(ValueError(i), key=f"x{i}", attempt=i + 1, stderr="warned\n" * 20) for i in range(6)]
    text = failure_text(found, "Cell In[3], line 2")
    assert text.splitlines()[1] == "  x0 (Cell In[3], line 2) failed on w1; +5 more: x1, x2, x3, …"
    assert text.count("warned") == 10
    assert ", try 3" in failure_text(found[2:])


def test_the_last_line_of_the_traceback_is_not_said_twice():
    text = failure_text([failure(ValueError("bad"), traceback="Cell In[2], line 3, in f\n    raise\nValueError: bad")])
    assert text.count("bad") == 1


def test_a_message_of_several_lines_is_kept_whole():
    message = "a lock cannot be pickled\n  found in x[0]\n  return something else"
    text = failure_text([failure(ValueError("a"), message=message, traceback=f"ValueError: {message}")])
    assert text.splitlines() == [
        "a lock cannot be pickled",
        "  x failed on w1",
        "  found in x[0]",
        "  return something else",
    ]


def test_it_pickles_as_its_text():
    error = task_error([failure(ValueError("bad"))], RUN)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is TaskError
    assert str(copy) == str(error)
