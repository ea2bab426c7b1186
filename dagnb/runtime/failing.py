"""What follows from a failure: its record, and that nothing is run that needs its value."""

from __future__ import annotations

import os
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

from dagnb.trace.records import Record, RecordKind

from .execute import failure

if TYPE_CHECKING:
    from .loop import Loop


def failed(loop: Loop, task: int, error: BaseException, start: int, inputs: list[Any]) -> None:
    """The failure becomes a record; everything that needs the task is skipped."""
    desk, graph = loop.desk, loop.graph
    if desk.stray:
        os._exit(1)
    desk.household.restore()
    out, err = desk.out.take(), desk.err.take()
    desk.noise.clear()
    record = failure(
        error,
        secret=desk.secret,
        run=loop.run_id,
        inputs=inputs,
        stdout=out,
        stderr=err,
        worker=loop.position,
        attempt=1,
    )
    loop.outbox.notes.append(("err", task, record))
    loop.release(graph.needs(task))
    bury(loop, task, start)


def bury(loop: Loop, task: int, start: int) -> None:
    """Count a failed task as finished and skip its followers; iterative, because a chain may be long."""
    graph, outbox = loop.graph, loop.outbox
    at = (now() - loop.submitted) * 1e-9
    began = (start - loop.submitted) * 1e-9
    outbox.records.append((at, began, 0.0, 0.0, 0.0, task, loop.position, RecordKind.FAILED, 1))
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
