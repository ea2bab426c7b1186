"""What a worker has to say in its next sync: finished tasks and their values, counters, surplus, events, its list."""

from __future__ import annotations

import os
from array import array
from itertools import pairwise
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

from dagnb.errors import PickleError
from dagnb.trace.records import COMMIT as COMMITTED
from dagnb.trace.records import PROVISIONAL, Record, RecordKind, Shorts, pack_batch

from .arena import Shared
from .clustering import Moved, awaits_readers, worth_moving
from .serialize import ATOMS, dumps, seal
from .values import BLOB, GONE, INLINE, SMALL, Encoded, Parcel, Remote, encode, pack_blob, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .loop import Loop
    from .wire import Word

#: ns of work between two syncs of a worker with short tasks while others want work or wait; a longer task is announced
#: before it runs.
SYNC = 2_000_000
#: The same while nobody does, and ns of work that are claimed at once where there is plenty: a sync costs 0.2–0.5 ms.
GRAIN = 4 * SYNC
#: Tasks that one sync gives away at most, and followers of failed tasks that it reports: Redis serves nobody meanwhile.
GIVEN = 4_000
#: Small kept values that share a signature: a reader fetches all of them for one.
SHARED = 256
#: Kept values, and outputs of tasks, that one request carries.
ENTRIES = 1_000
#: ns after which finished work is committed in any case: the most that a death can cost.
COMMIT = 100_000_000
#: ns per task from which none is claimed ahead: the round trip does not matter, an idle neighbour does.
LONG = 20_000_000
#: ns since the last commit up to which a slow task that nobody waits for begins without a word: it ends within COMMIT.
QUIET = COMMIT - LONG
#: The same where others are at work too, and ns of slow tasks that are claimed ahead where there is plenty.
STEADY = COMMIT // 4
#: ns since the last request after which this worker talks because another one wants work; longer when it was no use.
HEED = SYNC
#: Mean ns per task up to which work is shared only with whoever is idle: to hand it over costs more than to do it.
TINY = 50_000
#: Mean ns per task up to which it costs less to do it than to hand its value over: one worker does them all.
HAND = 12_000
#: ns of work in the queue, beyond what it costs to hand it over, from which an idle worker is given half of it.
WORTH = 300_000
#: In-degree of a task that can only become ready through its counter in Redis.
ELSEWHERE = 1 << 30
#: Seconds that kept values outlive a run.
KEPT = 86_400


class Outbox:
    """Gathers between two syncs, and sends."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.done: list[int] = []
        self.dirty: set[int] = set()  # children of what is done here that are not ready here
        self.counted: dict[int, int] = {}  # children → how many of their parents that ran here are committed
        self.dead = bytearray(loop.graph.n)  # failed or skipped
        self.local = bytearray(loop.graph.n)  # done here and committed, or in the commit on its way
        self.records: list[Record] = []
        self.short = Shorts()  # of what needs no longer record
        self.notes: list[tuple[str, int, str]] = []
        self.kept: list[tuple[Word, Word]] = []
        self.plain: dict[int, Any] = {}  # kept values that never change: signed together when they leave
        self.skipped: list[int] = []
        self.payloads: list[str] = []
        self.notices: list[str] = []  # payloads that some slot wants early
        self.large: set[int] = set()  # tasks whose values were too large to travel with a claim, as far as met here
        self.uses: list[str] = []  # of such values that go out: how many tasks will read them
        self.announced = -1
        self.wanted = False  # whether the last request asked for work
        self.paced = 0  # the mean duration that Redis was told last
        self.reported = now()
        self.flying: list[int] = []  # frontier of the commit that is not acknowledged
        self.moved = Moved(loop.graph.annotated.local)
        self.urgent = False  # a task is to be tried again: the others wait for it to be told
        self.stale = False  # Redis lists copies as owned here that were dropped

    # ---- gather -----------------------------------------------------------------------------------------------------
    def note_output(self, task: int) -> None:
        """What the task printed goes with the next commit."""
        import json

        desk = self.loop.desk
        if desk.stray:
            os._exit(0)
        desk.noise.clear()
        self.notes.append(("log", task, json.dumps({"stdout": desk.out.take(), "stderr": desk.err.take()})))

    def keep(self, task: int, value: Any) -> None:
        """A value that outlives the run, encoded before anybody could change it."""
        if type(value) in ATOMS and size_of(value) <= 64:
            self.plain[task] = value
            return
        desk, run = self.loop.desk, self.loop.run_id
        began = now()
        data = dumps(value)
        if len(data) > INLINE:
            remote = desk.shelf.put(task, data, kept=KEPT)
            self.payloads += remote.names
            self._uploaded(task, (now() - began) * 1e-9, len(data))
            content = b"R" + dumps((remote.key, remote.chunks, remote.size))
        else:
            content = b"V" + data
        self.kept.append((task, seal(desk.secret, f"keep:{run}:{task}".encode(), content)))

    def _keep_plain(self) -> None:
        """Small kept values go under one signature, and by its name under each of their tasks (`Store.kept`).

        A single one goes as it is: the client has it with the word that the run has ended.
        """
        desk, run = self.loop.desk, self.loop.run_id
        items = list(self.plain.items())
        if len(items) == 1:
            ((task, value),) = items
            self.kept.append((task, seal(desk.secret, f"keep:{run}:{task}".encode(), b"V" + dumps(value))))
            items = []
        for i in range(0, len(items), SHARED):
            group = dict(items[i : i + SHARED])
            name = f"@{desk.talk.epoch:x}.{desk.talk.number + 1}.{i // SHARED}"
            self.kept.append((name, seal(desk.secret, f"keep:{run}:{name}".encode(), dumps(group))))
            self.kept += [(task, name) for task in group]
        self.plain.clear()

    # ---- decide -----------------------------------------------------------------------------------------------------
    def _commits(self, tick: int, mean: float, *, must: bool, ends: bool) -> bool:
        """Whether to commit; `ends`: the last task at hand is about to begin."""
        loop = self.loop
        if self.urgent:
            return True
        if not self.done and not self.skipped:
            return False
        if not must and loop.heavy and loop.ready and awaits_readers(loop, min(mean, SYNC), COMMIT):
            return False
        if must or tick - self.reported > COMMIT or mean > SYNC or loop.graph.single:
            return True
        if not loop.ready and not self.dirty:
            return True  # nothing is half done: this may be the end
        if loop.active <= 1:
            return False  # nobody else has a part in what is half done
        if loop.ready and not ends:
            return loop.heed and bool(self.dirty)
        # what is half done may be what everybody waits for
        return mean > TINY or (bool(loop.idle) and tick - self.reported > SYNC)

    def _wants(self, mean: float, *, prefetch: bool, begins: bool) -> int:
        loop = self.loop
        if loop.graph.single:
            return 0 if loop.ready else 1
        if prefetch:
            some = 1 + int(STEADY / mean) if begins else max(1, int(GRAIN / mean))
            return -some if mean < LONG else 0
        some = max(1, int(GRAIN / mean))
        if begins:
            return 0
        if loop.ready and len(loop.ready) * mean >= SYNC / 2:
            return 0
        return some if loop.ran or loop.guess else 1

    def _pace(self, mean: float) -> Word:
        """Mean duration as the script wants it: negative while it is only expected, 0 where it shall not matter."""
        loop = self.loop
        if loop.graph.single:
            return 0
        if not loop.ran:
            return -loop.guess
        if 4 * abs(mean - self.paced) < self.paced:
            return f"{self.paced}="  # hardly another than last time
        self.paced = int(mean)
        return self.paced

    # ---- send -------------------------------------------------------------------------------------------------------
    def flush(
        self,
        tick: int,
        *,
        dry: bool = False,
        prefetch: bool = False,
        begins: int | None = None,
        clear: bool = False,
        copy: int | None = None,
        leaves: bool = False,
    ) -> None:
        """Send a sync.

        dry         nothing is left to do here: commit everything before blocking
        prefetch    ask for one task ahead
        begins      the long task that is run next; with `clear`, what would wait behind it is given away
        copy        the task of several copies that is all of this commit
        leaves      with `dry`: another run is gone to, and what is ready here is given back
        """
        loop, desk = self.loop, self.loop.desk
        desk.between_tasks()
        self._ahead()
        mean = loop.total / loop.ran if loop.ran else loop.guess or 1.0
        back, free = self._given_back() if leaves else ([], self._surplus(mean, clear=clear))
        surplus = back + free
        must = dry or begins is not None or copy is not None or bool(surplus)
        commit = self._commits(tick, mean, must=must, ends=prefetch)
        tail: list[Word] = []
        children, falls, places = b"", b"", b""
        blobs: list[Word] = []
        finished, spent = 0, ""
        if commit:
            self.reported = tick
            finished = len(self.done)
            spent = self._spent()
            children, falls, places = self._decrements()
            blobs = self._values(bool(children or loop.ready or surplus or self.urgent))
        tail += surplus + blobs
        if commit and self.plain:
            self._keep_plain()
        notes = self.notes if commit else []
        kept = self.kept if commit else []
        skipped = (self.skipped if copy is not None else self.skipped[:GIVEN]) if commit else []
        payloads = self.payloads if commit else []  # whoever names a payload makes it count
        for entry in (*kept, *notes):
            tail += entry
        tail += skipped
        own = self._own(commit or bool(surplus) or leaves, begins)
        if loop.preloader is not None:
            self.records += loop.preloader.told()
        purpose = COMMITTED if commit else PROVISIONAL
        mark, otherwise = "", b""
        if loop.copies is not None:
            mark, otherwise = loop.copies.marked(begins, copy, purpose)
        if begins is not None:
            self.records.append(self._started(begins))
        later = self._held_back(commit)
        told = self.records or self.short or commit
        events = pack_batch(purpose, loop.position, self.records, self.short, loop.submitted) if told else b""
        wants = 0 if leaves else self._wants(mean, prefetch=prefetch, begins=begins is not None)
        self._asks(wants, commit)
        head = (
            *(desk.slot, loop.run_id, wants, finished, own, events, self._pace(mean), now()),
            *(len(loop.slots), loop.roots, places, ",".join(payloads)),
            *(children, f"{len(surplus)}:{len(back)}" if leaves else len(surplus), falls),
            *(len(blobs) // 3, len(kept), len(notes), len(skipped)),
            *(mark or loop.annotated, otherwise, ",".join(self.notices)),
            *(",".join(self.uses), spent, loop.asks),
        )
        desk.talk.send(desk.keys(loop.run_id), head, tail)
        self._told(later, commit, len(skipped))
        loop.pending = True

    def _asks(self, wants: int, commit: bool) -> None:  # noqa: FBT001
        """Tell the others whether work is wanted here. Whoever was heeded in vain is not heeded again so soon.

        Who fetches ahead still has work: to be heeded for that brought crumbs, and a round trip for each.
        """
        loop = self.loop
        self.wanted = bool(wants)
        loop.hunger.tell(wants > 0)
        loop.patience = HEED if commit or not loop.heed else min(2 * loop.patience, GRAIN)
        loop.heed = False

    def _told(self, later: list[Record], commit: bool, skipped: int) -> None:  # noqa: FBT001
        """Forget what has been sent; `later` waits for its commit."""
        for told_now in (self.records, self.short, self.notices, self.uses):
            told_now.clear()
        self.records += later
        if commit:
            for committed in (self.done, self.notes, self.kept, self.payloads):
                committed.clear()  # in place: the loop holds on to them
            del self.skipped[:skipped]

    def _ahead(self) -> None:
        """Send kept values and output beyond ENTRIES before the commit: a task that runs again replaces its own."""
        loop, desk = self.loop, self.loop.desk
        if len(self.plain) + len(self.kept) > ENTRIES:
            self._keep_plain()
        while len(self.kept) > ENTRIES or len(self.notes) > ENTRIES:
            kept = self.kept[:ENTRIES]
            logs = [note for note in self.notes if note[0] == "log"][:ENTRIES]
            if not kept and not logs:
                return
            del self.kept[: len(kept)]
            sent = {note[1] for note in logs}
            self.notes[:] = [note for note in self.notes if note[0] != "log" or note[1] not in sent]
            tail: list[Word] = [word for entry in (*kept, *logs) for word in entry]
            head = (desk.slot, loop.run_id, 0, 0, b"", b"", 0, now(), len(loop.slots), 0, b"", "")
            self.wanted = False
            desk.talk.send(
                desk.keys(loop.run_id),
                (*head, b"", 0, b"", 0, len(kept), len(logs), 0, loop.annotated, b"", "", "", "", ""),
                tail,
            )
            loop.absorb()  # whether the run has ended, the next answer says again

    def _surplus(self, mean: float, *, clear: bool) -> list[Word]:
        """Ready tasks to give away: all but the first with `clear`; half when somebody is idle and it pays."""
        loop = self.loop
        ready, by_rank, place = loop.ready, loop.graph.by_rank, loop.graph.route
        if len(ready) < 2 or not (clear or ((loop.idle or loop.heed) and len(ready) * (mean - HAND) > WORTH)):
            return []
        ready.sort()
        stays = 1 if clear else -(-len(ready) // 2)
        given = [r for r in ready[stays:] if place is None or place[by_rank[r] if by_rank else r] == -1]
        if loop.heavy and not loop.graph.single:
            given = worth_moving(loop, given, stays, min(mean, SYNC))
        given = given[-GIVEN:]
        if not given:
            return []
        gone = set(given)
        loop.ready[:] = [r for r in ready if r not in gone]  # sorted, hence a heap
        tasks = [by_rank[r] for r in given] if by_rank else given
        fresh = set(self.done)
        for task in tasks:
            loop.here[task] = 0
            loop.need[task] = ELSEWHERE
            deps = loop.graph.needs(task)
            # what is fresh is settled when its commit is acknowledged
            loop.release([d for d in deps if d not in fresh])
        return list(tasks)

    def _given_back(self) -> tuple[list[Word], list[Word]]:
        """Let go of all that is ready: what only this slot may run, and the rest; of very many the last."""
        loop = self.loop
        loop.ready.sort()
        last, by_rank, route = loop.ready[-GIVEN:], loop.graph.by_rank, loop.graph.route
        del loop.ready[-GIVEN:]
        tasks = [by_rank[r] for r in last] if by_rank else last
        named: list[Word] = [task for task in tasks if route is not None and route[task] != -1]
        return named, [task for task in tasks if route is None or route[task] == -1]

    def _own(self, changes: bool, begins: int | None) -> bytes:  # noqa: FBT001
        """The list of what is owned here, when it is to replace the one in Redis. Only what is committed may leave it.

        One that is out of date would tell the others that somebody is at it: they would leave tiny work to this worker.
        """
        if not (changes or (self.stale and not self.done)):
            return b""
        self.stale = False
        ready, by_rank = self.loop.ready, self.loop.graph.by_rank
        owned = [by_rank[r] for r in ready] if by_rank else ready
        return (b"p" if begins is None else b"l") + array("I", owned).tobytes()

    def _decrements(self) -> tuple[bytes, bytes, bytes]:
        """Counters of children that wait for more fall by what happened here since the last commit.

        Returns the children, by how much each falls, and where it goes if a plan names workers.

        They are counted here further: if all parents turn out to run here, the child does too, and its counter never
        reaches zero. Not so if a value that it needs is large, because that is freed once it is committed.
        """
        loop = self.loop
        have, need, route, reported, heavy = loop.have, loop.need, loop.graph.route, self.counted, loop.heavy
        starts, deps = loop.graph.starts, loop.graph.deps
        seated = loop.groups.seated if loop.groups is not None else ()
        if loop.streams is not None:
            loop.streams.late |= self.dirty.intersection(loop.streams.of)
        children = sorted(self.dirty)
        falls = array("I", [have[child] - reported.get(child, 0) for child in children])
        for child in children:
            reported[child] = have[child]
            if heavy and child not in seated and any(d in heavy for d in deps[starts[child] : starts[child + 1]]):
                need[child] = ELSEWHERE
        places = b""
        if route is not None:
            ways = [route[c] for c in children]
            places = array("h", [way if way < 0 else loop.slots[way] for way in ways]).tobytes()
        self.dirty.clear()
        return array("I", children).tobytes(), falls.tobytes(), places

    def _values(self, anybody: bool) -> list[Word]:  # noqa: FBT001
        """Frontier: what is done here and has a child that is not. Its values go out, grouped into signed blobs."""
        loop, graph = self.loop, self.loop.graph
        self.urgent = False
        for task in self.done:
            self.local[task] = 1
        if not anybody:
            return []
        frontier, copies = self._frontier(), loop.copies
        self.flying = [t for t in frontier if t in loop.heavy and not (copies and t in copies.of)]
        blobs: list[Word] = []
        group: dict[int, Any] = {}
        size, values = 0, loop.values
        for task in frontier:
            value = values[task]
            weight = len(value) if type(value) in (str, bytes) else 16
            if type(value) in ATOMS and weight <= INLINE:
                group[task] = value
                size += weight
            elif copies is None or not copies.stays(task, value):
                value = self._leaving(task, value)
                if type(value) is Encoded and len(value.data) > SMALL:
                    self._blob({task: value}, blobs)
                elif type(value) in (Shared, Remote) and task in graph.annotated.preloads:
                    self._notify(task, self._blob({task: value}, blobs))
                else:
                    group[task] = value
                    size += SMALL
            if size > BLOB:
                self._blob(group, blobs)
                group, size = {}, 0
        if group:
            self._blob(group, blobs)
        return blobs

    def _frontier(self) -> list[int]:
        graph = self.loop.graph
        children, cstarts, local, dead = graph.children, graph.cstarts, self.local, self.dead
        frontier: list[int] = []
        for task in self.done:
            if dead[task]:
                continue
            for child in children[cstarts[task] : cstarts[task + 1]]:
                if not local[child] and not dead[child]:
                    frontier.append(task)
                    break
        return frontier

    def _leaving(self, task: int, value: Any) -> Any:
        """The form in which a value leaves: bytes, or where they were written."""
        began = now()
        try:
            parcel = Parcel(value)
        except PickleError as error:
            parcel = Parcel(Unpicklable(str(error)))
        result: Any = Encoded(parcel.head) if parcel.head and parcel.size <= INLINE else self._lent(task, value, parcel)
        if type(result) is not Encoded:
            self.moved.add(parcel.size, now() - began)
        self._uploaded(task, (now() - began) * 1e-9, parcel.size)
        return result

    def _lent(self, task: int, value: Any, parcel: Parcel) -> Shared | Remote:
        """Write a large value where its readers find it, and say how many these are: the last one's commit frees it."""
        loop, graph = self.loop, self.loop.graph
        arena, shelf = loop.desk.arena, loop.desk.shelf
        readers = graph.users(task)
        if arena.due():
            arena.collect(loop.run_id, shelf.uses)
        lent: Shared | Remote | None = arena.put(loop.run_id, task, parcel, alone=len(readers) == 1)
        if lent is None:
            lent = shelf.put(task, encode(value))
            self.payloads += lent.names
        self.large.add(task)
        left = sum(not (self.local[c] or self.dead[c]) for c in readers)
        self.uses.append(f"{task}:{left}{lent.lies}")
        return lent

    def _spent(self) -> str:
        """How often the tasks of this commit have read large values; not where a copy may want them again."""
        large, graph = self.large, self.loop.graph
        if not large or self.loop.copies is not None:
            return ""
        count: dict[int, int] = {}
        for task in self.done:
            for d in graph.needs(task):
                if d in large:
                    count[d] = count.get(d, 0) + 1
        return ",".join([f"{d}:{n}" for d, n in count.items()])

    def _held_back(self, commit: bool) -> list[Record]:  # noqa: FBT001
        """Records that wait for their commit, which sends the large value out and knows how long that takes."""
        if self.loop.tries is not None:
            self.loop.tries.tell()
        if commit or not self.records:
            return []
        later = [r for r in self.records if r[4] > INLINE and r[7] == RecordKind.FINISHED]
        if later:
            self.records[:] = [r for r in self.records if r[4] <= INLINE or r[7] != RecordKind.FINISHED]
        return later

    def _uploaded(self, task: int, seconds: float, size: int) -> None:
        """Put the time of the upload into the record of the task, if that has not left yet."""
        reach = len(self.records) if size > INLINE else 50
        for i in range(len(self.records) - 1, max(-1, len(self.records) - 1 - reach), -1):
            record = self.records[i]
            if record[5] == task and record[7] == RecordKind.FINISHED:
                self.records[i] = (*record[:3], record[3] + seconds, float(size), *record[5:])
                return

    def _notify(self, task: int, blob: str) -> None:
        """Tell the slots that want this value before their tasks begin."""
        loop = self.loop
        slots = [loop.slots[p] for p in loop.graph.annotated.preloads[task] if p != loop.position]
        self.notices += [f"{slot} {task}:{blob}" for slot in slots]

    def _blob(self, group: dict[int, Any], blobs: list[Word]) -> str:
        desk, run = self.loop.desk, self.loop.run_id
        name = f"{desk.talk.epoch}.{desk.talk.number + 1}.{len(blobs) // 3}"
        blobs += (name, runs_of(group), seal(desk.secret, f"val:{run}:{name}".encode(), pack_blob(group)))
        return name

    def _started(self, task: int) -> Record:
        at = (now() - self.loop.submitted) * 1e-9
        return (at, at, 0.0, 0.0, 0.0, task, self.loop.position, RecordKind.STARTED, 1)

    def acknowledged(self) -> None:
        """Only an acknowledged commit may free: values stay for children that are ready here, the others have Redis."""
        loop, graph = self.loop, self.loop.graph
        for task in self.flying:
            if task not in loop.heavy:
                continue
            waiting = sum(loop.here[c] for c in graph.users(task))
            if loop.groups is not None:
                waiting += loop.groups.coming(task)
            if waiting:
                loop.heavy[task] = waiting
            else:
                del loop.heavy[task]
                loop.values[task] = GONE
        self.flying = []


def runs_of(tasks: Iterable[int]) -> bytes:
    """Packed u32: first and count of each run of neighbours, ascending. A script takes a run at once."""
    ordered = sorted(tasks)
    first, last, count = ordered[0], ordered[-1], len(ordered)
    if last - first + 1 == count:
        return array("I", (first, count)).tobytes()
    ends = [i for i, (a, b) in enumerate(pairwise(ordered), 1) if b - a != 1]
    flat: list[int] = []
    for i, end in zip([0, *ends], [*ends, count], strict=True):
        flat += (ordered[i], end - i)
    return array("I", flat).tobytes()


class Unpicklable:
    """Stands for a value that could not leave its worker: raises when it arrives."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrives, (self.text,)


def _arrives(text: str) -> None:
    raise PickleError(text)
