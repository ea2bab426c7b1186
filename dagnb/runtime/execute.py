"""Call one task: its output is caught, its failure becomes a record that a reader of the notebook understands."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

from dagnb.errors import HERE

from .serialize import dumps, seal

if TYPE_CHECKING:
    from types import TracebackType

    from .slot import Verdict

#: Characters kept of the output of one task: the first and the last half of them.
OUTPUT = 64_000
#: Characters of one local value in an error record.
LOCAL = 200


class Capture(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr in a worker; holds what the running task prints, head and tail."""

    def __init__(self, name: str, noise: list[bool]) -> None:
        self.name = name
        self.noise = noise  # shared: not empty when something was printed
        self.head: list[str] = []
        self.tail = ""
        self.room = OUTPUT // 2
        self.lost = 0

    def write(self, text: str) -> int:
        """Keep `text`; what does not fit is counted."""
        if not self.noise:
            self.noise.append(True)
        if self.room > 0:
            self.head.append(text[: self.room])
            rest = text[self.room :]
            self.room -= len(text)
        else:
            rest = text
        if rest:
            joined = self.tail + rest
            self.lost += max(0, len(joined) - OUTPUT // 2)
            self.tail = joined[-OUTPUT // 2 :]
        return len(text)

    def writable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Never: the next task prints here too."""

    def take(self) -> str:
        """What was printed since the last call."""
        lost = f"\n… {self.lost:,} characters left out …\n" if self.lost else ""
        text = "".join(self.head) + lost + self.tail
        self.head, self.tail, self.room, self.lost = [], "", OUTPUT // 2, 0
        return text


def install_captures() -> tuple[Capture, Capture, list[bool]]:
    """Put captures in the place of sys.stdout and sys.stderr; the list tells whether one of them holds something."""
    noise: list[bool] = []
    out, err = Capture("<stdout>", noise), Capture("<stderr>", noise)
    sys.stdout, sys.stderr = out, err
    return out, err, noise


def awaited(value: Any) -> Any:
    """The value of a coroutine, run to its end."""
    import asyncio

    return asyncio.run(value)


def failure(
    error: BaseException, *, secret: bytes, run: str, task: int, inputs: list[Any], **facts: Any
) -> dict[str, Any]:
    """The record of a failed task, ready for JSON; `facts` (stdout, stderr, worker, attempt, …) go in as they are.

    The exception travels as text and, where it can be pickled, also as itself. A MemoryError of a worker with a limit
    becomes a WorkerMemoryError.
    """
    if isinstance(error, MemoryError):
        from .resources import room_for

        with room_for(error) as named:
            return _record(named, error.__traceback__, secret=secret, run=run, task=task, inputs=inputs, facts=facts)
    return _record(error, error.__traceback__, secret=secret, run=run, task=task, inputs=inputs, facts=facts)


def _record(
    error: BaseException,
    traceback: TracebackType | None,
    *,
    secret: bytes,
    run: str,
    task: int,
    inputs: list[Any],
    facts: dict[str, Any],
) -> dict[str, Any]:
    frames = _frames(traceback, values=not isinstance(error, MemoryError))
    try:
        exception = seal(secret, f"exc:{run}:{task}".encode(), dumps(_bare(error))).hex()
    except Exception:  # noqa: BLE001  an exception that cannot travel is told by its text
        exception = ""
    return {
        "type": type(error).__name__,
        "module": type(error).__module__,
        "message": _text(error),
        "frames": [frame[:4] for frame in frames],
        "locals": frames[-1][4] if frames else {},
        "inputs": [_describe(value) for value in inputs],
        "exception": exception,
        **facts,
    }


def lost(verdict: Verdict, worker: int | None = None) -> str:
    """The record of a task whose workers died, or were ended."""
    said = "\n".join(line for line in verdict.said.splitlines() if HERE not in line)  # the interpreter names our frames
    told: dict[str, Any] = {"frames": [], "locals": {}, "inputs": [], "exception": ""}
    told |= {"stdout": "", "stderr": said, "worker": worker}
    told |= {"type": verdict.kind, "module": "dagnb.errors", "message": verdict.reason}
    return json.dumps(told | {"attempt": 1, "ending": verdict.ending, "peak": verdict.peak})


def _bare(error: BaseException) -> BaseException:
    """The same exception without its frames, which cannot travel."""
    error.__traceback__ = None
    error.__context__ = None
    return error


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a broken __str__ of the user's
        return f"<{type(error).__name__} whose text cannot be made>"


def _frames(traceback: TracebackType | None, *, values: bool) -> list[tuple[str, int, str, str, dict[str, str]]]:
    """(file, line, function, text, locals) of the frames that are not ours; `values`: whether with the locals."""
    import linecache

    theirs = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(HERE):
            theirs.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    found = []
    for k, (frame, line) in enumerate(theirs[-50:], max(0, len(theirs) - 50)):
        code = frame.f_code
        text = linecache.getline(code.co_filename, line).strip()
        last = values and k == len(theirs) - 1
        inner = {name: _short(v) for name, v in list(frame.f_locals.items())[:30]} if last else {}
        found.append((code.co_filename, line, code.co_name, text, inner))
    return found


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  a broken __repr__ of the user's
        return f"<{type(value).__name__} whose repr cannot be made>"
    return text if len(text) <= LOCAL else text[: LOCAL - 1] + "…"


def _describe(value: Any) -> str:
    """`ndarray (100, 64) float64`, `list of 3`: what an input was, without its content."""
    name = type(value).__name__
    try:
        if hasattr(value, "shape"):
            return f"{name} {value.shape} {getattr(value, 'dtype', '')}".strip()
        if isinstance(value, (list, tuple, dict, set, str, bytes)):
            return f"{name} of {len(value)}"
    except Exception:  # noqa: BLE001  a user's property
        return name
    return f"{name} {_short(value)}"[:LOCAL]
