"""Plan: which task goes where and in which order. Data, made by planners and obeyed by workers.

A planner decides; `dagnb.planning.figures.complete` adds the figures, all of them from the simulator. A plan that a
user holds has been completed.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.errors import PlanError
from dagnb.trace.events import Batch
from dagnb.trace.timeline import Timeline

from .assignment import Annotations, Assignment, Assignments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster, WorkerId
    from .estimator import Estimates

__all__ = ["Annotations", "Assignment", "Assignments", "Plan"]

#: Version of the JSON form; a reader refuses a newer one.
FORMAT = 1

#: Problems of one sort that a text spells out before it only counts them.
SHOWN = 5


@dataclass(frozen=True)
class Plan:
    """Every task's assignment, who made them, and what the simulator says of them.

    assignments              [n] by task number; a tuple, or `Assignments` in columns
    planner, version         who planned
    parameters, seed         with which settings
    evaluations              schedules that were weighed (a budget is counted in them, never in seconds)
    graph_fingerprint        of the graph it is for; another graph refuses it
    estimates_fingerprint    of the durations and sizes it was made with
    workers                  ids of the cluster it is for
    has_seconds              False: times are task units, and there is no forecast to show

    From the simulator, None until completed (seconds, bytes):

    makespan                 submission → last end
    lower_bound              no plan on this cluster is faster
    interval                 (low, high) of the makespan; None until estimates carry their spread
    gb_seconds               memory of the worker × time, over all tasks
    bytes_moved              between workers
    cold_starts              workers that had to be started
    timeline                 the simulated run
    planning_time            what planning took
    """

    assignments: Sequence[Assignment]
    planner: str = ""
    version: str = "1"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    evaluations: int = 1
    graph_fingerprint: str = ""
    estimates_fingerprint: str = ""
    workers: tuple[WorkerId, ...] = ()
    has_seconds: bool = True
    makespan: float | None = None
    lower_bound: float | None = None
    interval: tuple[float, float] | None = None
    gb_seconds: float | None = None
    bytes_moved: float | None = None
    cold_starts: int | None = None
    timeline: Timeline | None = field(default=None, compare=False, repr=False)
    planning_time: float | None = field(default=None, compare=False)

    @classmethod
    def build(
        cls,
        graph: TaskGraph,
        cluster: Cluster,
        estimates: Estimates,
        *,
        worker: Sequence[int] | NDArray[Any],
        sequence: Sequence[int] | NDArray[Any],
        annotations: Mapping[int, Annotations] | None = None,
        **facts: Any,
    ) -> Plan:
        """A plan from what an algorithm has in hand.

        worker[i]     number of task i's worker in `cluster`, or -1 for whoever is free
        sequence      all tasks in the order in which they are to start; gives order and priority
        annotations   by task, for those that have some
        facts         further fields: `planner`, `parameters`, `seed`, `evaluations`
        """
        ids = tuple(w.id for w in cluster.workers)
        return cls(
            Assignments.placed(ids, worker, sequence, annotations),
            graph_fingerprint=graph.fingerprint,
            estimates_fingerprint=estimates.fingerprint,
            workers=ids,
            has_seconds=estimates.has_seconds,
            **facts,
        )

    def __len__(self) -> int:
        return len(self.assignments)

    @cached_property
    def columns(self) -> Assignments:
        """The assignments in columns: for whoever handles all of them. Of a plan that has been validated."""
        given = self.assignments
        return given if isinstance(given, Assignments) else Assignments.of(given)

    def validate(self, graph: TaskGraph, cluster: Cluster) -> None:
        """Nothing when the plan can be run. Raises PlanError with all that is wrong, named task by task."""
        if _sound(self, graph, cluster):
            return
        found = [problem for check in CHECKS for problem in _few(check(self, graph, cluster))]
        if found:
            who = f"the plan of {self.planner!r}" if self.planner else "the plan"
            raise PlanError(
                f"{who} does not fit {graph.name!r} on {len(cluster)} workers:\n  "
                + "\n  ".join(found)
                + "\n  plan again for this graph and cluster, or mend the planner"
            )

    def to_json(self) -> str:
        """The plan as text; `from_json` gives an equal one. Raises PlanError for numbers that are not finite."""
        facts = {name: getattr(self, name) for name in _FACTS}
        packed = base64.b64encode(self.timeline.batch().pack()).decode() if self.timeline is not None else None
        columns = self.columns
        ids: list[WorkerId | None] = [*columns.ids, None]  # the last is that of -1
        document = {
            "format": FORMAT,
            **facts,
            "worker": [ids[w] for w in columns.worker.tolist()],
            "order": columns.order.tolist(),
            "priority": columns.priority.tolist(),
            "annotations": {str(i): asdict(note) for i, note in sorted(columns.notes.items())},
            "timeline": packed,
        }
        try:
            return json.dumps(document, allow_nan=False)
        except (ValueError, TypeError) as error:
            raise PlanError(
                f"the plan of {self.planner!r} cannot be written: {error}\n  its numbers must be finite, "
                "its parameters plain (text, numbers, lists, dictionaries)"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote. Raises PlanError when this is not one, or is of a newer version."""
        try:
            document = json.loads(text)
            if document["format"] > FORMAT:
                raise PlanError(
                    f"this plan is of version {document['format']}, here version {FORMAT} is read\n  upgrade dagnb"
                )
            return _read(document)
        except (AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            raise PlanError(
                f"this is not a plan ({type(error).__name__}: {error})\n  read one of `Plan.to_json`"
            ) from error


#: Fields of a plan that are written as they are.
_FACTS = (
    "planner", "version", "parameters", "seed", "evaluations", "graph_fingerprint", "estimates_fingerprint", "workers",
    "has_seconds", "makespan", "lower_bound", "interval", "gb_seconds", "bytes_moved", "cold_starts", "planning_time",
)  # fmt: skip


def _read(document: Mapping[str, Any]) -> Plan:
    """A plan from its JSON document; any exception of a wrong one is the caller's."""
    notes = {
        int(task): Annotations(
            tuple(n["preload"]),
            n["keep_local"],
            tuple(n["duplicate"]),
            n["prewarm"],
            n.get("group"),
            tuple(n.get("stream", ())),
        )
        for task, n in document["annotations"].items()
    }
    columns = zip(document["worker"], document["order"], document["priority"], strict=True)
    assignments = tuple(
        Assignment(worker, order, priority, notes.get(i)) for i, (worker, order, priority) in enumerate(columns)
    )
    facts = {name: document[name] for name in _FACTS}
    facts["workers"] = tuple(facts["workers"])
    facts["interval"] = tuple(facts["interval"]) if facts["interval"] else None
    timeline = None
    if document["timeline"] is not None:
        timeline = Timeline(len(assignments))
        timeline.apply_batch(Batch.unpack(base64.b64decode(document["timeline"], validate=True)))
    return Plan(assignments, timeline=timeline, **facts)


# --- what can be wrong with a plan ----------------------------------------------------------------------------------


def _sound(plan: Plan, graph: TaskGraph, cluster: Cluster) -> bool:
    """Whether a plan in columns has nothing wrong, in a few passes of numpy; False means: look closer."""
    columns = plan.assignments
    if not isinstance(columns, Assignments) or len(columns) != len(graph) or columns.notes:
        return False
    positions = columns.order * (len(columns.ids) + 1) + columns.worker
    return (
        plan.graph_fingerprint in ("", graph.fingerprint)
        and columns.ids == tuple(cluster.index)
        and bool(np.isfinite(columns.priority).all())
        and bool((columns.order >= 0).all())
        and len(np.unique(positions)) == len(columns)
    )


def _wrong_graph(plan: Plan, graph: TaskGraph, _: Cluster) -> Iterator[str]:
    if len(plan) != len(graph):
        yield f"it places {len(plan)} tasks, the graph has {len(graph)}"
    elif plan.graph_fingerprint and plan.graph_fingerprint != graph.fingerprint:
        yield f"it was made for another graph ({plan.graph_fingerprint}, this one is {graph.fingerprint})"


def _not_assignments(plan: Plan, graph: TaskGraph, _: Cluster) -> Iterator[str]:
    assignments: Sequence[Any] = plan.assignments
    for i, a in enumerate(assignments):
        if not isinstance(a, Assignment):
            yield f"{_name(graph, i)} has a {type(a).__name__} in place of an Assignment"


def _unknown_workers(plan: Plan, graph: TaskGraph, cluster: Cluster) -> Iterator[str]:
    for i, a in _assigned(plan):
        if a.worker is not None and not (isinstance(a.worker, str) and a.worker in cluster.index):
            yield f"{_name(graph, i)} goes to {a.worker!r}, which is not among {_few_names(cluster)}"


def _shared_positions(plan: Plan, _: TaskGraph, __: Cluster) -> Iterator[str]:
    taken = Counter((str(a.worker), a.order) for _, a in _assigned(plan) if isinstance(a.order, int))
    for (worker, order), times in taken.items():
        if times > 1:
            yield f"{times} tasks share position {order} on worker {worker}"


def _not_numbers(plan: Plan, graph: TaskGraph, _: Cluster) -> Iterator[str]:
    for i, a in _assigned(plan):
        if not isinstance(a.order, int) or a.order < 0:
            yield f"{_name(graph, i)} has position {a.order!r}, which is not 0, 1, 2, …"
        if not isinstance(a.priority, int | float) or not math.isfinite(a.priority):
            yield f"{_name(graph, i)} has priority {a.priority!r}, which cannot be compared"


def _bad_annotations(plan: Plan, graph: TaskGraph, cluster: Cluster) -> Iterator[str]:
    for i, a in _assigned(plan):
        if a.annotations is None:
            continue
        note = a.annotations
        strangers = set(note.preload) - set(graph.dependencies(i)) if i < len(graph) else set()
        if strangers:
            yield f"{_name(graph, i)} preloads task {min(strangers)}, which it does not need"
        for worker in note.duplicate:
            if worker not in cluster.index or worker == a.worker:
                yield f"{_name(graph, i)} is to be duplicated on {worker!r}, which is unknown or its own worker"
        if note.prewarm is not None and not (math.isfinite(note.prewarm) and note.prewarm >= 0):
            yield f"{_name(graph, i)} prewarms at {note.prewarm} seconds, which is not a time"


CHECKS: tuple[Callable[[Plan, TaskGraph, Cluster], Iterator[str]], ...] = (
    _wrong_graph, _not_assignments, _unknown_workers, _shared_positions, _not_numbers, _bad_annotations,
)  # fmt: skip


def _assigned(plan: Plan) -> Iterator[tuple[int, Any]]:
    """What can be looked at: a plan comes from anybody's planner, so its types are not to be relied on."""
    assignments: Sequence[Any] = plan.assignments
    return ((i, a) for i, a in enumerate(assignments) if isinstance(a, Assignment))


def _name(graph: TaskGraph, task: int) -> str:
    return repr(graph.keys[task]) if task < len(graph) else f"task {task}"


def _few_names(cluster: Cluster) -> str:
    names = [w.id for w in cluster.workers]
    return ", ".join(names[:8]) + (f", … ({len(names)} in all)" if len(names) > 8 else "")


def _few(problems: Iterator[str]) -> Iterator[str]:
    """The first problems of a sort in full, the others counted."""
    for shown, problem in enumerate(problems):
        if shown == SHOWN:
            yield f"… and {1 + sum(1 for _ in problems)} more of this sort"
            return
        yield problem
