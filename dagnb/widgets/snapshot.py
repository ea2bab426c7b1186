"""What travels to the browser, as bytes: the whole picture once, then rows of the tasks that changed.

A snapshot is a JSON head and one buffer per column, in the order of the head's `columns`: [name, type], with the types
u1, u2, i4, f4 and f8, all little endian.

    graph     keys (a JSON list in UTF-8), kind, and the columns of `layout.pack`: left out when the browser has them
    plan      plan_worker u2, plan_start f8, plan_end f8, plan_fetch f4: the simulated timeline; plan_free u1 is 1 where
              the plan leaves the worker open, and plan_worker is only the simulator's choice
    live      records: one `ROW` per task that has left waiting
    asides    plan_asides, asides: one `ASIDE` for each thing that happens beside the tasks' own lives, in the plan and
              in the run; left out where there are none

A patch is ROWs, and a second buffer of ASIDEs where some are new. `js/codec.ts` reads them; one fixture written by the
tests keeps the two in step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dagnb.trace.records import RecordKind

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.trace.timeline import Timeline

#: One task as it stands now: 40 bytes.
ROW = np.dtype(
    {
        "names": ["start", "end", "size", "fetch", "upload", "task", "worker", "state", "attempt"],
        "formats": ["<f8", "<f8", "<f8", "<f4", "<f4", "<i4", "<u2", "u1", "u1"],
        "offsets": [0, 8, 16, 24, 28, 32, 36, 38, 39],
        "itemsize": 40,
    }
)

#: An output preloaded, a copy that came second, a failed try, a worker started (`kind` is that of `RecordKind`): 24
#: bytes.
ASIDE = np.dtype(
    {
        "names": ["start", "end", "task", "worker", "kind", "cold"],
        "formats": ["<f8", "<f8", "<i4", "<u2", "u1", "u1"],
        "offsets": [0, 8, 16, 20, 22, 23],
        "itemsize": 24,
    }
)

#: The `worker` of a task that has none.
NO_WORKER = 0xFFFF

#: More tasks than this are offered as groups first.
GROUP_OVER = 150

Tasks = NDArray[np.int32]
Message = tuple[dict[str, Any], list[bytes]]


@dataclass(frozen=True)
class Part:
    """Some columns of a snapshot with the facts that belong to them."""

    facts: dict[str, Any]
    columns: tuple[tuple[str, str, bytes], ...] = ()


def rows(timeline: Timeline, tasks: Tasks) -> bytes:
    """The rows of these tasks as they stand now."""
    found = np.empty(len(tasks), ROW)
    found["task"] = tasks
    for name in ("start", "end", "size", "fetch", "upload", "state", "attempt"):
        found[name] = getattr(timeline, name)[tasks]
    found["worker"] = _workers(timeline.worker[tasks])
    return found.tobytes()


def asides(records: NDArray[np.void]) -> bytes:
    """What happened beside the rows, as `Timeline.asides` has it."""
    found = np.zeros(len(records), ASIDE)
    for name, source in (("start", "start"), ("end", "at"), ("task", "task"), ("worker", "worker"), ("kind", "kind")):
        found[name] = records[source]
    found["cold"] = (records["attempt"] == 1) & (records["kind"] == RecordKind.BEGUN)
    return found.tobytes()


def graph_part(graph: TaskGraph) -> Part:
    """Names, kinds and the layout: what costs most, and stays the same for as long as the graph does."""
    from .groups import group
    from .layout import layout, pack

    drawn = layout(graph)
    groups = group(drawn, graph.kind) if len(graph) > GROUP_OVER else None
    head, buffers = pack(drawn, groups)
    columns = head.pop("columns")
    facts = graph_facts(graph) | {"layout": head}
    if groups is not None:
        facts["heads"] = groups.heads(graph.keys, graph.kinds)
    keys = json.dumps(graph.keys, ensure_ascii=False).encode(errors="replace")
    named = [(name, kind, data) for (name, kind, _), data in zip(columns, buffers, strict=True)]
    return Part(facts, (("keys", "u1", keys), ("kind", "i4", graph.kind.astype("<i4").tobytes()), *named))


def graph_facts(graph: TaskGraph) -> dict[str, Any]:
    """What is said of a graph in every snapshot."""
    return {
        "fingerprint": graph.fingerprint,
        "name": graph.name,
        "tasks": len(graph),
        "kinds": [str(kind) for kind in graph.kinds],
    }


def plan_part(plan: Plan | None) -> Part | None:
    """The simulated timeline of a plan; None while there is none."""
    if plan is None or plan.timeline is None:
        return None
    timeline, columns = plan.timeline, plan.columns
    index = {worker: w for w, worker in enumerate(plan.workers)}
    number = np.array([*(index.get(worker, -1) for worker in columns.ids), -1])  # the last is that of nobody
    # Where the plan leaves the choice open, the simulator's stands in the picture.
    worker = _workers(np.where(timeline.worker >= 0, timeline.worker, number[columns.worker]))
    facts = {
        "planner": plan.planner,
        "makespan": plan.makespan or 0.0,
        "lower_bound": plan.lower_bound,
        "interval": plan.interval,
        "has_seconds": plan.has_seconds,
    }
    packed = [
        ("plan_worker", "u2", worker.astype("<u2").tobytes()),
        ("plan_start", "f8", timeline.start.astype("<f8").tobytes()),
        ("plan_end", "f8", timeline.end.astype("<f8").tobytes()),
        ("plan_fetch", "f4", timeline.fetch.astype("<f4").tobytes()),
        ("plan_free", "u1", (columns.worker < 0).astype(np.uint8).tobytes()),
    ]
    if len(timeline.asides):
        packed.append(("plan_asides", "u1", asides(timeline.asides)))
    return Part(facts, tuple(packed))


class Picture:
    """A graph with a plan, as it is sent. The layout is made once, by whichever thread sends first."""

    def __init__(self, graph: TaskGraph, plan: Plan | None = None, before: Picture | None = None) -> None:
        self.graph, self.plan = graph, plan
        self.drawn: Part | None = before.drawn if before is not None and before.graph is graph else None

    def prepare(self, have: str) -> None:
        """Make what takes long, unless the browser has the graph of fingerprint `have` and it is this one."""
        if self.drawn is None and have != self.graph.fingerprint:
            self.drawn = graph_part(self.graph)

    def message(self, have: str, live: bytes, beside: bytes = b"", **facts: Any) -> Message:
        """The snapshot for a browser that holds the graph `have`; `facts` are run, state, seq and t.

        live    ROWs of the tasks that have left waiting
        beside  ASIDEs of the run
        """
        self.prepare(have)
        graph = Part(graph_facts(self.graph)) if have == self.graph.fingerprint else self.drawn
        assert graph is not None
        plan = plan_part(self.plan)
        columns = [*graph.columns, *(plan.columns if plan else ()), ("records", "u1", live)]
        if beside:
            columns.append(("asides", "u1", beside))
        head = {
            "kind": "snapshot",
            "graph": graph.facts,
            "plan": plan.facts if plan else None,
            "workers": [str(worker) for worker in self.plan.workers] if self.plan is not None else [],
            "columns": [[name, kind] for name, kind, _ in columns],
            **facts,
        }
        return head, [data for _, _, data in columns]


def _workers(numbers: NDArray[Any]) -> NDArray[np.uint16]:
    return np.where(numbers >= 0, numbers, NO_WORKER).astype(np.uint16)
