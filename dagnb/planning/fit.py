"""Tasks that say what they need, on workers of several sizes: `@task(memory="4GB", cpus=2)`.

Planners that place tasks by `dagnb.planning.placement` never place one where it does not fit. Others need not know of
this: what they have put where it does not fit, or left to whoever is free where some are too small, is moved to the
least loaded of the workers that are large enough, in the order of the plan; the figures are simulated after that. A
task larger than every worker is refused by name. A cluster without limits has no sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.errors import PlanError

from .assignment import Annotations, Assignments

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimator import Estimates
    from .plan import Plan

Fits = NDArray[np.bool_]

#: Tasks that a text names before it only counts them.
SHOWN = 3


def fitting(graph: TaskGraph, cluster: Cluster) -> Fits | None:
    """[n, workers] whether a worker has what a task needs; None where every task fits everywhere.

    Raises PlanError, with the tasks, what they need and the largest worker, for tasks that fit nowhere.
    """
    if not cluster.limits or (np.isnan(graph.memory).all() and np.isnan(graph.cpus).all()):
        return None
    memory = np.array([w.memory for w in cluster.workers])
    cpus = np.array([w.cpus for w in cluster.workers])
    needed = np.nan_to_num(graph.memory)[:, None], np.nan_to_num(graph.cpus)[:, None]
    fits: Fits = (needed[0] <= memory) & (needed[1] <= cpus)
    homeless = np.flatnonzero(~fits.any(axis=1)).tolist()
    if homeless:
        raise PlanError(_too_large(graph, cluster, homeless))
    return None if fits.all() else fits


def fit(plan: Plan, graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> Plan:
    """The plan with every task where it has what it needs; the same plan where that is so already.

    Raises PlanError for a task that is larger than every worker.
    """
    fits = fitting(graph, cluster)
    if fits is None:
        return plan
    columns = plan.columns
    where = _numbers(columns, cluster)
    wrong = _misplaced(where, fits)
    notes = {task: _kept(note, fits[task], cluster) for task, note in columns.notes.items()}
    if not wrong.any():
        return replace(plan, assignments=replace(columns, notes=notes)) if notes != dict(columns.notes) else plan
    sequence = np.lexsort((columns.order, columns.priority))
    durations = np.stack([estimates.on(spec) for spec in cluster.workers], axis=1)
    where = np.where(wrong, -1, where)
    named = where >= 0
    load = np.bincount(where[named], durations[named, where[named]], len(cluster))
    for task in sequence[wrong[sequence]].tolist():
        after = np.where(fits[task], load + durations[task], np.inf)
        where[task] = best = int(after.argmin())
        load[best] = after[best]
        if task in notes:
            notes[task] = replace(notes[task], group=None)  # it has a worker now
    ids = tuple(w.id for w in cluster.workers)
    return replace(plan, assignments=Assignments.placed(ids, where, sequence, notes))


def check_fit(plan: Plan, graph: TaskGraph, cluster: Cluster) -> None:
    """Raise PlanError, naming task and worker, when a plan made elsewhere puts a task where it does not fit."""
    fits = fitting(graph, cluster)
    if fits is None:
        return
    where = _numbers(plan.columns, cluster)
    wrong = np.flatnonzero(_misplaced(where, fits)).tolist()
    if wrong:
        task = wrong[0]
        if where[task] >= 0:
            spec = cluster.workers[where[task]]
            there = f"the plan puts it on {spec.id!r}, which has {_size(spec.memory, spec.cpus)}"
        else:
            there = "the plan leaves it to whoever is free, and some workers have less"
        more = f" ({len(wrong) - 1} more are like that)" if len(wrong) > 1 else ""
        raise PlanError(f"{_need(graph, task)}, and {there}{more}.\n  Plan again for this cluster.")


def _numbers(columns: Assignments, cluster: Cluster) -> NDArray[np.int64]:
    """[n] number of the named worker in the cluster, -1 for none."""
    number = np.array([*(cluster.index[worker] for worker in columns.ids), -1])
    found: NDArray[np.int64] = number[columns.worker]
    return found


def _misplaced(where: NDArray[np.int64], fits: Fits) -> Fits:
    """[n] tasks named for a worker that is too small, or free where some worker is."""
    found: Fits = np.where(where >= 0, ~fits[np.arange(len(where)), where], ~fits.all(axis=1))
    return found


def _kept(note: Annotations, fits: Fits, cluster: Cluster) -> Annotations:
    """Without copies where they do not fit."""
    return replace(note, duplicate=tuple(worker for worker in note.duplicate if fits[cluster.index[worker]]))


def _too_large(graph: TaskGraph, cluster: Cluster, tasks: list[int]) -> str:
    largest = max(cluster.workers, key=lambda spec: (spec.memory, spec.cpus))
    named = "; ".join(_need(graph, task) for task in tasks[:SHOWN])
    more = f" and {len(tasks) - SHOWN} more" if len(tasks) > SHOWN else ""
    return (
        f"{named}{more}: larger than any of the {len(cluster)} workers"
        f" ({largest.id!r} has {_size(largest.memory, largest.cpus)}).\n"
        "  Add a worker of that size, or ask for less: @task(memory=…, cpus=…)."
    )


def _need(graph: TaskGraph, task: int) -> str:
    needs = _size(float(graph.memory[task]), float(graph.cpus[task]))
    return f"{graph.keys[task]} needs {needs}" + (f" ({graph.where[task]})" if graph.where else "")


def _size(memory: float, cpus: float) -> str:
    """`4 GB and 2 cpus`, of what is known."""
    words = [] if np.isnan(memory) else [f"{memory / 1e9:.3g} GB" if memory >= 1e9 else f"{memory / 1e6:.3g} MB"]
    words += [] if np.isnan(cpus) else [f"{cpus:g} cpu{'s' * (cpus != 1)}"]
    return " and ".join(words)
