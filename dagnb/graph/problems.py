"""Why the cells together make no graph: what, where, what to do, a line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import columns_of

if TYPE_CHECKING:
    from .edges import Edges
    from .recording import Recording
    from .table import Table
    from .task import Task


def find_problems(table: Table, edges: Edges, positions: Sequence[int], names: Sequence[str]) -> list[str]:
    """Everything but cycles. `positions` and `names` are those of the calls in the graph."""
    changed = [(r, t, table.current[t]) for r in table.recs for t in columns_of(r).tasks]
    changed = [(r, t, new) for r, t, new in changed if new.fn is not t.fn]
    name_of = dict(zip(positions, names, strict=True)) if edges.missing or changed else {}
    found = [*_missing(table, edges, name_of)]
    for rec in table.recs:
        found += _lengths(table, rec)
    for rec, task, new in changed:
        found += _signatures(table, rec, task, new, name_of)
    return list(dict.fromkeys(found))


def cycle_text(table: Table, circle: Sequence[int], positions: Sequence[int], names: Sequence[str]) -> str:
    """`cycle: a → b → a (In[3], In[6])`."""
    labels = dict.fromkeys(table.where(positions[i])[0].execution.label for i in circle)
    return f"cycle: {' → '.join(names[i] for i in circle)} ({', '.join(labels)})"


def _missing(table: Table, edges: Edges, name_of: Mapping[int, str]) -> Iterator[str]:
    for at, why in sorted(edges.missing.items()):
        if at in name_of:
            rec, line = table.where(at)
            label = rec.execution.label
            yield f"{name_of[at]} ({label}, line {line}) needs {why}. Run {label} again, or define it."


def _lengths(table: Table, rec: Recording) -> Iterator[str]:
    """A cell that used the places of a variable was built for as many as there were."""
    for (cell, root), had in rec.shapes.items():
        other = table.cells.get(cell)
        if other is not None and root in other.roots and other.places[root] != had:
            mine, its = rec.execution.label, other.execution.label
            was = f"{mine} was built when {root} ({its}) had {had} places"
            yield f"{was}; it has {other.places[root]} now. Run {mine} again."


def _signatures(
    table: Table, rec: Recording, task: Task[..., Any], new: Task[..., Any], name_of: Mapping[int, str]
) -> Iterator[str]:
    """Calls that were recorded with an older definition must still fit the newest; each shape of call is tried once."""
    seen: set[Any] = set()
    columns, label = columns_of(rec), rec.execution.label
    for i in np.flatnonzero(columns.task == columns.tasks.index(task)).tolist():
        shape, name = rec.calls.shape(i), name_of.get(table.start[rec] + i)
        if name is None or shape in seen:
            continue
        seen.add(shape)
        positional, keywords = shape
        says = _says(new.misfit((None,) * positional, dict.fromkeys(keywords)))
        if says:
            count = positional + len(keywords)
            passes = f"passes {count} argument{'s' * (count != 1)}; {new.name} now {says}{new.place()}"
            yield f"{name} ({label}, line {rec.calls.lines[i]}) {passes}. Run {label} again."


def _says(misfit: str) -> str:
    """`needs alpha` for a missing argument, else the words of Python."""
    lacks = misfit.removeprefix("missing a required argument: ")
    if lacks != misfit:
        return "needs " + lacks.strip("'")
    return misfit and f"says: {misfit}"
