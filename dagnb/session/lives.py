"""The life of a run as the notebook sees it: begun once, waited for, cancelled by an interrupt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from dagnb.errors import CancelledError, DagnbError, OptionError, RunError, near
from dagnb.trace.records import TaskState

from . import engine, past
from .acting import acted, plan_for
from .joining import join, say
from .observers import OBSERVERS, tell
from .plans import estimates_of, make_plan
from .sources import sources

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.plan import Plan
    from dagnb.runtime.run import Run

    from .dag import Dag

T = TypeVar("T")


def live(run: Run | None) -> bool:
    """Whether a run is going on."""
    return run is not None and run.state.value == "running"


def begin(
    dag: Dag,
    *,
    workers: int | Cluster | None = None,
    planner: object = None,
    plan: Plan | None = None,
    keep: str | Collection[str] = (),
    quiet: bool = False,
    scale: float | None = None,
) -> Run:
    """Plan, and hand the graph to the workers, to be acted out where there is a `scale`.

    A live run of the same graph that a kernel which is gone has begun is joined instead. Raises RunError while another
    run of this DAG is live, and for a DAG that has no functions.
    """
    if dag.last is not None and _joined_before(dag, dag.last, plan, keep, scale):
        return _followed(dag, dag.last, quiet=quiet)
    if live(dag.last):
        raise RunError(
            f"{dag.name} is running already.\n  %dag wait {dag.name} waits for it, %dag cancel {dag.name} ends it."
        )
    graph = dag.graph if scale is None else _acted(dag.graph, scale)
    if graph.calls is None and dag.attached:
        raise RunError(f"{dag.name} was attached: its functions went with its kernel.\n  Run its cells again.")
    if graph.calls is None:
        advice = f'Act it out: {dag.name}.run(mode="sleep", scale=0.01).'
        raise RunError(f"{dag.name} was read from a document: it has no functions to run.\n  {advice}")
    if plan is not None and (planner is not None or workers is not None):
        raise OptionError("a plan already says its planner and its workers.\n  Give run() either the plan, or those.")
    given = plan
    if plan is None:
        plan = make_plan(graph, workers, planner, figures=bool(OBSERVERS), thorough=planner is not None)
    elif scale is not None:
        plan = plan_for(plan, dag.graph, graph, scale)
    from dagnb.runtime.run import start

    kept = _kept(graph, keep)
    tell("starting", dag, plan, quiet=quiet)
    pool, known = engine.connect(), estimates_of(graph, plan)
    found = join(dag, graph, pool, kept=kept, plan=given) if scale is None else None
    if found is not None:
        return _shown(dag, found)
    run = start(graph, plan, pool, keep=kept, sources=sources(graph), acted=scale is not None, estimates=known)
    dag.last = run
    past.begun(run)
    if scale is None:
        dag.real = run
    return _shown(dag, run)


def _shown(dag: Dag, run: Run) -> Run:
    """Tell who watches that it has begun."""
    try:
        tell("started", dag, run)
    except KeyboardInterrupt:  # ■ while the picture is drawn
        cancel(dag, run)
        raise cancelled(dag, run) from None
    return run


def ahead(workers: int | Cluster | None, plan: Plan | None) -> None:
    """A run will begin: background processes that are not there yet start while the graph is put together.

    Raises OptionError for what can be seen to be wrong before that.
    """
    if engine.connected() is None:
        engine.ahead(_number(workers) if plan is None else None)


def _joined_before(dag: Dag, run: Run, plan: Plan | None, keep: str | Collection[str], scale: float | None) -> bool:
    """Whether to run the DAG means to follow the live run that it was attached to."""
    if not run.attached or plan is not None or scale is not None or run.acted or run.graph is not dag.graph:
        return False
    return live(run) and _kept(dag.graph, keep) <= run.kept


def _followed(dag: Dag, run: Run, *, quiet: bool) -> Run:
    """Show a run that goes on as if it had been begun now."""
    tell("starting", dag, run.plan, quiet=quiet)
    say(f"{dag.name} is under way: joined. %dag cancel {dag.name} ends it.")
    return _shown(dag, run)


def _number(workers: int | Cluster | None) -> int | None:
    """How many equal workers are wanted; None for a cluster. Raises OptionError."""
    return engine.worker_count(workers) if workers is None or isinstance(workers, int) else None


def _acted(graph: TaskGraph, scale: float) -> TaskGraph:
    """The graph whose tasks sleep. Raises OptionError where durations are not known."""
    past.flush()
    return acted(graph, past.estimates(graph), scale)


def _kept(graph: TaskGraph, names: str | Collection[str]) -> frozenset[int]:
    """Numbers of the nodes named. Raises OptionError for a name that is none."""
    found = set()
    for name in (names,) if isinstance(names, str) else names:
        if name in graph.aliases:
            found.add(graph.aliases[name].task)
        elif name in graph.index:
            found.add(graph.index[name])
        else:
            advice = near(name, (*graph.aliases, *graph.keys))
            raise OptionError(f"keep={name!r}: {graph.name} has no node of that name.\n  {advice}".rstrip())
    return frozenset(found)


def finish(dag: Dag, run: Run, timeout: float | None = None) -> None:
    """Wait for the end, and raise what failed. An interrupt cancels the run and raises CancelledError.

    With a timeout the run goes on after it, and TimeoutError is raised.
    """
    try:
        run.wait(timeout)
    except KeyboardInterrupt:
        cancel(dag, run)
        tell("ended", dag, run)
        raise cancelled(dag, run) from None
    if live(run):
        raise TimeoutError(f"{dag.name} is still running after {timeout:g} s; it goes on.")
    past.ended(run)
    tell("ended", dag, run)
    raise_failure(dag, run)


def cancel(dag: Dag, run: Run) -> None:
    """End a run: no new tasks, those running end within seconds. A second interrupt gives up waiting for that."""
    try:
        run.cancel()
        run.wait(10.0)
    except KeyboardInterrupt:
        raise cancelled(dag, run) from None


def cancelled(dag: Dag, run: Run) -> CancelledError:
    """One line for a run that was ended."""
    done = run.timeline.counts.get(TaskState.DONE, 0)
    return CancelledError(
        f"{dag.name} was cancelled: {done} of {len(run.graph)} tasks are done. %dag run {dag.name} starts again."
    )


def raise_failure(dag: Dag, run: Run) -> None:
    """Raise the first failure of a run that has ended, or that it was cancelled; nothing when all is well."""
    if run.state.value == "cancelled":
        raise cancelled(dag, run)
    if run.state.value == "failed":
        failures = run.errors()
        if not failures:
            raise RunError(f"{dag.name} failed, and no task of it did.\n  %dag status tells more.")
        from dagnb.runtime.raised import task_error

        raise task_error(failures, run, where(run.graph, failures[0].key))


def where(graph: TaskGraph, key: str) -> str:
    """`Cell In[3], line 2`: where the call of a task stands, or an empty string."""
    task = graph.index.get(key)
    return graph.where[task] if graph.where and task is not None else ""


async def ended(run: Run) -> None:
    """Wait for the end of a run without blocking the event loop."""
    await later(run.wait)


async def later(work: Callable[[], T]) -> T:
    """`work()` in a daemon thread: an executor's thread would hold up the end of the kernel."""
    import asyncio

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]  # None only where T is None

    def body() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 -- whatever it is belongs to who awaits
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, result, None)

    threading.Thread(target=body, name="dagnb-await", daemon=True).start()
    return await answer


def release(run: Run) -> None:
    """Let go of a run's values; one that is live is cancelled first."""
    with suppress(DagnbError):  # the store is gone, and the values with it
        if live(run):
            run.cancel()
        run.drop()
