"""Duplicates: a task that several workers run, so that its value need not travel, or comes from whoever is first.

Every copy is announced and committed alone. The commit carries both forms of what it tells, and the script lets the
first outcome count, also when that is a failure; of a later one only the record stays that a copy has ended. A copy
that is not begun when another was first is dropped.

Followers of such a task become ready through their counters, wherever their parents ran, and those that are named for
a worker that ran a copy find the value there. Where *every* follower is named for a worker with a copy, a large value
does not leave at all: it is at *home*, every copy is made, and a worker that lost its value with its predecessor makes
it again from inputs that are all in Redis. Followers on different workers then see values of different copies: only
tasks that give the same value each time may be duplicated.
"""

from __future__ import annotations

from heapq import heappop
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

from dagnb.trace.records import RecordKind, pack_batch

from .annotated import NOBODY
from .failing import failed
from .keys import run_prefix
from .marks import NONE
from .outbox import ELSEWHERE
from .remake import remake
from .serialize import ATOMS
from .values import GONE, INLINE, Gone, encode, land, size_of

if TYPE_CHECKING:
    from .loop import Loop


class Copies:
    """The tasks of one run that have several copies, as one worker sees them."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        graph = loop.graph
        self.of = graph.annotated.copies
        self.prefix = run_prefix(loop.run_id)
        self.home = frozenset(task for task in self.of if self._at_home(task))
        self.expected: dict[int, set[int]] = {}  # copies made here → followers counted before they were claimed
        self.stayed = False  # the value of the copy that is being committed did not leave
        for task in self.of:
            for child in graph.users(task):
                loop.need[child] = ELSEWHERE

    def _at_home(self, task: int) -> bool:
        """Whether every follower runs only where a copy of the task does."""
        graph = self.loop.graph
        holders = frozenset(self.of[task]) - {NOBODY}
        followers = graph.users(task)
        return all(holders.issuperset(self._positions(child)) for child in followers)

    def _positions(self, task: int) -> tuple[int, ...]:
        place = self.loop.graph.place
        return self.of.get(task) or ((place[task],) if place is not None else (NOBODY,))

    # ---- run one ----------------------------------------------------------------------------------------------------
    def run(self, task: int) -> bool:
        """Run the copy that is next here, committed alone; True when the run has ended."""
        loop = self.loop
        outbox, graph = loop.outbox, loop.graph
        real = graph.twins[graph.function_of[task] - len(graph.hashes)]
        if loop.pending and loop.absorb():
            return True
        if self._next() == task:
            outbox.flush(loop.lap(), begins=task, clear=not -1 <= loop.pace[real] <= 0)
            if loop.absorb():
                return True
        if self._next() != task or outbox.done:
            return False  # the answers have brought something more urgent; this one comes again
        heappop(loop.ready)
        loop.here[task] = 0
        if self._needless(task):
            loop.release(loop.graph.needs(task))
            outbox.stale = True
            return False
        followers = self._execute(task, real)
        outbox.flush(loop.lap(), copy=task)
        self.stayed = False
        if task not in loop.heavy and type(loop.values[task]) not in ATOMS:
            loop.values[task] = GONE
        ended = loop.absorb()
        if outbox.dead[task] and not ended:
            self._outcome(task, followers)
        return ended

    def _next(self) -> int:
        ready, by_rank = self.loop.ready, self.loop.graph.by_rank
        return by_rank[ready[0]] if by_rank else ready[0]

    def _needless(self, task: int) -> bool:
        """Whether the outcome is known and nothing here waits for the value of this very copy."""
        won = self._won(task)
        waits = type(self.loop.values[task]) is Gone and bool(self._coming(task, claimed=True))
        return won is not None and not (won.endswith(b"*") and waits)

    def _won(self, task: int) -> bytes | None:
        won: bytes | None = self.loop.desk.shelf.wire.call("HGET", self.prefix + "won", task)
        return won

    def _execute(self, task: int, real: int) -> list[int]:
        """Call it and note what came of it; the followers that its failure would skip."""
        loop = self.loop
        outbox, desk = loop.outbox, loop.desk
        start = fetched = now()
        desk.mark[0] = task
        inputs = [loop.values[d] for d in loop.graph.needs(task)]
        try:
            if not all(type(value) in ATOMS for value in inputs):
                loop.inputs.gather(inputs, loop.graph.starts[task])
                fetched = now()
            value = land(loop.call(task, loop.graph.function_of[task], inputs))
        except BaseException as error:  # noqa: BLE001  whatever a task raises is its result
            failed(loop, task, error, start, inputs)
            followers = list(outbox.skipped)
            for follower in followers:  # not before it is known that this outcome counts
                outbox.dead[follower] = 0
            return followers
        finally:
            desk.mark[0] = NONE
        loop.learn(real, now() - fetched)
        loop.total += now() - start
        inputs = []
        self._finished(task, value, start, fetched)
        return []

    def _finished(self, task: int, value: Any, start: int, fetched: int) -> None:
        loop = self.loop
        graph, outbox, zero = loop.graph, loop.outbox, loop.submitted
        times = ((now() - zero) * 1e-9, (start - zero) * 1e-9, (fetched - start) * 1e-9, 0.0)
        outbox.records.append((*times, float(size_of(value)), task, loop.position, RecordKind.FINISHED, 1))
        outbox.done.append(task)
        if loop.desk.noise:
            outbox.note_output(task)
        if task in graph.kept and self._won(task) is None:
            outbox.keep(task, value)
        loop.release(loop.graph.needs(task))
        for child in graph.users(task):
            loop.have[child] += 1
            outbox.dirty.add(child)
        self._hold(task, value)

    def _outcome(self, task: int, followers: list[int]) -> None:
        """A copy has failed here. If another one was first, its outcome counts."""
        loop = self.loop
        counts = self._won(task) == b"%d" % loop.desk.slot
        loop.outbox.dead[task] = counts
        if counts:
            for follower in followers:
                loop.outbox.dead[follower] = 1

    def marked(self, begins: int | None, copy: int | None, purpose: int) -> tuple[str, bytes]:
        """For a sync that begins or commits a copy: how it is marked, and what it tells if another one was first."""
        outbox, position = self.loop.outbox, self.loop.position
        records, task = outbox.records, begins if copy is None else copy
        if task is None or task not in self.of:
            return "", b""
        if copy is not None:
            dropped = (RecordKind.FINISHED, RecordKind.FAILED, RecordKind.SKIPPED)
            told = [r for r in records if r[7] not in dropped]
            told += [
                (*r[:2], 0.0, 0.0, 0.0, task, position, RecordKind.COPIED, 0)
                for r in records
                if r[5] == task and r[7] in dropped[:2]
            ]
            records = told
        mark = f"b{task}" if copy is None else f"c{task}{'*' if self.stayed else ''}"
        if not (records or outbox.short or purpose):
            return mark, b""
        return mark, pack_batch(purpose, position, records, outbox.short, self.loop.submitted)

    # ---- values -----------------------------------------------------------------------------------------------------
    def stays(self, task: int, value: Any) -> bool:
        """Whether a value that is being committed does not leave: at home, or another copy's value is there."""
        if task not in self.of or (size_of(value) or len(encode(value))) <= INLINE:
            return False
        if task in self.home:
            self.stayed = True
            return True
        return self._won(task) is not None

    def _coming(self, task: int, *, claimed: bool) -> set[int]:
        """Followers named for this worker that have not run here; `claimed`: also those that it was granted already."""
        loop = self.loop
        graph, outbox = loop.graph, loop.outbox
        over = {*outbox.done}
        return {
            child
            for child in graph.users(task)
            if loop.position in self._positions(child)
            and not (outbox.local[child] or outbox.dead[child] or child in over)
            and (claimed or not loop.here[child])
        }

    def _hold(self, task: int, value: Any) -> None:
        """Keep a value for the followers that will come here; those that were claimed are counted already."""
        loop = self.loop
        loop.values[task] = value
        if type(value) not in ATOMS:
            coming = self.expected[task] = self._coming(task, claimed=False)
            users = loop.heavy.get(task, 0) + len(coming)
            if users:
                loop.heavy[task] = users

    def counted(self, dependency: int, task: int) -> bool:
        """Whether a claimed task was counted as a user of a copy's value when that was made."""
        expected = self.expected.get(dependency)
        if expected and task in expected:
            expected.discard(task)
            return True
        return False

    def restore(self, task: int) -> bool:
        """Hold a value at home again, which a predecessor in this slot took with it; False for any other."""
        if task not in self.home:
            return False
        self._hold(task, remake(self.loop, task))
        return True
