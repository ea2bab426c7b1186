"""Executes the example notebooks and keeps their outputs, as readers on GitHub see them: `make notebooks`."""

import sys
from pathlib import Path

import nbformat

from dagnb.notebook.headless import run_notebook
from dagnb.notebook.page import without_widgets

for name in sys.argv[1:]:
    executed = run_notebook(Path(name), Path("build") / "notebooks" / Path(name).name)
    clean = without_widgets(executed)
    clean.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    nbformat.write(clean, name)
