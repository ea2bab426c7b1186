"""Plans side by side, as they are drawn: what a row of a comparison must tell, its small Gantt, and both as bytes.

The session's `Comparison` has this shape; widgets know nothing else of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .svg_axis import Rows, last_moment, ran
from .svg_bars import fill, stretches
from .wording import clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.planning.plan import Plan
    from dagnb.trace.timeline import Timeline

    from .snapshot import Message

#: Lanes of a small Gantt; beyond it workers share them.
LANES = 16
#: Bars that all small Gantts together may have; beyond it each is made of bins.
BARS = 6_000
#: Bins across a small Gantt.
BINS = 240

#: Figures of a row that travel as they are.
FIGURES = (
    "makespan", "interval", "lower_bound", "gap", "gb_seconds", "worker_seconds", "bytes_moved", "cold_starts",
    "locality",
)  # fmt: skip


class Entry(Protocol):
    """One plan of a comparison; figures are None where there is no plan. `dagnb.session.compare.Row` has this shape."""

    @property
    def dag(self) -> str:
        """Name of the DAG."""

    @property
    def planner(self) -> str:
        """Who planned."""

    @property
    def label(self) -> str:
        """The number of workers, and what tells clusters of equal size apart."""

    @property
    def workers(self) -> int:
        """How many workers it was planned for."""

    @property
    def plan(self) -> Plan | None:
        """With its figures; None where the planner failed."""

    @property
    def error(self) -> str:
        """Why it failed."""


@dataclass(frozen=True, slots=True)
class Bars:
    """A small Gantt: stretches of lanes. lane [k], start and end [k] in seconds or task units, kind [k]; lanes in all.

    height [k] is the busy share of the lane, below 1 only where a bar stands for several tasks.
    """

    lanes: int
    lane: NDArray[np.uint16]
    start: NDArray[np.float32]
    end: NDArray[np.float32]
    kind: NDArray[np.uint8]
    height: NDArray[np.float32]


#: The Gantt of a planner that failed.
NO_BARS = Bars(0, *(np.zeros(0, t) for t in (np.uint16, np.float32, np.float32, np.uint8, np.float32)))  # type: ignore[arg-type]  # in the order of the fields


def small_gantts(entries: Sequence[Entry], kind: NDArray[np.integer[Any]]) -> list[Bars]:
    """One for each entry; of large graphs each worker's time is gathered into bins."""
    plans = [entry.plan for entry in entries]
    binned = len(kind) * sum(plan is not None for plan in plans) > BARS
    return [
        _bars(plan.timeline, kind, entry.workers, binned=binned)
        if plan is not None and plan.timeline is not None and ran(plan.timeline).any()
        else NO_BARS
        for entry, plan in zip(entries, plans, strict=True)
    ]


def _bars(line: Timeline, kind: NDArray[np.integer[Any]], workers: int, *, binned: bool) -> Bars:
    count = max(workers, int(line.worker.max()) + 1)
    rows = Rows(count, min(count, LANES), 1.0)
    tasks = np.flatnonzero(ran(line))
    colour = kind[tasks].astype(np.int64) % 256
    if not binned and count <= LANES:
        order = np.lexsort((line.start[tasks], line.worker[tasks]))
        tasks, colour = tasks[order], colour[order]
        whole = np.ones(len(tasks))
        return _packed(rows.rows, rows.of(line.worker[tasks]), line.start[tasks], line.end[tasks], colour, whole)
    size = last_moment(line) / BINS
    most, busy = fill(line, tasks, colour, rows, size, BINS)
    found = [
        (row, a * size, b * size, k, h)
        for k in np.unique(most[most >= 0]).tolist()
        for row, a, b, h in stretches(np.where(most == k, np.round(busy * 8) / 8, 0.0))
    ]
    return _packed(rows.rows, *(np.array(column) for column in zip(*found, strict=True)))


def _packed(lanes: int, *columns: NDArray[Any]) -> Bars:
    lane, start, end, kind, height = columns
    return Bars(
        lanes, lane.astype("<u2"), start.astype("<f4"), end.astype("<f4"), kind.astype("u1"), height.astype("<f4")
    )


def compare_message(entries: Sequence[Entry], kind: NDArray[np.integer[Any]], number: int, best: int) -> Message:
    """The comparison `number` as it travels: facts by row, and the small Gantts one after the other in columns.

    first i4[rows + 1] (the bars of row r are first[r] … first[r + 1]), lane u2, start f4, end f4, kind u1, height f4.
    """
    drawn = small_gantts(entries, kind)
    first = np.concatenate([[0], np.cumsum([len(bars.lane) for bars in drawn])]).astype("<i4")
    columns = [("first", "i4", first.tobytes())]
    for name, kind_of in (("lane", "u2"), ("start", "f4"), ("end", "f4"), ("kind", "u1"), ("height", "f4")):
        columns.append((name, kind_of, b"".join(getattr(bars, name).tobytes() for bars in drawn)))
    head = {
        "kind": "compare",
        "id": number,
        "best": best,
        "rows": [_facts(entry, bars.lanes) for entry, bars in zip(entries, drawn, strict=True)],
        "columns": [[name, kind_of] for name, kind_of, _ in columns],
    }
    return head, [data for _, _, data in columns]


def _facts(entry: Entry, lanes: int) -> dict[str, Any]:
    plan = entry.plan
    facts = {
        "planner": clean(entry.planner, 60),
        "label": entry.label,
        "workers": entry.workers,
        "error": clean(entry.error, 300),
        "has_seconds": plan.has_seconds if plan is not None else True,
        "lanes": lanes,
    }
    return facts | {name: _plain(getattr(entry, name, None)) for name in FIGURES}


def _plain(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return [float(v) for v in value] if isinstance(value, tuple) else float(value)
