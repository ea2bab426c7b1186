"""Clustering: tasks without a worker that share a group stay together on whoever takes the first of them.

Who claims the first member holds the group's *seat* (`sync.lua`), and the others come to that slot. In the worker that
holds it, members are counted like any task: those whose parents all run here follow without a round trip, and find
their values here, also large ones that were committed meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .loop import Loop


class Groups:
    """The groups of one run as one worker sees them."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.of = loop.graph.annotated.groups
        self.members: dict[int, list[int]] = {}
        for task, group in self.of.items():
            self.members.setdefault(group, []).append(task)
        self.seated: set[int] = set()  # members that are counted here
        self.expected: dict[int, set[int]] = {}  # committed values kept here → members that will come for them

    def join(self, claimed: list[int]) -> None:
        """Tasks were granted to this worker: of the groups among them it holds the seat."""
        for task in claimed:
            group = self.of.get(task)
            if group is not None:
                for member in self.members.pop(group, ()):
                    self._count(member)

    def _count(self, member: int) -> None:
        """Count the parents of a member here from now on, if none has run yet: a value that has left may be gone."""
        loop = self.loop
        graph, copies = loop.graph, loop.graph.annotated.copies
        parents = graph.needs(member)
        if parents and loop.have[member] == 0 and not graph.single and not any(d in copies for d in parents):
            loop.need[member] = len(parents)
            self.seated.add(member)

    def coming(self, task: int) -> int:
        """How many members, beside those that are ready here, will want the value of a task that was committed."""
        loop = self.loop
        graph, outbox = loop.graph, loop.outbox
        followers = self.seated.intersection(graph.users(task))
        if not followers:
            return 0
        over = {*outbox.done}
        waiting = {c for c in followers if not (loop.here[c] or outbox.local[c] or outbox.dead[c] or c in over)}
        self.expected[task] = waiting
        return len(waiting)

    def counted(self, dependency: int, task: int) -> bool:
        """Whether a claimed task was counted as a user of a value already."""
        expected = self.expected.get(dependency)
        if expected and task in expected:
            expected.discard(task)
            return True
        return False
