"""What a failed task raises in the notebook: a class that is both TaskError and the original type, and its text."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dagnb.errors import TaskError, WorkerLostError

if TYPE_CHECKING:
    from dagnb.runtime.run import Run, TaskFailure

#: Never joined with TaskError: IPython and the interpreter treat these by their class, before any text of ours is read.
_APART = (SyntaxError, BaseExceptionGroup)


@lru_cache(maxsize=256)
def joined(original: type[BaseException]) -> type[TaskError]:
    """A class that `except TaskError` and `except <original>` both catch; under TaskError alone where the two do not join.

    SystemExit, KeyboardInterrupt and their like stay apart: raised again here, they would end the kernel.
    """
    if issubclass(original, TaskError):
        return _shown(original)
    if not issubclass(original, Exception) or issubclass(original, _APART):
        return _shown(TaskError)
    try:
        return _shown(TaskError, original)
    except TypeError:  # two layouts in C, or a class that refuses to be subclassed
        return _shown(TaskError)


def _shown(*bases: type[BaseException]) -> type[TaskError]:
    """A class of these bases, named like the last, whose text is the one made here."""
    last = bases[-1]
    body = {"__str__": _text, "__reduce__": _reduce, "__module__": last.__module__, "__qualname__": last.__qualname__}
    return type(last.__name__, bases, body)


def task_error(failures: Sequence[TaskFailure], run: Run, where: str = "") -> TaskError:
    """The error for the first of `failures`; the others are counted in its text, and all are in `error.failures`.

    The original exception, if it could travel, is its cause; its attributes and `args` are carried over, so that
    `except OSError as error: error.errno` reads as if the task had run here.
    """
    first = failures[0]
    original = getattr(first, "exception", None)
    error = _like(original if isinstance(original, BaseException) else _guess(first), first)
    error.__dict__.update(failures=tuple(failures), run=run, key=first.key, dagnb_text=failure_text(failures, where))
    error.__cause__ = original if isinstance(original, BaseException) else None
    error.__suppress_context__ = True
    return error


def failure_text(failures: Sequence[TaskFailure], where: str = "") -> str:
    """What, where, and what the worker saw; the name of the exception's class stands before it in any traceback."""
    first = failures[0]
    others = [f.key for f in failures[1:4]]
    more = f"; +{len(failures) - 1} more: {', '.join(others)}" if others else ""
    dots = ", …" if len(failures) > 4 else ""
    tries = f", try {first.attempt}" if first.attempt > 1 else ""
    lines = [
        first.message.strip().partition("\n")[0] or "the task gave no reason",
        f"  {first.key} failed on {first.worker or 'a worker'}{tries}{more}{dots}",
        f"  {where}" if where else "",
        _indent(first.traceback.rstrip()),
        _indent("printed to stderr: " + _tail(first.stderr)) if first.stderr.strip() else "",
    ]
    return "\n".join(line for line in lines if line.strip())


def _tail(text: str, lines: int = 10) -> str:
    kept = text.rstrip().splitlines()
    return "\n".join((["…"] if len(kept) > lines else []) + kept[-lines:])


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


def _guess(failure: TaskFailure) -> BaseException:
    """An exception of the same builtin type, for one that could not travel; else a plain TaskError."""
    if failure.kind == "lost" or "WorkerLost" in failure.type:
        return WorkerLostError(failure.message)
    found = getattr(builtins, failure.type.rpartition(".")[2], None)
    known = isinstance(found, type) and issubclass(found, Exception)
    try:
        return found(failure.message) if known else TaskError(failure.message)
    except TypeError:  # UnicodeDecodeError and its like want more than a text
        return TaskError(failure.message)


def _like(original: BaseException, failure: TaskFailure) -> TaskError:
    """An instance of the joined class without calling the user's `__init__`, which may want any arguments."""
    kind = joined(type(original))
    try:
        error = kind.__new__(kind, *original.args)
        error.args = original.args
        error.__dict__.update(vars(original))
    except Exception:  # noqa: BLE001 -- a user's class may refuse in any way; the plain one always works
        error = joined(TaskError)(failure.message)
    return error


def _text(self: TaskError) -> str:
    return str(self.__dict__.get("dagnb_text", "")) or Exception.__str__(self)


def _reduce(self: TaskError) -> tuple[Any, ...]:
    """Pickled as a plain TaskError with its text: the run and a class made here cannot travel."""
    return TaskError, (str(self),)
