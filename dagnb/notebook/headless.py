"""Run a notebook without a front end: cell by cell, progress in the terminal, what it showed kept in the file."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagnb.errors import DagnbError, OptionError, RunError

from .page import without_widgets

if TYPE_CHECKING:
    from nbformat import NotebookNode

#: Columns of a progress line where the terminal does not say.
WIDTH = 100
#: Tag of the cell after which parameters are set, as papermill has it; without one they follow the first code cell.
TAG = "parameters"


def run_notebook(
    notebook: Path,
    output: Path | None = None,
    *,
    params: Iterable[str] = (),
    workers: int | None = None,
) -> NotebookNode:
    """Execute `notebook` in a fresh kernel, in its own directory; the executed notebook is written and returned.

    output    where it goes; None rewrites `notebook`
    params    "name=value" each, set as variables; a value is a Python literal, else a text
    workers   worker processes of its runs

    A cell that raises ends it: what was executed until then is written all the same, and RunError is raised. Ctrl-C is
    the ■ of a notebook; a second one gives up. Raises OptionError for a parameter or a file that cannot be, DagnbError
    when what executes notebooks is not installed.
    """
    try:
        import nbformat
    except ImportError as error:
        raise DagnbError(f"{error.name} is not installed.\n  pip install 'dagnb[notebook]'") from None
    found = _read(notebook)
    _inject(found, [_assignment(text) for text in params])
    target = output or notebook
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _execute(found, notebook.resolve().parent, workers)
    finally:
        nbformat.write(without_widgets(found), target)
    return found


def _read(path: Path) -> NotebookNode:
    import nbformat

    try:
        found: NotebookNode = nbformat.read(path, as_version=4)
    except (OSError, UnicodeDecodeError, nbformat.reader.NotJSONError) as error:
        reason = getattr(error, "strerror", None) or "it is not JSON"
        raise OptionError(
            f"{path} is no notebook that can be read: {reason}.\n  Give the path of an .ipynb file."
        ) from None
    return found


def _assignment(text: str) -> str:
    """`alpha = 0.5` from "alpha=0.5". Raises OptionError."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier() or iskeyword(name):
        raise OptionError(f"-p {text}: that sets no variable.\n  Write -p name=value.")
    try:
        return f"{name} = {ast.literal_eval(value.strip())!r}"
    except (ValueError, SyntaxError):
        return f"{name} = {value!r}"


def _inject(notebook: NotebookNode, lines: list[str]) -> None:
    """Put a cell with the assignments after the one that is tagged, else after the first code cell."""
    from nbformat.v4 import new_code_cell

    if not lines:
        return
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    tagged = [i for i in code if TAG in cell_tags(notebook.cells[i])]
    cell = new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert((tagged or code or [-1])[0] + 1, cell)


def cell_tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    tags: list[str] = cell.metadata.get("tags", [])
    return tags


def _execute(notebook: NotebookNode, directory: Path, workers: int | None) -> None:
    """Every code cell in order. Raises RunError for the first that fails."""
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        cell.outputs, cell.execution_count = [], None
    screen = Screen(len(code))
    env = {**os.environ, "DAGNB_WIDGET": "0", **({"DAGNB_WORKERS": str(workers)} if workers else {})}
    try:
        _client(notebook, directory, screen).execute(env=env)
    except CellExecutionError as error:
        where = code.index(screen.cell) + 1 if screen.cell in code else 0
        raise RunError(f"cell {where} of {len(code)} failed: {_plain(_failure(screen.cell) or str(error))}") from None
    except DeadKernelError:
        screen.end(ok=False)
        raise RunError("the kernel died.\n  Its run goes on if it had one; run the notebook again.") from None


def _client(notebook: NotebookNode, directory: Path, screen: Screen) -> Any:
    """An nbclient that tells the screen what happens."""
    from nbclient import NotebookClient

    class Client(NotebookClient):
        def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
            screen.heard(msg)
            return super().process_message(msg, cell, cell_index)

    client = Client(
        notebook,
        timeout=None,
        kernel_name=_kernel(notebook),
        store_widget_state=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(directory)}},
    )

    def begin(cell: NotebookNode, cell_index: int) -> None:  # noqa: ARG001 -- nbclient passes by name
        _interrupt_kernel(client)
        screen.begin(cell)

    client.on_cell_start = begin
    client.on_cell_executed = lambda execute_reply, **_: screen.end(ok=execute_reply["content"]["status"] == "ok")
    return client


def _kernel(notebook: NotebookNode) -> str:
    """The kernel that the notebook names, if it is installed here; else this interpreter's."""
    from jupyter_client.kernelspec import KernelSpecManager

    named = str(notebook.metadata.get("kernelspec", {}).get("name", ""))
    return named if named in KernelSpecManager().find_kernel_specs() else "python3"


def _interrupt_kernel(client: Any) -> None:
    """Let Ctrl-C be the ■ of a notebook: the cell is interrupted, its run cancelled. A second one ends the kernel."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Future[Any]] = set()  # a task that nobody holds may vanish

    def interrupt() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        tasks.add(asyncio.ensure_future(client.km.interrupt_kernel()))

    with suppress(RuntimeError, NotImplementedError):  # not in the main thread: there is no Ctrl-C
        loop.add_signal_handler(signal.SIGINT, interrupt)


def _failure(cell: NotebookNode | None) -> str:
    """What the cell showed of its error."""
    outputs = cell.outputs if cell is not None else []
    texts = ["\n".join(o.traceback) or f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
    return texts[-1] if texts else ""


def _plain(text: str) -> str:
    """Text without the colours of a terminal."""
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Screen:
    """One line for each cell; in a terminal the line of the cell that runs is kept up to date."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.number = 0
        self.cell: NotebookNode | None = None
        self.began = 0.0
        self.title = self.news = ""
        self.live = sys.stderr.isatty()

    def begin(self, cell: NotebookNode) -> None:
        """A cell starts."""
        if cell.cell_type != "code":
            return
        lines = [line for line in cell.source.splitlines() if line.strip()]
        self.number, self.cell, self.began = self.number + 1, cell, time.monotonic()
        self.title, self.news = (lines[0] if lines else ""), ""
        self._draw()

    def heard(self, message: dict[str, Any]) -> None:
        """A message of the kernel; the texts of pictures say how a run stands."""
        if message.get("msg_type") not in {"display_data", "update_display_data"}:
            return
        text = str(message["content"].get("data", {}).get("text/plain", ""))
        if text.strip():
            self.news = " · ".join(text.strip().splitlines()[:3])
            self._draw()

    def end(self, *, ok: bool) -> None:
        """The cell has ended."""
        if self.cell is None:
            return
        took = time.monotonic() - self.began
        self._write(f"{'✓' if ok else '✗'} {self._line()}", f"{took:.1f} s", last=True)
        if ok:
            self.cell = None

    def _line(self) -> str:
        return f"{self.number}/{self.cells}  {self.title}" + (f"   {self.news}" if self.news else "")

    def _draw(self) -> None:
        if self.live:
            self._write(f"… {self._line()}", "", last=False)

    def _write(self, text: str, right: str, *, last: bool) -> None:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns - 1 if self.live else WIDTH
        room = max(columns - len(right) - 1, 20)
        shown = text if len(text) <= room else text[: room - 1] + "…"
        start = "\r\x1b[K" if self.live else ""
        sys.stderr.write(f"{start}{shown.ljust(room)} {right}".rstrip() + ("\n" if last else ""))
        sys.stderr.flush()
