"""The picture and text of a DAG that stay in a saved notebook, as one display output."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.session.compare import Comparison
    from dagnb.trace.timeline import Timeline

#: Characters up to which a picture is kept twice: in HTML, which untrusted notebooks show too, and as SVG.
TWICE = 80_000

#: What may stand in a `data:` address inside of double quotes; everything else is escaped.
_SAFE = " !$'()*+,-./:;=?@[]_`{|}~^<>"


def static_bundle(
    graph: TaskGraph, plan: Plan | None, timeline: Timeline | None, mark: str, *, svg: bool = True
) -> dict[str, str]:
    """text/plain, text/html and, if it is wanted and not large, image/svg+xml.

    The HTML holds the picture as an image: JupyterLab strips inline SVG from notebooks that it does not trust, but
    shows images. The live widget hides the element that carries its `mark`.
    """
    from dagnb.widgets.static import figure_svg, text_summary

    text = text_summary(graph, plan, timeline)
    picture = figure_svg(graph, plan, timeline)
    bundle = {"text/plain": text, "text/html": _html(picture, text.partition("\n")[0], mark)}
    return bundle | {"image/svg+xml": picture} if svg and len(picture) <= TWICE else bundle


def comparison_bundle(comparison: Comparison, mark: str, *, svg: bool = True) -> dict[str, str]:
    """The same for plans side by side: the table as text, table and Gantts as a picture."""
    from dagnb.widgets.svg_compare import compare_svg, kinds_svg

    if len(comparison.graphs) == 1:
        ((name, graph),) = comparison.graphs.items()
        picture = compare_svg(name, graph.kind, comparison.rows, comparison.best_of(name))
    else:
        sizes = {name: len(graph) for name, graph in comparison.graphs.items()}
        picture = kinds_svg(sizes, comparison.heads(), comparison.ratios(), comparison.geomeans())
    text = comparison.table()
    bundle = {"text/plain": text, "text/html": _html(picture, text, mark)}
    return bundle | {"image/svg+xml": picture} if svg and len(picture) <= TWICE else bundle


def _html(svg: str, alt: str, mark: str) -> str:
    from html import escape

    source = "data:image/svg+xml," + quote(" ".join(svg.split()), safe=_SAFE)
    return (
        f'<div class="dagnb-static" data-dagnb="{mark}">'
        f'<img src="{source}" alt="{escape(alt)}" style="max-width:100%"></div>'
    )
