"""`dagnb demo`: the first example notebook, executed in the terminal, and where its results lie."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dagnb.errors import DagnbError

from .headless import run_notebook
from .page import html_page

if TYPE_CHECKING:
    from nbformat import NotebookNode

NAME = "01-first-dag"


def demo_notebook() -> Path:
    """The notebook in the checkout, else its copy in the installed package. Raises DagnbError if neither is there."""
    package = Path(__file__).resolve().parent
    places = (package.parent.parent / "notebooks" / f"{NAME}.ipynb", package / f"{NAME}.ipynb")
    for place in places:
        if place.exists():
            return place
    msg = f"the notebook of the demo is missing\n  {places[1]}\n  install dagnb again"
    raise DagnbError(msg)


def run_demo(directory: Path) -> None:
    """Execute the notebook into `directory`, print what it printed, say what to open."""
    directory.mkdir(parents=True, exist_ok=True)
    executed, page = directory / f"{NAME}.ipynb", directory / f"{NAME}.html"
    shutil.copyfile(demo_notebook(), executed)  # executed where it lies: a kernel's directory is on its path
    notebook = run_notebook(executed)
    page.write_text(html_page(notebook, "First DAG"), encoding="utf-8")
    click.echo()
    click.echo(printed(notebook))
    jupyter = Path(sys.executable).with_name("jupyter")
    for what, where in {
        "executed notebook": executed,
        "the same as one HTML file": page,
        "live, in JupyterLab": f"{shlex.quote(short(jupyter))} lab {shlex.quote(str(executed))}",
    }.items():
        click.echo(f"  {click.style(f'{what:26}', dim=True)}{where}")


def short(path: Path) -> str:
    """A path from here if it is below here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def printed(notebook: NotebookNode) -> str:
    """What the cells printed to standard output, in order."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
