"""What a plan asks beside place and order, as it travels: a few small tables, and nothing when a plan asks nothing.

    copies      task → positions that each run it; the first outcome counts (`dagnb.runtime.copies`)
    groups      task without a worker → group: whoever claims the first member gets the others (`sync.lua`, seats)
    preloads    object → {position: tasks named there that want it early} (`dagnb.runtime.preload`)
    local       tasks whose output shall not leave while tasks here may use it up (`dagnb.runtime.clustering`)
    streams     task → inputs that it can take while they are made: what the functions allow, whatever the plan foresees
                (`dagnb.runtime.streams`)

A position is that of a worker in the plan. NOBODY among the positions of a copy: that copy is whoever's is free.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

#: The position of a copy without a named worker.
NOBODY = -1
#: The route of a task about which the script asks Redis: it has copies, or a group.
ASK = -2

Tables = tuple[
    dict[int, tuple[int, ...]], dict[int, int], dict[int, dict[int, int]], tuple[int, ...], dict[int, tuple[int, ...]]
]


@dataclass(frozen=True, slots=True)
class Annotated:
    """The tables of one plan."""

    copies: dict[int, tuple[int, ...]] = field(default_factory=dict)
    groups: dict[int, int] = field(default_factory=dict)
    preloads: dict[int, dict[int, int]] = field(default_factory=dict)
    local: tuple[int, ...] = ()
    streams: dict[int, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, graph: TaskGraph) -> Annotated:
        """Read them from the annotations of a plan, and from the functions of its graph.

        A task that may be tried again, or has a timeout, has no copies: of several first outcomes none would count.
        """
        from dagnb.graph.care import care_of

        calls = graph.calls
        careful = [care_of(f) is not None for f in calls.functions] if calls is not None else []
        columns = plan.columns
        position = {worker: i for i, worker in enumerate(plan.workers)}
        seats = [*(position[worker] for worker in columns.ids), NOBODY]
        found = cls()
        local = []
        for task, note in sorted(columns.notes.items()):
            seat = seats[columns.worker[task]]
            if note.duplicate and not (calls is not None and careful[calls.function[task]]):
                found.copies[task] = tuple(dict.fromkeys((seat, *(position[worker] for worker in note.duplicate))))
            if note.group is not None and seat == NOBODY and task not in found.copies:
                found.groups[task] = note.group
            if seat != NOBODY:
                for item in note.preload:
                    wanted = found.preloads.setdefault(item, {})
                    wanted[seat] = wanted.get(seat, 0) + 1
            if note.keep_local:
                local.append(task)
        streams = found._streams(graph) if len(plan.workers) > 1 else {}
        return cls(found.copies, found.groups, found.preloads, tuple(local), streams)

    def _streams(self, graph: TaskGraph) -> dict[int, tuple[int, ...]]:
        """A task with copies neither gives nor takes a stream, and one of a group stays with that."""
        from dagnb.graph.streaming import streams_of

        found = {}
        for task, inputs in streams_of(graph).items():
            live = tuple(i for i in inputs if i not in self.copies)
            if live and not self.routed(task):
                found[task] = live
        return found

    @classmethod
    def from_tables(cls, tables: Tables | None) -> Annotated:
        """What `tables` gave."""
        return cls(*tables) if tables else cls()

    def tables(self) -> Tables | None:
        """The tables as plain data; None when all of them are empty."""
        tables = (self.copies, self.groups, self.preloads, self.local, self.streams)
        return tables if any(tables) else None

    def routed(self, task: int) -> bool:
        """Whether the script must ask where this task goes."""
        return task in self.copies or task in self.groups

    def ways(self, slots: Sequence[int]) -> Mapping[int, str]:
        """For the script: task → "d" and the slots of its copies (-1: whoever is free), or "g" and its seat."""
        found = {task: f"g{group}" for task, group in self.groups.items()}
        found |= {task: f"g{seat_of(task)}" for task in self.streams}
        for task, positions in self.copies.items():
            found[task] = "d" + ",".join(str(slots[p] if p >= 0 else NOBODY) for p in positions)
        return found


def seat_of(task: int) -> str:
    """The seat of a task that streams: whoever tries it early is granted it, as if it were a group of one."""
    return f"s{task}"
