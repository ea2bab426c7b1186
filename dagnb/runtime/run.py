"""A run as the notebook holds it: its events, its end, its values, its failures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic, time
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.errors import (
    CancelledError,
    NotRunError,
    PickleError,
    PlanError,
    RunError,
    SignatureError,
    SkippedError,
    near,
)
from dagnb.graph.graph import TaskRef
from dagnb.planning.cluster import Cluster
from dagnb.planning.fit import check_fit
from dagnb.trace.events import COMMIT, RECORD, Batch, RecordKind, TaskState

from . import scribe
from .context import folder
from .failures import Failures, TaskLog, read_failure, read_tries, whole_run
from .follow import Follower
from .hub import Hub
from .line import Line
from .packed import packed, plan_text
from .raised import task_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.analysis import Analysis
    from dagnb.planning.cost import Costs
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan
    from dagnb.trace.timeline import Timeline

    from .outline import Outline
    from .pack import Package
    from .pool import LocalPool

#: Tasks up to which the outline travels with the submission.
SMALL = 200

#: Number of the "worker" of events that the client adds itself.
CLIENT = 0xFFFF


class RunState(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Ending:
    """How and when a run ended: `at` in seconds after its submission; `reason` when no task was the cause."""

    state: RunState
    at: float
    reason: str = ""


def start(
    graph: TaskGraph,
    plan: Plan,
    pool: LocalPool,
    *,
    keep: frozenset[int] = frozenset(),
    sources: Mapping[str, str] | None = None,
    single: bool = False,
    acted: bool = False,
    estimates: Estimates | None = None,
) -> Run:
    """Hand a graph and its plan to the workers.

    keep      tasks whose values shall outlive the run, beside `graph.kept`
    sources   texts of notebook cells by file name, for tracebacks
    single    a round trip for every task: measures coordination, never faster
    acted     its tasks only sleep: nothing is to be learned from them
    estimates what the plan was made with, where that is known

    Raises PlanError for a plan that is not for this graph, PickleError for what cannot travel, StoreError.
    """
    submitted = now()
    if plan.graph_fingerprint != graph.fingerprint:
        msg = f"the plan is not for this graph: {graph.name} was changed after it was made.\n  Plan it again."
        raise PlanError(msg)
    run = Run(_new_id(), graph, plan, Hub.of(pool), submitted, graph.kept | keep)
    run.acted, run.estimates, run.labels = acted, estimates, tuple(sources or ())
    if len(graph):
        check_fit(plan, graph, run.cluster)
        package = packed(graph, plan, sources or {}, kept=run.kept, single=single)
        run.slots = pool.ensure(run.cluster)
        about: dict[str, Any] = {"dag": graph.name, "tasks": len(graph), "planner": plan.planner}
        about |= {"graph": plan.graph_fingerprint, "at": time(), "folder": folder(), "acted": acted}
        about["kernel"] = pool.attachment.kernel
        if run.cluster.elastic and (ahead := prewarmed(plan)):
            about["prewarm"] = ahead
        _submit(run, package, about)
    else:
        run.ending = Ending(RunState.DONE, 0.0)
    return run


def _submit(run: Run, package: Package, about: dict[str, Any]) -> None:
    """Send the run and its plan in one piece. The outline of a large one follows in a while (`scribe`)."""
    store, small = run.hub.store, len(run.graph) <= SMALL
    store.send_arguments(package)
    everybody = run.cluster.elastic or run.hub.pool.held
    commands = store.submission(run.id, package, run.slots, about, run.submitted, everybody=everybody)
    outline = scribe.outline(run, package) if small else None
    run.line.submit(commands, store.described(run.id, plan_text(run.planned), outline, run.hub.forgotten()))
    store.sent(package)
    if not small:
        scribe.later(run, package)


def prewarmed(plan: Plan) -> list[tuple[int, float]]:
    """(position of a worker, seconds after submission at which the plan wants it started), the earliest of each."""
    columns = plan.columns
    position = {worker: i for i, worker in enumerate(plan.workers)}
    found: dict[int, float] = {}
    for task, note in columns.notes.items():
        seat = int(columns.worker[task])
        if note.prewarm is not None and seat >= 0:
            at = position[columns.ids[seat]]
            found[at] = min(found.get(at, note.prewarm), note.prewarm)
    return sorted(found.items())


def _new_id() -> str:
    """Sixteen characters; fits the page of marks."""
    return os.urandom(8).hex()


class Run:
    """One execution of a graph. An `EventSource`. Safe to use from any thread."""

    def __init__(self, run: str, graph: TaskGraph, plan: Plan, hub: Hub, submitted: int, kept: frozenset[int]) -> None:
        self.id, self.graph, self.hub = run, graph, hub
        self._plan = plan
        self.submitted, self.kept = submitted, kept
        self.params: dict[str, Any] = {}
        self.acted = False
        self.attached = False  # begun by another kernel
        self.outline: Outline | None = None  # of an attached one
        self.labels: tuple[str, ...] = ()  # files of the cells that its code is from
        self._estimates: Estimates | None = None
        self.slots: tuple[int, ...] = ()
        self.ending: Ending | None = None
        self.client_makespan: float | None = None
        self._values: dict[int, Any] = {}
        self._sealed: dict[int, bytes] = {}  # kept values that came with the end, not opened yet
        self.line = Line(hub, run, kept)
        self._failures: Failures | None = None
        self._follower = Follower(self)
        hub.hold(self)

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.graph.name}: {self.state}>"

    @property
    def plan(self) -> Plan:
        """The plan that the workers obey, with its simulated figures; simulated now if nobody had looked before."""
        if self._plan.timeline is None:
            from dagnb.planning.simulator import complete

            self._plan = complete(self._plan, self.graph, self.cluster, self.estimates)
        return self._plan

    @property
    def cluster(self) -> Cluster:
        """The workers that it was planned for: their numbers in events and timelines are positions in this."""
        known = self._plan.cluster
        if known is not None and tuple(known.index) == self._plan.workers:
            return known
        return Cluster.local(max(1, len(self._plan.workers)))

    @property
    def planned(self) -> Plan:
        """The plan as it was given, with or without figures."""
        return self._plan

    @property
    def estimates(self) -> Estimates:
        """What the plan was made with; where nobody has said, what was declared."""
        if self._estimates is None:
            from dagnb.planning.estimator import estimate

            self._estimates = estimate(self.graph)
        return self._estimates

    @estimates.setter
    def estimates(self, known: Estimates | None) -> None:
        self._estimates = known

    @property
    def said_estimates(self) -> Estimates | None:
        """The same, None where nobody has said."""
        return self._estimates

    def adopt(self, graph: TaskGraph) -> None:
        """Use a graph of this kernel in the place of an equal one that was read: its handles then find this run."""
        if graph.fingerprint != self.graph.fingerprint:
            msg = f"{graph.name} is not the graph that run {self.id} is of."
            raise PlanError(msg)
        self.graph = graph

    @property
    def told(self) -> bool:
        """Whether all its events are here, so that `timeline` needs no store."""
        return self._follower.closed

    def worker_name(self, worker: int) -> str:
        """The name of a worker in the plan, from its number in events and timelines."""
        names = self._plan.workers
        return names[worker] if 0 <= worker < len(names) else f"w{worker}"

    # ---- how it stands ----------------------------------------------------------------------------------------------
    @property
    def state(self) -> RunState:
        """Asked of the store while the run goes on."""
        if self.ending is None:
            self.look()
        return self.ending.state if self.ending else RunState.RUNNING

    def look(self) -> bool:
        """Whether the run has ended, asked now. Raises RunError when the store knows it no more."""
        if self.ending is None:
            facts = self.hub.store.facts(self.id)
            if facts is None:
                msg = f"the store lost this run of {self.graph.name}: Redis was restarted without its data."
                raise RunError(msg + "\n  Run it again.")
            self._ended(facts.state, facts.ended, facts.reason)
        return self.ending is not None

    def _ended(self, state: str, at: float | None, reason: str) -> None:
        if at is not None:
            self.ending = Ending(RunState(state), at - self.submitted * 1e-9, reason)

    def _await(self, patience: float) -> None:
        """Return when it has ended, after `patience` seconds, or earlier: the caller looks."""
        told = self.line.hear(patience)
        if told is None:
            self.look()
        elif self.ending is None:
            self._sealed = told.kept
            self._ended(told.state, told.ended, told.reason)

    def wait(self, timeout: float | None = None) -> Run:
        """Wait for the end, or `timeout` seconds: `state` tells which it was. Ctrl-C leaves the run going."""
        limit = None if timeout is None else monotonic() + timeout
        asked = (now() - self.submitted) * 1e-9
        while self.ending is None:
            left = 1.0 if limit is None else min(1.0, limit - monotonic())
            if left <= 0:
                break
            self._await(left)
        if self.ending is not None and self.client_makespan is None:  # had it ended before, the result was there then
            heard = (now() - self.submitted) * 1e-9
            self.client_makespan = heard if asked <= self.ending.at else self.ending.at
        return self

    def cancel(self) -> None:
        """End it: no new tasks, running ones are interrupted at once and killed after a second. Idempotent."""
        if self.ending is None and self.hub.store.cancel(self.id):
            self.hub.pool.cancel(self.id)
        self.look()

    # ---- what happened ----------------------------------------------------------------------------------------------
    @property
    def timeline(self) -> Timeline:
        """Everything that is known now."""
        return self._follower.timeline()

    @property
    def progress(self) -> dict[TaskState, int]:
        """Tasks by state."""
        return dict(self.timeline.counts)

    @property
    def makespan(self) -> float | None:
        """Seconds from the first start to the last end on the workers; None before anything ran."""
        return self.timeline.makespan

    @property
    def costs(self) -> Costs:
        """What it has cost so far: GB-seconds, worker-seconds, cold starts, bytes between workers."""
        from dagnb.planning.cost import costs

        return costs(self.timeline, self.cluster, self.graph)

    def analysis(self) -> Analysis:
        """Plan against actual, in numbers and in words; of a live run, of what has ended so far."""
        from dagnb.planning.analysis import analyse

        timeline, ended = self.timeline, self.ending
        client = self.client_makespan if self.client_makespan is not None or ended is None else ended.at
        return analyse(
            self.graph,
            self.plan,
            self.cluster,
            self.estimates,
            timeline,
            client_makespan=client,
            source=self if ended is None else None,
        )

    def subscribe(self, callback: Callable[[Batch], None], /) -> Callable[[], None]:
        """Every batch from the first on, then live, from a daemon thread; returns how to stop."""
        return self._follower.subscribe(callback)

    def on_end(self, callback: Callable[[Run], None]) -> None:
        """Call back once the run has ended and all its events were delivered; at once if that is past."""
        self._follower.on_end(callback)

    def closing_batch(self) -> Batch | None:
        """What the workers of a run that was ended from outside cannot say any more: which tasks will not run."""
        if self.ending is None or not (self.ending.state is RunState.CANCELLED or self.ending.reason):
            return None
        state = self._follower.folded.state
        open_tasks = np.flatnonzero(state < TaskState.DONE)
        records = np.zeros(len(open_tasks), RECORD)
        records["task"], records["at"], records["kind"] = open_tasks, self.ending.at, RecordKind.CANCELLED
        records["worker"] = CLIENT
        return Batch(COMMIT, CLIENT, records)

    # ---- values and failures ----------------------------------------------------------------------------------------
    def __getitem__(self, name: str) -> Any:
        """`run["report"]`: the value of a node by its name."""
        return self.result(name)

    def ref(self, name: str | TaskRef) -> TaskRef:
        """What a name means in this run. Raises NotRunError with near names."""
        if isinstance(name, TaskRef):
            return name
        found = self.graph.aliases.get(name)
        if found is None and name in self.graph.index:
            found = TaskRef(self.graph.index[name])
        if found is None:
            advice = near(name, (*self.graph.aliases, *self.graph.keys))
            msg = f"this run of {self.graph.name} has no node {name!r}.\n  {advice}".rstrip()
            raise NotRunError(msg)
        return found

    def result(self, name: str | TaskRef, timeout: float | None = None) -> Any:
        """The value of a node, waited for.

        Raises TaskError, SkippedError or CancelledError when there is none, NotRunError when it was not kept,
        TimeoutError after `timeout` seconds.
        """
        ref = self.ref(name)
        limit = None if timeout is None else monotonic() + timeout
        while True:
            ended = self.look()
            there, value = self._value(ref.task)
            if there:
                for key in ref.select:
                    value = value[key]
                return value
            if ended:
                raise self._why_not(ref.task)
            left = 0.1 if limit is None else min(0.1, limit - monotonic())
            if left <= 0:
                msg = f"{self.graph.keys[ref.task]} is not there after {timeout:g} s; the run goes on."
                raise TimeoutError(msg)
            self._await(left)

    def _value(self, task: int) -> tuple[bool, Any]:
        if task in self._values:
            return True, self._values[task]
        if task not in self.kept:
            return False, None
        key = self.graph.keys[task]
        try:
            sealed = self._sealed.pop(task, None)
            if sealed is None:
                there, value = self.hub.store.kept(self.id, task)
            else:
                there, value = self.hub.latest.opened(self.id, task, sealed)
        except SignatureError:
            raise
        except Exception as error:
            msg = f"the value of {key} cannot be opened here: {type(error).__name__}: {error}"
            raise PickleError(msg + "\n  Is a package missing in this kernel?") from error
        if there:
            self._values[task] = value
        return there, value

    def _why_not(self, task: int) -> Exception:
        graph, key = self.graph, self.graph.keys[task]
        state = self.timeline.state[task]
        if state == TaskState.SKIPPED:
            return SkippedError(f"{key} was skipped: something it needs failed.\n  %dag logs {graph.name} tells what.")
        if state == TaskState.CANCELLED:
            return CancelledError(
                f"{key} was not run: the run of {graph.name} was cancelled.\n  %dag run {graph.name} starts again."
            )
        if state == TaskState.FAILED:
            failed = [f for f in self.errors() if f.key == key]
            return task_error(failed, self, graph.where[task] if graph.where else "")
        if task in self.kept:
            return NotRunError(f"the value of {key} has expired.\n  Run it again: %dag run {graph.name}.")
        advice = f"Bind it to a variable, or {graph.name}.run(keep={key!r})."
        return NotRunError(f"{key} is an intermediate value; it went with the end of the run.\n  {advice}")

    def errors(self) -> Failures:
        """Failed tasks in the order of their failing, as far as known now."""
        if self._failures is not None:
            return self._failures
        ended = self.look()
        found = self.hub.store.failures(self.id) if len(self.graph) else {}
        end = self.timeline.end
        order = sorted(found, key=lambda task: (float(end[task]), task))
        tries = self.hub.store.tries(self.id) if found else {}
        failures = [read_failure(self, t, found[t], read_tries(self, t, tries.get(t, []))) for t in order]
        if self.ending is not None and self.ending.reason:
            failures.append(whole_run(self.graph.name, self.ending.reason))
        if ended:
            self._failures = Failures(failures)
        return Failures(failures)

    def logs(self, name: str | TaskRef) -> TaskLog:
        """What a task printed, its failed tries, and its traceback. A task that printed nothing has empty texts."""
        task = self.ref(name).task
        failure, output, tries = self.hub.store.told_of(self.id, task)
        before = read_tries(self, task, tries or [])
        if failure is None:
            told = output or {}
            return TaskLog(told.get("stdout", ""), told.get("stderr", ""), "", before)
        failed = read_failure(self, task, failure, before)
        return TaskLog(failed.stdout, failed.stderr, failed.traceback, before)

    def drop(self) -> None:
        """Remove what is left of it in the store; values that were fetched stay."""
        if self.look() and len(self.graph):
            self.hub.store.drop(self.id)
