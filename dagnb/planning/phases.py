"""Phases: what each task of a timeline spent its time on. Planned against actual is two of these."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from dagnb.trace.events import RecordKind, TaskState

from . import words

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: What is compared of every task, in the order in which it happens.
PHASES = ("startup", "wait", "download", "execute", "upload", "size")


@dataclass(frozen=True, eq=False, slots=True)
class Phases:
    """Columns over tasks; seconds, but `size` in bytes; NaN where it is not known.

    ready      [n] when the last input was there, in seconds since submission; 0 for a task without inputs
    wait       [n] from then to the start
    download   [n] fetching inputs
    execute    [n] the task itself
    upload     [n] sending the output
    size       [n] of the output
    startup    [n] the start of its worker, for the first task that ran there after one; 0 for the others, NaN on
                   workers of whose start nothing was told
    """

    ready: Floats
    wait: Floats
    download: Floats
    execute: Floats
    upload: Floats
    size: Floats
    startup: Floats

    @classmethod
    def of(cls, graph: TaskGraph, timeline: Timeline, *, overhead: float = 0.0) -> Self:
        """The phases of a timeline; `overhead` is what each of its tasks has in it that is not the task's own."""
        done = (timeline.state == TaskState.DONE) & ~np.isnan(timeline.start)
        owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
        ready = np.zeros(len(graph))
        with np.errstate(invalid="ignore"):  # an input that has not ended: NaN
            np.maximum.at(ready, owner, timeline.end[graph.deps])
        download = timeline.fetch.astype(np.float64)
        length = durations(timeline)
        return cls(
            ready,
            np.maximum(timeline.start - ready, 0.0),
            np.where(done, download, np.nan),
            np.where(done, np.maximum(length - np.where(length > 0, overhead, 0.0), 0.0), np.nan),
            np.where(done, timeline.upload.astype(np.float64), np.nan),
            np.where(done, timeline.size, np.nan),
            _startups(timeline),
        )


def durations(timeline: Timeline) -> Floats:
    """[n] end − start − fetch in seconds; NaN for tasks that have not run to their end.

    Times are told in whole ns, and the column of fetches has 24 bits. What is shorter than that is no duration: a task
    of length zero occupies nobody, and with a rounding error for its length a simulated one would wait for a worker.
    """
    found: Floats = timeline.end - timeline.start - timeline.fetch
    blur = 1e-9 + 2.0**-23 * timeline.fetch.astype(np.float64)
    return np.where(found < blur, 0.0, found)


def _startups(timeline: Timeline) -> Floats:
    """Every start of a worker goes to the first task that began there after it."""
    found = np.full(len(timeline), np.nan)
    begun = timeline.asides[timeline.asides["kind"] == RecordKind.BEGUN]
    found[np.isin(timeline.worker, begun["worker"]) & (timeline.worker >= 0)] = 0.0
    for aside in begun:
        after = np.where(timeline.worker == int(aside["worker"]), timeline.start, np.nan)
        after[after < aside["at"] - 1e-9] = np.nan
        if not np.isnan(after).all():
            found[int(np.nanargmin(after))] = float(aside["at"] - aside["start"])
    return found


def travelling(timeline: Timeline) -> float:
    """Seconds of transfers, over all workers: downloads, and what was fetched ahead of its task."""
    ahead = timeline.asides[timeline.asides["kind"] == RecordKind.PRELOADED]
    return float(timeline.fetch.sum()) + float((ahead["at"] - ahead["start"]).sum())


class TaskRow(NamedTuple):
    """One task, planned and actual: seconds, `size` in bytes, NaN where it is not known, None for no worker."""

    task: str
    kind: str
    state: str
    attempt: int
    worker_planned: str | None
    worker: str | None
    startup_planned: float
    startup: float
    wait_planned: float
    wait: float
    download_planned: float
    download: float
    execute_planned: float
    execute: float
    upload_planned: float
    upload: float
    size_planned: float
    size: float


class TaskTable(Sequence[TaskRow]):
    """A row for every task, in the order of the graph; also by name: `table["fetch_2"]`.

    `to_dict()` is what a data frame is made of: `pandas.DataFrame(run.analysis().tasks.to_dict())`.
    """

    def __init__(
        self,
        graph: TaskGraph,
        workers: Sequence[str],
        planned: tuple[Timeline, Phases],
        actual: tuple[Timeline, Phases],
    ) -> None:
        self._graph, self._workers, self._planned, self._actual = graph, tuple(workers), planned, actual

    def __len__(self) -> int:
        return len(self._graph)

    @overload
    def __getitem__(self, task: int | str) -> TaskRow: ...
    @overload
    def __getitem__(self, task: slice) -> tuple[TaskRow, ...]: ...
    def __getitem__(self, task: int | str | slice) -> TaskRow | tuple[TaskRow, ...]:
        if isinstance(task, slice):
            return tuple(self[i] for i in range(len(self))[task])
        i = self._graph.index[task] if isinstance(task, str) else range(len(self))[task]
        graph, actual = self._graph, self._actual[0]
        facts = (
            graph.keys[i],
            graph.kinds[graph.kind[i]],
            TaskState(actual.state[i]).name.lower(),
            int(actual.attempt[i]),
            self._name(self._planned[0].worker[i]),
            self._name(actual.worker[i]),
        )
        pairs = ((getattr(self._planned[1], p)[i], getattr(self._actual[1], p)[i]) for p in PHASES)
        return TaskRow(*facts, *(float(value) for pair in pairs for value in pair))

    def __iter__(self) -> Iterator[TaskRow]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} tasks, planned and actual: .to_dict() makes a data frame of them>"

    def to_dict(self) -> dict[str, list[Any]]:
        """Column → values by task."""
        graph, (before, planned), (after, actual) = self._graph, self._planned, self._actual
        found: dict[str, list[Any]] = {
            "task": list(graph.keys),
            "kind": [graph.kinds[kind] for kind in graph.kind.tolist()],
            "state": [TaskState(state).name.lower() for state in after.state.tolist()],
            "attempt": after.attempt.tolist(),
            "worker_planned": [self._name(w) for w in before.worker.tolist()],
            "worker": [self._name(w) for w in after.worker.tolist()],
        }
        for phase in PHASES:
            found[f"{phase}_planned"] = getattr(planned, phase).tolist()
            found[phase] = getattr(actual, phase).tolist()
        return found

    def _name(self, worker: int) -> str | None:
        if worker < 0:
            return None
        return self._workers[worker] if worker < len(self._workers) else f"w{worker}"


@dataclass(frozen=True, slots=True)
class KindRow:
    """The tasks of one kind that have ended: seconds and bytes over all of them together.

    tasks           how many
    planned, actual   phase → sum, NaN where it is not known of any
    """

    kind: str
    tasks: int
    planned: Mapping[str, float]
    actual: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """Actual ÷ planned of the execution, NaN where nothing was planned."""
        planned = self.planned["execute"]
        return self.actual["execute"] / planned if planned > 0 else math.nan

    def cells(self) -> list[str]:
        """Kind, number of tasks, and `1.2 s → 2.4 s` for wait, download, execute, upload and size of one on average."""
        found = [self.kind, f"{self.tasks:,}"]
        for phase in PHASES[1:]:
            say = words.byte_count if phase == "size" else words.seconds
            planned, actual = say(self.planned[phase] / self.tasks), say(self.actual[phase] / self.tasks)
            found.append(actual if planned in ("–", actual) else f"{planned} → {actual}")
        return found


def by_kind(graph: TaskGraph, planned: Phases, actual: Phases) -> tuple[KindRow, ...]:
    """A row for every kind of which something has ended, in the order of the graph's kinds."""
    found = []
    for number, kind in enumerate(graph.kinds):
        mine = (graph.kind == number) & ~np.isnan(actual.execute)
        if mine.any():
            sums = ({p: _sum(getattr(side, p)[mine]) for p in PHASES} for side in (planned, actual))
            found.append(KindRow(kind, int(mine.sum()), *sums))
    return tuple(found)


def _sum(values: Floats) -> float:
    return math.nan if np.isnan(values).all() else float(np.nansum(values))
