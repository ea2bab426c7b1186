"""Plan: which task goes where and in which order. Data, made by planners and obeyed by workers.

A planner decides; `dagnb.planning.simulator.complete` adds the figures, all of them from the simulator. A plan that a
user holds has been completed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.errors import PlanError

from .assignment import Annotations, Assignment, Assignments
from .cluster import Cluster
from .soundness import problems

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .cluster import WorkerId
    from .estimates import Estimates

__all__ = ["Annotations", "Assignment", "Assignments", "Plan"]

#: Tasks of the largest plan that is read: a document must not make us ask for any amount of memory.
MOST = 1 << 28
#: Versions of the JSON form, with lists and with packed columns; a reader refuses a newer one.
LISTED, PACKED = 1, 2


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
    cluster                  that cluster, by which the workers of a run are chosen; None in a plan of an older version
    has_seconds              False: times are task units, and there is no forecast to show

    From the simulator, None until completed (seconds, bytes):

    makespan                 submission → last end; where durations vary, the middle of many simulated runs, each with
                             durations drawn anew (the timeline is one with their means)
    lower_bound              no plan on this cluster is faster
    interval                 (low, high) of the makespan: four of five runs end there; None where nothing is known of
                             the spread of durations
    gb_seconds               memory of the worker × time, over all tasks, second copies and starts of workers
    worker_seconds           from the launch of a worker to its last end, over all that were of use
    bytes_moved              between workers
    cold_starts              workers that had to be started, as often as they had to
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
    cluster: Cluster | None = field(default=None, compare=False, repr=False)
    has_seconds: bool = True
    makespan: float | None = None
    lower_bound: float | None = None
    interval: tuple[float, float] | None = None
    gb_seconds: float | None = None
    worker_seconds: float | None = None
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
            cluster=cluster,
            has_seconds=estimates.has_seconds,
            **facts,
        )

    def __len__(self) -> int:
        return len(self.assignments)

    @property
    def span(self) -> float | None:
        """Seconds from the first start to the last end, None until completed; `makespan` begins at the submission."""
        return self.timeline.makespan if self.timeline is not None else None

    @cached_property
    def columns(self) -> Assignments:
        """The assignments in columns: for whoever handles all of them. Of a plan that has been validated."""
        given = self.assignments
        return given if isinstance(given, Assignments) else Assignments.of(given)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over what the plan decides: who runs what in which order, with which annotations.

        Plans that place the same tasks alike share it, whoever made them.
        """
        columns = self.columns
        facts = (self.graph_fingerprint, self.workers, columns.ids, sorted(columns.notes.items()))
        digest = hashlib.sha256(repr(facts).encode())
        for column in (columns.worker, columns.order, columns.priority):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()[:16]

    def validate(self, graph: TaskGraph, cluster: Cluster) -> None:
        """Nothing when the plan can be run. Raises PlanError with all that is wrong, named task by task."""
        if found := problems(self, graph, cluster):
            who = f"the plan of {self.planner!r}" if self.planner else "the plan"
            raise PlanError(
                f"{who} does not fit {graph.name!r} on {len(cluster)} workers:\n  "
                + "\n  ".join(found)
                + "\n  plan again for this graph and cluster, or mend the planner"
            )

    def to_json(self, *, packed: bool = False) -> str:
        """The plan as text; `from_json` gives an equal one. Raises PlanError for numbers that are not finite.

        packed   assignments as columns of numbers in base64: for 10,000 tasks a thirtieth of the time that lists take
        """
        facts = {name: getattr(self, name) for name in _FACTS}
        timeline = base64.b64encode(self.timeline.batch().pack()).decode() if self.timeline is not None else None
        columns = self.columns
        document = {
            "format": PACKED if packed else LISTED,
            **facts,
            "cluster": self.cluster.to_dict() if self.cluster is not None else None,
            "annotations": {str(i): asdict(note) for i, note in sorted(columns.notes.items())},
            "timeline": timeline,
        }
        try:
            document |= _packed(columns) if packed else _listed(columns)
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
            if document["format"] > PACKED:
                raise PlanError(
                    f"this plan is of version {document['format']}, here version {PACKED} is read\n  upgrade dagnb"
                )
            return _read(document)
        except (AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            raise PlanError(
                f"this is not a plan ({type(error).__name__}: {error})\n  read one of `Plan.to_json`"
            ) from error


def _listed(columns: Assignments) -> dict[str, Any]:
    """The assignments as lists that people can read."""
    ids: list[WorkerId | None] = [*columns.ids, None]  # the last is that of -1
    workers = [ids[w] for w in columns.worker.tolist()]
    return {"worker": workers, "order": columns.order.tolist(), "priority": columns.priority.tolist()}


def _packed(columns: Assignments) -> dict[str, Any]:
    """The same as [type, base64] of each column, `worker` as positions in `ids`. Raises ValueError.

    Numbers that are all one, or that count up from 0, are said in words: ["same", how many, one], ["count", how many].
    """
    if not np.isfinite(columns.priority).all():
        msg = "a priority is not finite"
        raise ValueError(msg)
    found: dict[str, Any] = {"ids": columns.ids}
    for name in _COLUMNS:
        column = getattr(columns, name)
        if (column == column[:1]).all():
            found[name] = ["same", len(column), *column[:1].tolist()]
        elif (column == np.arange(len(column))).all():
            found[name] = ["count", len(column)]
        else:
            fits = _narrowed(column)
            found[name] = [fits.dtype.str, base64.b64encode(fits.tobytes()).decode()]
    return found


def _narrowed(column: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in the narrowest type that holds all of them."""
    low, high = (column.min(), column.max()) if len(column) else (0, 0)
    for kind in _NARROW:
        holds = np.iinfo(kind)
        if holds.min <= low and high <= holds.max:
            short = column.astype(kind)
            return short if (short == column).all() else column  # one that is not whole is in none of them
    return column


def _unpacked(document: Mapping[str, Any], notes: dict[int, Annotations]) -> Assignments:
    """What `_packed` wrote. Raises ValueError, TypeError or LookupError for anything else."""
    columns = []
    for name, kind in _COLUMNS.items():
        columns.append(_column(name, kind, document[name]))
    worker, order, priority = columns
    ids = tuple(document["ids"])
    if not len(worker) == len(order) == len(priority) or (
        len(worker) and not -1 <= worker.min() <= worker.max() < len(ids)
    ):
        msg = "its columns do not fit one another"
        raise ValueError(msg)
    return Assignments(ids, worker, order, priority, notes)


def _column(name: str, kind: Any, said: list[Any]) -> NDArray[Any]:
    match said:
        case ["same", 0]:
            return np.zeros(0, kind)
        case ["same", int(length), number] if 0 <= length <= MOST:
            return np.full(length, number, kind)
        case ["count", int(length)] if 0 <= length <= MOST:
            return np.arange(length).astype(kind)
        case [narrow, str(data)] if narrow in (*_NARROW, np.dtype(kind).str):
            return np.frombuffer(base64.b64decode(data, validate=True), narrow).astype(kind)
    msg = f"{name} has the type {said[:1]}"
    raise ValueError(msg)


#: Columns of the assignments and their types; types in which they are packed where those hold all their numbers.
_COLUMNS = {"worker": np.int32, "order": np.int64, "priority": np.float64}
_NARROW = ("|i1", "<u2", "<i4")

#: Fields of a plan that are written as they are.
_FACTS = (
    "planner", "version", "parameters", "seed", "evaluations", "graph_fingerprint", "estimates_fingerprint", "workers",
    "has_seconds", "makespan", "lower_bound", "interval", "gb_seconds", "worker_seconds", "bytes_moved", "cold_starts",
    "planning_time",
)  # fmt: skip

#: Those that documents of the first version may lack.
_LATER = frozenset({"worker_seconds"})


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
    assignments: Sequence[Assignment]
    if document["format"] == PACKED:
        assignments = _unpacked(document, notes)
    else:
        columns = zip(document["worker"], document["order"], document["priority"], strict=True)
        assignments = tuple(
            Assignment(worker, order, priority, notes.get(i)) for i, (worker, order, priority) in enumerate(columns)
        )
    facts = {name: document[name] for name in _FACTS if name not in _LATER or name in document}
    facts["workers"] = tuple(facts["workers"])
    facts["interval"] = tuple(facts["interval"]) if facts["interval"] else None
    cluster = Cluster.from_dict(document["cluster"]) if document.get("cluster") else None
    timeline = None
    if document["timeline"] is not None:
        from dagnb.trace.events import Batch
        from dagnb.trace.timeline import Timeline

        timeline = Timeline(len(assignments))
        timeline.apply_batch(Batch.unpack(base64.b64decode(document["timeline"], validate=True)))
    return Plan(assignments, timeline=timeline, cluster=cluster, **facts)
