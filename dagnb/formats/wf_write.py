"""TaskGraph → WfFormat 1.5, with what a run has measured where there is one."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.errors import FormatError
from dagnb.trace.events import TaskState

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

VERSION = "1.5"

#: Characters that the schema does not allow in the id of a task.
_STRANGE = re.compile(r"[^0-9a-zA-Z_.#-]")


def write(
    graph: TaskGraph, path: str | Path, timeline: Timeline | None = None, *, began: datetime | None = None
) -> Path:
    """Write `dumps(…)` to a file, compressed if the path ends in `.gz`; the path. Raises FormatError, OSError."""
    data = dumps(graph, timeline, began=began).encode()
    target = Path(path)
    target.write_bytes(gzip.compress(data, mtime=0) if target.suffix == ".gz" else data)
    return target


def dumps(graph: TaskGraph, timeline: Timeline | None = None, *, began: datetime | None = None) -> str:
    """The WfFormat 1.5 document of a graph, as text.

    timeline   of a run of this graph: its runtimes (without fetching) and output sizes are written in the place of the
               declared ones, with dates and workers (w0, w1, …), for the tasks that were done
    began      when the run was submitted; default: now

    `read` gives the same graph: keys, kinds, edges, durations, and sizes in whole bytes. The schema allows few
    characters in ids and wants a command for a kind, so key and kind stand in `name` and `category` too. A duration or
    size that is not known is left out; a document without a run has a makespan of 0.

    Raises FormatError for a graph without tasks (the schema wants one), or with a number that cannot be written.
    """
    if not len(graph):
        raise FormatError(f"{graph.name} has no tasks: WfFormat wants at least one.\n  Record some first.")
    duration, size = _numbers(graph, timeline)
    created = datetime.now(UTC)
    ids = _ids(graph.keys)
    document: dict[str, Any] = {
        "name": graph.name,
        "description": "measured by dagnb" if timeline is not None else "written by dagnb; runtimes are estimates",
        "createdAt": created.isoformat(timespec="seconds"),
        "schemaVersion": VERSION,
        "workflow": {"specification": _specification(graph, ids, size)},
    }
    execution = _execution(graph, ids, duration, timeline, began or created)
    if execution["tasks"]:  # the schema wants at least one
        document["workflow"]["execution"] = execution
    try:
        return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise FormatError(f"{graph.name} has an infinite duration or size.\n  WfFormat has finite ones only.") from None


def _ids(keys: Sequence[str]) -> list[str]:
    """[n] keys in the characters that the schema allows, still unique."""
    taken: set[str] = {key for key in keys if key and not _STRANGE.search(key)}
    found = []
    for key in keys:
        name = key
        if key not in taken:
            name = base = _STRANGE.sub("_", key) or "task"
            number = 1
            while name in taken:
                number += 1
                name = f"{base}.{number}"
            taken.add(name)
        found.append(name)
    return found


def _numbers(graph: TaskGraph, timeline: Timeline | None) -> tuple[list[float], list[float]]:
    """[n] seconds and bytes: measured where the task was done in the run, else declared."""
    duration, size = graph.duration, graph.size
    if timeline is not None:
        if len(timeline) != len(graph):
            raise FormatError(f"the run has {len(timeline)} tasks, {graph.name} has {len(graph)}.\n  Run it again.")
        done = timeline.state == TaskState.DONE
        duration = np.where(done, np.maximum(timeline.end - timeline.start - timeline.fetch, 0.0), duration)
        size = np.where(done & (timeline.size > 0), timeline.size, size)  # 0: nobody looked at that value
    return duration.tolist(), size.tolist()


def _specification(graph: TaskGraph, ids: list[str], size: list[float]) -> dict[str, Any]:
    known = [not math.isnan(value) for value in size]
    if not all(math.isfinite(value) for value, there in zip(size, known, strict=True) if there):
        raise FormatError(f"{graph.name} has an infinite size.\n  WfFormat has finite ones only.")
    tasks = []
    for i, key in enumerate(graph.keys):
        needed = graph.dependencies(i)
        tasks.append(
            {
                "name": key or ids[i],
                "id": ids[i],
                "category": graph.kinds[graph.kind[i]] or "task",
                "parents": [ids[d] for d in needed],
                "children": [ids[d] for d in graph.dependents(i)],
                "inputFiles": [_file(ids[d]) for d in needed if known[d]],
                "outputFiles": [_file(ids[i])] if known[i] else [],
            }
        )
    files = [{"id": _file(ids[i]), "sizeInBytes": round(size[i])} for i in range(len(graph)) if known[i]]
    return {"tasks": tasks, "files": files}


def _file(task: str) -> str:
    """The one output of a task."""
    return f"{task}:out"


def _execution(
    graph: TaskGraph,
    ids: list[str],
    duration: list[float],
    timeline: Timeline | None,
    began: datetime,
) -> dict[str, Any]:
    tasks = []
    machines: dict[str, None] = {}
    for i, seconds in enumerate(duration):
        if math.isnan(seconds):
            continue
        kind = graph.kinds[graph.kind[i]] or "task"
        task = {"id": ids[i], "runtimeInSeconds": seconds, "command": {"program": kind, "arguments": []}}
        if timeline is not None and timeline.state[i] == TaskState.DONE:
            machine = f"w{timeline.worker[i]}"
            start = began + timedelta(seconds=float(timeline.start[i]))
            task |= {"executedAt": start.isoformat(timespec="microseconds"), "machines": [machine]}
            machines[machine] = None
        tasks.append(task)
    makespan = float(timeline.makespan) if timeline is not None else 0.0
    found: dict[str, Any] = {"makespanInSeconds": makespan, "executedAt": began.isoformat(), "tasks": tasks}
    if machines:
        found["machines"] = [{"nodeName": machine} for machine in sorted(machines)]
    return found
