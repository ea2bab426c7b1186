"""All of Redis behind typed methods, for kernels and the supervisor; workers speak through `Conversation`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

import hiredis

from dagnb.errors import SignatureError, StoreError
from dagnb.trace.records import PROVISIONAL, RecordKind, pack_batch

from .arguments import held, send
from .execute import lost
from .functions import stored
from .keys import DAGNB, PAST, RUNS, UNHELD, run_prefix
from .outbox import KEPT
from .scripts import script
from .serialize import MAC, loads, seal, unseal
from .values import Remote, Shelf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .pack import Package
    from .slot import Verdict
    from .wire import Wire, Word

#: Tasks that one call of `recover` or `reroute` moves, or few more (MOST there).
MOVED = 5_000
#: Parts of a run that outlive it (see `keys`).
LASTING = ("meta", "fin", "keep", "err", "log", "tries", "ev", "plan", "outline")
#: Runs that are remembered by `PAST`; older ones are found by their id only.
REMEMBERED = 1000
#: Seconds that plan and outline of a run stay which has not ended; its end gives them the time of all that outlives it.
LONG = 30 * 86400


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the store knows of a run."""

    run: str
    state: str
    submitted: float
    ended: float | None
    slots: tuple[int, ...]
    about: dict[str, Any]
    reason: str = ""


class Store:
    """One connection and the secret. Safe to use from several threads: one call at a time."""

    def __init__(self, wire: Wire, secret: bytes) -> None:
        self.wire, self.secret = wire, secret
        self._lock = Lock()
        self._sent: set[str] = set()  # functions that this server has from us

    def _call(self, *words: Word) -> Any:
        with self._lock:
            return self._checked(lambda: self.wire.call(*words))

    def _calls(self, commands: list[tuple[Word, ...]]) -> list[Any]:
        with self._lock:
            answers: list[Any] = self._checked(lambda: self.wire.calls(commands))
            return answers

    @staticmethod
    def _checked(ask: Any) -> Any:
        try:
            return ask()
        except hiredis.ReplyError as error:
            msg = f"Redis refused: {error}\n  `%dag doctor` tells more."
            raise StoreError(msg) from error

    # ---- a run begins -----------------------------------------------------------------------------------------------
    def submit(self, run: str, package: Package, slots: Sequence[int], about: dict[str, Any], submitted: int) -> None:
        """Write a run and call its workers. `submitted`: ns of the monotonic clock, the zero of its events.

        One transaction: a worker sees all of it or nothing. Raises StoreError when Redis is full.
        """
        self.send_arguments(package)
        self._calls(self.submission(run, package, slots, about, submitted))
        self.sent(package)

    def submission(
        self,
        run: str,
        package: Package,
        slots: Sequence[int],
        about: dict[str, Any],
        submitted: int,
        *,
        everybody: bool = False,
    ) -> list[tuple[Word, ...]]:
        """The transaction of `submit`, to be sent on any connection after `send_arguments`; then `sent`.

        everybody   call all workers, not only the first: who starts workers must hear of the run, or the first is held
        """
        prefix = run_prefix(run)
        facts: dict[str, str | int] = {"state": "running", "submitted": submitted, "stays": KEPT}
        facts |= {"base": package.base, "width": package.width}
        meta: list[Word] = [*chain.from_iterable(facts.items())]
        meta += ["slots", ",".join(map(str, slots)), "about", json.dumps(about)]
        parts: dict[str, Word] = {
            prefix + "dag": seal(self.secret, f"dag:{run}".encode(), package.body),
            prefix + "deps": package.deps,
            prefix + "cnt": package.counters,
            prefix + "roots": package.roots,
            prefix + "left": package.tasks,
        }
        if package.places:
            parts[prefix + "place"] = _slots_of(package.places, slots)
        commands: list[tuple[Word, ...]] = [
            ("MULTI",),
            *self._functions(package.functions),
            *held(run, prefix, package.arguments),
            ("MSET", *chain.from_iterable(parts.items())),
            ("SETRANGE", prefix + "loc", 4 * package.tasks - 1, b"\0"),  # at its size: it never moves
            ("HSET", prefix + "meta", *meta),
            ("HSET", RUNS, run, json.dumps(about | {"slots": list(slots)})),
            ("LPUSH", PAST, run),
            ("LTRIM", PAST, 0, REMEMBERED - 1),
        ]
        for task, way in package.annotated.ways(slots).items():
            commands.append(("HSET", prefix + "way", task, way))
        named = package.named_roots
        queues = [(f"q{slots[position]}", roots) for position, roots in named.items()]
        for queue, roots in (*queues, ("q", package.queued)):
            commands += [("RPUSH", prefix + queue, *roots[i : i + 1000]) for i in range(0, len(roots), 1000)]
        alone = not named and not package.queued and not everybody
        commands += [("EVAL", script("call"), 2, prefix, DAGNB, run, int(alone), *slots), ("EXEC",)]
        return commands

    def send_arguments(self, package: Package) -> None:
        """Large arguments lie there before the run that needs them. Raises StoreError when Redis is full."""
        send(self._call, self.secret, package.arguments)

    def sent(self, package: Package) -> None:
        """A submission was accepted: its functions need not be sent again."""
        self._sent.update(package.functions)

    def _functions(self, functions: dict[str, bytes]) -> list[tuple[Word, ...]]:
        fresh = {digest: data for digest, data in functions.items() if digest not in self._sent}
        return [("MSET", *chain.from_iterable(stored(self.secret, fresh).items()))] if fresh else []

    def described(
        self, run: str, plan: str, outline: bytes | None, forgotten: Sequence[str] = ()
    ) -> list[tuple[Word, ...]]:
        """The commands that store the plan and the outline with a run: what another kernel needs to show it.

        forgotten   runs that nobody in this kernel has in hand any more; to say so can wait for the next submission
        """
        words: list[tuple[Word, ...]] = [("SET", run_prefix(run) + "plan", plan, "EX", LONG)]
        if forgotten:
            words.append(("RPUSH", UNHELD, *forgotten))
        return words if outline is None else [*words, self._outline_word(run, outline)]

    def _outline_word(self, run: str, outline: bytes) -> tuple[Word, ...]:
        sealed = seal(self.secret, f"outline:{run}".encode(), outline)
        return "SET", run_prefix(run) + "outline", sealed, "EX", LONG

    def keep_outline(self, run: str, outline: bytes) -> None:
        """Store it for as long as the results of the run stay, which may have ended meanwhile."""
        prefix = run_prefix(run)
        _, state = self._calls([self._outline_word(run, outline), ("HGET", prefix + "meta", "state")])
        if state != b"running":
            self._call("EXPIRE", prefix + "outline", KEPT)

    def plan(self, run: str) -> str | None:
        """The JSON of the plan that a run was given."""
        data = self._call("GET", run_prefix(run) + "plan")
        return None if data is None else str(data, "utf-8")

    def outline(self, run: str) -> memoryview | None:
        """What `describe` was given. Raises SignatureError."""
        data = self._call("GET", run_prefix(run) + "outline")
        return None if data is None else unseal(self.secret, f"outline:{run}".encode(), data)

    # ---- while it goes on -------------------------------------------------------------------------------------------
    def events(self, run: str, after: str = "0") -> tuple[str, list[bytes]]:
        """Batches after a position of the stream, and the new position."""
        entries = self._call("XRANGE", run_prefix(run) + "ev", f"({after}" if after != "0" else "-", "+")
        return (entries[-1][0].decode() if entries else after), [fields[1] for _, fields in entries]

    def facts(self, run: str) -> RunFacts | None:
        """What is known of a run, None when nothing is."""
        return _facts(run, self._call(*_asked(run)))

    def remembered(self) -> list[RunFacts]:
        """All that is known of the runs that go on and of those that ended last, the newest first."""
        past, live = self._calls([("LRANGE", PAST, 0, -1), ("HKEYS", RUNS)])
        names = [name.decode() for name in dict.fromkeys([*past, *live])]
        answers = self._calls([_asked(name) for name in names]) if names else []
        found = (_facts(name, fields) for name, fields in zip(names, answers, strict=True))
        return sorted((facts for facts in found if facts), key=lambda facts: -facts.about.get("at", 0.0))

    def connections(self) -> set[str]:
        """The names of all that are connected."""
        words = self._call("CLIENT", "LIST").decode().split()
        return {word[5:] for word in words if word.startswith("name=")}

    def live_runs(self) -> dict[str, dict[str, Any]]:
        """Runs that go on → what they are."""
        found = self._call("HGETALL", RUNS)
        return {k.decode(): json.loads(v) for k, v in zip(found[::2], found[1::2], strict=True)}

    def cancel(self, run: str) -> bool:
        """End a run now: workers are given nothing more. False when it had ended before."""
        return self._end(run, "cancelled", "")

    def fail(self, run: str, reason: str) -> bool:
        """End a run that cannot go on, for `reason`. False when it had ended before."""
        return self._end(run, "failed", reason)

    def _end(self, run: str, state: str, reason: str) -> bool:
        return bool(self._call("EVAL", script("end"), 2, run_prefix(run), DAGNB, run, state, reason, now()) == 1)

    def recover(self, _run: str | None, slot: int, epoch: int, verdict: Verdict | None) -> int:
        """Fence the dead worker of a slot; what it had not committed goes back, but for the task of a verdict.

        Returns how many tasks went back, -1 when this was done before.
        """
        task: Word = "" if verdict is None else verdict.task
        error, began = "", 0
        if verdict is not None:
            error, began = lost(verdict, self._position(slot)), verdict.began
        return self._piecewise("EVAL", script("recover"), 1, DAGNB, slot, epoch, task, error, began)

    def _piecewise(self, *words: Word) -> int:
        """Repeat a script that moves some tasks a call, until all are moved; how many that were, or -1."""
        moved = int(self._call(*words))
        total = moved
        while moved >= MOVED:
            moved = int(self._call(*words))
            total += max(0, moved)
        return total

    def reroute(self, run: str, slot: int, heir: int | None) -> int:
        """Give what a plan names for a slot that was given up to another slot, or with None to whoever is free.

        Returns how many ready tasks were moved; -1 when the run has ended.
        """
        facts = self.facts(run)
        if facts is None or slot not in facts.slots:
            return -1
        at = now() * 1e-9 - facts.submitted
        position = facts.slots.index(slot)
        told = pack_batch(PROVISIONAL, position, [(at, at, 0.0, 0.0, 0.0, 0, position, RecordKind.GIVEN_UP, 0)])
        to = -1 if heir is None else heir
        return self._piecewise("EVAL", script("reroute"), 2, run_prefix(run), DAGNB, slot, to, told)

    def _position(self, slot: int) -> int | None:
        """Which worker of its run a slot is."""
        run = self._call("HGET", DAGNB + "ws", f"r{slot}")
        facts = self.facts(run.decode()) if run else None
        return facts.slots.index(slot) if facts is not None and slot in facts.slots else None

    # ---- what stays -------------------------------------------------------------------------------------------------
    def kept(self, run: str, task: int) -> tuple[bool, Any]:
        """(whether it is there, the value). Raises SignatureError; whatever unpickling raises."""
        data = self._call("HGET", run_prefix(run) + "keep", task)
        return (False, None) if data is None else self.opened(run, task, data)

    def opened(self, run: str, task: int, data: bytes) -> tuple[bool, Any]:
        """The same of what the store holds for it."""
        if len(data) < MAC:  # the name of what holds several small values
            return self._kept_with_others(run, task, data)
        content = unseal(self.secret, f"keep:{run}:{task}".encode(), data)
        if content[0] == ord("V"):
            return True, loads(content[1:])
        remote = Remote(*loads(content[1:]))
        with self._lock:
            whole = Shelf(self.wire, self.secret, "", 0).get(remote)
        return (False, None) if whole is None else (True, loads(whole))

    def _kept_with_others(self, run: str, task: int, name: bytes) -> tuple[bool, Any]:
        """A small value. The name is not signed: what it leads to is, and must be of several and hold this task."""
        key = run_prefix(run) + "keep"
        data, again = self._call("HMGET", key, name, task)
        if again is None:
            return False, None  # expired between the two calls
        # the name of one task leads to what is signed for that task, and is something else than a name of several
        values = loads(unseal(self.secret, f"keep:{run}:".encode() + name, data or b"")) if name[:1] == b"@" else ()
        if task not in values:
            msg = f"the kept value of task {task} was replaced by another name, and is not opened.\n  Run it again."
            raise SignatureError(msg)
        return True, values[task]

    def failures(self, run: str) -> dict[int, dict[str, Any]]:
        """Failed task → its record."""
        return self._notes(run, "err")

    def told_of(self, run: str, task: int) -> tuple[Any, Any, Any]:
        """What is kept of one task: its failure, what it printed, its tries; None each where there is nothing."""
        prefix = run_prefix(run)
        found = self._calls([("HGET", prefix + part, task) for part in ("err", "log", "tries")])
        failure, output, tries = (None if data is None else json.loads(data) for data in found)
        return failure, output, tries

    def tries(self, run: str) -> dict[int, list[dict[str, Any]]]:
        """Task → the records of its tries that were followed by another."""
        return self._notes(run, "tries")

    def _notes(self, run: str, part: str) -> dict[int, Any]:
        found = self._call("HGETALL", run_prefix(run) + part)
        return {int(k): json.loads(v) for k, v in zip(found[::2], found[1::2], strict=True)}

    def drop(self, run: str) -> None:
        """Remove what is left of a run that has ended."""
        prefix = run_prefix(run)
        large = [name.decode() for name in self._keys(prefix + "k*")]
        self._calls([("UNLINK", *(prefix + part for part in LASTING), *large), ("LREM", PAST, 0, run)])

    def _keys(self, pattern: str) -> list[bytes]:
        cursor, found = b"0", []
        while True:
            cursor, names = self._call(
                "SCAN", cursor, "MATCH", pattern.replace("{", "[{]").replace("}", "[}]"), "COUNT", 1000
            )
            found += names
            if cursor == b"0":
                return found


def _asked(run: str) -> tuple[Word, ...]:
    """The command that asks for the facts of a run."""
    return "HMGET", run_prefix(run) + "meta", "state", "submitted", "ended", "slots", "about", "reason"


def _facts(run: str, fields: list[bytes | None]) -> RunFacts | None:
    """What the answer says; None where nothing is known of the run."""
    state, submitted, ended, slots, about, reason = fields
    if state is None or submitted is None or slots is None or about is None:
        return None
    return RunFacts(
        run,
        state.decode(),
        int(submitted) * 1e-9,
        None if ended is None else int(ended) * 1e-9,
        tuple(int(slot) for slot in slots.split(b",")),
        json.loads(about),
        (reason or b"").decode(),
    )


def _slots_of(places: bytes, slots: Sequence[int]) -> bytes:
    """Positions of named workers as slot numbers, for the scripts."""
    import numpy as np

    positions = np.frombuffer(places, "<i2")
    data: bytes = np.where(positions < 0, -1, np.array(slots, "<i2")[positions]).astype("<i2").tobytes()
    return data
