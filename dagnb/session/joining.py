"""Runs that go on although their kernel is gone, joined by a DAG that is the same: nothing is computed a second time.

After a restart of the kernel the cells are run again, and the DAG with them. Is it what a live run of that name and
folder was begun with (names, edges, code, arguments), it takes that run for its own, as soon as a cell completes it, at
the latest when it is to be run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagnb.errors import DagnbError
from dagnb.planning.words import seconds
from dagnb.runtime.context import folder
from dagnb.settings import Settings

from . import engine, past
from .observers import OBSERVERS, tell

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.runtime.attach import Attachment
    from dagnb.runtime.peek import Orphan
    from dagnb.runtime.pool import LocalPool
    from dagnb.runtime.run import Run

    from .dag import Dag

#: The attachment in which was looked for orphans before a run, and those that were found then.
_looked: tuple[Attachment, list[Orphan]] | None = None


def say(text: str) -> None:
    """One line for the user: into the cell that is running, or in a script into the log."""
    if OBSERVERS:
        tell("noted", text)
        return
    import logging

    logging.getLogger("dagnb").warning(text)


def orphans() -> list[Orphan]:
    """Live runs of this folder whose kernel is gone, the newest first. Starts nothing, and attaches to nothing."""
    from dagnb.runtime.peek import orphans as everywhere

    place = folder()
    return [orphan for orphan in everywhere(Settings.load()) if orphan.folder == place] if place else []


def busy(dag: Dag) -> bool:
    """Whether a run of it goes on."""
    return dag.last is not None and dag.last.state.value == "running"


def recorded(dag: Dag) -> None:
    """A cell was run, and `dag` makes a graph: it takes a run that is of exactly this for its own, and says so."""
    try:
        _recorded(dag)
    except DagnbError:  # the store is gone, or is just going: a cell is recorded all the same
        import logging

        logging.getLogger("dagnb").info("no run of %s could be joined", dag.name, exc_info=True)


def _recorded(dag: Dag) -> None:
    run = dag.last
    if run is not None and run.attached and run.graph is not dag.graph:
        if is_of(run, dag.graph):
            run.adopt(dag.graph)
        return
    for orphan in [] if busy(dag) else orphans():
        if orphan.dag == dag.name and orphan.graph == dag.graph.fingerprint and not orphan.acted:
            found = _opened(engine.connect(), orphan, dag.graph)
            if found is not None:
                bind(dag, found)
                say(f"{joined(dag, orphan.age)}.")
                return


def join(dag: Dag, graph: TaskGraph, pool: LocalPool, *, kept: frozenset[int], plan: Plan | None) -> Run | None:
    """The orphan that a run of `graph` would repeat, taken up; None where there is none.

    One of the same name that is of something else goes on, and it is said how to reach it. Whoever gives a plan, or
    wants values kept that this run does not keep, gets a run of his own.
    """
    global _looked  # noqa: PLW0603 -- once for each attachment: a warm run has no time to ask
    if _looked is None or _looked[0] is not pool.attachment:
        _looked = (pool.attachment, orphans())
    others = [orphan for orphan in _looked[1] if orphan.dag == dag.name]
    for orphan in others:
        _looked[1].remove(orphan)
        same = orphan.graph == graph.fingerprint and not orphan.acted and plan is None
        run = _opened(pool, orphan, graph) if same else None
        if run is not None and kept <= run.kept:
            bind(dag, run)
            say(f"{joined(dag, orphan.age)}; %dag cancel {dag.name} ends it.")
            return run
        say(
            f"another run of {dag.name} goes on since {seconds(orphan.age)}, started by a kernel that is gone; "
            f"%dag attach {orphan.id[:6]} shows it."
        )
    return None


def joined(dag: Dag, age: float) -> str:
    """What is said of a run that was taken up."""
    return f"a run of {dag.name} is under way since {seconds(age)}, started by a kernel that is gone: attached"


def bind(dag: Dag, run: Run) -> None:
    """Make it the last run of a DAG."""
    dag.last = run
    if not run.acted:
        dag.real = run
    if run.state.value == "running":
        past.begun(run)


def is_of(run: Run, graph: TaskGraph) -> bool:
    """Whether an attached run is surely of this graph: the same names, edges, code and arguments."""
    told = run.outline
    if told is None or told.graph.fingerprint != graph.fingerprint:
        return False
    from dagnb.graph.identity import identity

    mine = identity(graph)
    return mine.exact and not told.unknown and mine.digest == told.identity


def _opened(pool: LocalPool, orphan: Orphan, graph: TaskGraph) -> Run | None:
    """The run if it is surely of this graph, with the graph of this kernel."""
    from dagnb.errors import RunError
    from dagnb.runtime.known import outline_of, reopen

    told = outline_of(pool, orphan.id)
    if told is None:
        return None
    try:
        run = reopen(pool, orphan.id, told)
    except RunError:  # it was dropped meanwhile
        return None
    if not is_of(run, graph) or run.state.value != "running":
        return None
    run.adopt(graph)
    return run
