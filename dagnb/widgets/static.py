"""Text and pictures for notebooks that are read without a kernel: saved, exported, on GitHub or nbviewer.

graph_svg      the graph with the states of its tasks
gantt_svg      who does what when, planned and actual
figure_svg     both under one title: what stands in the second output of a cell
text_summary   the same in words, for `text/plain`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dagnb.planning.words import plural, seconds
from dagnb.trace.critical import critical_chain
from dagnb.trace.events import TaskState

from .svg import Picture, legend, page
from .svg_gantt import BARS, gantt_picture
from .svg_graph import describe, graph_picture
from .theme import THEMES, Theme
from .wording import clean, header_line, said, state_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.trace.timeline import Timeline

#: Names of failed tasks, and kinds, that the text spells out before it only counts them.
NAMED = 5


def graph_svg(
    graph: TaskGraph,
    states: NDArray[np.integer] | None = None,
    *,
    title: str | None = None,
    theme: Theme | str = "light",
    critical: Sequence[int] = (),
) -> str:
    """The graph as SVG: every task up to about 300, else boxes by kind and column.

    states     [n] `TaskState` of each task, None before a run
    title      of the page; None: name and number of tasks, "": none
    theme      "light", "dark", or a `Theme`; the page carries its own colour
    critical   tasks of the critical path, from first to last
    """
    theme = _theme(theme)
    head = f"{graph.name} · {plural(len(graph), 'task')}" if title is None else title
    pictures = [graph_picture(graph, states, critical, theme), legend(theme, states, critical=len(critical) > 1)]
    return page(head, describe(graph, states), pictures, theme)


def gantt_svg(
    graph: TaskGraph,
    planned: Timeline | None,
    actual: Timeline | None = None,
    *,
    workers: Sequence[str] = (),
    has_seconds: bool = True,
    title: str | None = None,
    theme: Theme | str = "light",
) -> str:
    """The Gantt chart as SVG: a row per worker, the planned bars above the actual ones where there are both.

    workers       their names; those that a timeline speaks of beyond them are called w0, w1, …
    has_seconds   False: the plan is in task units
    """
    theme = _theme(theme)
    head = graph.name if title is None else title
    chart = gantt_picture(graph, planned, actual, workers, theme, has_seconds=has_seconds)
    states = None if actual is None else actual.state
    return page(
        head,
        describe(graph, states),
        [chart, legend(theme, states, critical=bool(chart.height) and len(graph) <= BARS)],
        theme,
    )


def figure_svg(
    graph: TaskGraph,
    plan: Plan | None = None,
    timeline: Timeline | None = None,
    *,
    title: str | None = None,
    theme: Theme | str = "light",
) -> str:
    """Graph and Gantt chart under the header line, in one SVG of at most about 120 kB, whatever the graph.

    plan       gives forecast, workers and planned bars; None leaves them out
    timeline   of the run, so far or at its end; None before a run
    """
    theme = _theme(theme)
    planned = plan.timeline if plan is not None else None
    has_seconds = plan.has_seconds if plan is not None else True
    states = None if timeline is None else timeline.state
    shown = timeline if timeline is not None and (planned is None or _over(timeline)) else planned
    chain = critical_chain(graph, shown) if shown is not None else []
    drawn = graph_picture(graph, states, chain, theme)
    workers = tuple(plan.workers) if plan is not None else ()
    width = max(drawn.width, 880.0)
    chart = gantt_picture(graph, planned, timeline, workers, theme, width=width, has_seconds=has_seconds)
    parts: list[Picture] = [drawn, chart, legend(theme, states, critical=bool(chain) and len(graph) <= BARS)]
    head = _headline(graph, plan, timeline) if title is None else title
    return page(head, f"{describe(graph, states)}. {header_line(graph, plan)}", parts, theme)


def _theme(theme: Theme | str) -> Theme:
    if isinstance(theme, Theme):
        return theme
    if theme not in THEMES:
        raise ValueError(f"unknown theme {theme!r}: use {' or '.join(map(repr, THEMES))}")
    return THEMES[theme]


def _headline(graph: TaskGraph, plan: Plan | None, timeline: Timeline | None) -> str:
    """The header line; after a run with what it took."""
    if timeline is None or timeline.makespan <= 0:
        return header_line(graph, plan)
    return f"{header_line(graph, plan)} · {_ending(timeline)} {seconds(timeline.makespan)}"


def _over(timeline: Timeline) -> bool:
    """Whether nothing waits or runs any more."""
    return bool((timeline.state >= TaskState.DONE).all())


def _ending(timeline: Timeline) -> str:
    if not _over(timeline):
        return "running for"
    if (timeline.state == TaskState.FAILED).any():
        return "failed after"
    return "cancelled after" if (timeline.state == TaskState.CANCELLED).any() else "took"


# -- text -----------------------------------------------------------------------------


def text_summary(graph: TaskGraph, plan: Plan | None = None, timeline: Timeline | None = None) -> str:
    """The picture in words, for `text/plain`.

    etl · 10 tasks · forecast 41 s on 8 workers · best possible 34 s
    8 load, 1 merge, 1 report
    2 failed, 1 skipped, 7 done in 43 s
    failed: load_3, load_5
    """
    lines = [header_line(graph, plan)]
    if len(graph.kinds) > 1 or len(graph) > 1:
        lines.append(_kinds(graph))
    if timeline is not None:
        took = f" in {seconds(timeline.makespan)}" if timeline.makespan > 0 else ""
        lines.append(said(state_counts(timeline.state)) + took)
        lines += _failed(graph, timeline)
    return "\n".join(line for line in lines if line)


def _kinds(graph: TaskGraph) -> str:
    count = np.bincount(graph.kind, minlength=len(graph.kinds))
    often = np.argsort(-count, kind="stable").tolist() if len(graph.kinds) > NAMED else range(len(graph.kinds))
    named = [f"{count[kind]:,} {clean(graph.kinds[kind], 60)}" for kind in list(often)[: 2 * NAMED]]
    rest = len(graph.kinds) - len(named)
    return ", ".join(named) + (f" and {plural(rest, 'other kind')}" if rest else "")


def _failed(graph: TaskGraph, timeline: Timeline) -> list[str]:
    failed = np.flatnonzero(timeline.state == TaskState.FAILED).tolist()
    if not failed:
        return []
    names = ", ".join(clean(graph.keys[i], 60) for i in failed[:NAMED])
    return [f"failed: {names}" + (f" (+{len(failed) - NAMED} more)" if len(failed) > NAMED else "")]
