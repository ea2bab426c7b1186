"""Values of a run: of one task, waited for, and of the variables that hold its handles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from dagnb.errors import CancelledError, NotRunError, OptionError, RunError, SkippedError, TaskError, near
from dagnb.trace.records import TaskState

from .lives import live, where

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskRef
    from dagnb.runtime.run import Run

    from .dag import Dag

#: States in which a task has its answer.
SETTLED = (TaskState.DONE, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.CACHED)


def value(dag: Dag, run: Run, ref: TaskRef, timeout: float | None) -> Any:
    """The value of one task, waited for. Raises TaskError, SkippedError, CancelledError, NotRunError."""
    from dagnb.runtime.raised import task_error

    try:
        return run.result(ref, timeout)
    except KeyboardInterrupt:
        text = f"stopped waiting for {run.graph.keys[ref.task]}; the run goes on. %dag cancel {dag.name} ends it."
        error: RunError = CancelledError(text)
    except TaskError:
        mine = [f for f in run.errors() if f.key == run.graph.keys[ref.task]]
        if not mine:
            raise
        error = task_error(mine, run, where(run.graph, mine[0].key))
    except SkippedError:
        error = _skipped(dag, run, ref.task)
    raise error


def _skipped(dag: Dag, run: Run, task: int) -> SkippedError:
    """The error of a task that was left out, with the failure that caused it."""
    graph, failed = run.graph, {f.key: f for f in run.errors()}
    above, todo = {task}, [task]
    while todo:
        new = set(graph.dependencies(todo.pop())) - above
        above |= new
        todo += new
    cause = next((failed[graph.keys[i]] for i in sorted(above) if graph.keys[i] in failed), None)
    why = f"{cause.key} failed: {cause.type}: {cause.message}" if cause else "something it needs failed"
    lines = (
        f"{graph.keys[task]} was skipped: {why}",
        where(graph, cause.key) if cause else "",
        f"%dag logs {dag.name}.{cause.key} tells more." if cause else f"%dag run {dag.name} runs it again.",
    )
    return SkippedError("\n  ".join(line for line in lines if line))


def settled(run: Run, ref: TaskRef) -> bool:
    """Whether the run has the answer for a task."""
    return not live(run) or run.timeline[ref.task].state in SETTLED


def pull(dag: Dag, ns: MutableMapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Variable → its value with every handle of `dag` replaced by what it stands for; put into `ns` too."""
    holders = variables(dag, ns)
    for name in names:
        if name not in holders:
            advice = (
                near(name, holders) or "%dag lists the DAGs; a variable holds its nodes until it is assigned again."
            )
            raise OptionError(f"no variable {name!r} holds a node of {dag.name}.\n  {advice}")
    pulled = {}
    for name in names or holders:
        try:
            pulled[name] = _filled(holders[name])
        except NotRunError:
            if names:
                raise  # asked for by name; else what was not kept stays as it is
    ns.update(pulled)
    return pulled


def _filled(held: Any) -> Any:
    """A copy of the containers, with the value in the place of every handle."""
    from dagnb.graph.arguments import rebuild

    return rebuild(held, lambda handle: handle.result())


def variables(dag: Dag, ns: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of `ns` that hold handles of `dag`, alone or in lists, tuples, dicts and dataclasses."""
    from dagnb.graph.naming import places

    found = {}
    for name, held in list(ns.items()):
        if not name.startswith("_") and held is not dag:
            handles = places(held, name)
            if handles and all(handle._rec.builder.owner is dag for _, handle in handles):  # noqa: SLF001 -- its owner
                found[name] = held
    return found
