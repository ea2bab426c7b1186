"""How an Analysis shows itself as the last value of a cell: words, a table, a still picture, and live plots below."""

from __future__ import annotations

import logging
import math
import os
import secrets
from html import escape
from typing import TYPE_CHECKING, Any

from dagnb.errors import DagnbError

from .panel import WIDGET, has_front_end
from .pictures import _html

if TYPE_CHECKING:
    from dagnb.planning.analysis import Analysis
    from dagnb.planning.phases import KindRow

#: Phases of the table.
COLUMNS = ("wait", "download", "execute", "upload", "size")
#: Rows of the table; of the kinds with the most work.
ROWS = 15


def show_analysis(shell: Any, analysis: Analysis) -> None:
    """The words, which stay in a saved notebook; below them the plots, which live as long as the kernel."""
    if not has_front_end(shell):
        print(analysis)  # noqa: T201 -- a terminal
        return
    mark = f"dagnb-{secrets.token_hex(4)}"
    shell.display_pub.publish(data=analysis_bundle(analysis, mark), metadata={})
    pane = _pane(analysis, mark)
    if pane is not None:
        shell.display_pub.publish(data=pane, metadata={})


def analysis_bundle(analysis: Analysis, mark: str) -> dict[str, str]:
    """Text, and HTML with the picture, whose element carries `mark`: the live plots hide it."""
    from dagnb.widgets.metrics_figures import Metrics
    from dagnb.widgets.metrics_svg import metrics_svg

    metrics = Metrics(analysis.graph, analysis.plan, analysis.evidence.cluster.overhead)
    picture = metrics_svg(metrics, analysis.timeline)
    findings = "".join(f"<li>{escape(str(finding))}</li>" for finding in analysis.findings)
    words = f"<p><b>{escape(analysis.headline)}</b></p><ul>{findings}</ul>{_table(analysis)}"
    return {"text/plain": str(analysis), "text/html": f"<div>{words}{_html(picture, analysis.headline, mark)}</div>"}


def _table(analysis: Analysis) -> str:
    """A row for each kind: planned → actual, of a task on average."""
    rows = sorted(analysis.kinds, key=lambda row: -_weight(row))[:ROWS]
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("kind", "tasks", *COLUMNS))
    cells = (f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells())}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(cells)}</tbody></table>"


def _weight(row: KindRow) -> float:
    work = row.actual["execute"]
    return 0.0 if math.isnan(work) else work


def _pane(analysis: Analysis, mark: str) -> dict[str, Any] | None:
    """The output that shows the plots; None where there is no front end for widgets."""
    if os.environ.get(WIDGET) == "0":
        return None
    try:
        from dagnb.widgets.metrics import MetricsPane

        pane = MetricsPane(
            analysis.graph,
            analysis.plan,
            analysis.timeline,
            run=analysis.source,  # type: ignore[arg-type]  # the session's runs are live runs
            overhead=analysis.evidence.cluster.overhead,
        )
    except (ImportError, DagnbError, FileNotFoundError):
        logging.getLogger("dagnb").info("no live plots here", exc_info=True)
        return None
    pane.widget_id = mark
    view = {"version_major": 2, "version_minor": 0, "model_id": pane.model_id}
    return {"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}
