"""Runs of other kernels: listed, and taken up by a kernel that did not begin them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dagnb.errors import OptionError, near
from dagnb.planning.words import seconds
from dagnb.runtime.context import folder

from . import engine, joining, registry
from .dag import Dag, builder_of
from .names import DAGS
from .twins import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dagnb.runtime.known import KnownRun
    from dagnb.runtime.pool import LocalPool
    from dagnb.runtime.run import Run

#: Characters of an id that lists show, and the fewest that name a run.
SHOWN, FEWEST = 6, 4


def attach(run: str | None = None) -> Run:
    """A run that another kernel began, live or ended less than a day ago, as if it had been begun here.

    run    the name of its DAG, or its id or the beginning of it; default: of this folder the one that goes on, else
           the last that ended

    Its DAG is known by its name from then on (`%dag wait etl`, `dagnb.dag("etl")`). Nothing is started or computed
    again. Raises OptionError where there is none or where several would do, with a list, RunError, StoreError.
    """
    return take(run)[1]


def take(word: str | None = None) -> tuple[Dag, Run, str]:
    """The DAG, the run and what there is to say, for `attach` and `%dag attach`."""
    pool = engine.connect()
    known = _chosen(_known(pool), word)
    dag = next((dag for dag in DAGS.values() if dag.last is not None and dag.last.id == known.id), None)
    if dag is None:
        dag = _taken(pool, known)
    assert dag.last is not None
    state = f"under way since {seconds(known.age)}" if known.live else f"{known.state} {seconds(known.age)} ago"
    named = f" as {dag.name}" if dag.name != known.dag else ""
    return dag, dag.last, f"run {known.id[:SHOWN]} of {known.dag}, {state} ({_whose(known)}): attached{named}"


def runs(n: int = 20) -> Report:
    """The last runs of all kernels of this user, live and ended, as a table: what `attach` takes."""
    found = _known(engine.connect())[:n]
    return Report(_table(found) if found else "no run is known: those that ended are kept for a day")


def _known(pool: LocalPool) -> list[KnownRun]:
    from dagnb.runtime.known import known_runs

    return known_runs(pool)


# ---- which ----------------------------------------------------------------------------------------------------------
def _chosen(found: Sequence[KnownRun], word: str | None) -> KnownRun:
    """The run that is meant. Raises OptionError."""
    if word is None:
        return _unnamed([known for known in found if known.whose != "mine"])
    named = [known for known in found if known.dag == word]
    if named:
        local = [known for known in named if known.folder == folder()]
        return _first(local or named)[0]
    ids = [known for known in found if known.id.startswith(word) and len(word) >= FEWEST]
    if len(ids) > 1:
        raise OptionError(f"several runs begin with {word}.\n{_table(ids)}\n  Say more of the id.")
    if not ids:
        advice = near(word, dict.fromkeys(known.dag for known in found)) or "%dag runs lists those that are known"
        raise OptionError(f"there is no run {word}.\n  {advice[0].upper()}{advice[1:]}.".replace("?.", "?"))
    return ids[0]


def _unnamed(others: Sequence[KnownRun]) -> KnownRun:
    """Of this folder: what goes on, else what ended last."""
    local = [known for known in others if known.folder == folder()]
    if not local:
        elsewhere = f"\n{_table(others[:20])}\n  Say its id: %dag attach {others[0].id[:SHOWN]}." if others else ""
        raise OptionError(f"no other kernel has begun a run in this folder.{elsewhere}")
    likely = _first(local)
    if likely[0].live and len({known.dag for known in likely}) > 1:
        raise OptionError(f"which run? Several go on.\n{_table(likely)}\n  Say its name: %dag attach {likely[0].dag}.")
    return likely[0]


def _first(found: Sequence[KnownRun]) -> Sequence[KnownRun]:
    """Those that go on and whose kernel is gone, else those that go on, else all."""
    live = [known for known in found if known.live]
    return [known for known in live if known.whose == "gone"] or live or found


# ---- taken up -------------------------------------------------------------------------------------------------------
def _taken(pool: LocalPool, known: KnownRun) -> Dag:
    """The DAG of a run: that of this kernel where it is the same, else one that is made of what the store knows."""
    from dagnb.runtime.known import outline_of, reopen

    told = outline_of(pool, known.id)
    mine = registry.dags().get(known.dag)
    if mine is not None and (builder_of(mine).problems or joining.busy(mine)):
        mine_graph = None
    else:
        mine_graph = mine.graph if mine is not None and mine.graph.fingerprint == known.graph else None
    run = reopen(pool, known.id, told, mine_graph if told is None else None)
    if mine is not None and mine_graph is not None and (told is None or joining.is_of(run, mine_graph)):
        run.adopt(mine_graph)
        joining.bind(mine, run)
        return mine
    name = known.dag if mine is None else f"{known.dag}_{known.id[:FEWEST]}"
    if mine is not None:
        run.graph = replace(run.graph, name=name)
    dag = Dag(name, run.graph, attached=True)
    joining.bind(dag, run)
    return registry.register(dag)


# ---- in words -------------------------------------------------------------------------------------------------------
def _whose(known: KnownRun) -> str:
    words = {"gone": "its kernel is gone", "another": "begun by another kernel", "mine": "begun here"}
    return words[known.whose]


def _table(found: Iterable[KnownRun]) -> str:
    """A line for each run: id, DAG, tasks, state, age, whose it is, and where it was begun if not here."""
    rows = [("run", "dag", "tasks", "state", "began", "took", "kernel")]
    rows += [
        (
            known.id[:SHOWN],
            known.dag,
            f"{known.tasks:,}",
            known.state,
            f"{seconds(known.age)} ago",
            "" if known.lasted is None else seconds(known.lasted),
            {"gone": "gone", "another": "another", "mine": "this"}[known.whose]
            + (f" in {known.folder}" if known.folder != folder() else ""),
        )
        for known in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
