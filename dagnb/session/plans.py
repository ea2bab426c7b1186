"""A graph, the name of a planner and a number of workers → a Plan with its simulated figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from dagnb.settings import Settings

from . import engine, pace, past

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimates import Estimates
    from dagnb.planning.plan import Plan
    from dagnb.planning.planner import Planner


@dataclass(eq=False, slots=True)
class _Made:
    """A plan, what it was made with, and the version of the history at that time."""

    plan: Plan
    estimates: Estimates
    cluster: Cluster
    version: object


#: Planner's name, workers, seed, seconds of budget, whether it was to be thorough.
_Question = tuple[str, "int | Cluster", int, float | None, bool]

#: Graph → plans made for it: the same question has the same answer until there is something new to learn from, and a
#: warm run of a small DAG would spend most of its time on asking again.
_made: WeakKeyDictionary[TaskGraph, dict[_Question, _Made]] = WeakKeyDictionary()

#: Graph → the estimates that plans of it were made with, by fingerprint; the last few.
_used: WeakKeyDictionary[TaskGraph, dict[str, Estimates]] = WeakKeyDictionary()
_FEW = 8


def make_plan(
    graph: TaskGraph,
    workers: int | Cluster | None = None,
    planner: object = None,
    *,
    seed: int = 0,
    budget: float | None = None,
    options: Mapping[str, Any] | None = None,
    figures: bool = True,
    thorough: bool = True,
) -> Plan:
    """The plan of one planner, checked and simulated, from what past runs taught.

    workers    a Cluster, or so many equal workers on this machine; None is `%dag workers`, else the setting
    planner    a name, a class or an instance; None is the setting
    budget     seconds that a planner which searches may take; others have no use for it
    figures    False leaves the simulation out, for a run whose plan nobody has asked to see: its `plan` makes up for it
    thorough   False for a run that waits: a planner that knows the difference then plans no longer than it pays

    Raises UnknownPlannerError, OptionError for an option that the planner does not have or a bad number of workers, and
    PlanError for a plan that does not fit.
    """
    settings = Settings.load()
    given = _given(workers, settings)
    spec = settings.planner if planner is None else planner
    ask = _Asking(graph, given, spec, seed, budget, options or {}, figures, thorough, settings)
    if options or not isinstance(spec, str):
        return ask.anew().plan
    plans = _made.setdefault(graph, {})
    for deep in (True,) if thorough else (True, False):  # what was asked for thoroughly serves a run, too
        known = plans.get((spec, given, seed, budget, deep))
        if known is not None and ask.answered_by(known):
            return known.plan
    plans[spec, given, seed, budget, thorough] = known = ask.anew()
    return known.plan


def _given(workers: object, settings: Settings) -> int | Cluster:
    """The cluster, or how many equal workers. A run that says a number, or nothing, has no time for an import."""
    if not (workers is None or isinstance(workers, int)):
        from dagnb.planning.cluster import Cluster

        if isinstance(workers, Cluster):
            return workers
    return engine.worker_count(workers, settings)


def estimates_of(graph: TaskGraph, plan: Plan) -> Estimates | None:
    """The estimates that a plan of this graph was made with, if it was made here."""
    return _used.get(graph, {}).get(plan.estimates_fingerprint)


@dataclass(eq=False, slots=True)
class _Asking:
    """One question for a plan."""

    graph: TaskGraph
    workers: int | Cluster
    spec: object
    seed: int
    budget: float | None
    options: Mapping[str, Any]
    figures: bool
    thorough: bool
    settings: Settings

    @property
    def slight(self) -> bool:
        """Whether a run waits for this plan that is over sooner than its past could be looked up."""
        return not self.figures and not self.thorough and pace.slight(self.graph)

    def answered_by(self, known: _Made) -> bool:
        """Whether a plan that was made earlier still is the answer. Looking costs more than a tiny run pays for."""
        if self.figures and known.plan.timeline is None:
            return False
        if (not self.figures and past.tiny(self.graph)) or self.slight:
            return True
        past.flush(worth=not self.figures)
        version = past.version(self.settings)
        if version == known.version:
            return True
        cluster, estimates = self._facts()
        if estimates.fingerprint != known.estimates.fingerprint or cluster != known.cluster:
            return False
        known.version = version
        return True

    def anew(self) -> _Made:
        """Plan."""
        from dagnb.planning.planner import find_planner, run_planner

        slight = self.slight
        version, cluster, estimates = self._unlearned() if slight else self._facts_of_today()
        defaults: dict[str, Any] = {"seed": self.seed, "thorough": self.thorough, "slight": slight}
        if self.budget is not None:
            defaults["budget"] = self.budget
        planner = find_planner(cast("str | Planner | type", self.spec), defaults=defaults, **self.options)
        plan = run_planner(planner, self.graph, cluster, estimates, figures=self.figures)
        used = _used.setdefault(self.graph, {})
        used[plan.estimates_fingerprint] = estimates
        while len(used) > _FEW:
            del used[next(iter(used))]
        return _Made(plan, estimates, cluster, version)

    def _facts_of_today(self) -> tuple[object, Cluster, Estimates]:
        """The version of the history, and what it says once all that has ended is in it."""
        past.flush(worth=not self.figures)
        return past.version(self.settings), *self._facts()

    def _unlearned(self) -> tuple[object, Cluster, Estimates]:
        """The same where the past does not matter."""
        from dagnb.planning.cluster import Cluster
        from dagnb.planning.estimator import estimate

        cluster = Cluster.local(self.workers) if isinstance(self.workers, int) else self.workers
        return None, cluster, estimate(self.graph, None, cluster)

    def _facts(self) -> tuple[Cluster, Estimates]:
        """The workers as far as this machine is known, and what is known of the tasks."""
        if not isinstance(self.workers, int):
            return self.workers, past.estimates(self.graph, self.workers, self.settings)
        cluster = past.local(self.workers, self.settings)
        estimates = past.estimates(self.graph, cluster, self.settings)
        known = past.history(self.settings)
        if known is None or not estimates.has_seconds:
            return cluster, estimates
        from dagnb.planning.machine import suited

        return suited(cluster, known, estimates), estimates
