"""Runs whose plan names a worker that cannot come back: its tasks go to those that live, and the timeline says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagnb.runtime.presence import Presence
    from dagnb.runtime.resources import Resources
    from dagnb.runtime.slot import Slot
    from dagnb.runtime.slots import Slots


def repair(slot: Slot, presence: Presence, slots: Slots) -> None:
    """Let every live run go on without a slot that was given up; one that has no worker left ends with the reason.

    Idempotent.
    """
    for run in presence.runs():
        members = list(presence.slots_of(run))
        if slot not in members:
            continue
        living = [member for member in members if not member.broken]
        if not living:
            slots.recovery.fail(run, f"its workers do not start: {slot.broken}")
            continue
        moved = slots.recovery.reroute(run, slot.number, heir(slot, living, slots))
        if moved > 0:
            slots.log(f"run {run} goes on without slot {slot.number}: {moved} of its ready tasks went to others")


def heir(slot: Slot, living: list[Slot], slots: Slots) -> int | None:
    """Who gets the tasks of a slot: None, whoever is free, where all are as large; else the smallest that is.

    Where none is, the largest gets them: a task for which even that is too small fails by name.
    """
    own = slots.resources(slot)
    enough = [other for other in living if _as_large(slots.resources(other), own)]
    if len(enough) == len(living):
        return None
    if enough:
        return min(enough, key=lambda other: (_size(slots.resources(other)), other.number)).number
    return max(living, key=lambda other: (_size(slots.resources(other)), -other.number)).number


def _as_large(other: Resources, own: Resources) -> bool:
    """Whether what runs in `own` has what it needs in `other`."""
    return all(theirs >= mine for theirs, mine in zip(_size(other), _size(own), strict=True))


def _size(resources: Resources) -> tuple[float, float]:
    """(bytes, processors); no limit counts as infinity."""
    unlimited = float("inf")
    return resources.memory or unlimited, resources.cpus or unlimited
