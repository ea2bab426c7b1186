"""Assignment: where one task goes. `Assignments`: those of all tasks, in columns, for graphs of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .cluster import WorkerId


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a worker shall do beside running the task; obeyed at run time, modelled by the simulator.

    preload     objects (task numbers) to fetch as soon as they exist, before the task starts
    keep_local  delayed output: do not send the output out before somebody else needs it
    duplicate   further workers that run the task too: the first to finish wins
    prewarm     seconds after submission at which to start the worker that the task names
    group       clustering: tasks without a worker that share a number stay together on whoever takes the first
    stream      inputs (task numbers) that come as they are produced: the task may start while their producer runs
    """

    preload: tuple[int, ...] = ()
    keep_local: bool = False
    duplicate: tuple[WorkerId, ...] = ()
    prewarm: float | None = None
    group: int | None = None
    stream: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a task goes.

    worker      a named worker, or None: whoever is free takes it
    order       position among the tasks of that worker (or among all tasks without one)
    priority    smaller first among tasks that are ready
    """

    worker: WorkerId | None = None
    order: int = 0
    priority: float = 0.0
    annotations: Annotations | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Assignments(Sequence[Assignment]):
    """All assignments of a plan; each becomes an object when it is looked at. Equal to a tuple of the same.

    ids         of the workers
    worker      [n] i4 index into `ids`, -1 for whoever is free
    order       [n] i8
    priority    [n] f8
    notes       annotations by task, for those that have some
    """

    ids: tuple[WorkerId, ...]
    worker: NDArray[np.int32]
    order: NDArray[np.int64]
    priority: NDArray[np.float64]
    notes: Mapping[int, Annotations]

    @classmethod
    def of(cls, assignments: Iterable[Assignment]) -> Assignments:
        """The columns of assignments; they must have passed `Plan.validate`."""
        found = tuple(assignments)
        index: dict[WorkerId | None, int] = {None: -1}
        for a in found:
            index.setdefault(a.worker, len(index) - 1)
        return cls(
            tuple(worker for worker in index if worker is not None),
            np.fromiter((index[a.worker] for a in found), np.int32, len(found)),
            np.fromiter((a.order for a in found), np.int64, len(found)),
            np.fromiter((a.priority for a in found), np.float64, len(found)),
            {i: a.annotations for i, a in enumerate(found) if a.annotations is not None},
        )

    @classmethod
    def placed(
        cls,
        ids: tuple[WorkerId, ...],
        worker: Sequence[int] | NDArray[Any],
        sequence: Sequence[int] | NDArray[Any],
        notes: Mapping[int, Annotations] | None = None,
    ) -> Assignments:
        """From the worker of every task (index or -1) and the sequence in which all tasks are to start."""
        where, tasks = np.asarray(worker, np.int32), np.asarray(sequence, np.int64)
        n = len(where)
        priority, order = np.empty(n), np.empty(n, np.int64)
        priority[tasks] = np.arange(n)
        if not n or (where == where[0]).all():  # nobody is named: one sequence for all
            order[tasks] = np.arange(n)
        else:
            grouped = tasks[np.argsort(where[tasks], kind="stable")]  # by worker, each in sequence
            held = np.bincount(where + 1, minlength=1)
            order[grouped] = np.arange(n) - np.repeat(np.cumsum(held) - held, held)
        return cls(ids, where, order, priority, dict(notes or {}))

    def __len__(self) -> int:
        return len(self.worker)

    @overload
    def __getitem__(self, task: int) -> Assignment: ...
    @overload
    def __getitem__(self, task: slice) -> tuple[Assignment, ...]: ...
    def __getitem__(self, task: int | slice) -> Assignment | tuple[Assignment, ...]:
        if isinstance(task, slice):
            return tuple(self)[task]
        number = range(len(self))[task]
        w = int(self.worker[number])
        worker = self.ids[w] if w >= 0 else None
        return Assignment(worker, int(self.order[number]), float(self.priority[number]), self.notes.get(number))

    def __iter__(self) -> Iterator[Assignment]:
        names = [*self.ids, None]  # the last is that of -1
        columns = zip(self.worker.tolist(), self.order.tolist(), self.priority.tolist(), strict=True)
        for task, (worker, order, priority) in enumerate(columns):
            yield Assignment(names[worker], order, priority, self.notes.get(task))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Assignments) and self.ids == other.ids:
            columns = ("worker", "order", "priority")
            return self.notes == other.notes and all(
                np.array_equal(getattr(self, c), getattr(other, c)) for c in columns
            )
        return tuple(self) == tuple(other) if isinstance(other, tuple | Assignments) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # holds arrays
