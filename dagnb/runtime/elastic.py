"""Elastic clusters: their workers are started when there is work for them, and end themselves when there is none.

A slot without a worker counts as an idle worker of its run, so that the engine's own rules decide when it is needed:
what becomes ready for it, or is more than the others can take, puts a word into its inbox. The supervisor listens there
in its place, looks how much there is to do, and starts workers:

    every slot for which a named task is ready, and
    as many more, lowest first, as there are ready tasks of nobody beyond the workers that have nothing to do.

A plan may have a worker started ahead (`Annotations.prewarm`). All that is needed for this lies in Redis, so that
neither the death of the kernel nor that of the supervisor stops an elastic run; a lost word is healed by looking now
and then.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dagnb.runtime.keys import RUNS, inbox, run_prefix
from dagnb.runtime.scripts import script

if TYPE_CHECKING:
    from dagnb.runtime.presence import Presence
    from dagnb.runtime.slot import Slot
    from dagnb.runtime.slots import Slots
    from dagnb.runtime.wire import Wire

#: Seconds between two looks while a slot of a live elastic run has no worker: heals lost words.
HEAL = 0.5


class Elastic:
    """Starts the workers of elastic slots."""

    def __init__(self, wire: Wire, slots: Slots, presence: Presence) -> None:
        self.wire, self.slots, self.presence = wire, slots, presence
        #: When to look again, in seconds of the monotonic clock; infinity while nobody could be needed.
        self.next = float("inf")
        #: Live run → (when to start a worker ahead, its slot), as its plan says.
        self._ahead: dict[str, list[tuple[float, Slot]]] = {}

    def inboxes(self) -> tuple[str, ...]:
        """Where somebody could call for a worker that is not there."""
        return tuple(inbox(slot.number) for slot in self.slots.slots.values() if self._absent(slot))

    def _absent(self, slot: Slot) -> bool:
        """An elastic slot that has no worker, and is not about to get one."""
        vacant = slot.child is None and not slot.again and not slot.broken
        return vacant and self.slots.resources(slot).elastic

    def heard(self, key: str, word: bytes) -> None:
        """A word has come to the inbox of a slot."""
        slot = self.slots.slots.get(int(key.rpartition(":")[2]))
        if slot is not None and slot.child is not None:
            self.wire.call("RPUSH", key, word)  # its worker was started meanwhile
        self.next = 0.0

    def worry(self) -> None:
        """Something has changed: a worker has ended, or we have taken over."""
        if any(context.resources.elastic for context in self.slots.contexts.values()):
            self.next = 0.0

    def tick(self, now: float) -> None:
        """Look, if it is time: start the workers that live elastic runs need now."""
        if now < self.next:
            return
        live = self.presence.runs()
        self._ahead = {run: times for run, times in self._ahead.items() if run in live}
        waiting = False
        for run in live:
            slots = list(self.presence.slots_of(run))
            if slots and self.slots.resources(slots[0]).elastic:
                self._start_ahead(run, slots, now)
                self._serve(run, slots)
                waiting = waiting or any(map(self._absent, slots))
        times = [at for ahead in self._ahead.values() for at, _ in ahead]
        self.next = min([*times, now + HEAL if waiting else float("inf")])

    def _serve(self, run: str, slots: list[Slot]) -> None:
        absent = [slot for slot in slots if self._absent(slot)]
        if not absent:
            return
        answer = self.wire.call("EVAL", script("demand"), 1, run_prefix(run), *(slot.number for slot in absent))
        if not answer:
            return
        free, *named = answer
        for slot, tasks in zip(absent, named, strict=True):
            if tasks:
                self.slots.summon(slot)
        hands = sum(self._has_nothing_to_do(slot) for slot in slots)
        for slot in [slot for slot in absent if slot.child is None][: max(0, free - hands)]:
            self.slots.summon(slot)

    def _has_nothing_to_do(self, slot: Slot) -> bool:
        return slot.child is not None and self.slots.marks.read(slot.number).task is None

    def _start_ahead(self, run: str, slots: list[Slot], now: float) -> None:
        """Start whom the plan of a run wants before its first task."""
        if run not in self._ahead:
            self._ahead[run] = self._planned(run, slots)
        for _, slot in [entry for entry in self._ahead[run] if entry[0] <= now]:
            self.slots.summon(slot)
        self._ahead[run] = [entry for entry in self._ahead[run] if entry[0] > now]

    def _planned(self, run: str, slots: list[Slot]) -> list[tuple[float, Slot]]:
        about = json.loads(self.wire.call("HGET", RUNS, run) or b"{}")
        submitted = int(self.wire.call("HGET", run_prefix(run) + "meta", "submitted") or 0) * 1e-9
        return [(submitted + at, slots[position]) for position, at in about.get("prewarm", ())]
