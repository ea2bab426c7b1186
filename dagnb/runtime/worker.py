"""A worker process: sits in a slot, waits for runs, works in one at a time.

Started by the supervisor as `python -m dagnb worker`, in the context of a notebook. Imports neither numpy nor redis-py.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
from hashlib import sha256
from math import inf
from pathlib import Path
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any, NoReturn

from dagnb.errors import SignatureError
from dagnb.trace.records import RecordKind

from .arena import Arena
from .arguments import fetched as arguments_of
from .compiled import Compiled
from .conversation import Conversation
from .deadlines import LATE, CancelledTask, interrupter
from .execute import install_captures
from .frames import Porter, address
from .functions import fetched as functions_of
from .household import Household
from .hunger import Hunger
from .keys import DAGNB, RUNS, TODO, inbox, run_prefix
from .loop import PATIENCE, Loop
from .marks import CLOCK, EARLY, NONE, TIMED, Marks
from .modules import Modules, forget_compiled
from .places import listed
from .scripts import script
from .serialize import loads, unseal
from .strays import kill_strays
from .turns import Turns
from .values import Shelf, weight
from .wire import Wire

if TYPE_CHECKING:
    from types import FrameType


#: Exit codes: nothing to do for as long as an elastic worker stays; no memory left to go on with; what it has imported
#: or was given is not to be gone on with (`slots`).
RESTED, EXHAUSTED, STALE = 19, 20, 21


#: How many graphs a worker remembers, and with how many tasks together: about 200 bytes for each.
GRAPHS, REMEMBERED = 16, 200_000
#: The same of a worker that has nothing to do.
RESTING = 20_000
#: Bytes of a package that is not remembered: it has large constants, and their memory belongs to the tasks.
HEAVY = 2 << 20


class Desk:
    """What a worker has at hand in every run: its slot, its connections, its page of marks, its captured output.

    launched    when the supervisor started this process, ns of perf_counter
    ready       when it could begin with its first task, likewise
    keep_alive  seconds without work after which it ends; None: it stays
    """

    def __init__(self, slot: int, epoch: int, directory: Path, *, limited: bool = False) -> None:
        self.launched = int(os.environ.pop("DAGNB_LAUNCHED", "0")) or now()
        stays = os.environ.pop("DAGNB_KEEP_ALIVE", "")
        self.keep_alive = float(stays) if stays else None
        self.slot = slot
        self.directory = directory
        self.secret = (directory / "secret").read_bytes()
        address = (directory / "address").read_text()
        self.talk = Conversation(Wire(address, f"worker-{slot}", bears=inf), script("sync"), epoch)
        self._payloads = Wire(address, f"worker-{slot}-payloads", bears=inf)
        self.shelf = Shelf(self._payloads, self.secret, "", epoch)
        self.arena = Arena(listed(directory), slot, epoch)
        #: Whether freed memory stays here (`dagnb.runtime.heap`); None: never, its size is limited.
        self.holds: bool | None = None if limited else False
        self.out, self.err, self.noise = install_captures()
        self.modules = Modules()
        #: Whether this is a copy that a task has made of its worker (`os.fork`).
        self.stray = False
        self._pace: dict[str, int] = {}  # hash of a function → class of its duration
        self._cost: dict[str, int] = {}  # hash of a function → mean duration of a task in its last run, ns
        self.functions: dict[str, Any] = {}
        self._graphs: dict[bytes, Compiled] = {}  # digest of a package → what was read from it, the newest last
        self._marks = Marks(directory / "marks")
        self._page = self._marks.line(slot)
        self.mark = self._page[:8].cast("Q")  # the task that runs now; read by the supervisor when we have died
        self.mark[0] = NONE
        self.clock = self._page[CLOCK:].cast("Q")  # for functions with a timeout (`deadlines`)
        self._porter: Porter | None = None
        self.next_run = ""
        self.turns = Turns(self.talk.wire, slot)
        self._settled = False
        self._interrupt = False  # whether a task was cancelled in the middle
        self._work = 0  # ns at work in this run, as told when it last had nothing to do
        self.ready = self._idle_since = now()
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(LATE, interrupter(self.clock))
        self.household = Household(self.out, self.err, self._copied)  # last: the signal handlers are part of it

    def pace(self, hashes: tuple[str, ...], unknown: int) -> list[int]:
        """What is known of these functions."""
        return [self._pace.get(h, unknown) for h in hashes]

    def guess(self, hashes: tuple[str, ...]) -> int:
        """Mean duration of their tasks in ns, 0 while one of them was never run here."""
        costs = [self._cost.get(h, 0) for h in hashes]
        return 0 if 0 in costs or not costs else sum(costs) // len(costs)

    def learn(self, hashes: tuple[str, ...], pace: list[int], mean: int) -> None:
        """Remember for later runs."""
        self._pace.update(zip(hashes, pace, strict=True))
        if mean:
            self._cost.update(dict.fromkeys(hashes, mean))

    def porter(self) -> Porter:
        """Where others come for what is made here, from the first time that anybody may."""
        if self._porter is None:
            self._porter = Porter(address(self.directory, self.slot), self.secret)
        return self._porter

    def try_out(self, task: int | None) -> None:
        """A task is only tried from here on, or not any more: it can be interrupted, and is to blame for nothing."""
        self._page[EARLY] = task is not None
        self.mark[0] = NONE if task is None else task

    def between_tasks(self) -> None:
        """The task before is over: not to blame for what comes now, and to leave nothing changed behind."""
        self.mark[0] = NONE
        self.household.restore()

    def _copied(self) -> None:
        """In a copy of this process: nothing of it may speak for the worker; it ends when its task returns."""
        self.stray = True
        self.noise.append(True)  # the loop looks here after each task
        self.talk.wire.close()
        self._payloads.close()

    def hunger(self, run: str, slots: list[int]) -> Hunger:
        """Who wants work in a run, this worker included."""
        return Hunger(self._marks, run, self.slot, slots)

    def _interrupted(self, _signal: int, _frame: FrameType | None) -> None:
        if self.mark[0] != NONE:
            self._interrupt = True
            raise CancelledTask

    def keys(self, run: str) -> tuple[str, str]:
        """KEYS of the sync script."""
        return run_prefix(run), DAGNB

    # ---- runs -------------------------------------------------------------------------------------------------------
    def rest(self, run: str, work: int, patience: float = PATIENCE) -> bool:
        """Wait for a word; True when another run is to be joined first. `work`: ns spent on tasks of this one."""
        self._worked(work)
        if self.turns.several or len(self.turns.joined) > 1:
            self.next_run = self.turns.missed(run, work)
            if self.next_run:
                return True
        word = self._listen(patience)
        if word is None:
            self.next_run = self.turns.missed(run, work)
        elif word == b"W":
            self.turns.several = True  # it may be another run that calls: to be looked at where this one has nothing
        elif word[:1] == b"S" and word[1:].decode() not in self.turns.joined:
            self.next_run = word[1:].decode()
        return bool(self.next_run)

    def gives_way(self, run: str, work: int) -> bool:
        """Whether another run is to be gone to now, although there is more to do in this one."""
        self.next_run = self.turns.due(run, work)
        return bool(self.next_run)

    def _waiting(self) -> list[str]:
        """Live runs that this slot takes part in, oldest first."""
        found = [name.decode() for name in self.talk.wire.call("LRANGE", TODO + str(self.slot), 0, -1)]
        return [name for name in found if self.talk.wire.call("HEXISTS", RUNS, name)]

    def _worked(self, work: int) -> None:
        if work != self._work:
            self._work, self._idle_since = work, now()

    def _listen(self, patience: float) -> bytes | None:
        """The next word, or None. An elastic worker that has waited for long enough ends here: it owns nothing."""
        if self.keep_alive is not None:
            left = self.keep_alive - (now() - self._idle_since) * 1e-9
            if left <= 0 and not self._to_come():
                os._exit(RESTED)
            patience = min(patience, left) if left > 0 else patience
        return self.talk.listen(inbox(self.slot), patience)

    def _to_come(self) -> bool:
        """Whether a task of some run here waits for its next try: nobody will call when its moment has come."""
        return any(self.talk.wire.call("EXISTS", run_prefix(run) + "later") for run in self._waiting())

    def hold(self) -> None:
        """A large value was made: more will follow."""
        from . import heap

        self.holds = True if heap.hold() else None

    def _give_back(self) -> None:
        """Nothing runs: forget graphs that are large, and return what is free. To read one again takes 1 µs a task."""
        old = self._forget(RESTING)
        if old or self.holds:
            from . import heap

            if old:
                gc.collect()  # what was at work in a run refers to itself, and to the graph
            heap.give_back()

    def _forget(self, tasks: int) -> bool:
        """Forget the graphs that were used longest ago until the others have no more tasks; whether there were any."""
        left = sum(graph.n for graph in self._graphs.values())
        old = left > tasks
        while left > tasks:
            left -= self._graphs.pop(next(iter(self._graphs))).n
        return old

    def choose(self) -> str:
        """The next run to join: what the last word said, else the oldest of this slot; empty if there is none."""
        run, self.next_run = self.next_run, ""
        if not run and self.turns.joined:
            run = self.turns.missed()
        if run:
            return run
        word = self._listen(1.0) if self._settled else None
        if word is None:
            self._give_back()
        self._settled = True  # a new worker looks first: its predecessor may have taken the word with it
        if word is not None and word[:1] == b"S":
            return word[1:].decode()
        return self.turns.missed()

    def join(self, run: str) -> None:
        """Work in a run until it ends or another one calls."""
        arrived = now()
        self._tidy()
        again = run in self.turns.joined
        prefix = run_prefix(run)
        ask = (("GET", prefix + "dag"), ("HMGET", prefix + "meta", "submitted", "slots"))
        body, meta, given = self.talk.wire.calls([*ask, ("EXISTS", f"{prefix}own{self.slot}")])
        if body is None or meta[0] is None:
            return  # over before we came
        slots = [int(s) for s in meta[1].split(b",")]
        try:
            compiled = self._compiled(unseal(self.secret, f"dag:{run}".encode(), body))
            compiled.link(self._functions(compiled.hashes), self.clock)
            compiled.fill(arguments_of(self.talk.wire.call, self.secret, sorted({*compiled.large.values()})))
        except Exception as error:  # noqa: BLE001  a run that cannot be read ends here, for everybody
            self._give_up(run, error)
            return
        _teach_sources(compiled.sources)
        self._page[8:40] = run.encode().ljust(32, b"\0")
        self.shelf = Shelf(self._payloads, self.secret, prefix, self.talk.epoch)
        position = slots.index(self.slot)
        if not again:
            self._stagger(position, arrived)
        loop = Loop(compiled, self, run, position, slots, int(meta[0]))
        self._work = loop.total
        if given:
            loop.begin_with_root()
        if not again:
            self._told_start(loop)
        loop.turn = self.turns.entered(run, arrived)
        if any(care.timeout is not None for care in compiled.cares.values()):
            self._ring()
        try:
            loop.run()
        except MemoryError:
            self._exhausted(loop)
        except SignatureError as error:
            self._give_up(run, error)
            os._exit(STALE)  # in the middle of a claim: the successor begins clean
        if loop.finished:
            self.turns.joined.discard(run)
        if self._interrupt:
            self._interrupt = False
            kill_strays(arrived)
        compiled.fill({})
        self._worked(loop.total)
        self._page[8:40], self._page[TIMED] = bytes(32), 0

    def _tidy(self) -> None:
        """Before a run: leave where modules were changed; forget what was lent in runs that ended meanwhile."""
        if stale := self.modules.stale():
            forget_compiled(stale)
            os._exit(STALE)  # the successor in this slot reads them anew; what was given to this one goes back
        for other in [name for name in self.arena.lent if not self.talk.wire.call("HEXISTS", RUNS, name)]:
            self.arena.forget(other)

    def _ring(self) -> None:
        """Tasks of this run may have deadlines: the supervisor shall look."""
        from .requests import LIST, pack_request

        self._page[TIMED] = 1
        self._payloads.call("RPUSH", LIST, pack_request(self.secret, "deadlines", {}))

    def _give_up(self, run: str, error: Exception) -> None:
        """End a run that cannot go on, for everybody."""
        reason = f"{type(error).__name__}: {error}"
        self.talk.wire.call("EVAL", script("end"), 2, *self.keys(run), run, "failed", reason, now())

    def _compiled(self, body: memoryview) -> Compiled:
        """The graph in a package. That of an unchanged DAG is the same, byte for byte, and was read before."""
        if len(body) > HEAVY:
            return Compiled(body)
        digest = sha256(body).digest()
        found = self._graphs.pop(digest, None) or Compiled(body)
        self._graphs[digest] = found  # the newest last
        if len(self._graphs) > GRAPHS:
            del self._graphs[next(iter(self._graphs))]
        self._forget(max(REMEMBERED, found.n))
        return found

    def _told_start(self, loop: Loop) -> None:
        """A worker that was started for this run says when, with its first records."""
        zero = loop.submitted
        if self.launched >= zero:
            times = ((self.ready - zero) * 1e-9, (self.launched - zero) * 1e-9, 0.0, 0.0, 0.0)
            loop.outbox.records.append((*times, 0, loop.position, RecordKind.BEGUN, 1))

    def _exhausted(self, loop: Loop) -> NoReturn:
        """A value is too large for what memory is left: its task is blamed, and what else is here is done elsewhere."""
        from .resources import lift

        lift()  # to find out whose it is takes memory too
        done = loop.outbox.done
        if done and self.mark[0] in (NONE, *done):  # it was met while values were written down
            self.mark[0] = max(done, key=lambda task: weight(loop.values[task]))
        os._exit(EXHAUSTED)

    def _stagger(self, position: int, arrived: int) -> None:
        """Later workers come a little later: a tiny graph is done before a second one has to be told of it."""
        import time

        wait = min(position, 4) * 1_000_000 - (now() - arrived)
        if wait > 0:
            time.sleep(wait * 1e-9)

    def _functions(self, hashes: tuple[str, ...]) -> list[Any]:
        missing = [h for h in hashes if h not in self.functions]
        for digest, data in functions_of(self.talk.wire, self.secret, missing).items():
            self.functions[digest] = self._function(data)
        found = [self.functions[h] for h in hashes]
        for digest in missing:
            if isinstance(self.functions[digest], Broken):
                del self.functions[digest]  # a module may be installed before the next run
        return found

    @staticmethod
    def _function(data: bytes | Exception | None) -> Any:
        if data is None:
            return Broken(RuntimeError("the function was not sent: run the DAG again"))
        if isinstance(data, Exception):
            return Broken(data)
        try:
            return loads(data)
        except Exception as error:  # noqa: BLE001  a module that is missing here, or raises when imported
            return Broken(error)


class Broken:
    """Stands for a function that could not be loaded here: its tasks fail with the reason."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_args: object, **_kwargs: object) -> None:
        """Raise the reason."""
        raise self.error


def _teach_sources(sources: dict[str, str]) -> None:
    """Cells of the notebook, so that tracebacks and `inspect.getsource` show code here too."""
    if sources:
        import linecache

        for file, text in sources.items():
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)


def begin(arguments: list[str]) -> int:
    """The program of a worker: take over the search path of the notebook, say that we are up, work."""
    path = os.environ.pop("DAGNB_SYS_PATH", None)
    if path is not None:
        sys.path[:] = path.split("\n")
    ready = int(os.environ.pop("DAGNB_READY", "-1"))
    if ready >= 0:
        os.write(ready, b"1")
        os.close(ready)
    try:
        return main(arguments)
    finally:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # what ends us is told in the log


def main(arguments: list[str]) -> int:
    """Work in a slot until told to stop."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    faulthandler.enable(open(2, "w", closefd=False))  # noqa: SIM115  stays open for good; stderr is a log file
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    memory = os.environ.pop("DAGNB_MEMORY", "")
    desk = Desk(int(options["--slot"]), int(options["--epoch"]), Path(options["--dir"]), limited=bool(memory))
    if memory:
        from .resources import impose

        impose(int(memory))
    gc.collect()
    gc.freeze()  # what is here now stays: no collection needs to look at it
    gc.set_threshold(20_000, 20, 50)
    while True:
        run = desk.choose()
        if run:
            try:
                desk.join(run)
            except CancelledTask:
                return 0  # interrupted between two steps of ours: the successor in this slot begins clean
