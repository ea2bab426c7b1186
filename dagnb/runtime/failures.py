"""What a worker wrote about a failed task, read in the notebook: frames in the words of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagnb.errors import SignatureError, place

from .serialize import loads, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .run import Run

#: Characters of a message in a table.
SHOWN = 200


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """One failed task, or one failed try of a task.

    type, message    of the exception; `exception` is itself, where it could travel
    traceback        frames of the user's code with cell lines, the locals of the last, what the inputs were
    stdout, stderr   what the task printed; of a worker that died, the end of what it wrote
    worker           where it ran, by the worker's name in the plan
    attempt, of      the how-manieth try it was, and how many it may have
    pause            seconds from this failure to the next try; None where none followed
    ending           how its worker ended, where it did: `killed by SIGSEGV`
    peak             bytes that were resident in the worker at most; 0 where nobody knows
    before           the failed tries before this one
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
    of: int = 1
    pause: float | None = None
    ending: str = ""
    peak: int = 0
    before: tuple[TaskFailure, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.key} failed on {self.worker or 'a worker'}{self.tried}: {self.words}>"

    @property
    def tried(self) -> str:
        """`, try 2 of 4`; nothing where there is only one."""
        return f", try {self.attempt} of {max(self.of, self.attempt)}" if max(self.of, self.attempt) > 1 else ""

    @property
    def words(self) -> str:
        """`ValueError: first line of the message`."""
        first = self.message.strip().partition("\n")[0]
        return f"{self.type}: {first[:SHOWN]}" if first else self.type

    @property
    def history(self) -> str:
        """A line for each failed try before this one."""
        return tries_text(self.before)


class Failures(list[TaskFailure]):
    """The failed tasks of a run, in the order of their failing; a table in a notebook."""

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) if self else "<no task has failed>"

    def _repr_html_(self) -> str:
        import html

        if not self:
            return "<p>no task has failed</p>"
        head = ("task", "error", "worker", "try", "peak memory", "what came before")
        rows = [
            (f.key, f.words, f.worker, f"{f.attempt} of {f.of}", f"{f.peak / 1e6:,.0f} MB" * (f.peak > 0), f.history)
            for f in self
        ]
        body = "".join(_row("td", [html.escape(cell).replace("\n", "<br>") for cell in row]) for row in rows)
        return f"<table><thead>{_row('th', head)}</thead><tbody>{body}</tbody></table>"


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f'<{tag} style="text-align:left">{cell}</{tag}>' for cell in cells) + "</tr>"


def tries_text(tries: Iterable[TaskFailure]) -> str:
    """`try 1 of 4 failed on w0: OSError: no route; the next began 1.1 s later`, a line each."""
    lines = []
    for one in tries:
        pause = f"; the next try was due {one.pause:.3g} s later" if one.pause is not None else ""
        lines.append(f"try {one.attempt} of {one.of} failed on {one.worker or 'a worker'}: {one.words}{pause}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class TaskLog:
    """What one task printed, and the traceback of a failed one; `tries`: failed ones that were followed by another."""

    stdout: str
    stderr: str
    traceback: str
    tries: tuple[TaskFailure, ...] = ()

    @property
    def history(self) -> str:
        """A line for each failed try that was followed by another."""
        return tries_text(self.tries)

    def __str__(self) -> str:
        parts = (self.history, self.stdout, self.stderr, self.traceback)
        return "\n".join(part.rstrip() for part in parts if part.strip())


def read_failure(run: Run, task: int, record: dict[str, Any], before: tuple[TaskFailure, ...] = ()) -> TaskFailure:
    """From the record that `execute.failure` made; `before` are the failed tries of the same task."""
    graph = run.graph
    worker = record.get("worker")
    attempt = max(record["attempt"], len(before) + 1)
    return TaskFailure(
        graph.keys[task],
        graph.kinds[graph.kind[task]],
        record["type"],
        record["message"],
        _traceback(record),
        record["stdout"],
        record["stderr"],
        "" if worker is None else run.worker_name(worker),
        attempt,
        _exception(run, task, record["exception"]),
        max(record.get("tries", 1), attempt),
        record.get("pause"),
        record.get("ending", ""),
        record.get("peak", 0),
        before,
    )


def read_tries(run: Run, task: int, records: list[dict[str, Any]]) -> tuple[TaskFailure, ...]:
    """The failed tries of a task that were followed by another."""
    return tuple(read_failure(run, task, record) for record in records)


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


def _exception(run: Run, task: int, sealed: str) -> BaseException | None:
    if not sealed:
        return None
    try:
        found = loads(unseal(run.hub.store.secret, f"exc:{run.id}:{task}".encode(), bytes.fromhex(sealed)))
    except SignatureError:
        raise
    except Exception:  # noqa: BLE001  its module may be missing here: the text is enough
        return None
    return found if isinstance(found, BaseException) else None
