"""The connection of one run: it carries the submission, and what is asked for its end is asked at the same time.

Redis answers what stands behind a blocking command when that returns. So one piece says all of it: the transaction,
wait for the end, how was it, the small values that were kept. The kernel sends once, and the last answer wakes it up
with the values in hand.
"""

from __future__ import annotations

import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hiredis

from dagnb.errors import StoreError

from .keys import run_prefix
from .wire import LOST, PAUSE, SHORTEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .hub import Hub
    from .wire import Wire, Word

#: Kept values that come with the end: each may have 64 kB, and nobody may want them.
FEW = 4
#: Seconds that Redis waits for the end before it answers that the run goes on.
TURN = 1.0
#: Seconds of waiting on a Redis that is full, before whoever waits is told.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Told:
    """How a run stands: `ended` in seconds of the monotonic clock, None while it goes on; kept values, sealed."""

    state: str
    ended: float | None
    reason: str
    kept: dict[int, bytes]


class Line:
    """Asks for the end of a run, on a connection that it borrows while an answer is awaited."""

    def __init__(self, hub: Hub, run: str, kept: frozenset[int]) -> None:
        self.hub, self.run = hub, run
        self.wanted = sorted(kept) if 0 < len(kept) <= FEW else []
        self._wire: Wire | None = None  # has been asked, and has not answered
        self._refusing = 0.0  # since when Redis refuses, in seconds of the monotonic clock

    def submit(self, commands: list[tuple[Word, ...]], further: Sequence[tuple[Word, ...]] = ()) -> None:
        """Send a transaction once, what follows it, and the question for the end. Raises StoreError when it is refused.

        After a lost connection the store is asked whether it has the run: a transaction that is applied twice would put
        its tasks twice into the queues.
        """
        while True:
            wire = self.hub.borrow()
            question = self._question(TURN)
            try:
                wire.send([*commands, *further, *question])
                self._accepted(wire, len(commands), len(further))
            except LOST:
                wire.close()
                if self._known():
                    return
            except BaseException:
                wire.close()
                raise
            else:
                self._wire = wire
                return

    def _accepted(self, wire: Wire, commands: int, further: int) -> None:
        """Read the answers to a transaction, and to what followed it."""
        answers = wire.reads(commands + further)  # nothing that the run needs comes from what followed
        refused = next((answer for answer in answers[:commands] if isinstance(answer, Exception)), None)
        if refused is not None:
            msg = f"Redis refused: {refused}\n  `%dag doctor` tells more."
            raise StoreError(msg) from refused

    def _known(self) -> bool:
        wire = self.hub.borrow()
        found = bool(wire.call("EXISTS", run_prefix(self.run) + "meta"))
        self.hub.give_back(wire)
        return found

    def _question(self, patience: float) -> list[tuple[Word, ...]]:
        prefix = run_prefix(self.run)
        fin = prefix + "fin"
        words: list[tuple[Word, ...]] = [
            ("BLMOVE", fin, fin, "LEFT", "RIGHT", max(patience, SHORTEST)),  # turns the list: every waiter gets it
            ("HMGET", prefix + "meta", "state", "ended", "reason"),
        ]
        if self.wanted:
            words.append(("HMGET", prefix + "keep", *self.wanted))
        return words

    def hear(self, patience: float) -> Told | None:
        """How the run stands when it has ended, after `patience` seconds, or earlier; None when nobody could say.

        An interrupt in the middle throws the connection away. Raises StoreError when Redis has been full for long.
        """
        wire, self._wire = self._wire, None
        try:
            if wire is None:
                wire = self.hub.borrow()
                wire.send(self._question(min(patience, TURN)))
            if not wire.waits() and not _readable(wire, patience):
                self._wire = wire  # its answer is still to come
                return None
            answers = [wire.read() for _ in range(3 if self.wanted else 2)]
        except LOST:
            wire.close() if wire is not None else None
            return None
        except hiredis.ReplyError as error:
            wire.close() if wire is not None else None
            self._refused(str(error))
            return None
        except BaseException:
            wire.close() if wire is not None else None
            raise
        self._refusing = 0.0
        self.hub.give_back(wire)
        return self._told(answers)

    def _refused(self, why: str) -> None:
        """Memory or disk are full: the workers wait for room, and so do we, for a while."""
        self._refusing = self._refusing or time.monotonic()
        time.sleep(PAUSE)
        if time.monotonic() - self._refusing > PATIENCE:
            self._refusing = 0.0
            msg = f"Redis has taken nothing for {PATIENCE:.0f} s: {why}\n  run {self.run}, which waits and is not lost"
            raise StoreError(msg + "\n  Make room, then wait for the run again. `%dag doctor` tells more.")

    def _told(self, answers: list[Any]) -> Told | None:
        state, ended, reason = answers[1]
        if state is None:
            return None
        values = answers[2] if self.wanted else []
        kept = {task: data for task, data in zip(self.wanted, values, strict=True) if data is not None}
        return Told(state.decode(), None if ended is None else int(ended) * 1e-9, (reason or b"").decode(), kept)


def _readable(wire: Wire, patience: float) -> bool:
    """Whether something comes within so many seconds. By poll: `select` knows no descriptors above 1,023."""
    poll = select.poll()
    poll.register(wire.socket, select.POLLIN)
    return bool(poll.poll(patience * 1000))
