"""Runs in which something is broken on purpose, and the audit of what came out of them.

A *siege* is a pool of its own with a run of 2,000 tasks in it; what is done to it is up to the test. The audit compares
every value with plain Python and folds the stream of events: each task is told exactly once, and who listened all the
time has missed nothing. `python -m tests.chaos` runs the same sieges with many seeds and prints a table.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.errors import DagnbError
from dagnb.runtime.directory import is_taken
from dagnb.runtime.hub import Hub
from dagnb.runtime.marks import Marks
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, start
from dagnb.runtime.watch import state_of
from dagnb.trace.events import Batch, RecordKind, TaskState
from dagnb.trace.records import COMMIT
from tests.chaos.work import block, heads, mix, nap, total
from tests.runtime.dags import Sketch, free_plan, random_dag
from tests.runtime.life import private_directory, processes, settings, until
from tests.runtime.test_annotations import nothing_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.runtime.directory import RuntimeDir
    from dagnb.runtime.status import WorkerStatus
    from dagnb.runtime.store import Store

TASKS, WORKERS = 2_000, 4
#: Seconds after which a run counts as one that hangs.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a run; nothing, if all are zero.

    wrong   values that plain Python does not compute
    lost    tasks of which no value is there, or of which no commit tells
    twice   tasks that were told more than once
    gaps    batches that somebody who listened has missed, and tasks whose row has no times
    """

    wrong: int = 0
    lost: int = 0
    twice: int = 0
    gaps: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


#: What every siege must come to.
SOUND = Verdict()


@dataclass
class Siege:
    """A pool, a run in it, and who listens to that."""

    pool: LocalPool
    directory: RuntimeDir
    sketch: Sketch
    run: Run
    chance: random.Random
    heard: list[Batch] = field(default_factory=list)
    #: How often something was broken.
    strikes: int = 0

    def go_on(self, seconds: float) -> bool:
        """Let it work for so long; False when it has ended."""
        assert (time.perf_counter_ns() - self.run.submitted) * 1e-9 < PATIENCE, f"it hangs: {self.said()}"
        return self.run.wait(seconds).state == "running"

    def under_way(self, least: int = 50) -> None:
        """Wait until that many tasks are done."""
        until(lambda: self.run.progress.get(TaskState.DONE, 0) >= least, 20)

    def workers(self) -> list[WorkerStatus]:
        """Those that live."""
        return [worker for worker in self.pool.status().workers if worker.pid]

    def pid(self, what: str) -> int:
        """Of "redis" or the "supervisor" (`pid`), without asking either of them."""
        found = json.loads(self.directory.state.read_text())["pid" if what == "supervisor" else what]
        return int(found)

    def kill(self, *what: str) -> None:
        """SIGKILL "redis", "supervisor" or a "worker" that chance chooses."""
        victims = [self.chance.choice(self.workers() or [None]) if name == "worker" else None for name in what]
        for name, victim in zip(what, victims, strict=True):
            if name != "worker":
                self.strike(self.pid(name))
            elif victim is not None:
                self.strike(victim.pid)

    def strike(self, pid: int | None) -> None:
        """SIGKILL a process that may be gone already."""
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.strikes += 1

    def lose_power(self) -> None:
        """Everything dies at once."""
        victims = [worker.pid for worker in self.workers()]
        supervisor, redis = self.pid("supervisor"), self.pid("redis")
        os.kill(supervisor, signal.SIGSTOP)  # or it would start again what dies before it
        for pid in (redis, *victims, supervisor):
            self.strike(pid)
        until(lambda: not is_taken(self.directory.lock) and gone(redis))

    def go_back(self, least: int) -> None:
        """Redis dies and what it remembers loses its end, but not the first `least` bytes."""
        supervisor, redis = self.pid("supervisor"), self.pid("redis")
        os.kill(supervisor, signal.SIGSTOP)
        self.strike(redis)
        until(lambda: gone(redis))
        self.cut(least)
        os.kill(supervisor, signal.SIGCONT)

    def cut(self, least: int) -> None:
        """Take some bytes, half of what came after the first `least` at most, off the end of the history."""
        file = history(self.directory)
        size = file.stat().st_size
        assert size > least
        os.truncate(file, size - self.chance.randint(1, (size - least + 1) // 2))

    def said(self) -> str:
        """How things stand, for a test that fails."""
        log = self.directory.log.read_text()[-1500:] if self.directory.log.exists() else ""
        return f"{self.run.state}, {self.run.progress}, {self.run.errors()}\n{log}"


def history(directory: RuntimeDir) -> Path:
    """The file to which Redis appends."""
    files = [*directory.path.glob("appendonlydir/*.incr.aof"), *directory.path.glob("appendonly.aof")]
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def gone(pid: int) -> bool:
    """Whether a process has ended; its parent may not have noticed."""
    return state_of(pid) in {"", "Z"}


@contextmanager
def siege(
    seed: int,
    tasks: int = TASKS,
    *,
    sketch: Sketch | None = None,
    plan: Callable[[TaskGraph], Plan] | None = None,
    listen: bool = True,
    kept: Sequence[int] | None = None,
    home: str | Path = "/tmp",
    **values: Any,
) -> Iterator[Siege]:
    """A run in a pool of its own in `home`, whose settings are `values`; afterwards nothing of it may be left.

    sketch   what is run in place of a random graph of naps
    plan     graph → plan, in place of one that leaves every task to whoever is free
    kept     tasks whose values are kept, in place of all
    listen   whether somebody follows the events all the time
    """
    sketch = sketch or random_dag(tasks, seed, nap, total)
    graph = sketch.graph(kept=range(len(sketch.calls)) if kept is None else kept)
    with private_directory(home) as directory:
        pool = LocalPool.connect(settings(directory, **values))
        pool.ensure(WORKERS)
        begun = start(graph, plan(graph) if plan else free_plan(graph, WORKERS), pool)
        found = Siege(pool, directory, sketch, begun, random.Random(seed))
        if listen:
            begun.subscribe(found.heard.append)
        try:
            yield found
        finally:
            with suppress(DagnbError):
                begun.cancel()
            pool.stop()
        left = list(directory.path.iterdir()) if directory.path.exists() else []
        assert left == []
        until(lambda: not processes(directory))


def besieged(seed: int, every: float, strike: Callable[[Siege], None], least: int = 1, **values: Any) -> Verdict:
    """The verdict on a run that is struck every so many seconds, and `least` so often."""
    with siege(seed, **values) as found:
        found.under_way()
        while found.go_on(every):
            strike(found)
        assert found.strikes >= least, "it had ended before enough was broken"
        return audit(found)


def audit(found: Siege) -> Verdict:
    """Compare every value that is kept, and fold what was told."""
    assert found.run.state == "done", found.said()
    return outcome(found.pool, found.run.id, found.sketch, found.run.kept) + Verdict(gaps=gaps(found))


def outcome(pool: LocalPool, run: str, sketch: Sketch, kept: Iterable[int]) -> Verdict:
    """What the store alone has of a run that has ended."""
    store, want = Hub.of(pool).store, values_of(sketch)
    wrong = lost = 0
    for task in kept:
        there, value = store.kept(run, task)
        lost += not there
        wrong += there and not same(value, want[task])
    told = Counter(finished(stored(store, run)))
    lost += len(want) - len(told)
    return Verdict(wrong, lost, sum(told.values()) - len(told))


def stored(store: Store, run: str) -> list[Batch]:
    """Every batch of a run, as the store has them now."""
    return [Batch.unpack(entry) for entry in store.events(run)[1]]


def finished(batches: list[Batch]) -> list[int]:
    """Tasks that were told as done and committed, in that order; what was retracted is not among them."""
    final: list[int] = []
    open_records: dict[int, list[int]] = {}
    for batch in batches:
        said = open_records.setdefault(batch.worker, [])
        said += batch.records["task"][batch.records["kind"] == RecordKind.FINISHED].tolist()
        if batch.purpose == COMMIT:
            final += said
        if batch.purpose:
            open_records[batch.worker] = []
    return final


def gaps(found: Siege) -> int:
    """Batches that a listener has missed, and rows of the folded timeline without times."""
    timeline = found.run.timeline
    bare = (timeline.state != TaskState.DONE) | ~(timeline.start <= timeline.end)
    if not found.heard:
        return int(bare.sum())
    until(lambda: found.run.told, 10)
    missed = Counter(map(_words, stored(found.run.hub.store, found.run.id))) - Counter(map(_words, found.heard))
    return int(bare.sum()) + missed.total()


def _words(batch: Batch) -> tuple[Any, ...]:
    return batch.purpose, batch.worker, *batch.records.tolist()


def told_once(run: Run, tasks: int) -> None:
    """Every task of a run is told exactly once, and stands as done."""
    assert sorted(finished(stored(run.hub.store, run.id))) == list(range(tasks))
    assert (run.timeline.state == TaskState.DONE).all()


def kill_one(pool: LocalPool, chance: random.Random) -> None:
    """SIGKILL a worker that chance chooses."""
    living = [worker.pid for worker in pool.status().workers if worker.pid]
    if living:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(living), signal.SIGKILL)


def hunt(pool: LocalPool, begun: Run, every: float, seed: int) -> None:
    """Kill workers that are at a task until the run has ended; nothing of it may be left.

    A plan names workers, and would wait for ever if they died before they had begun. Nobody is killed whose task has
    died twice: a third time it would count as the cause.
    """
    chance, killed = random.Random(seed), Counter[int | None]()
    marks = Marks(Path(pool.directory, "marks"))
    while begun.wait(every).state == "running":
        busy = [worker for worker in pool.status().workers if worker.pid and worker.task is not None]
        victim = chance.choice(busy or [None])
        with suppress(ProcessLookupError):
            if victim is not None:
                os.kill(victim.pid, signal.SIGSTOP)  # or it would be at another task meanwhile
                task = marks.read(victim.slot).task
                dies = task is not None and killed[task] < 2
                killed[task] += dies
                os.kill(victim.pid, signal.SIGKILL if dies else signal.SIGCONT)
    assert killed.total()
    assert begun.state == "done", begun.errors()
    told_once(begun, len(begun.graph))
    nothing_left(begun)


#: What computes the same without taking its time.
PLAIN: dict[Any, Any] = {nap: mix, block: mix, heads: sum}


def values_of(sketch: Sketch) -> list[Any]:
    """What plain Python computes; of blocks, the number of which each consists."""
    plain = Sketch()
    plain.calls = [(PLAIN.get(f, f), a, k) for f, a, k in sketch.calls]
    return plain.values()


def same(found: Any, want: Any) -> bool:
    """Whether a value is right; a block, if all of it is."""
    if isinstance(found, np.ndarray):
        return bool((found == want).all())
    return bool(found == want)
