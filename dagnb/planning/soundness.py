"""What can be wrong with a plan: each check names its problems task by task, in the words of `Plan.validate`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .assignment import Annotations, Assignment, Assignments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .plan import Plan

#: Problems of one sort that a text spells out before it only counts them.
SHOWN = 5

#: Times the number of tasks up to which positions are marked, one byte each; wider apart they are sorted.
SPARSE = 16


def problems(plan: Plan, graph: TaskGraph, cluster: Cluster) -> list[str]:
    """All that keeps a plan from being run, the first few of each sort in full; empty when nothing does."""
    if _sound(plan, graph, cluster):
        return []
    return [problem for check in CHECKS for problem in _few(check(plan, graph, cluster))]


def _sound(plan: Plan, graph: TaskGraph, cluster: Cluster) -> bool:
    """Whether a plan in columns has nothing wrong, in a few passes of numpy; False means: look closer."""
    columns = plan.assignments
    if not isinstance(columns, Assignments) or len(columns) != len(graph):
        return False
    positions = columns.order * (len(columns.ids) + 1) + columns.worker
    return (
        plan.graph_fingerprint in ("", graph.fingerprint)
        and columns.ids == tuple(cluster.index)
        and bool(np.isfinite(columns.priority).all())
        and bool((columns.order >= 0).all())
        and _distinct(positions)
        and not any(_bad_annotations(plan, graph, cluster))
    )


def _distinct(numbers: NDArray[np.int64]) -> bool:
    """Whether no number occurs twice. Positions of a plan lie close together: then a mark for each is enough."""
    if not len(numbers):
        return True
    low, span = int(numbers.min()), int(np.ptp(numbers)) + 1
    if span > SPARSE * len(numbers):
        return bool(np.diff(np.sort(numbers)).all())
    taken = np.zeros(span, np.bool_)
    taken[numbers - low] = True
    return int(np.count_nonzero(taken)) == len(numbers)


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
    for i, worker, note in _annotated(plan):
        if i >= len(graph):
            continue  # said already: too many tasks
        needed = graph.dependencies(i) if note.preload or note.stream else ()
        for verb, named in (("preloads", note.preload), ("streams", note.stream)):
            if strangers := set(named) - set(needed) if named else ():
                yield f"{_name(graph, i)} {verb} task {min(strangers)}, which it does not need"
        for other in note.duplicate:
            if other not in cluster.index or other == worker:
                yield f"{_name(graph, i)} is to be duplicated on {other!r}, which is unknown or its own worker"
        if note.prewarm is not None and not (math.isfinite(note.prewarm) and note.prewarm >= 0):
            yield f"{_name(graph, i)} prewarms at {note.prewarm} seconds, which is not a time"
        if note.group is not None and not _is_number(note.group):
            yield f"{_name(graph, i)} is in group {note.group!r}, which is not 0, 1, 2, …"


def _is_number(group: object) -> bool:
    """A plan comes from anybody's planner."""
    return isinstance(group, int) and group >= 0


def _annotated(plan: Plan) -> Iterator[tuple[int, Any, Annotations]]:
    """(task, its worker, annotations) of those that have some."""
    columns = plan.assignments
    if not isinstance(columns, Assignments):
        yield from ((i, a.worker, a.annotations) for i, a in _assigned(plan) if a.annotations is not None)
        return
    names = [*columns.ids, None]  # the last is that of -1
    for i, note in columns.notes.items():
        yield i, names[columns.worker[i]], note


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
