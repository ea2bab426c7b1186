"""Optimisations of a plan, one after the other; each is kept only if the simulated makespan drops.

preload       inputs from other workers are fetched as soon as they exist
keep_local    outputs that a task on the same worker takes are written out only when somebody asks for them
prewarm       workers of an elastic cluster are launched so that they are up when their first task is ready
duplicate     short tasks whose output takes longer to move than to make run where it is needed, too
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dagnb.planning.assignment import Annotations, Assignments
from dagnb.planning.interval import at_service_level
from dagnb.planning.listing import transfers
from dagnb.planning.placement import occupied, preloads
from dagnb.planning.simulator import forecast

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster, WorkerId
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan

Sla = Literal["average"] | float
Notes = Mapping[int, Annotations]

#: Simulated tasks that optimising one plan may take in all.
BUDGET = 250_000
#: Duplicates that are tried one by one.
TRIED = 12
#: A makespan counts as shorter from this part on.
LESS = 1e-6


@dataclass(frozen=True)
class Optimising:
    """What planners that optimise have in common: their options, and how a plan of theirs is finished.

    Every optimisation can be switched; `keep_local` is simulated only, workers do not delay outputs by plan yet.

    sla    the makespan that counts: "average", or a part of all runs such as 0.9
    """

    sla: Sla = "average"
    preload: bool = True
    keep_local: bool = False
    prewarm: bool = True
    duplicate: bool = True

    def finished(self, search: Search, planner: str, **facts: Any) -> Plan:
        """The plan of this search with all optimisations that help; `facts` go among its parameters."""
        search.optimise({name: getattr(self, name) for name in ("preload", "keep_local", "prewarm", "duplicate")})
        facts = {**asdict(self), **facts, **search.facts()}
        return replace(search.best, planner=planner, parameters=facts, evaluations=search.evaluations)


@dataclass
class Search:
    """One plan on its way to a better one.

    best           the plan so far
    time           its makespan at the service level
    evaluations    simulated runs that it took
    kept, cut      what was found useful, and what was not tried because the budget was spent
    """

    graph: TaskGraph
    cluster: Cluster
    estimates: Estimates
    best: Plan
    sla: Sla = "average"
    evaluations: int = 0
    kept: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    time: float = 0.0

    def __post_init__(self) -> None:
        self.time = self.evaluate(self.best)

    def evaluate(self, plan: Plan) -> float:
        """Its makespan at the service level."""
        self.evaluations += 1
        return at_service_level(self.graph, plan, self.cluster, self.estimates, self.sla)

    @property
    def spent(self) -> bool:
        """Whether another simulated run is one too many."""
        return (self.evaluations + 1) * len(self.graph) > BUDGET

    def try_notes(self, name: str, more: Notes) -> bool:
        """Keep these annotations if they shorten the run."""
        if not more:
            return False
        if self.spent:
            self.cut.append(name)
            return False
        plan = noted(self.best, more)
        time = self.evaluate(plan)
        if time >= self.time * (1 - LESS):
            return False
        self.best, self.time = plan, time
        if name not in self.kept:
            self.kept.append(name)
        return True

    def optimise(self, wanted: Mapping[str, bool]) -> None:
        """All that is wanted, in the order of the module's list."""
        transfer = transfers(self.cluster, self.estimates, published=False)
        if wanted.get("preload", True) and transfer.any():
            self.try_notes("preload", preloads(self.graph, self.best.columns.worker.tolist(), transfer))
        if wanted.get("keep_local", True) and self.cluster.publish < float("inf"):
            self.try_notes("keep_local", _kept_local(self.graph, self.best))
        if wanted.get("prewarm", True) and self.cluster.elastic and self.cluster.startup > 0 and not self.spent:
            self.try_notes("prewarm", self._prewarmed())
        if wanted.get("duplicate", True) and transfer.any():
            self._duplicate(transfer)

    def facts(self) -> dict[str, Any]:
        """What a plan says of how it was made."""
        return {"optimisations": list(self.kept), "cut": sorted(set(self.cut))}

    def _prewarmed(self) -> Notes:
        """The first task of each worker says when the worker is to be launched: so early that it is up in time."""
        self.evaluations += 1
        timeline = forecast(self.graph, self.best, self.cluster, self.estimates).timeline
        ids = self.best.columns.ids
        notes: dict[int, Annotations] = {}
        for number in np.unique(timeline.worker).tolist():
            mine = np.flatnonzero(timeline.worker == number)
            first = int(mine[np.argmin(timeline.start[mine])])
            ready = max((float(timeline.end[d]) for d in self.graph.dependencies(first)), default=0.0)
            at = ready - self.cluster.startup
            if at > 0 and self.best.columns.worker[first] >= 0 and number < len(ids):
                notes[first] = Annotations(prewarm=at)
        return notes

    def _duplicate(self, transfer: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """All promising duplicates at once; if that is no good, the best of them one by one."""
        found = self._promising(transfer)
        if not found or self.try_notes("duplicate", dict(found)):
            return
        for task, note in found[:TRIED]:
            self.try_notes("duplicate", {task: note})

    def _promising(self, transfer: np.ndarray[Any, np.dtype[np.float64]]) -> list[tuple[int, Annotations]]:
        """Tasks that are made sooner than moved, with the workers that need them; largest saving first."""
        columns = self.best.columns
        where = columns.worker.tolist()
        found = []
        lengths = {w: occupied(spec, self.cluster, self.estimates) for w, spec in enumerate(self.cluster.workers)}
        for task in np.flatnonzero(transfer > self.estimates.mean).tolist():
            if where[task] < 0 or not self.estimates.mean[task]:
                continue
            away = {where[c] for c in self.graph.dependents(task)} - {where[task], -1}
            come = max((transfer[d] for d in self.graph.dependencies(task)), default=0.0)
            on = sorted(w for w in away if transfer[task] > lengths[w][task] + come)
            if on:
                saving = sum(transfer[task] - lengths[w][task] - come for w in on)
                ids: tuple[WorkerId, ...] = tuple(columns.ids[w] for w in on)
                found.append((saving, task, Annotations(duplicate=ids)))
        return [(task, note) for _, task, note in sorted(found, key=lambda f: (-f[0], f[1]))]


def noted(plan: Plan, more: Notes) -> Plan:
    """The plan with further annotations; what a note says overrides, what it leaves at its default stays."""
    columns = plan.columns
    notes = dict(columns.notes)
    for task, note in more.items():
        said = {name: getattr(note, name) for name in note.__slots__ if getattr(note, name) != getattr(_SILENT, name)}
        notes[task] = replace(notes.get(task, _SILENT), **said)
    return replace(plan, assignments=Assignments(columns.ids, columns.worker, columns.order, columns.priority, notes))


_SILENT = Annotations()


def _kept_local(graph: TaskGraph, plan: Plan) -> Notes:
    """Tasks whose output somebody on the same worker takes."""
    where = plan.columns.worker
    owner = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    same = graph.deps[(where[owner] == where[graph.deps]) & (where[owner] >= 0)]
    return {task: Annotations(keep_local=True) for task in np.unique(same).tolist()}
