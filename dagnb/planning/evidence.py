"""Evidence: a plan beside its run, and what the simulator says of the run's own durations.

Three timelines. *Planned* is the forecast, *actual* what happened, *replayed* the same plan simulated with the measured
durations and sizes. What lies between planned and replayed is the fault of the estimates; what lies between replayed
and actual is that of the model: coordination, start-up, other load.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dagnb.errors import PlanError
from dagnb.trace.events import RecordKind, TaskState

from .phases import Floats, Mask, Phases
from .planner import find_planner
from .simulator import forecast

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.timeline import Timeline

    from .cluster import Cluster
    from .estimator import Estimates
    from .plan import Plan

#: Tasks simulated, over all questions of the kind "and if only this had been otherwise?": about a second.
BUDGET = 200_000


@dataclass(frozen=True, eq=False)
class Evidence:
    """A plan, its run, and what can be computed from both. The plan has been completed."""

    graph: TaskGraph
    plan: Plan
    cluster: Cluster
    estimates: Estimates
    planned: Timeline
    actual: Timeline

    @property
    def has_seconds(self) -> bool:
        """Whether the plan spoke of seconds; else it can only be compared in shape."""
        return self.plan.has_seconds

    @cached_property
    def done(self) -> Mask:
        """[n] what has run to its end."""
        found: Mask = (self.actual.state == TaskState.DONE) & ~np.isnan(self.actual.start)
        return found

    @cached_property
    def complete(self) -> bool:
        """Whether all tasks have run or were reused: only then is the makespan that of the plan."""
        return bool((self.done | (self.actual.state == TaskState.CACHED)).all())

    @cached_property
    def before(self) -> Phases:
        """The phases as planned; times are NaN where the plan is in task units."""
        found = Phases.of(self.graph, self.planned, overhead=self.cluster.overhead)
        if self.has_seconds:
            return found
        unknown = np.full(len(self.graph), np.nan)
        size = np.where(found.size > 0, found.size, np.nan)
        return Phases(unknown, unknown, unknown, unknown, unknown, size, unknown)

    @cached_property
    def after(self) -> Phases:
        """The phases as they were."""
        return Phases.of(self.graph, self.actual)

    @cached_property
    def measured(self) -> Estimates | None:
        """Durations and sizes as they were; those planned where a task has not run. None where that mixes units."""
        if not (self.complete or self.has_seconds) or not len(self.graph):
            return None
        return self.with_actual(self.done)

    def with_actual(self, which: Mask, sizes: Mask | None = None) -> Estimates:
        """The estimates, with the measured duration of `which` tasks and the measured size of `sizes` (default: them).

        A task whose value was reused takes no time.
        """
        known = which & self.done
        mean = np.where(known, self.after.execute / self._slower(self.actual), self._planned_mean)
        if self.complete:
            mean[self.actual.state == TaskState.CACHED] = 0.0
        told = known if sizes is None else sizes & self.done
        size = np.where(told, self.after.size, self.planned.size)
        return replace(self.estimates, mean=mean, p50=mean, p90=mean, size=size, has_seconds=True)

    @cached_property
    def _planned_mean(self) -> Floats:
        """[n] durations at the reference that the plan was made with: read off it, whatever is estimated by now."""
        phases = Phases.of(self.graph, self.planned, overhead=self.cluster.overhead)
        return phases.execute / self._slower(self.planned)

    def _slower(self, timeline: Timeline) -> Floats:
        """[n] seconds that a task takes where it ran for each second that it takes at the reference."""
        unit = replace(self.estimates, mean=np.ones(len(self.graph)))
        found = np.ones(len(self.graph))
        for number in np.unique(timeline.worker[timeline.worker >= 0]).tolist():
            there = timeline.worker == number
            found[there] = unit.on(self.cluster.workers[min(number, len(self.cluster) - 1)])[there]
        return found

    @cached_property
    def replayed(self) -> Timeline | None:
        """The plan, simulated with what was measured."""
        return None if self.measured is None else self.simulated(self.measured)

    def simulated(self, estimates: Estimates, cluster: Cluster | None = None) -> Timeline:
        """The plan, simulated with other durations or on another network."""
        return forecast(self.graph, self.plan, cluster or self.cluster, estimates).timeline

    @cached_property
    def _evaluations(self) -> list[int]:
        return [0]

    def effect(self, estimates: Estimates, cluster: Cluster | None = None) -> float:
        """Seconds by which the planned makespan would have been another with these durations, and nothing else changed.

        NaN when the graph is too large, or too much has been asked already: see BUDGET.
        """
        self._evaluations[0] += max(1, len(self.graph))
        if self._evaluations[0] > BUDGET:
            return float("nan")
        return self.simulated(estimates, cluster).makespan - self.planned.makespan

    @cached_property
    def remade(self) -> tuple[str, float] | None:
        """(planner, share of the makespan) that planning anew with the measured durations would have saved.

        None when it saves nothing, or when that cannot be said.
        """
        if self.measured is None or self.replayed is None or not self.complete or len(self.graph) > BUDGET // 10:
            return None
        now = self.replayed.makespan
        try:
            plan = find_planner("heft").plan(self.graph, self.cluster, self.measured)
            then = forecast(self.graph, plan, self.cluster, self.measured).timeline.makespan
        except PlanError:  # heft refuses this cluster, or is not installed here
            return None
        return ("heft", 1 - then / now) if now > 0 and then < now else None

    # --- by task --------------------------------------------------------------------------------------------------

    def input_growth(self, which: Mask) -> float:
        """Bytes of the inputs of these tasks ÷ those planned, where both are known; NaN else."""
        owner = np.repeat(np.arange(len(self.graph)), np.diff(self.graph.dep_start))
        needed = self.graph.deps[which[owner]]
        planned, actual = self.before.size[needed], self.after.size[needed]
        both = (planned > 0) & (actual > 0)
        return float(actual[both].sum() / planned[both].sum()) if both.any() else float("nan")

    def moved(self, timeline: Timeline, size: Floats) -> tuple[float, int]:
        """Bytes, and number of outputs, that had to travel to another worker in a timeline: to each worker once."""
        owner = np.repeat(np.arange(len(self.graph)), np.diff(self.graph.dep_start))
        source, target = timeline.worker[self.graph.deps], timeline.worker[owner]
        far = (source != target) & (source >= 0) & (target >= 0)
        pairs = np.unique(np.stack([self.graph.deps[far], target[far]]), axis=1)
        return float(np.nansum(size[pairs[0]])), pairs.shape[1]

    def started(self, worker: int) -> tuple[float, float, bool] | None:
        """(launched, ready, cold) of the first start of a worker that the run told of."""
        for aside in self.actual.asides:
            if aside["kind"] == RecordKind.BEGUN and int(aside["worker"]) == worker:
                return float(aside["start"]), float(aside["at"]), int(aside["attempt"]) == 1
        return None

    def name(self, worker: int) -> str:
        """What a worker is called."""
        return str(self.plan.workers[worker]) if worker < len(self.plan.workers) else f"w{worker}"
