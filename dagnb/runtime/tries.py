"""Tasks that may be tried again: which try it is, and when the next one is due.

A try that failed and is followed by another is told in a commit of its own, before this worker goes on: its record
(`tries`) and the task with its next moment (`later`) in one transaction, and the task leaves the list of what is owned
here. So a try that was told counts, whoever dies; one that was not told is a death like any other, and no try.
Nobody sleeps: when the moment has come, the next sync of any worker makes the task ready. Who has nothing else to do
looks when that will be before it rests, and one of those who rest already is called when a try is told.
"""

from __future__ import annotations

import json
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

from dagnb.errors import PickleError, SignatureError
from dagnb.trace.records import PLAIN_SIZE, RecordKind

from .deadlines import CancelledTask
from .keys import run_prefix
from .outbox import ELSEWHERE

if TYPE_CHECKING:
    from dagnb.graph.care import Care

    from .loop import Loop

#: Characters kept of what a try printed that was followed by another.
OUTPUT = 4_000
#: What is the same at any time: a value that cannot travel, a payload that was changed; and the end of the run.
_FINAL = (PickleError, SignatureError, CancelledTask)


class Tries:
    """The tries of one run as one worker sees them."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.prefix = run_prefix(loop.run_id)
        self.failed: dict[int, list[str]] = {}  # task → records of its failed tries, as JSON

    def care(self, task: int) -> Care | None:
        """What was asked for a task."""
        return self.loop.graph.cares.get(self.loop.graph.function_of[task])

    def number(self, task: int) -> int:
        """The how-manieth try of a task the present one is."""
        return len(self.failed.get(task, ())) + 1

    def look(self, claimed: list[int]) -> None:
        """Which of the tasks that were claimed were tried before: one question for all of them."""
        cares, function_of = self.loop.graph.cares, self.loop.graph.function_of
        asked = [task for task in claimed if function_of[task] in cares]
        if not asked:
            return
        found = self.loop.desk.shelf.wire.call("HMGET", self.prefix + "tries", *asked)
        for task, known in zip(asked, found, strict=True):
            if known is not None:
                self.failed[task] = [json.dumps(record) for record in json.loads(known)]

    def again(self, task: int, error: BaseException) -> float:
        """Seconds until the next try after this failure; negative when there is none."""
        care, tried = self.care(task), self.number(task)
        if care is None or isinstance(error, _FINAL) or not care.again(error, tried):
            return -1.0
        return care.pause(tried, f"{self.loop.run_id} {task} {tried}")

    def postpone(self, task: int, record: dict[str, Any], start: int, pause: float) -> None:
        """There will be another try: the next commit says so, and gives the task away."""
        loop = self.loop
        outbox, graph, zero = loop.outbox, loop.graph, loop.submitted
        end = now()
        attempt, due = self.number(task), end + int(pause * 1e9)
        record |= {word: record[word][-OUTPUT:] for word in ("stdout", "stderr")} | {"pause": pause}
        self.failed.setdefault(task, []).append(json.dumps(record))
        outbox.notes.append(("tries", task, f"[{','.join(self.failed[task])}]"))
        outbox.notes.append(("later", task, str(due)))
        times = ((end - zero) * 1e-9, (start - zero) * 1e-9, 0.0, 0.0, 0.0)
        outbox.records.append((*times, task, loop.position, RecordKind.RETRIED, attempt))
        outbox.urgent = True
        loop.need[task] = ELSEWHERE
        fresh = set(outbox.done)  # what is fresh is settled when its commit is acknowledged
        loop.release([d for d in graph.needs(task) if d not in fresh])
        if graph.route is not None and graph.route[task] == loop.position:
            loop.awaited += 1

    def wait(self, patience: float) -> float:
        """Seconds to rest: until the next task that waits is due, and not longer than `patience`."""
        first = self.loop.desk.shelf.wire.call("ZRANGE", self.prefix + "later", 0, 0, "WITHSCORES")
        return max(0.0, min(patience, float(first[1]) * 1e-9 - now() * 1e-9)) if first else patience

    def tell(self) -> None:
        """Put the number of the try into what is told of tasks that were tried before."""
        if not self.failed:
            return
        loop, failed, outbox = self.loop, self.failed, self.loop.outbox
        told = (RecordKind.STARTED, RecordKind.FINISHED)
        for i, record in enumerate(outbox.records):
            if record[5] in failed and record[7] in told:
                outbox.records[i] = (*record[:8], self.number(record[5]))
        short = list(outbox.short)
        outbox.short.clear()
        for end, start, task in short:
            if task in failed:
                times = ((end - loop.submitted) * 1e-9, (start - loop.submitted) * 1e-9, 0.0, 0.0, PLAIN_SIZE)
                outbox.records.append((*times, task, loop.position, RecordKind.FINISHED, self.number(task)))
            else:
                outbox.short.begin(start)
                outbox.short.ends.append(end)
                outbox.short.tasks.append(task)
        if short:
            outbox.short.begin(short[-1][0])
