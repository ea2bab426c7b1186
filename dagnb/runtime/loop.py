"""One worker inside one run: claim, run what is ready here, commit, give away, until the run ends.

Coordinate only what must be coordinated. A task whose parents all ran here runs here without a round trip; what is
finished stays *uncommitted* until somebody else needs it, a long task begins, or COMMIT has passed. Everything this
worker owns and has not committed is one list in Redis (`own`): that list is the whole recovery state (ARCHITECTURE.md,
"Sync and recover").
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

from dagnb.trace.records import RecordKind

from .clustering import used_first
from .copies import Copies
from .failing import bury, failed, late
from .fetch import received
from .groups import Groups
from .inputs import ABSENT, Inputs
from .marks import NONE
from .outbox import ELSEWHERE, GIVEN, GRAIN, HAND, HEED, LONG, QUIET, STEADY, SYNC, TINY, WORTH, Outbox
from .pieces import whole
from .preload import Preloader
from .serialize import ATOMS
from .streams import Streams
from .templates import CONSTANTS, DEPENDENCIES, GATHER, bind
from .tries import Tries
from .turns import gives_way
from .values import GONE, INLINE, Gone, land, size_of

if TYPE_CHECKING:
    from .compiled import Compiled
    from .worker import Desk

#: Seconds to wait for a word in the inbox before asking again: heals lost wake-ups.
PATIENCE = 0.5
#: Mean ns per task from which each is reported before the next is begun, and one is fetched ahead.
MEDIUM = SYNC // 20
#: Mean ns per task from which the answer to a request is worth having before the last task at hand is begun.
AHEAD = 3 * MEDIUM
#: Tasks elsewhere that wait for what is done here, from which another worker may soon be in want of them. Whoever has
#: longer tasks hears of it (`dagnb.runtime.hunger`).
FEW = 8
#: ns between two looks at who wants work.
LOOK = 100_000
#: What is known of a function's duration: below SYNC; the same, but its last call was not; nothing yet; above SYNC; so
#: long that nothing should wait behind it. From UNKNOWN on it is announced before it runs.
SUSPECT, FAST, UNKNOWN, SLOW, VERY_SLOW = -1, 0, 1, 2, 3
#: Types of values whose size nobody needs to look at.
PLAIN = frozenset({int, float, bool, complex, type(None)})


class Loop:
    """The state of this worker in one run. One outstanding request; local work goes on while Redis answers."""

    def __init__(
        self, compiled: Compiled, desk: Desk, run: str, position: int, slots: list[int], submitted: int
    ) -> None:
        self.graph, self.desk, self.run_id = compiled, desk, run
        self.position, self.slots, self.submitted = position, slots, submitted
        n = compiled.n
        self.values: list[Any] = [GONE] * n
        self.have = [0] * n
        self.need = [ELSEWHERE] * n if compiled.single else compiled.in_degree[:]
        self.awaited = 0
        if compiled.route is not None:
            self._routed(compiled.route, position)
        self.here = bytearray(n)  # ready in this worker
        self.heavy: dict[int, int] = {}  # values that are not atoms → consumers here that have not run
        self.ready: list[int] = []  # heap of ranks; less `n`, and so before all others, for those of `used_first`
        self.pace = desk.pace(compiled.hashes, UNKNOWN) + [VERY_SLOW] * len(compiled.twins)
        self.total, self.ran = 1, 0  # ns at work, tasks: their mean steers the grain
        self.guess = desk.guess(compiled.hashes)  # mean duration expected before anything ran, ns; 0 unknown
        self.idle, self.active, self.pending, self.finished = 0, 0, False, False
        self.roots = len(compiled.roots)  # 0 once all were handed out
        self.asks = "ql"  # what `sync` shall look for: a predecessor may have left something, later only what can be
        self.pause = SYNC  # ns of work to the next sync: longer while nobody is idle
        self.hunger = desk.hunger(run, slots)
        self.heed, self.patience = False, HEED  # whether the next request is for the sake of one who wants work
        self.in_vain = False  # whether the last answer had nothing although something was wanted
        self.outbox = Outbox(self)
        self.tries = Tries(self) if compiled.cares else None
        found = compiled.annotated
        self.annotated = "-" if found.copies or found.groups or found.streams else ""  # what `sync` is told
        self.copies = Copies(self) if found.copies else None
        self.groups = Groups(self) if found.groups else None
        self.streams = Streams(self) if found.streams else None
        compiled.produce = self.streams.produce if self.streams is not None else whole
        self.preloader = Preloader.of(self)
        self.inputs = Inputs(self)
        self.turn = 1 << 62  # ns: when to look whether another run waits

    def begin_with_root(self) -> None:
        """The single root was this worker's from the moment of the submission (`call.lua`)."""
        root = self.graph.roots[0]
        self.here[root] = 1
        self.ready.append(self.graph.rank[root] if self.graph.rank else root)
        self.roots, self.idle, self.active = 0, len(self.slots) - 1, 1
        self._pause()

    def run(self) -> None:
        """Work until the run has ended, or another run waits for this worker and this one has nothing for it."""
        try:
            self._run()
        finally:
            self.hunger.tell(False)
            if self.preloader is not None:
                self.preloader.stop()
            if self.finished:
                self.desk.arena.forget(self.run_id)
            if self.streams is not None:
                self.streams.stop()
            if self.outbox.payloads:  # the run was ended before these were committed
                self.desk.shelf.withdraw(self.outbox.payloads)
        known = len(self.graph.hashes)
        self.desk.learn(self.graph.hashes, self.pace[:known], self.total // self.ran if self.ran else 0)

    def _run(self) -> None:
        self.mark = now()  # start of the stretch of work that is being timed
        self.synced = self.mark
        dry = False
        while not self.finished and not (now() > self.turn and gives_way(self)):
            if self.ready and self._work():
                break
            tick = now()
            if self.pending:
                if self.absorb():
                    break
                dry = False
                held = self.total > MEDIUM * self.ran or tick - self.synced <= self.pause
                if self.ready and held and not self.heed:
                    self.mark = now()
                    continue
                tick = now()
            self.synced = tick
            self.outbox.flush(tick, dry=dry)
            if self.ready:  # local work goes on while Redis answers
                self.mark = now()
                continue
            if self.absorb():
                break
            if self.ready:
                dry = False
            elif (self.outbox.done and not dry) or self.outbox.skipped or self.outbox.urgent:
                dry = True  # ask once more, with a commit: a worker commits everything before it blocks
            else:
                dry = False
                if self.streams is not None and self.streams.early():
                    self.mark = now()
                    continue
                self.desk.arena.collect(self.run_id, self.desk.shelf.uses)
                patience = PATIENCE if self.tries is None else self.tries.wait(PATIENCE)
                if self.desk.rest(self.run_id, self.total, patience):
                    break
            self.mark = now()

    # ---- run what is ready ------------------------------------------------------------------------------------------
    def _work(self) -> bool:  # noqa: C901, PLR0912, PLR0915  one frame: a call per step would double its cost
        """Run tasks until none is ready or it is time to sync; True when the run has ended.

        The hot path: a no-op task costs 2–3 µs here, so that names are bound once and rare things stand elsewhere.
        """
        graph, ready, outbox, values, here, heavy = (
            self.graph,
            self.ready,
            self.outbox,
            self.values,
            self.here,
            self.heavy,
        )
        rank, by_rank, function_of, pace, mark = graph.rank, graph.by_rank, graph.function_of, self.pace, self.desk.mark
        starts, deps, cstarts, children = graph.starts, graph.deps, graph.cstarts, graph.children
        functions, constants, first_constant = graph.functions, graph.constants, graph.first_constant
        shapes, template_of, all_atoms, atoms, kept = (
            graph.shapes,
            graph.template_of,
            ATOMS.issuperset,
            ATOMS,
            graph.kept,
        )
        have, need, dirty, done, short = self.have, self.need, outbox.dirty, outbox.done, outbox.short
        told_end, told_task = short.ends.append, short.tasks.append
        noise, plain, copied, value_of = self.desk.noise, PLAIN, len(graph.hashes), values.__getitem__
        ran, total, end = self.ran, self.total, now()
        pause, hunger, look = self.pause, self.hunger, end + LOOK
        short.begin(end)
        while ready:
            task = by_rank[ready[0]] if by_rank else ready[0]
            function = function_of[task]
            talks = (
                pace[function] > FAST
                and outbox.announced != task
                and not (pace[function] == SLOW and self._untold(end))
            )
            if talks or (
                ran
                and pace[function] <= FAST
                and total > MEDIUM * ran
                and (end - self.synced > pause or (len(ready) == 1 and total > AHEAD * ran and not self._quiet(end)))
            ):
                self.ran, self.total = ran, total
                if self._announce(task) if talks else self._report():
                    return True
                end, total, pause = now(), self.total, self.pause
                short.begin(end)
                if talks or not ready:
                    continue  # the answer may have brought something more urgent
                task = by_rank[ready[0]] if by_rank else ready[0]
                function = function_of[task]
                if function >= copied:
                    continue  # one of several copies is always announced
            heappop(ready)
            here[task] = 0
            mark[0] = task
            low, high = starts[task], starts[task + 1]
            start = fetched = end  # the end of the task before: what lies between belongs to this one
            inputs: list[Any] = []
            try:
                if low != high:
                    inputs = list(map(value_of, deps[low:high]))
                    if not all_atoms(map(type, inputs)):
                        self.inputs.gather(inputs, low)
                        fetched = now()
                shape = shapes[template_of[task]]
                if shape == CONSTANTS:
                    value = functions[function](*constants[first_constant[task] : first_constant[task + 1]])
                elif shape == DEPENDENCIES:
                    value = functions[function](*inputs)
                elif shape == GATHER:
                    value = functions[function](inputs)
                else:
                    value = self.call(task, function, inputs)
                if type(value) not in atoms:
                    land(value)
            except BaseException as error:  # noqa: BLE001  whatever a task raises is its result
                again = failed(self, task, error, start, inputs)
                end = now()
                short.begin(end)
                total += end - start
                if again:  # told before anything else is run: it is the next one's turn to try
                    self.ran, self.total = ran, total
                    if self._postponed():
                        return True
                    end, total, pause = now(), self.total, self.pause
                    short.begin(end)
                continue
            end = now()
            if end - fetched > SYNC or pace[function]:
                self.learn(function, end - fetched)
            inputs = []
            values[task] = value
            if fetched == start and type(value) in plain:
                told_end(end)
                told_task(task)
            else:
                self.record(task, value, start, fetched, end)
            if noise:
                outbox.note_output(task)
            done.append(task)
            if task in kept:
                outbox.keep(task, value)
            ahead = 0
            if heavy:
                self.release(deps[low:high])
                if task in heavy and used_first(self, task, total / (ran or 1), GRAIN):
                    ahead, by_rank = graph.n, graph.keyed()
            for child in children[cstarts[task] : cstarts[task + 1]]:
                count = have[child] = have[child] + 1
                if count == need[child]:
                    dirty.discard(child)
                    here[child] = 1
                    heappush(ready, (rank[child] if rank else child) - ahead)
                else:
                    dirty.add(child)
            ran += 1
            total += end - start
            if end - self.mark > pause and (end - start < SYNC or not ready):
                break
            if end > look:
                look = end + LOOK
                if end > self.turn or (hunger.heard() and self._heeds(end, total / ran)):
                    break
        self.ran, self.total = ran, total
        mark[0] = NONE
        return False

    def learn(self, function: int, duration: int) -> None:
        """How long this function takes. One hiccup of the machine does not make a fast one slow."""
        pace, known = self.pace, self.pace[function]
        if known >= UNKNOWN or duration > LONG:
            self.desk.household.restore()
        else:
            self.desk.household.glance()
        if duration <= SYNC:
            pace[function] = FAST
        elif duration > LONG:
            pace[function] = VERY_SLOW
        elif known == FAST:
            pace[function] = SUSPECT
        else:
            pace[function] = SLOW

    def _heeds(self, tick: int, mean: float) -> bool:
        """Whether to talk now because another worker wants work: there is some to give, or some that waits for this.

        It waits longer each time that it was no use (`Outbox.flush`).
        """
        if mean <= TINY or tick - self.synced < self.patience or self.graph.single:
            return False  # tiny work is left to whoever is at it
        least, outbox = WORTH / mean, self.outbox
        gives = self.graph.route is None and len(self.ready) > max(1, least)
        self.heed = gives or (len(outbox.dirty) > least and tick - outbox.reported > HEED)
        return self.heed

    def _quiet(self, tick: int) -> bool:
        """Whether a sync before the only ready task would do nobody good: nobody waits, and nothing is to be had.

        So it is in a chain. The most that a death can cost stays below COMMIT.
        """
        if self.pending or self.outbox.dirty or not self.in_vain or self.awaited > 0 or self.graph.single:
            return False
        return tick - self.outbox.reported < QUIET

    def _untold(self, tick: int) -> bool:
        """Whether a slow task may begin without a word: nobody wants work, and a death would cost little.

        To commit before each of them costs half a millisecond where the caches are cold after the one before.
        """
        if len(self.ready) == 1:
            return self._quiet(tick)
        if self.pending or self.idle or self.graph.single or tick - self.outbox.reported > STEADY:
            return False
        return not self.hunger.heard()

    def _announce(self, task: int) -> bool:
        """Before a task that is long or was never seen: commit, say that it begins, give away what would wait."""
        if self.copies is not None and task in self.copies.of:
            return self.copies.run(task)
        if self.pending and self.absorb():
            return True
        graph, ready = self.graph, self.ready
        slow = self.pace[graph.function_of[task]] == SLOW
        if slow and self._untold(now()):
            return False
        count = 0
        while not slow and len(ready) > GIVEN and len(ready) != count:  # more than one request can give away
            count = len(ready)
            self.outbox.flush(self.lap(), clear=True)
            if self.absorb():
                return True
        if (graph.by_rank[ready[0]] if graph.by_rank else ready[0]) == task:
            self.outbox.announced = task
            self.outbox.flush(self.lap(), begins=task, prefetch=slow and len(ready) == 1, clear=not slow)
            if self.awaited > 0:  # what became ready elsewhere, and is named for this worker, may come first
                return self.absorb()
        return False

    def _report(self) -> bool:
        """Tasks of medium length: report the last and fetch one ahead; the answer is read after the next."""
        if self.pending and self.absorb():
            return True
        last = len(self.ready) == 1
        if last and self._quiet(now()) and now() - self.synced <= self.pause:
            return False
        if self.outbox.done or last:
            self.outbox.flush(self.lap(), prefetch=last)
        return False

    def _postponed(self) -> bool:
        """A task has failed and will be tried again: commit that; True when the run has ended."""
        if self.pending and self.absorb():
            return True
        self.outbox.flush(self.lap())
        return False

    def _routed(self, route: list[int], position: int) -> None:
        """Tasks of others never become ready here; `awaited` counts those of this worker that come by its queue."""
        starts, deps = self.graph.starts, self.graph.deps
        for task, place in enumerate(route):
            if place == position:
                needed = deps[starts[task] : starts[task + 1]]
                self.awaited += not needed or any(route[d] != position for d in needed)
            elif place != -1:
                self.need[task] = ELSEWHERE

    def lap(self) -> int:
        """Begin another stretch of work; when that is."""
        self.mark = self.synced = now()
        return self.mark

    def call(self, task: int, function: int, inputs: list[Any]) -> Any:
        """Any call that has no short cut."""
        graph = self.graph
        constants = graph.constants[graph.first_constant[task] : graph.first_constant[task + 1]]
        args, kwargs = bind(graph.templates[graph.template_of[task]], inputs, constants)
        return graph.functions[function](*args, **kwargs)

    def doomed(self) -> None:
        """What should be there is not: this worker was fenced, or Redis went back; the next sync tells and leaves."""
        if self.pending:
            self.absorb()
        self.outbox.flush(now())
        self.absorb()

    # ---- what follows from a result ---------------------------------------------------------------------------------
    def record(self, task: int, value: Any, start: int, fetched: int, end: int) -> None:
        """The record of a task whose inputs or value are more than numbers, and who still needs that value here."""
        zero = self.submitted
        times = ((end - zero) * 1e-9, (start - zero) * 1e-9, (fetched - start) * 1e-9, 0.0)
        size = float(size_of(value))
        self.outbox.records.append((*times, size, task, self.position, RecordKind.FINISHED, 1))
        self.outbox.short.begin(end)
        users = self.graph.cstarts[task + 1] - self.graph.cstarts[task]
        if size > INLINE and self.desk.holds is False:
            self.desk.hold()
        if not users:
            self.values[task] = GONE
        elif type(value) not in ATOMS or size > INLINE:
            self.heavy[task] = users

    def release(self, tasks: list[int]) -> None:
        """One consumer less; the last one frees the value."""
        heavy = self.heavy
        for d in tasks:
            left = heavy.get(d)
            if left is not None:
                if left == 1:
                    del heavy[d]
                    self.values[d] = GONE
                else:
                    heavy[d] = left - 1

    # ---- what comes in ----------------------------------------------------------------------------------------------
    def absorb(self) -> bool:
        """Take the answer to the last sync; True when the run has ended."""
        self.pending = False
        line, *blobs = self.desk.talk.read()
        self.outbox.acknowledged()
        head, came, others = line.split(b"|")
        first, count, idle, finished, active, ids = head.split(b" ", 5)
        self.idle, self.active = int(idle), int(active)
        self.in_vain = self.outbox.wanted and count == b"0" and not ids
        self._pause()
        if finished == b"1":
            self.finished = True
            return True
        claimed = self.graph.roots[int(first) : int(first) + int(count)]
        if int(first) + int(count) >= self.roots:
            self.roots = 0
        self.asks = ("" if self.graph.route is None else "q") + ("" if self.tries is None else "l")
        if ids:
            claimed += self._named(ids.split(b","))
        if ids:
            self._receive(claimed, received(self, claimed, came, blobs, others))
        if claimed:
            self.hunger.tell(False)
            if self.tries is not None:
                self.tries.look(claimed)
            if self.groups is not None:
                self.groups.join(claimed)
            route = self.graph.route
            if route is not None:
                self.awaited -= sum(route[task] == self.position for task in claimed)
        if self.streams is not None:
            claimed = self.streams.granted(claimed)
        if claimed:
            rank = self.graph.rank
            for task in claimed:
                self.here[task] = 1
            self.ready += [rank[t] for t in claimed] if rank else claimed
            heapify(self.ready)
        return False

    def _pause(self) -> None:
        """How long to work before the next sync: shorter while somebody else is served by it."""
        mean = self.total / max(1, self.ran)
        awaited = self.active > 1 and len(self.outbox.dirty) > FEW and mean <= TINY
        if awaited or (self.idle and mean > HAND):
            self.pause = SYNC
        else:
            self.pause = GRAIN if self.active <= 1 else min(2 * self.pause, GRAIN)

    def _named(self, words: list[bytes]) -> list[int]:
        """Task numbers; "F7" is a task that has killed its workers: it counts as failed without being run again.

        "T7:12000" was late, and ended with its worker.
        """
        tasks = []
        for word in words:
            if word[:1] == b"F":
                bury(self, int(word[1:]), now())
            elif word[:1] == b"T":
                late(self, word[1:])
            else:
                tasks.append(int(word))
        return tasks

    def _receive(self, claimed: list[int], found: dict[int, Any] | None) -> None:
        """Take what claimed tasks need and this worker does not hold from what was found of it."""
        if found is None:
            self.doomed()
            return
        if not found:
            return
        graph, values = self.graph, self.values
        self.outbox.large.update(d for d, value in found.items() if type(value) in ABSENT)
        for task in claimed:
            for d in graph.needs(task):
                if type(values[d]) is Gone:
                    values[d] = found.get(d, GONE)
                if (type(values[d]) not in ATOMS or d in self.heavy) and not self._counted(d, task):
                    self.heavy[d] = self.heavy.get(d, 0) + 1

    def _counted(self, dependency: int, task: int) -> bool:
        """Whether a task that was claimed now has been counted as a user of this value before."""
        copies, groups = self.copies, self.groups
        return bool((copies and copies.counted(dependency, task)) or (groups and groups.counted(dependency, task)))
