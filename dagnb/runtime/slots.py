"""The life of workers: started, watched, buried, replaced.

A *slot* is a place for a worker; workers come and go in it. A slot belongs to one context, and goes with it when nobody
has used that for long enough. When a worker dies

    1. it is really dead (reaped), so that nobody writes where it wrote,
    2. the task that its mark shows is blamed; the third death of a task makes it poison,
    3. `recover` fences the slot with a new epoch and gives back what the worker had not committed,
    4. the successor starts with that epoch, after a pause if workers keep dying without having run anything.

A task that takes more memory than its worker has is blamed at once: it would kill the next one too. An elastic worker
that had nothing to do for its `keep_alive` leaves, and comes back when there is work (`dagnb.runtime.elastic`).
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dagnb.runtime.children import Child
from dagnb.runtime.deadlines import Deadlines
from dagnb.runtime.forking import can_fork
from dagnb.runtime.frames import address
from dagnb.runtime.frozen import Frozen
from dagnb.runtime.marks import SLOTS, Mark, Marks
from dagnb.runtime.resources import memory_reason
from dagnb.runtime.server import tail
from dagnb.runtime.slot import Command, Recovery, Slot, Verdict, work_in_copy, worker_command
from dagnb.runtime.voice import Voice
from dagnb.runtime.watch import Watch, resident

if TYPE_CHECKING:
    from dagnb.runtime.context import Context
    from dagnb.runtime.directory import RuntimeDir
    from dagnb.runtime.resources import Resources
    from dagnb.runtime.status import WorkerStatus

#: Exit codes of a worker that was refused by the store and left as it should: nobody is to blame.
FENCED = frozenset({17, 18})
#: Exit codes of a worker that had nothing to do for long enough, of one whose task left it no memory to go on with, and
#: of one that makes room: modules that it has imported were changed, or it was given what is not signed
#: (`dagnb.runtime.worker`).
RESTED, EXHAUSTED, STALE = 19, 20, 21
#: Workers that may die in a row without having run a task, before their slot is given up.
BROKEN_AFTER = 5
#: Seconds after which a worker counts as well started.
SETTLED = 10.0
#: The same for workers that were killed from outside; and for how many seconds that must have gone on, because how far
#: each of them comes depends on how busy the machine is.
KILLED_AFTER, KILLED_FOR = 50, 60.0
#: Seconds before the first repetition of such a start; doubled each time.
FIRST_PAUSE = 0.02
#: Seconds between a polite and a forced end.
GRACE = 1.0


class _Place(NamedTuple):
    """What a worker process is started with, in whichever way."""

    output: int
    cwd: str
    environ: dict[str, str]
    keep: tuple[int, ...]
    processors: frozenset[int]


@dataclass(slots=True)
class Slots:
    """All workers of one supervisor."""

    directory: RuntimeDir
    marks: Marks
    recovery: Recovery
    max_deaths: int
    command: Command = worker_command
    log: Callable[[str], None] = print
    #: Called with a slot that is given up: runs may count on it.
    stranded: Callable[[Slot], None] = lambda _slot: None
    contexts: dict[str, Context] = field(default_factory=dict)
    slots: dict[int, Slot] = field(default_factory=dict)
    #: (run, task) → workers that died running it.
    blame: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: Runs whose workers are being killed on purpose.
    cancelled: set[str] = field(default_factory=set)
    deaths: int = 0
    watch: Watch = field(init=False)
    deadlines: Deadlines = field(init=False)
    frozen: Frozen = field(init=False)
    _epoch: int = 0

    def __post_init__(self) -> None:
        self.watch = Watch(self, self.marks)
        self.deadlines, self.frozen = Deadlines(self, self.marks), Frozen(self)

    def resources(self, slot: Slot) -> Resources:
        """What the worker of a slot may use."""
        return self.contexts[slot.context].resources

    def of(self, context: str) -> list[Slot]:
        """The slots of a context, lowest first."""
        return [slot for _, slot in sorted(self.slots.items()) if slot.context == context]

    def ensure(self, context: Context, workers: int) -> tuple[list[Slot], bool]:
        """The slots for so many workers, and whether slots are new. All are started, but elastic ones.

        Raises OSError when a worker cannot be started at all, RuntimeError when there is no room for another slot.
        """
        key = context.key
        self.contexts[key] = context
        chosen = self.of(key)[:workers]
        new = len(chosen) < workers
        while len(chosen) < workers:
            chosen.append(self._create(key, chosen[-1].number + 1 if chosen else 0))
        for slot in chosen:
            if slot.stopping and slot.child is not None:  # it was asked to end a moment ago
                slot.child.stop(0.0)
                self.bury(slot, slot.child)
            if slot.child is None and (slot.broken or not slot.again):
                slot.broken, slot.failures = "", 0
                if not context.resources.elastic:
                    self.launch(slot)
        return chosen, new

    def _create(self, context: str, least: int) -> Slot:
        """A slot with the lowest free number from `least` on: those of a context are in the order of their making."""
        number = next((number for number in range(least, SLOTS) if number not in self.slots), None)
        if number is None:
            msg = f"there is no room for more than {SLOTS} workers; end some kernels first"
            raise RuntimeError(msg)
        self.slots[number] = Slot(number, context)
        self.marks.clear(number)
        return self.slots[number]

    def launch(self, slot: Slot) -> None:
        """A worker for a slot that has none. Raises OSError when it cannot be started at all."""
        self.fence(slot)
        self.spawn(slot)

    def adopt(self, key: str, context: Context, numbers: list[int]) -> None:
        """Take up the slots of a predecessor, without workers."""
        self.contexts[key] = context
        for number in numbers:
            self.slots[number] = Slot(number, key)
            self.marks.clear(number)

    def fence(self, slot: Slot, verdict: Verdict | None = None) -> int:
        """A new epoch for the slot: whoever had the old one is refused from now on. Tasks that were given back."""
        self._epoch = max(time.time_ns(), self._epoch + 1)  # unique also after the store went back in time
        slot.epoch = self._epoch
        return self.recovery.recover(None, slot.number, slot.epoch, verdict)

    def spawn(self, slot: Slot) -> None:
        """Start a worker in the slot. Raises OSError when the program or the context's directory is not there."""
        context = self.contexts[slot.context]
        slot.processors = self.processors_for(slot)
        voice = Voice(self.directory.worker_log(slot.number))
        reading, writing = os.pipe()
        said = {"DAGNB_READY": str(writing), "DAGNB_LAUNCHED": str(time.perf_counter_ns())}
        place = _Place(voice.writing, context.cwd, context.worker_environ() | said, (writing,), slot.processors)
        try:
            if self.command is worker_command and can_fork(context):
                slot.child = Child.copy(
                    partial(work_in_copy, slot.number, slot.epoch, self.directory.path), **place._asdict()
                )
            else:
                command = self.command(slot.number, slot.epoch, self.directory.path)
                slot.child = Child.start(command, **place._asdict())
        except OSError:
            os.close(reading)
            voice.end()
            raise
        finally:
            os.close(writing)
        voice.started()
        slot.voice = voice
        slot.ready, slot.up, slot.since, slot.again = reading, False, time.monotonic(), 0.0
        slot.peak, slot.bare, slot.excused = 0, 0, False
        slot.late, slot.overdue = 0.0, False

    def processors_for(self, slot: Slot) -> frozenset[int]:
        """The processors that a sized worker gets: those that the fewest others are bound to, the lowest first."""
        cpus = self.resources(slot).cpus
        if cpus is None or not hasattr(os, "sched_getaffinity"):
            return frozenset()
        load = Counter(dict.fromkeys(os.sched_getaffinity(0), 0))
        for other in self.slots.values():
            if other.child is not None and other is not slot:
                load.update(other.processors & load.keys())
        return frozenset(sorted(load, key=lambda processor: (load[processor], processor))[:cpus])

    def heard(self, slot: Slot) -> None:
        """The pipe of a starting worker has something to read: it is up, or it has ended without a word."""
        slot.up = bool(os.read(slot.ready, 1))
        os.close(slot.ready)
        slot.ready = -1
        if slot.up and slot.child is not None and self.resources(slot).memory is not None:
            slot.bare = resident(slot.child.pid)

    def starting(self) -> Iterator[Slot]:
        """Slots whose worker has not said yet that it is up."""
        return (slot for slot in self.slots.values() if slot.ready >= 0)

    def voices(self) -> dict[int, Voice]:
        """What workers may say something by, by descriptor."""
        found = (slot.voice for slot in self.slots.values())
        return {voice.reading: voice for voice in found if voice is not None and voice.reading >= 0}

    def reap(self) -> None:
        """Bury the dead. Called when a child has ended; looks at all, because signals merge."""
        for slot in list(self.slots.values()):
            if slot.child is not None and slot.child.ended():
                self.bury(slot, slot.child)

    def bury(self, slot: Slot, child: Child) -> None:
        """One worker has died: blame, recover, replace."""
        mark = self.marks.read(slot.number)
        self.marks.clear(slot.number)
        if slot.ready >= 0:
            self.heard(slot)
        if slot.voice is not None:
            slot.voice.end()
        slot.child, slot.voice, slot.up, slot.deadline = None, None, False, 0.0
        rested = child.exit_code == RESTED
        self.deaths += child.exit_code not in {RESTED, STALE}
        own = rested or child.exit_code in {*FENCED, STALE}
        excused = slot.stopping or slot.excused or own or mark.run in self.cancelled
        back = self.fence(slot, None if excused else self.charge(slot, mark, child))
        words = f"{child.ending()}; task {mark.task}, {max(back, 0)} given back"
        self.log(f"worker {slot.number} (pid {child.pid}) ended: {words}")
        if slot.stopping or rested:
            slot.stopping, slot.failures = False, 0
        elif excused or mark.task is not None:
            slot.failures = 0
            self.respawn(slot)
        else:
            self.fail(slot, child)

    def charge(self, slot: Slot, mark: Mark, child: Child) -> Verdict | None:
        """Blame the task that ran; what `fence` is to be told once it must not be run again as it is."""
        if mark.task is None or mark.early:
            return None
        if slot.overdue:
            return Verdict(mark.task, "", "TaskTimeoutError", int(mark.start * 1e9))
        ending, said = child.ending(), tail(self.directory.worker_log(slot.number))
        limit = self.resources(slot).memory
        if limit is not None and (slot.peak or child.exit_code == EXHAUSTED):
            self.blame.pop((mark.run, mark.task), None)
            reason = memory_reason(limit, slot.peak or limit)
            return Verdict(mark.task, reason, "WorkerMemoryError", ending=ending, said=said, peak=slot.peak)
        self.blame[mark.run, mark.task] += 1
        dead = self.blame[mark.run, mark.task]
        if dead < self.max_deaths:
            return None
        del self.blame[mark.run, mark.task]
        reason = f"{dead} worker{'s' if dead > 1 else ''} died running it ({ending})"
        return Verdict(mark.task, reason, ending=ending, said=said)

    def fail(self, slot: Slot, child: Child) -> None:
        """A worker ended without having run a task: try again later, and give up after a few times."""
        settled = time.monotonic() - slot.since > SETTLED
        slot.failures = 1 if settled else slot.failures + 1
        if slot.failures == 1:
            slot.failing = time.monotonic()
        killed = child.exit_code == -signal.SIGKILL  # by somebody else: the worker itself may be sound
        lately = time.monotonic() - slot.failing < KILLED_FOR
        if killed and slot.failures == 1:
            self.respawn(slot)
        elif slot.failures < BROKEN_AFTER or (killed and (lately or slot.failures < KILLED_AFTER)):
            slot.again = time.monotonic() + (FIRST_PAUSE if killed else FIRST_PAUSE * 2**slot.failures)
        else:
            self._give_up_after(slot, child)

    def _give_up_after(self, slot: Slot, child: Child) -> None:
        """Give a slot up with what its last worker said."""
        said = tail(self.directory.worker_log(slot.number)) or "it said nothing"
        self.give_up(slot, f"{slot.failures} workers in a row could not start ({child.ending()}):\n{said}")

    def give_up(self, slot: Slot, why: str) -> None:
        """No worker will come to this slot until somebody asks for it again."""
        slot.broken, slot.again = why, 0.0
        self.log(f"slot {slot.number} is given up: {why}")
        self.stranded(slot)

    def respawn(self, slot: Slot) -> None:
        """Start the successor; a slot whose context is gone (its directory was removed) is given up."""
        try:
            self.spawn(slot)
        except OSError as error:
            self.give_up(slot, f"a worker could not be started: {error}")

    def cancel(self, run: str, grace: float) -> None:
        """Interrupt the tasks of a run that are running now; kill what still runs one after `grace` seconds."""
        self.cancelled.add(run)
        for slot in self.slots.values():
            mark = self.marks.read(slot.number)
            if slot.child is not None and mark.run == run:
                slot.deadline = time.monotonic() + grace
                if mark.task is not None:
                    slot.child.send(signal.SIGINT)

    def dismiss(self, context: str) -> bool:
        """Let the workers of a context that nobody uses end, and forget its slots; True once that is done."""
        slots = self.of(context)
        for slot in slots:
            slot.again = 0.0
            if slot.child is not None and not slot.stopping:
                slot.stopping, slot.deadline = True, time.monotonic() + GRACE
                slot.child.send(signal.SIGTERM)
        if any(slot.child is not None for slot in slots):
            return False
        for slot in slots:
            del self.slots[slot.number]
            self.directory.worker_log(slot.number).unlink(missing_ok=True)
            Path(address(self.directory.path, slot.number)).unlink(missing_ok=True)
        del self.contexts[context]
        return True

    def tick(self, now: float) -> None:
        """Do what is due: kill who has outstayed the grace, start whom we made wait."""
        for slot in self.slots.values():
            if slot.deadline and now >= slot.deadline:
                self.expire(slot)
            if slot.again and now >= slot.again:
                slot.again = 0.0
                self.respawn(slot)
        self.watch.tick(now)
        self.deadlines.tick(now)
        self.frozen.tick(now)

    def summon(self, slot: Slot) -> None:
        """Start the worker of an elastic slot, unless it is there or about to come."""
        if slot.child is not None or slot.again or slot.broken:
            return
        self.fence(slot)
        self.respawn(slot)

    def expire(self, slot: Slot) -> None:
        """The grace is over: kill, unless the worker has left the cancelled run meanwhile."""
        slot.deadline = 0.0
        mark = self.marks.read(slot.number)
        if slot.child is not None and (slot.stopping or (mark.task is not None and mark.run in self.cancelled)):
            slot.child.send(signal.SIGKILL)

    def due(self) -> float:
        """The next moment at which `tick` has something to do; infinity when there is none."""
        times = [t for slot in self.slots.values() for t in (slot.deadline, slot.again) if t]
        return min([*times, self.watch.next, self.deadlines.next, self.frozen.next])

    def forget(self, live: Mapping[str, object] | set[str]) -> None:
        """Drop what is remembered of runs that have ended; a cancelled one ends before its workers have left it."""
        self.cancelled &= {*live, *(self.marks.read(number).run for number in self.slots)}
        for key in [key for key in self.blame if key[0] not in live]:
            del self.blame[key]

    def status(self) -> Iterator[WorkerStatus]:
        """All slots, as `%dag status` shows them."""
        from dagnb.runtime.status import WorkerStatus

        for number, slot in sorted(self.slots.items()):
            mark = self.marks.read(number)
            yield WorkerStatus(
                slot=number,
                pid=slot.child.pid if slot.child else None,
                state=slot.state,
                context=slot.context,
                cwd=self.contexts[slot.context].cwd,
                run=mark.run if mark.task is not None else None,
                task=mark.task,
                broken=slot.broken,
                size=str(self.resources(slot)),
                processors=tuple(sorted(slot.processors)) if slot.child else (),
            )

    def end(self) -> None:
        """End all workers at once and wait for them: two seconds at most, unless one cannot be killed."""
        living = [slot.child for slot in self.slots.values() if slot.child is not None]
        for child in living:
            child.send(signal.SIGTERM)
        limit = time.monotonic() + GRACE
        while any(not child.ended() for child in living) and time.monotonic() < limit:
            time.sleep(0.005)
        for child in living:
            with suppress(ProcessLookupError):
                child.stop(0.0)
