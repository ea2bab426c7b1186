"""What follows from a failure: another try, or its record, and that nothing is run that needs its value."""

from __future__ import annotations

import json
import os
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

from dagnb.errors import TaskTimeoutError
from dagnb.trace.records import Record, RecordKind

from .deadlines import TimedOut
from .execute import failure
from .strays import kill_strays

if TYPE_CHECKING:
    from .loop import Loop


def failed(loop: Loop, task: int, error: BaseException, start: int, inputs: list[Any], ending: str = "") -> bool:
    """The failure becomes a record; True where another try follows, else all that needs the task is skipped.

    ending   how the worker ended that was at it, where it did
    """
    desk, graph, tries = loop.desk, loop.graph, loop.tries
    if desk.stray:
        os._exit(1)
    desk.household.restore()
    error = _named(loop, task, error, start)
    again = -1.0 if tries is None else tries.again(task, error)
    attempt = 1 if tries is None else tries.number(task)
    care = graph.cares.get(graph.function_of[task])
    record = failure(
        error,
        secret=desk.secret,
        run=loop.run_id,
        task=task,
        inputs=inputs,
        stdout=desk.out.take(),
        stderr=desk.err.take(),
        worker=loop.position,
        attempt=attempt,
        tries=care.tries if care is not None else 1,
        ending=ending,
        peak=_peak(),
    )
    desk.noise.clear()
    if tries is not None and again >= 0:
        tries.postpone(task, record, start, again)
        return True
    loop.outbox.notes.append(("err", task, json.dumps(record)))
    loop.release(graph.needs(task))
    bury(loop, task, start, attempt)
    return False


def late(loop: Loop, word: bytes) -> None:
    """A task was late, and its worker had to be ended: "7:12000", it began then, in ns."""
    task, _, began = word.partition(b":")
    if loop.tries is not None:
        loop.tries.look([int(task)])
    failed(loop, int(task), TimedOut(), int(began), [], "killed by SIGKILL")


def _named(loop: Loop, task: int, error: BaseException, start: int) -> BaseException:
    """The error that its user reads, with the frames in which it was met; what a late task has started ends with it."""
    if not isinstance(error, TimedOut):
        return error
    kill_strays(start)
    care = loop.graph.cares.get(loop.graph.function_of[task])
    limit = f" of {care.timeout:g} s" if care is not None and care.timeout is not None else ""
    named = TaskTimeoutError(f"it took longer than its timeout{limit}")
    return named.with_traceback(error.__traceback__)


def _peak() -> int:
    """Bytes that were resident in this worker at most, since it was started."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bury(loop: Loop, task: int, start: int, attempt: int = 1) -> None:
    """Count a failed task as finished and skip its followers; iterative, because a chain may be long."""
    graph, outbox = loop.graph, loop.outbox
    at = (now() - loop.submitted) * 1e-9
    began = (start - loop.submitted) * 1e-9
    outbox.records.append((at, began, 0.0, 0.0, 0.0, task, loop.position, RecordKind.FAILED, attempt))
    outbox.done.append(task)
    outbox.dead[task] = 1
    todo = [task]
    while todo:
        i = todo.pop()
        for child in graph.users(i):
            if not outbox.dead[child]:
                outbox.dead[child] = 1
                outbox.dirty.discard(child)
                outbox.skipped.append(child)
                skip: Record = (at, at, 0.0, 0.0, 0.0, child, loop.position, RecordKind.SKIPPED, 0)
                outbox.records.append(skip)
                todo.append(child)
