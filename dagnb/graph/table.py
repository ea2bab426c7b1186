"""All calls of a DAG, one after the other: cells in their order, calls as they were made.

Call i of the k-th cell has the position `offset[k] + i`, whether it is in the graph or not. Inside a cell a call only
needs earlier ones, and a cell stands after those it reads, so positions are a topological order unless cells read one
another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .columns import columns_of
from .ownership import Recordings, in_order, owners
from .task import Task, newest

if TYPE_CHECKING:
    from .recording import Recording

Bools = NDArray[np.bool_]

#: positions or numbers, 32 or 64 bits
Indices = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """The calls of all cells.

    cells    cell → recording
    who      variable → the cell that gives it
    keys     cells in their order
    recs     their recordings
    offset   [cells+1] position of the first call of each
    start    recording → position of its first call
    current  task of a call → the definition that is used
    """

    cells: Recordings
    who: dict[str, str]
    keys: list[str]
    recs: list[Recording]
    offset: NDArray[np.int64]
    start: dict[Recording, int]
    current: dict[Task[..., Any], Task[..., Any]]

    @classmethod
    def of(cls, cells: Recordings) -> Table:
        """Put the calls of the cells in order."""
        keys = in_order(cells)
        recs = [cells[k] for k in keys]
        offset = np.cumsum([0, *(len(r.calls) for r in recs)]).astype(np.int64)
        start = dict(zip(recs, offset.tolist(), strict=False))
        current = {t: newest(t) for r in recs for t in columns_of(r).tasks}
        return cls(cells, owners(cells), keys, recs, offset, start, current)

    def __len__(self) -> int:
        return int(self.offset[-1])

    def where(self, position: int) -> tuple[Recording, int]:
        """The recording and the line of a call."""
        rec = self.recs[int(np.searchsorted(self.offset, position, side="right")) - 1]
        return rec, rec.calls.lines[position - self.start[rec]]
