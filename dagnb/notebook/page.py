"""An executed notebook as one HTML file that asks nobody for anything: no CDN, no kernel, no widget state."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

#: The MIME type of a live widget, which needs a kernel; the static picture stands in the output after it.
WIDGET = "application/vnd.jupyter.widget-view+json"

#: nbconvert's page without the four scripts that it takes from a CDN.
TEMPLATE = "{% extends 'lab/index.html.j2' %}" + "".join(
    f"{{% block {name} %}}{{% endblock %}}"
    for name in ("html_head_js_requirejs", "html_head_js_mathjax", "html_head_js_mermaidjs", "jupyter_widgets")
)


def without_widgets(notebook: NotebookNode) -> NotebookNode:
    """A copy without live widgets and their state: what a reader without a kernel sees anyway, and small."""
    copy: NotebookNode = deepcopy(notebook)
    copy.metadata.pop("widgets", None)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
            cell.metadata.pop("execution", None)
    return copy


def html_page(notebook: NotebookNode, title: str) -> str:
    """One file with styles and pictures in it. Needs nbconvert (the extra `dagnb[notebook]`)."""
    from nbconvert import HTMLExporter

    exporter: Any = HTMLExporter(raw_template=TEMPLATE)
    page: str
    page, _ = exporter.from_notebook_node(without_widgets(notebook), {"metadata": {"name": title}})
    return page
