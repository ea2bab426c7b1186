"""What a failed task raises in the notebook: a class that is both TaskError and the original type, and its text."""

from __future__ import annotations

import builtins
from contextlib import suppress
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from dagnb.errors import TaskError, TaskTimeoutError, WorkerLostError, WorkerMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .failures import TaskFailure
    from .run import Run

#: Never joined with TaskError: IPython and the interpreter treat these by their class, before they read any text.
_APART = (SyntaxError, BaseExceptionGroup)


#: Original class → the class raised for it: made once, so that two failures of one kind are of one class.
_JOINED: dict[type[BaseException], type[TaskError]] = {}


def joined(original: type[BaseException]) -> type[TaskError]:
    """A class that `except TaskError` and `except <original>` both catch; TaskError's alone where the two do not join.

    SystemExit, KeyboardInterrupt and their like stay apart: raised again here, they would end the kernel.
    """
    if original not in _JOINED:
        _JOINED[original] = _join(original)
    return _JOINED[original]


def _join(original: type[BaseException]) -> type[TaskError]:
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
    original = first.exception
    error = _like(original if original is not None else _guess(first), first)
    error.__dict__.update(failures=tuple(failures), run=run, key=first.key, dagnb_text=failure_text(failures, where))
    error.__cause__ = original
    error.__suppress_context__ = True
    return error


def failure_text(failures: Sequence[TaskFailure], where: str = "") -> str:
    """What, where, and what the worker saw; the name of the exception's class stands before it in any traceback."""
    first = failures[0]
    others = [f.key for f in failures[1:4]]
    more = f"; +{len(failures) - 1} more: {', '.join(others)}" if others else ""
    dots = ", …" if len(failures) > 4 else ""
    called = f" ({where})" if where else ""
    what, _, rest = first.message.strip().partition("\n")
    lines = [
        what or "the task gave no reason",
        f"  {first.key}{called} failed on {first.worker or 'a worker'}{first.tried}{more}{dots}",
        _indent(first.history),
        _indent(_tail(dedent(rest), 40)),
        _indent(_frames(first)),
        _indent("printed to stderr: " + _tail(first.stderr, 10)) if first.stderr.strip() else "",
    ]
    return "\n".join(line for line in lines if line.strip())


def _frames(failure: TaskFailure) -> str:
    """The user's frames; the last line of a traceback repeats what the first line of the text says."""
    text = failure.traceback.rstrip()
    return text.removesuffix(f"{failure.type}: {failure.message}".rstrip()).rstrip()


def _tail(text: str, lines: int) -> str:
    kept = text.rstrip().splitlines()
    return "\n".join((["…"] if len(kept) > lines else []) + kept[-lines:])


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


def _guess(failure: TaskFailure) -> BaseException:
    """An exception of the same builtin type, for one that could not travel; else a plain TaskError."""
    for kind in (WorkerLostError, WorkerMemoryError, TaskTimeoutError):
        if failure.type == kind.__name__:
            return kind(failure.message)
    found = getattr(builtins, failure.type, None)
    if isinstance(found, type) and issubclass(found, Exception):
        with suppress(TypeError):  # UnicodeDecodeError and its like want more than a text
            return found(failure.message)
    return TaskError(failure.message)


def _like(original: BaseException, failure: TaskFailure) -> TaskError:
    """An instance of the joined class without calling the user's `__init__`, which may want any arguments."""
    kind = joined(type(original))
    try:
        known = original.__reduce__()[1] if isinstance(original, OSError) else original.args  # with the file's name
        error = _blank(kind, known)
        error.args = original.args
        error.__dict__.update(vars(original))
    except Exception:  # noqa: BLE001 -- a user's class may refuse in any way; the plain one always works
        error = joined(TaskError)(failure.message)
    return error


def _blank(kind: type[TaskError], arguments: Iterable[Any]) -> TaskError:
    """An instance that was never initialised."""
    try:
        return kind.__new__(kind, *arguments)
    except TypeError:  # of the builtin types, MemoryError's own `__new__` refuses classes that have another base first
        return BaseException.__new__(kind, *arguments)


def _text(self: TaskError) -> str:
    return str(self.__dict__.get("dagnb_text", "")) or Exception.__str__(self)


def _reduce(self: TaskError) -> tuple[Any, ...]:
    """Pickled as a plain TaskError with its text: the run and a class made here cannot travel."""
    return TaskError, (str(self),)
