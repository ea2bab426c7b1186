"""Cells of IPython, told to the registry that names and errors read: which cell runs, what its file is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from dagnb.graph.cells import CELLS, Execution


class CellWatch:
    """Follows the executions of one shell.

    The front end's cell id makes an execution *that* cell's; without one (nbclient, a terminal) each execution is a
    cell of its own. The compiler's `cache` is wrapped because it alone knows both the file name and the n of `In[n]`:
    the counter of the shell is one ahead inside a cell on IPython 9, and not on 8.
    """

    def __init__(self, shell: Any, deleted: Callable[[str], None]) -> None:
        self.shell = shell
        self.deleted = deleted
        self.open: list[tuple[object, Execution]] = []
        self._cache = shell.compile.cache

    def start(self) -> None:
        """Follow from now on; a cell that is running is taken in, so that it may load dagnb and use it."""
        if not CELLS.stack and (found := self._running()) is not None:
            file, number = found
            self.open.append((None, CELLS.begin(self._metadata().get("cellId"), f"In[{number}]")))
            CELLS.name_file(file)
        self.shell.compile.cache = self._named
        self.shell.events.register("pre_run_cell", self._begin)
        self.shell.events.register("post_run_cell", self._end)

    def stop(self) -> None:
        """Leave the shell as it was found."""
        self.shell.events.unregister("pre_run_cell", self._begin)
        self.shell.events.unregister("post_run_cell", self._end)
        del self.shell.compile.cache
        while self.open:
            self.open.pop()
            CELLS.end()

    def _begin(self, info: Any = None) -> None:
        for cell in self._metadata().get("deletedCells") or ():
            self.deleted(str(cell))
        self.open.append((info, CELLS.begin(getattr(info, "cell_id", None))))

    def _end(self, result: Any = None) -> None:
        """Matched by its execution: an empty cell ends without having begun."""
        if self.open and self.open[-1][0] in (None, getattr(result, "info", None)):
            self.open.pop()
            CELLS.end()

    def _named(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        file: str = self._cache(transformed_code, number, raw_code)
        if self.open:
            if number:
                CELLS.relabel(self.open[-1][1], f"In[{number}]")
            CELLS.name_file(file)
        return file

    def _metadata(self) -> dict[str, Any]:
        """What the front end sent beside the code; empty where there is none."""
        parent = self.shell.get_parent() if hasattr(self.shell, "get_parent") else None
        return (parent or {}).get("metadata") or {}

    def _running(self) -> tuple[str, int] | None:
        """File and number of the cell on the stack, if this is called from one."""
        numbers: dict[str, int] = getattr(self.shell.compile, "_filename_map", {})
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename in numbers:
                return frame.f_code.co_filename, numbers[frame.f_code.co_filename]
            frame = frame.f_back
        return None
