"""An IPython shell in this process, as a terminal has it: quick, and its insides can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from dagnb.graph.cells import CELLS
from dagnb.session.names import DAGS
from tests.notebook.kernel import plain

BASICS = """\
%load_ext dagnb
import dagnb
from dagnb import task
@task
def load(x=0): return x
@task
def add(*xs): return sum(xs)
@task
def fail(x): raise ValueError(f"bad {x}")"""


class Shell:
    """Cells with ids, as JupyterLab sends them."""

    def __init__(self, capsys: Any) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        self.ip = InteractiveShell.instance(config=config)  # `get_ipython()` finds it
        self.ip.user_ns.clear()
        self.ip.init_user_ns()
        self.ip.execution_count = 1
        self.capsys = capsys
        self.parent: dict[str, Any] = {}
        self.ip.get_parent = lambda: self.parent

    @property
    def ns(self) -> dict[str, Any]:
        """The notebook's variables."""
        return self.ip.user_ns

    def run(self, source: str, cell: str | None = None, deleted: tuple[str, ...] = ()) -> str:
        """Execute; what was printed and shown. Raises what the cell raised before it could run."""
        self.parent = {"metadata": {"deletedCells": list(deleted)}}
        self.capsys.readouterr()
        self.result = self.ip.run_cell(source, store_history=True, cell_id=cell)
        return plain(self.capsys.readouterr().out)

    def ok(self, source: str, cell: str | None = None, **more: Any) -> str:
        """Execute a cell that must not raise."""
        text = self.run(source, cell, **more)
        assert self.result.success, text
        return text

    def fails(self, source: str, cell: str | None = None, **more: Any) -> str:
        """Execute a cell that must raise; what it shows."""
        text = self.run(source, cell, **more)
        assert not self.result.success, text
        return text


@contextmanager
def shell(capsys: Any) -> Iterator[Shell]:
    """A shell with dagnb loaded and two tasks; afterwards this process is as it was."""
    CELLS.__init__()  # type: ignore[misc]  # one registry for the process
    DAGS.clear()
    made = Shell(capsys)
    made.ok(BASICS, "basics")
    try:
        yield made
    finally:
        made.ip.run_line_magic("unload_ext", "dagnb")
        DAGS.clear()
        CELLS.__init__()  # type: ignore[misc]  # see above
