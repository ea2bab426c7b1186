"""A DAG as a document for others."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dagnb.errors import OptionError, near

from .later import not_yet

if TYPE_CHECKING:
    from dagnb.runtime.run import Run

    from .dag import Dag

#: Ends of file names that are written, and those that are to come.
SUFFIXES = (".json", ".json.gz")
LATER = (".py", ".mmd", ".dot", ".svg", ".html")


def export(dag: Dag, path: str | Path) -> Path:
    """What `Dag.export` does. Raises OptionError, FormatError, OSError, and PlanError when there is no graph."""
    from dagnb.formats.wfformat import write

    target = Path(path).expanduser()
    suffix = next((s for s in (*SUFFIXES, *LATER) if target.name.endswith(s)), None)
    if suffix is None:
        ends = (*SUFFIXES, *LATER)
        advice = near(target.suffix, ends) or f"{dag.name}.export('{target.stem or dag.name}.json') writes WfFormat."
        raise OptionError(f"{target.name!r} does not say what to write {dag.name} as.\n  {advice}")
    if suffix in LATER:
        not_yet(f"{dag.name}.export('…{suffix}')", f"{dag.name}.export('{dag.name}.json') writes WfFormat.")
    graph, run = dag.graph, dag.real
    if run is None or run.graph is not graph or run.state.value == "running":
        return write(graph, target)
    return write(graph, target, run.timeline, began=_began(run))


def _began(run: Run) -> datetime:
    """When a run was submitted, on the clock of the wall."""
    return datetime.now(UTC) - timedelta(microseconds=(time.perf_counter_ns() - run.submitted) / 1000)
