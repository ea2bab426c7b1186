"""What a worker wrote about a failed task, read in the notebook: frames in the words of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagnb.errors import SignatureError, place

from .serialize import loads, unseal

if TYPE_CHECKING:
    from .run import Run


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """One failed task.

    type, message    of the exception; `exception` is itself, where it could travel
    traceback        frames of the user's code with cell lines, the locals of the last, what the inputs were
    stdout, stderr   what the task printed
    worker, attempt  where it ran (the worker's name in the plan) and the how-manieth try it was
    """

    key: str
    kind: str
    type: str
    message: str
    traceback: str
    stdout: str
    stderr: str
    worker: str
    attempt: int
    exception: BaseException | None


@dataclass(frozen=True, slots=True)
class TaskLog:
    """What one task printed, and the traceback of a failed one."""

    stdout: str
    stderr: str
    traceback: str

    def __str__(self) -> str:
        return "\n".join(part.rstrip() for part in (self.stdout, self.stderr, self.traceback) if part.strip())


def read_failure(run: Run, task: int, record: dict[str, Any]) -> TaskFailure:
    """From the JSON record that `execute.failure` made."""
    graph = run.graph
    worker = record.get("worker")
    return TaskFailure(
        graph.keys[task],
        graph.kinds[graph.kind[task]],
        record["type"],
        record["message"],
        _traceback(record),
        record["stdout"],
        record["stderr"],
        "" if worker is None else run.worker_name(worker),
        record["attempt"],
        _exception(run, record["exception"]),
    )


def whole_run(dag: str, reason: str) -> TaskFailure:
    """A run that failed as a whole: its workers could not even begin."""
    return TaskFailure(dag, "run", "RunError", reason, "", "", "", "", 1, None)


def _traceback(record: dict[str, Any]) -> str:
    lines = []
    for file, line, function, text in record["frames"]:
        lines.append(f"{place(file, line).partition(': ')[0]}, in {function}")
        if text:
            lines.append(f"    {text}")
    if record["locals"]:
        lines.append("  with " + ", ".join(f"{name} = {value}" for name, value in record["locals"].items()))
    if record["inputs"]:
        lines.append("  inputs: " + ", ".join(record["inputs"]))
    lines.append(f"{record['type']}: {record['message']}")
    return "\n".join(lines)


def _exception(run: Run, sealed: str) -> BaseException | None:
    if not sealed:
        return None
    try:
        found = loads(unseal(run.hub.store.secret, f"exc:{run.id}".encode(), bytes.fromhex(sealed)))
    except SignatureError:
        raise
    except Exception:  # noqa: BLE001  its module may be missing here: the text is enough
        return None
    return found if isinstance(found, BaseException) else None
