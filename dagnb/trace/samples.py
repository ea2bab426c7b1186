"""What a run taught: how long the functions took, on what, from how much to how much; and what the machine cost.

Made from a graph and the timeline of a real run; kept and summarised by `dagnb.trace.history`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .records import RecordKind, TaskState

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .timeline import Timeline

Floats = NDArray[np.float64]

#: One measured call: number of its run, seconds of executing, bytes of its inputs, bytes of its output.
SAMPLE = np.dtype([("run", "<i8"), ("seconds", "<f8"), ("taken", "<f8"), ("given", "<f8")])

#: One run of a function: its number, how many calls, their mean seconds, and the variance of these.
RUN = np.dtype([("run", "<i8"), ("count", "<f8"), ("mean", "<f8"), ("variance", "<f8")])

#: What a machine costs: y seconds. x is bytes for `publish`, `keep` and `transfer`, seconds of the tasks for
#: `overhead`, 1 for a cold `launch` and 0 for a warm one, tasks of the graph for `begin`.
PAIR = np.dtype([("run", "<i8"), ("x", "<f8"), ("y", "<f8")])

#: Seconds of executing up to which tasks are coordinated in batches: their overhead is another one.
SHORT = 2e-3


class Resources(NamedTuple):
    """What a function ran on: measurements on other resources are another record."""

    cpus: float = 1.0
    memory: float = 2e9


@dataclass(frozen=True, eq=False, slots=True)
class Taught:
    """By one run.

    run      its number: nanoseconds since 1970 at its end
    calls    (fingerprint of the function, resources) → all its calls, as SAMPLE
    machine  name of a fact → PAIR
    """

    run: int
    calls: dict[tuple[str, Resources], NDArray[np.void]] = field(default_factory=dict)
    machine: dict[str, NDArray[np.void]] = field(default_factory=dict)


def rows_of(data: bytes, of: np.dtype[Any]) -> NDArray[np.void]:
    """Rows as they were stored. Raises ValueError when they are not whole."""
    return np.frombuffer(data, of)


@dataclass(frozen=True, eq=False, slots=True)
class Record:
    """What is known of one function on some resources.

    runs       [≤ 32] RUN, oldest first
    samples    [≤ 64] SAMPLE of the newest of these runs
    """

    resources: Resources
    runs: NDArray[np.void]
    samples: NDArray[np.void]

    @property
    def packed(self) -> tuple[float, float, bytes, bytes]:
        """All of it as plain values that can be compared; `record_from` reads them."""
        return (*self.resources, self.runs.tobytes(), self.samples.tobytes())


def record_from(cpus: float, memory: float, runs: bytes, samples: bytes) -> Record:
    """A record from its plain values. Raises ValueError when rows are not whole."""
    return Record(Resources(cpus, memory), rows_of(runs, RUN), rows_of(samples, SAMPLE))


def taught(
    graph: TaskGraph, timeline: Timeline, codes: Sequence[str | None], resources: Sequence[Resources], run: int
) -> Taught:
    """What there is to learn from a run that has ended.

    codes       fingerprint of each of `graph.calls.functions`, None for one that is not to be learnt
    resources   of each worker of the plan
    run         a number larger than that of every earlier run

    Only calls that were done at the first attempt teach: a second one followed a death.
    """
    found = Taught(run)
    worker = timeline.worker
    good = (timeline.state == TaskState.DONE) & (timeline.attempt == 1) & (worker >= 0) & (worker < len(resources))
    seconds = timeline.end - timeline.start - timeline.fetch
    good &= np.isfinite(seconds)
    if graph.calls is not None:
        samples = _samples(graph, timeline, np.maximum(seconds, 0.0), run)
        for function, code in enumerate(codes):
            if code is None:
                continue
            mine = good & (graph.calls.function == function)
            for w in np.unique(worker[mine]).tolist():
                _add(found.calls, (code, resources[w]), samples[mine & (worker == w)])
    facts = (
        ("overhead", _overhead),
        ("publish", _publishing),
        ("keep", _keeping),
        ("transfer", _transfers),
        ("launch", _launches),
        ("begin", _beginning),
    )
    for name, pairs in facts:
        if len(rows := pairs(graph, timeline, good, run)):
            found.machine[name] = rows
    return found


def _add(calls: dict[Any, NDArray[np.void]], key: object, rows: NDArray[np.void]) -> None:
    calls[key] = np.concatenate([calls[key], rows]) if key in calls else rows


def input_bytes(graph: TaskGraph, size: Floats) -> Floats:
    """[n] bytes that each task takes, from the bytes [n] that each gives."""
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    return np.bincount(owner, weights=size[graph.deps], minlength=len(graph)).astype(np.float64)


def _samples(graph: TaskGraph, timeline: Timeline, seconds: Floats, run: int) -> NDArray[np.void]:
    rows = np.zeros(len(graph), SAMPLE)
    rows["run"], rows["seconds"], rows["given"] = run, seconds, timeline.size
    rows["taken"] = input_bytes(graph, timeline.size)
    return rows


def _pairs(run: int, points: Iterable[tuple[float, float]]) -> NDArray[np.void]:
    return np.array([(run, x, y) for x, y in points], PAIR)


def _ready(graph: TaskGraph, end: Floats) -> Floats:
    """[n] when the last input of each task was there; 0 for those without."""
    ready = np.zeros(len(graph))
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    np.maximum.at(ready, owner, np.nan_to_num(end[graph.deps]))
    return ready


def _order(timeline: Timeline, good: NDArray[np.bool_]) -> tuple[NDArray[Any], Floats]:
    """The tasks by worker and start, and when the worker of each was done with the one before (NaN for its first)."""
    tasks = np.flatnonzero(good)
    tasks = tasks[np.lexsort((timeline.start[tasks], timeline.worker[tasks]))]
    before = np.full(len(tasks), np.nan)
    same = timeline.worker[tasks[1:]] == timeline.worker[tasks[:-1]]
    before[1:][same] = timeline.end[tasks[:-1]][same]
    return tasks, before


def _gaps(graph: TaskGraph, timeline: Timeline, good: NDArray[np.bool_]) -> tuple[NDArray[Any], Floats]:
    """Tasks that could have begun when their worker was done with the one before, and the gap, without its upload.

    Only then it is sure that nothing else was waited for.
    """
    tasks, before = _order(timeline, good)
    at = np.flatnonzero(np.isfinite(before) & (_ready(graph, timeline.end)[tasks] <= before))
    gap = timeline.start[tasks[at]] - before[at] - timeline.upload[tasks[at - 1]]
    return tasks[at], np.maximum(gap, 0.0)


#: See `_overhead`.
MOST = 10

#: Bytes from which an output is written to the store by itself.
LARGE = 1 << 16


def _overhead(graph: TaskGraph, timeline: Timeline, good: NDArray[np.bool_], run: int) -> NDArray[np.void]:
    """Mean seconds between two tasks of one worker, uploads left out; x: mean seconds of executing.

    The mean and not the median, because a plan adds them up; what is wild counts as `MOST` times the median only.
    """
    tasks, gap = _gaps(graph, timeline, good)
    if len(gap) < 4:
        return np.zeros(0, PAIR)
    mean = float(np.mean((timeline.end - timeline.start)[tasks]))
    return _pairs(run, [(mean, float(np.minimum(gap, MOST * np.median(gap)).mean()))])


def _publishing(graph: TaskGraph, timeline: Timeline, good: NDArray[np.bool_], run: int) -> NDArray[np.void]:
    """Seconds of writing a large output for others; x: its bytes."""
    needed = np.diff(graph.children[0]) > 0
    needed[list(graph.kept)] = False  # what is kept for the user is written once more, otherwise
    return _written(timeline, good & needed, run)


def _keeping(graph: TaskGraph, timeline: Timeline, good: NDArray[np.bool_], run: int) -> NDArray[np.void]:
    """Seconds of writing a large value that only the user keeps; x: its bytes."""
    alone = np.zeros(len(graph), np.bool_)
    alone[list(graph.kept)] = True
    return _written(timeline, good & alone & (np.diff(graph.children[0]) == 0), run)


def _written(timeline: Timeline, mine: NDArray[np.bool_], run: int) -> NDArray[np.void]:
    large = np.flatnonzero(mine & (timeline.size > LARGE) & (timeline.upload > 0))[:MOST_PAIRS]
    return _pairs(run, zip(timeline.size[large].tolist(), timeline.upload[large].tolist(), strict=True))


def _transfers(graph: TaskGraph, timeline: Timeline, good: NDArray[np.bool_], run: int) -> NDArray[np.void]:
    """Seconds from the last input to the execution of tasks that waited for another worker's output; x: its bytes."""
    tasks, before = _order(timeline, good)
    ready, worker, size = _ready(graph, timeline.end), timeline.worker, timeline.size
    seen: set[tuple[int, int]] = set()
    points: list[tuple[float, float]] = []
    for task, free in zip(tasks.tolist(), before.tolist(), strict=True):
        came = [d for d in graph.dependencies(task) if worker[d] != worker[task] and (d, worker[task]) not in seen]
        seen.update((d, int(worker[task])) for d in came)
        if len(points) == MOST_PAIRS:
            break
        if came and not free > ready[task]:
            begun = timeline.start[task] + timeline.fetch[task]
            points.append((float(size[came].sum()), float(max(begun - ready[task], 0.0))))
    return _pairs(run, points)


#: Transfers taken from one run.
MOST_PAIRS = 16


def _launches(_: TaskGraph, timeline: Timeline, __: NDArray[np.bool_], run: int) -> NDArray[np.void]:
    """Seconds of starting workers; x: 1 cold, 0 warm."""
    begun = timeline.asides[timeline.asides["kind"] == RecordKind.BEGUN]
    return _pairs(run, [(float(b["attempt"]), float(b["at"] - b["start"])) for b in begun[:MOST_PAIRS]])


def _beginning(_: TaskGraph, timeline: Timeline, good: NDArray[np.bool_], run: int) -> NDArray[np.void]:
    """Seconds from the submission to the first start, where all workers ran already; x: tasks."""
    launched = (timeline.asides["kind"] == RecordKind.BEGUN).any()
    first = float(timeline.start[good].min(initial=np.inf))
    return np.zeros(0, PAIR) if launched or not 0 <= first < np.inf else _pairs(run, [(float(len(timeline)), first)])
