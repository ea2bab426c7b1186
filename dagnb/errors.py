"""What can go wrong, said so that the reader of a notebook can mend it.

DagnbError
├── BuildError (TypeError)        the cell asks for something a handle or a DAG cannot give
├── UnknownNameError (KeyError)   a DAG or a run has no node of that name; near names are listed
├── OptionError (ValueError)      an option that is unknown, of the wrong type, or whose room is not built yet
├── PlanError                     the cells together make no graph, or a plan does not fit its graph or cluster
│   └── UnknownPlannerError       no planner of that name; near names are listed
├── FormatError (ValueError)      a document that cannot be read, or a graph that cannot be written as one
├── PickleError (TypeError)       an argument, a function or a result cannot travel
├── RunError                      a run, or the value that was asked of it, is not to be had
│   ├── TaskError                 a task raised (a subclass that is also the original type is raised)
│   │   ├── WorkerLostError       workers died while they ran it
│   │   ├── WorkerMemoryError     (MemoryError) it took more memory than its worker has
│   │   └── TaskTimeoutError      (TimeoutError) it took longer than its timeout
│   ├── SkippedError              something it needs failed
│   ├── CancelledError            the run was cancelled before it
│   └── NotRunError               never run, changed since, or not kept
└── StoreError                    Redis and the directories around it
    ├── StoreUnreachableError     nothing answers, or it could not be started
    ├── StoreVersionError         too old
    ├── RuntimeDirError           read-only, too long, or not ours
    └── SignatureError            a payload that was not signed with our secret

Every text has three parts: what, where in the notebook (`Cell In[7], line 4`), what to do.
"""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

#: Where this package lies: frames from here are never shown to the user.
HERE = str(Path(__file__).resolve().parent)

#: File name of compiled cell code → "Cell In[7]"; filled by `dagnb.notebook.cells`, read by every error text.
CELL_LABELS: dict[str, str] = {}


class DagnbError(Exception):
    """The root of everything dagnb raises on purpose."""


class BuildError(DagnbError, TypeError):
    """The cell asks for something a handle or a DAG cannot give."""


class UnknownNameError(DagnbError, KeyError):
    """A DAG or a run has no node of that name; near names are listed."""

    __str__ = Exception.__str__  # KeyError shows its text in quotes


class OptionError(DagnbError, ValueError):
    """An option that is unknown, of the wrong type, or whose room is not built yet."""


class PlanError(DagnbError):
    """The cells together make no graph, or a plan does not fit its graph or cluster."""


class UnknownPlannerError(PlanError, LookupError):
    """No planner of that name."""


class FormatError(DagnbError, ValueError):
    """A document from outside that cannot be read, or a graph that cannot be written as one."""


class PickleError(DagnbError, TypeError):
    """An argument, a function or a result cannot travel to or from a worker."""


class RunError(DagnbError):
    """A run, or the value that was asked of it, is not to be had."""


class TaskError(RunError):
    """A task raised. What is raised is a subclass that is also the original type, with the original as its cause."""


class WorkerLostError(TaskError):
    """Workers died while they ran this task, as often as is allowed."""


class WorkerMemoryError(TaskError, MemoryError):
    """The task took more memory than its worker has: it was refused, or the worker was ended."""

    def __new__(cls, *args: object) -> Self:
        """Made as any exception is: MemoryError's own way refuses classes that are not built in, to who asks for it."""
        return Exception.__new__(cls, *args)


class TaskTimeoutError(TaskError, TimeoutError):
    """The task took longer than its timeout: it was interrupted, or its worker was ended."""

    __str__ = Exception.__str__


class SkippedError(RunError):
    """Something this task needs has failed."""


class CancelledError(RunError):
    """The run was cancelled before this task was done."""


class NotRunError(RunError):
    """Never run, changed since, or an intermediate value that was not kept."""


class StoreError(DagnbError):
    """Redis and the directories around it."""


class StoreUnreachableError(StoreError):
    """Nothing answers at the address, or the server could not be started."""


class StoreVersionError(StoreError):
    """The server is too old, or the workers are of another Python."""


class RuntimeDirError(StoreError):
    """The runtime directory is read-only, too long for a socket, or belongs to somebody else."""


class SignatureError(StoreError):
    """A payload that was not signed with our secret: it is not unpickled."""


def user_frame(frame: FrameType | None = None) -> FrameType | None:
    """The innermost frame that is the user's: a cell if one is on the stack, else the first outside this package."""
    first = frame = frame or sys._getframe(1)
    outside: FrameType | None = None
    while frame is not None:
        file = frame.f_code.co_filename
        if file in CELL_LABELS:
            return frame
        if outside is None and not file.startswith(HERE):
            outside = frame
        frame = frame.f_back
    return outside or first


def place(file: str, line: int) -> str:
    """`Cell In[7], line 4: total = add(a, b)`: where something stands, in the words of the notebook."""
    label = CELL_LABELS.get(file) or f"File {Path(file).name}"
    text = linecache.getline(file, line).strip()
    return f"{label}, line {line}" + (f": {text}" if text else "")


def refusal(what: str, advice: str, frame: FrameType | None = None) -> BuildError:
    """A BuildError with its three lines; `frame` defaults to the user's frame on the stack."""
    frame = frame or user_frame(sys._getframe(1))
    where = place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else ""
    return BuildError("\n  ".join(part for part in (what, where, advice) if part))


def near(word: str, words: object) -> str:
    """`did you mean heft or cpop?` for a misspelt word, else an empty string; `words` is any iterable of str."""
    from difflib import get_close_matches

    found = get_close_matches(word, [str(w) for w in words], n=3, cutoff=0.5)  # type: ignore[attr-defined]
    return f"did you mean {' or '.join(found)}?" if found else ""
