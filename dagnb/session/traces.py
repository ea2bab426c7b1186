"""DAGs from documents of others."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from keyword import iskeyword
from pathlib import Path

from dagnb.graph.cells import CELLS, calling_frame

from . import registry
from .dag import Dag


def from_wfformat(path: str | Path, name: str | None = None) -> Dag:
    """A DAG from a WfFormat document, versions 1.3 to 1.6, `.json` or `.json.gz`: a trace of another workflow system.

    It can be looked at, planned, compared, exported and acted out (`run(mode="sleep", scale=0.01)`); it has no
    functions, so `run()` alone is refused. How tasks, durations and sizes are read: `dagnb.formats.wfformat.read`.

    name    of the DAG, a Python name; default: made from the name of the file

    Raises FormatError for a document that cannot be read, OptionError for a name that is none.
    """
    from dagnb.formats.wfformat import read

    graph = read(path)
    target = registry.unregistered(name if name is not None else _name_of(path, graph.name))
    found = Dag(target.name, replace(graph, name=target.name))
    return registry.register(found, CELLS.scope(calling_frame(sys._getframe(1))))


def _name_of(path: str | Path, stated: str) -> str:
    """A Python name: of the file, or of the document where it came as text."""
    text = str(path)
    stem = stated if text.lstrip().startswith("{") else re.sub(r"(\.json)?(\.gz)?$", "", Path(text).name)
    word = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_") or "trace"
    return f"trace_{word}" if word[0].isdigit() or iskeyword(word) else word
