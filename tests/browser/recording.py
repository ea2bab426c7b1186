"""What a real DagWidget says while a simulated run goes by, kept so that a page can play it back without a kernel.

python tests/browser/recording.py pipeline > js/demo.json        then serve js/ and open demo.html
"""

from __future__ import annotations

import base64
import json
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.planner import find_planner, run_planner
from dagnb.planning.simulator import simulate
from dagnb.trace.events import COMMIT, PROVISIONAL, RECORD, Batch, RecordKind
from dagnb.trace.readable import (
    CopyFinished,
    Event,
    OutputPreloaded,
    TaskFailed,
    TaskFinished,
    TaskRetried,
    TaskSkipped,
    TaskStarted,
    WorkerStarted,
)
from dagnb.widgets.actions import Actions
from dagnb.widgets.dag import DagWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Seconds of the run between two recorded patches, by default.
STEP = 0.05


def pipeline(fits: int = 12, seed: int = 1) -> TaskGraph:
    """load → clean → split → fits → table and figure: what a notebook has."""
    keys, kinds, deps = ["raw", "table", "train", "test"], ["load", "clean", "split", "split"], [[], [0], [1], [1]]
    for i in range(fits):
        keys += [f"models[{i}]", f"scores[{i}]"]
        kinds += ["fit", "score"]
        deps += [[2], [3, len(keys) - 2]]
    ends = [i for i, kind in enumerate(kinds) if kind == "score"]
    keys += ["ranked", "figure", "report"]
    kinds += ["rank", "draw", "publish"]
    deps += [ends, [len(keys) - 3], [len(keys) - 3, len(keys) - 2, 1]]
    return timed(TaskGraph.build("digits", deps, keys=keys, kind=kinds), seed)


def montage(n: int, seed: int = 3) -> TaskGraph:
    """Like the astronomers' Montage: project, compare neighbours, one model, correct each, add up."""
    width = max(2, n // 5)
    keys, kinds, deps = [], [], []

    def add(kind: str, needs: list[int]) -> int:
        keys.append(f"{kind}[{kinds.count(kind) if n < 2000 else len(keys)}]")
        kinds.append(kind)
        deps.append(needs)
        return len(keys) - 1

    projected = [add("project", []) for _ in range(width)]
    pairs = [(a, b) for a in range(width) for b in (a + 1, a + 7, a + 31) if b < width]
    differences = [add("difference", [projected[a], projected[b]]) for a, b in pairs]
    model = add("model", [add("concat", differences)])
    corrected = [add("background", [p, model]) for p in projected]
    add("jpeg", [add("shrink", [add("mosaic", [add("table", corrected), *corrected])])])
    return timed(TaskGraph.build("montage", deps, keys=keys, kind=kinds), seed)


def layered(layers: int, width: int, seed: int = 0) -> TaskGraph:
    """Layers of tasks, each task needing a few of the layer before."""
    from dagnb.testing import layered as sample

    deps = sample(layers, width, seed)
    kinds = [("prepare", "simulate", "reduce", "collect")[i * 4 // len(deps)] for i in range(len(deps))]
    return timed(TaskGraph.build("layers", deps, keys=[f"{k}_{i}" for i, k in enumerate(kinds)], kind=kinds), seed)


def timed(graph: TaskGraph, seed: int) -> TaskGraph:
    """The same graph with declared durations and sizes."""
    from dataclasses import replace

    chance = np.random.default_rng(seed)
    base = chance.uniform(0.2, 1.2, len(graph.kinds))
    duration = base[graph.kind] * chance.uniform(0.7, 1.4, len(graph))
    return replace(graph, duration=duration, size=chance.uniform(1e5, 5e7, len(graph)))


def events(graph: TaskGraph, plan: Any, cluster: Cluster, *, seed: int = 5, fail: int = -1) -> list[Event]:
    """A run that differs from its plan; with `fail`, that task raises and all that needs it is skipped."""
    chance = random.Random(seed)
    durations = np.array([d * chance.uniform(0.6, 1.6) for d in estimate(graph).mean])
    found = list(simulate(graph, plan, cluster, durations))
    if fail < 0:
        return found
    lost = {fail}
    for i in range(len(graph)):
        if lost.intersection(graph.dependencies(i)):
            lost.add(i)
    return list(_failing(found, fail, lost))


def _failing(found: list[Event], fail: int, lost: set[int]) -> Iterator[Event]:
    for event in found:
        task = getattr(event, "task", -1)
        if task not in lost or (isinstance(event, TaskStarted) and task == fail):
            yield event
        elif task == fail and isinstance(event, TaskFinished):
            yield TaskFailed(task, event.worker, event.at, event.start)
            yield from (TaskSkipped(i, event.at) for i in sorted(lost - {fail}))


def packed(found: Iterable[Event]) -> np.ndarray:
    """Events as records, as workers send them."""
    records = [_record(event) for event in found]
    return np.array(records, RECORD) if records else np.zeros(0, RECORD)


def _record(event: Any) -> tuple[Any, ...]:
    start, fetch = getattr(event, "start", 0.0), getattr(event, "fetch", 0.0)
    upload, size = getattr(event, "upload", 0.0), getattr(event, "size", 0.0)
    kind = {
        TaskStarted: RecordKind.STARTED,
        TaskFinished: RecordKind.FINISHED,
        TaskFailed: RecordKind.FAILED,
        TaskSkipped: RecordKind.SKIPPED,
        OutputPreloaded: RecordKind.PRELOADED,
        CopyFinished: RecordKind.COPIED,
        TaskRetried: RecordKind.RETRIED,
        WorkerStarted: RecordKind.BEGUN,
    }[type(event)]
    worker, attempt = getattr(event, "worker", 0), getattr(event, "attempt", int(getattr(event, "cold", False)))
    return event.at, start, fetch, upload, size, getattr(event, "task", 0), worker, kind, attempt


@dataclass
class Played:
    """A run that is given batch by batch: an EventSource as the widget wants it."""

    graph: TaskGraph
    plan: Any = None
    id: str = "run-1"
    state: str = "running"
    makespan: float = 0.0

    def __post_init__(self) -> None:
        self._batches: list[Batch] = []
        self._callbacks: list[Callable[[Batch], None]] = []
        self._ends: list[Callable[..., None]] = []

    def subscribe(self, callback: Callable[[Batch], None], /) -> Callable[[], None]:
        for batch in self._batches:
            callback(batch)
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def on_end(self, callback: Callable[..., None], /) -> None:
        self._ends.append(callback)
        if self.state != "running":
            callback(self)

    def emit(self, found: Iterable[Event], purpose: int = PROVISIONAL, worker: int = 0) -> None:
        self.give(Batch(purpose, worker, packed(found)))

    def give(self, batch: Batch) -> None:
        self._batches.append(batch)
        for callback in tuple(self._callbacks):
            callback(batch)

    def end(self, state: str) -> None:
        self.give(Batch(COMMIT, 0, np.zeros(0, RECORD)))
        self.state = state
        for callback in self._ends:
            callback(self)


DETAILS = {
    "resources": {"cpus": 1, "memory": "2 GB"},
    "where": "Cell In[3], line 4",
    "stdout": "reading 1,797 digits\nepoch 1  loss 0.412\nepoch 2  loss 0.298\nepoch 3  loss 0.251\n",
}
FAILURE = {
    **DETAILS,
    "traceback": "Traceback (most recent call last):\n  Cell In[2], line 7, in fit\n    model.fit(X, y, alpha=alpha)\n"
    "ValueError: alpha must be positive, got -0.1",
}


def record(
    graph: TaskGraph, *, workers: int = 6, run: bool = True, until: float = 1.0, fail: int = -1, step: float = STEP
) -> dict[str, Any]:
    """The traits of a widget and all it says: [seconds since `ready`, content, buffers in base64].

    `until` is the share of the run that is played; 1 ends it. The patches are made one per `step` seconds of the run.
    """
    cluster = Cluster.local(workers)
    plan = run_planner(find_planner("heft"), graph, cluster, estimate(graph))
    widget = DagWidget(graph, plan, actions=Actions(run=lambda: None, cancel=lambda: None))
    said: list[list[Any]] = []
    at = 0.0

    def send(content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        said.append([at, content, [base64.b64encode(data).decode() for data in buffers or []]])

    feed = widget.feed
    feed._send = send
    feed._watched, feed._have = True, ""
    played = Played(graph, plan)
    if run:
        widget.follow(played)
        feed._have = ""
    feed.flush()
    said.clear() if not said else None
    found = events(graph, plan, cluster, fail=fail) if run else []
    end = max((event.at for event in found), default=0.0)
    stop = end * until
    pending = [event for event in found if event.at <= stop]
    while pending:
        at += step
        now = [event for event in pending if event.at <= at]
        pending = pending[len(now) :]
        played.emit(now)
        _flush_at(feed, said, at)
    if run and until >= 1:
        played.makespan = end
        played.end("failed" if fail >= 0 else "done")
        _flush_at(feed, said, end)
    details = {str(i): (FAILURE if i == fail else DETAILS) for i in range(min(len(graph), 500))} if run else {}
    traits = {name: getattr(widget, name) for name in ("mode", "selection", "header", "summary", "widget_id")}
    widget.close()
    return {"traits": traits, "messages": said, "details": details}


def _flush_at(feed: Any, said: list[list[Any]], at: float) -> None:
    """One patch, with the time of the recording and not of the recorder."""
    before = len(said)
    feed.flush()
    for message in said[before:]:
        message[1]["t"] = at


SCENES: dict[str, Callable[[], dict[str, Any]]] = {
    "empty": lambda: record(TaskGraph.build("empty", []), run=False),
    "plan": lambda: record(pipeline(), run=False),
    "pipeline": lambda: record(pipeline()),
    "half": lambda: record(pipeline(), until=0.5),
    "failed": lambda: record(pipeline(), fail=8),
    "layers": lambda: record(layered(8, 16), until=0.6),
    "montage": lambda: record(montage(10_000), workers=16, until=0.55, fail=4000, step=0.5),
    "large": lambda: record(layered(25, 400), workers=32, until=0.6, step=0.5),
}

if __name__ == "__main__":
    json.dump(SCENES[sys.argv[1]](), sys.stdout)
