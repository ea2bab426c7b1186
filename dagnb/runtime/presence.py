"""Who is there: the kernels that are attached, the runs that are live, and the contexts that somebody uses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagnb.runtime.slot import Slot
    from dagnb.runtime.slots import Slots
    from dagnb.runtime.wire import Wire

#: Hash of live runs (see `dagnb.runtime.store`).
RUNS = "dagnb:runs"


class Presence:
    """What the supervisor knows of its users. A kernel is a connection with the name `kernel-<pid>-…`."""

    def __init__(self, wire: Wire, slots: Slots) -> None:
        self.wire = wire
        self.slots = slots
        #: kernel → the contexts that it uses: several where its workers differ in size.
        self.users: dict[str, frozenset[str]] = {}
        #: Kernels seen at the last look.
        self.present: set[str] = set()
        #: Kernels that were connected when Redis died: an idle one comes back only when it has something to say.
        self.absent: set[str] = set()
        #: context → since when nobody has used it.
        self.unused: dict[str, float] = {}
        #: When we first found ourselves alone; None: we are not.
        self.alone_since: float | None = None

    def redis_died(self) -> None:
        """All connections are lost; their kernels are not."""
        self.absent |= self.present

    def kernels(self) -> set[str]:
        """The kernels that are attached: those connected, and those that live and have not come back to a new Redis."""
        words = self.wire.call("CLIENT", "LIST").decode().split()
        self.present = {word[5:] for word in words if word.startswith("name=kernel-")}
        self.absent = {name for name in self.absent - self.present if is_alive(name)}
        here = self.present | self.absent
        self.users = {name: key for name, key in self.users.items() if name in here}
        return here

    def runs(self) -> set[str]:
        """The live runs."""
        return {key.decode() for key in self.wire.call("HKEYS", RUNS)}

    def contexts_of_runs(self) -> set[str]:
        """The contexts whose workers belong to a live run."""
        return {slot.context for run in self.runs() for slot in self.slots_of(run)}

    def slots_of(self, run: str) -> Iterator[Slot]:
        """The slots that a run counts on."""
        words = self.wire.call("HGET", f"dagnb:{{{run}}}:meta", "slots") or b""
        numbers = (int(word) for word in words.decode().replace(",", " ").split() if word.isdigit())
        return (self.slots.slots[number] for number in numbers if number in self.slots.slots)

    def look(self, now: float, patience: float) -> tuple[set[str], bool]:
        """The contexts that nobody has used for `patience` seconds, and whether we have been alone as long."""
        kernels, runs = self.kernels(), self.runs()
        self.slots.forget(runs)
        used = self.contexts_of_runs().union(*(self.users[kernel] for kernel in kernels if kernel in self.users))
        for key in used:
            self.unused.pop(key, None)
        stale = {key for key in self.slots.contexts.keys() - used if now - self.unused.setdefault(key, now) >= patience}
        if kernels or runs:
            self.alone_since = None
            return stale, False
        self.alone_since = self.alone_since or now
        return stale, now - self.alone_since >= patience

    def alone(self) -> bool:
        """Is nobody there, now?"""
        return not self.kernels() and not self.runs()


def is_alive(kernel: str) -> bool:
    """Does the process of this client name (`kernel-<pid>-…`) live?"""
    try:
        os.kill(int(kernel.split("-")[1]), 0)
    except (ValueError, IndexError, ProcessLookupError, PermissionError):  # the last: the number is somebody else's now
        return False
    return True
