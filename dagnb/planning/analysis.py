"""Analysis: a plan against its run, in numbers and in words. Made of two timelines; nothing is asked of the workers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dagnb.trace.timeline import Timeline

from .conclusions import conclude
from .evidence import Evidence
from .phases import KindRow, Phases, TaskTable, by_kind
from .simulator import complete
from .words import more, percent, plural, seconds

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.events import EventSource

    from .cluster import Cluster
    from .estimator import Estimates
    from .finding import Finding
    from .plan import Plan

#: Kinds that the text shows.
SHOWN = 12


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """What a run did otherwise than its plan said. All times in seconds, of one clock; sizes in bytes.

    tasks                      a row per task: planned and actual start-up, wait, download, execute, upload, size
    kinds                      the same, summed by kind
    findings                   what was off, the most costly first; one "as planned" when nothing was
    makespan                   first start → last end on the workers, as `Run.makespan`
    planned_makespan           the same of the forecast
    replayed_makespan          the same of the plan simulated with the measured durations and sizes
    estimate_error             replayed − planned: what wrong estimates cost
    model_error                actual − replayed: coordination, start-up, other load
    client_makespan            submission → result at the client, as `Run.client_makespan`; where nobody has waited for
                               it → the end of the run; NaN before
    planned_client_makespan    submission → last end of the forecast, as `Plan.makespan`
    complete                   whether every task has run; else the figures are of those that have

    `estimate_error + model_error` is `makespan − planned_makespan`. What does not apply is NaN: errors before the end,
    planned times of a plan in task units (`has_seconds` False).
    """

    evidence: Evidence
    client_makespan: float = math.nan
    source: EventSource | None = field(default=None, compare=False)

    @property
    def graph(self) -> TaskGraph:
        """What was run."""
        return self.evidence.graph

    @property
    def plan(self) -> Plan:
        """The plan, with its forecast."""
        return self.evidence.plan

    @property
    def timeline(self) -> Timeline:
        """What happened."""
        return self.evidence.actual

    @property
    def has_seconds(self) -> bool:
        """False: the plan is in task units, and only its shape can be compared."""
        return self.evidence.has_seconds

    @property
    def complete(self) -> bool:
        """Whether every task has run to its end, or was reused."""
        return self.evidence.complete

    # ---- figures ----------------------------------------------------------------------------------------------------
    @cached_property
    def tasks(self) -> TaskTable:
        """A row per task; `pandas.DataFrame(analysis.tasks.to_dict())`."""
        e = self.evidence
        return TaskTable(e.graph, e.plan.workers, (e.planned, e.before), (e.actual, e.after))

    @cached_property
    def kinds(self) -> tuple[KindRow, ...]:
        """Sums by kind, of the tasks that have run to their end."""
        return by_kind(self.graph, self.planned_phases, self.phases)

    @property
    def phases(self) -> Phases:
        """What each task spent its time on."""
        return self.evidence.after

    @property
    def planned_phases(self) -> Phases:
        """What the plan says of that."""
        return self.evidence.before

    @property
    def makespan(self) -> float:
        """First start → last end on the workers."""
        return self.timeline.makespan

    @property
    def planned_makespan(self) -> float:
        """First start → last end of the forecast."""
        return self.evidence.planned.makespan if self.has_seconds else math.nan

    @property
    def planned_client_makespan(self) -> float:
        """Submission → last end of the forecast."""
        return float(self.plan.makespan) if self.has_seconds and self.plan.makespan is not None else math.nan

    @cached_property
    def replayed_makespan(self) -> float:
        """First start → last end of the plan with the measured durations and sizes."""
        return math.nan if self.evidence.replayed is None else self.evidence.replayed.makespan

    @property
    def estimate_error(self) -> float:
        """What wrong estimates cost."""
        return self.replayed_makespan - self.planned_makespan

    @property
    def model_error(self) -> float:
        """What the simulator does not know of."""
        return self.makespan - self.replayed_makespan if self.complete else math.nan

    # ---- words ------------------------------------------------------------------------------------------------------
    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What was off, the most costly first."""
        return conclude(self.evidence)

    @property
    def headline(self) -> str:
        """`etl · 41 tasks · took 3.2 s, planned 2.1 s (+52 %): +0.9 s by estimates, +0.2 s by the model`."""
        parts = [self.graph.name, plural(len(self.graph), "task")]
        if not self.complete:
            return " · ".join([*parts, f"{seconds(self.makespan)} so far" if self.makespan > 0 else "not begun"])
        took = f"took {seconds(self.makespan)}"
        if not self.has_seconds:
            return " · ".join([*parts, f"{took}, planned in task units"])
        share = f" ({percent(self.makespan / self.planned_makespan - 1)})" if self.planned_makespan > 0 else ""
        split = f": {more(self.estimate_error)} by estimates, {more(self.model_error)} by the model"
        return " · ".join([*parts, f"{took}, planned {seconds(self.planned_makespan)}{share}{split}"])

    def __str__(self) -> str:
        lines = [self.headline, *(f"  • {finding}" for finding in self.findings)]
        return "\n".join([*lines, *self.table()])

    __repr__ = __str__

    def table(self) -> list[str]:
        """Lines of a table by kind: planned → actual, of a task on average."""
        if not self.kinds:
            return []
        head = ["kind", "tasks", "wait", "download", "execute", "upload", "size"]
        rows = [head, *(row.cells() for row in self.kinds[:SHOWN])]
        wide = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows]
        hidden = len(self.kinds) - SHOWN
        return ["", *lines, *([f"… and {plural(hidden, 'other kind')}"] if hidden > 0 else [])]


def analyse(
    graph: TaskGraph,
    plan: Plan,
    cluster: Cluster,
    estimates: Estimates,
    actual: Timeline,
    *,
    client_makespan: float | None = None,
    source: Any = None,
) -> Analysis:
    """Compare a plan with its run, so far or at its end.

    cluster, estimates   what the plan was made for and with
    actual               the run's timeline; what has ended in it is copied, because a live run goes on
    client_makespan      seconds from the submission to the result at the client, if somebody has waited
    source               the run itself while it is live: a picture of the analysis then follows it

    Raises PlanError when the plan does not fit the graph or the cluster, ValueError for a timeline of another graph.
    """
    if len(actual) != len(graph):
        msg = f"a timeline of {len(actual)} tasks is not of {graph.name!r}, which has {len(graph)}"
        raise ValueError(msg)
    done = plan if plan.timeline is not None else complete(plan, graph, cluster, estimates)
    assert done.timeline is not None
    evidence = Evidence(graph, done, cluster, estimates, done.timeline, _ended(actual))
    return Analysis(evidence, math.nan if client_makespan is None else client_makespan, source)


def _ended(actual: Timeline) -> Timeline:
    """What has ended by now, in a timeline of its own."""
    found = Timeline(len(actual))
    found.apply_batch(actual.batch())
    return found
