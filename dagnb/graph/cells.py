"""Which cell is running: its identity, the number of this execution, and what people call it (`In[7]`).

`dagnb.notebook.cells` begins and ends executions from IPython's events; nothing here knows IPython. Where there are no
cells (a script, a test) the unit is a `with` block: its file, its function and its place in it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

from dagnb.errors import CELL_LABELS, HERE


@dataclass(eq=False, slots=True)
class Execution:
    """One execution of one cell.

    cell    stays the same when the front end sends the id of the cell; without ids it is new every time
    number  counts executions in this kernel: a larger one is newer
    label   `In[7]`, or the name of the script
    """

    cell: str
    number: int
    label: str


@dataclass
class Cells:
    """Every execution that this kernel has seen.

    stack   executions going on, innermost last (`run_cell` can nest)
    last    cell → number of its last execution
    labels  cell → label of its last execution
    blocks  `with` blocks outside of cells → their identity
    """

    stack: list[Execution] = field(default_factory=list)
    number: int = 0
    last: dict[str, int] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    blocks: dict[tuple[str, CodeType, int], str] = field(default_factory=dict)

    def begin(self, cell: str | None = None, label: str = "") -> Execution:
        """A cell starts. Without an id of the front end the execution is a cell of its own."""
        execution = self._new(cell, label)
        self.stack.append(execution)
        return execution

    def end(self) -> None:
        """The innermost cell has ended."""
        if self.stack:
            self.stack.pop()

    def now(self) -> Execution:
        """The execution going on; outside of cells the script, which is one execution from its start to its end."""
        return self.stack[-1] if self.stack else SCRIPT

    def relabel(self, execution: Execution, label: str) -> None:
        """For front ends whose `In[n]` is known only after the execution began."""
        execution.label = self.labels[execution.cell] = label

    def name_file(self, file: str, execution: Execution | None = None) -> None:
        """The compiled code of this cell has this file name: errors say `Cell In[7]` for it."""
        CELL_LABELS[file] = f"Cell {(execution or self.now()).label}"

    def block(self, frame: FrameType) -> Execution:
        """The execution of a `with` block entered in `frame`: the cell's, or outside of cells the block's own."""
        if self.stack:
            return self.stack[-1]
        code = frame.f_code
        key = (code.co_filename, code, frame.f_lasti)
        if key not in self.blocks:
            ordinal = sum(
                1 for file, other, _ in self.blocks if file == key[0] and other.co_qualname == code.co_qualname
            )
            self.blocks[key] = f"{code.co_filename}:{code.co_qualname}#{ordinal}"
        return self._new(self.blocks[key], Path(code.co_filename).name)

    def scope(self, frame: FrameType) -> str:
        """Where a DAG of a name is one and the same: the notebook (an empty string), or a function of a file."""
        return "" if self.stack else f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}"

    def _new(self, cell: str | None, label: str) -> Execution:
        self.number += 1
        execution = Execution(cell or f"#{self.number}", self.number, label or f"In[{self.number}]")
        self.last[execution.cell] = self.number
        self.labels[execution.cell] = execution.label
        return execution


def calling_frame(frame: FrameType) -> FrameType:
    """The frame whose `with` statement it is: past this package, and past `contextlib` for an ExitStack."""
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(HERE) or frame.f_globals.get("__name__") == "contextlib"
    ):
        frame = frame.f_back
    return frame


#: the one registry of this process
CELLS = Cells()

#: a script, as far as it is not inside of a block
SCRIPT = Execution("script", 0, Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python")
