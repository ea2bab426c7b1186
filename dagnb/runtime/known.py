"""The runs that the store knows, whoever began them, and how a kernel takes one up that it did not begin."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from time import perf_counter_ns as now
from typing import TYPE_CHECKING

from dagnb.errors import CELL_LABELS, RunError

from . import outline
from .hub import Hub
from .presence import is_alive
from .run import Run

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

    from .outline import Outline
    from .pool import LocalPool
    from .store import RunFacts, Store

#: Seconds in which the outline of a run that has just begun may still be on its way.
ON_ITS_WAY = 2.0


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run as a list shows it.

    dag, tasks, planner   what was submitted
    graph                 fingerprint of the graph
    folder                where its kernel worked
    state                 running, done, failed or cancelled
    age                   seconds since it was submitted
    lasted                seconds from its submission to its end; None while it goes on
    whose                 "mine", "another" (a kernel that is there) or "gone"
    """

    id: str
    dag: str
    tasks: int
    planner: str
    graph: str
    folder: str
    state: str
    age: float
    lasted: float | None
    whose: str
    acted: bool

    @property
    def live(self) -> bool:
        """Whether it goes on."""
        return self.state == "running"


def known_runs(pool: LocalPool) -> list[KnownRun]:
    """All runs that go on, and those that ended last and are still known; the newest first. Raises StoreError."""
    store = Hub.of(pool).store
    found = store.remembered()
    connected = store.connections() if found else set()
    return [_known(facts, connected) for facts in found]


def is_mine(kernel: str) -> bool:
    """Whether a client name (`kernel-<pid>-…`) is one of this process, under which it may have attached before."""
    return kernel.startswith(f"kernel-{os.getpid()}-")


def _known(facts: RunFacts, connected: set[str]) -> KnownRun:
    about, kernel = facts.about, facts.about.get("kernel", "")
    here = kernel in connected or is_alive(
        kernel
    )  # after a restart of Redis an idle one comes back only when it speaks
    return KnownRun(
        facts.run,
        about["dag"],
        about["tasks"],
        about["planner"],
        about.get("graph", ""),
        about.get("folder", ""),
        facts.state,
        max(0.0, time.time() - about.get("at", 0.0)),
        None if facts.ended is None else facts.ended - facts.submitted,
        "mine" if is_mine(kernel) else "another" if here else "gone",
        about.get("acted", False),
    )


def outline_of(pool: LocalPool, run: str) -> Outline | None:
    """The outline of a run; None where it never came to be written. Raises SignatureError, RunError, StoreError."""
    store = Hub.of(pool).store
    end = time.monotonic() + ON_ITS_WAY
    while (data := store.outline(run)) is None:
        facts = store.facts(run)
        if facts is None or now() * 1e-9 - facts.submitted > ON_ITS_WAY or time.monotonic() > end:
            return None
        time.sleep(0.01)
    return outline.read(data)


def reopen(pool: LocalPool, run: str, told: Outline | None, graph: TaskGraph | None = None) -> Run:
    """The run as if it had been begun here: its events from the first on, its values, its end.

    told    its outline, where there is one
    graph   an equal graph of this kernel, so that its handles find the run; else that of the outline is used

    Raises RunError when the store does not know the run any more, or nobody has written down what it is of.
    """
    store = Hub.of(pool).store
    facts = store.facts(run)
    if facts is None:
        msg = f"there is no run {run}: it was dropped, or it ended too long ago.\n  %dag runs lists those known."
        raise RunError(msg)
    if told is None and graph is None:
        raise RunError(_nameless(facts))
    used = graph or (told.graph if told else None)
    assert used is not None
    plan = _plan(store, facts, used)
    kept = told.kept if told else used.kept
    found = Run(run, used, plan, Hub.of(pool), round(facts.submitted * 1e9), kept)
    found.attached, found.outline, found.slots, found.acted = True, told, facts.slots, facts.about.get("acted", False)
    if told is not None:
        found.estimates = told.estimates
        for file, label in told.labels.items():
            CELL_LABELS.setdefault(file, label)
    found.look()
    return found


def _nameless(facts: RunFacts) -> str:
    dag = facts.about["dag"]
    return (
        f"the run {facts.run} of {dag} cannot be shown: its kernel died before it had written down the names of the "
        f"tasks.\n  Run the cells of {dag} again, then %dag run {dag} joins it."
    )


def _plan(store: Store, facts: RunFacts, graph: TaskGraph) -> Plan:
    """The plan that the run was given; where it was never written down, that of nobody in particular."""
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import estimate
    from dagnb.planning.plan import Plan

    text = store.plan(facts.run)
    if text is not None:
        return Plan.from_json(text)
    cluster, planner = Cluster.local(len(facts.slots)), facts.about["planner"]
    nobody, order = [-1] * len(graph), range(len(graph))
    return Plan.build(graph, cluster, estimate(graph), worker=nobody, sequence=order, planner=planner)
