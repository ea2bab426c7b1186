"""What a cell shows of a DAG: the live widget, and below it the picture and text that stay in a saved notebook."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dagnb.errors import DagnbError
from dagnb.graph.cells import CELLS, Execution
from dagnb.session import registry
from dagnb.session.dag import Dag
from dagnb.session.twins import run_line

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.runtime.run import Run
    from dagnb.trace.timeline import Timeline

#: Panels that a kernel keeps alive; the oldest are closed, and show their static picture from then on.
PANELS = 24
#: Bytes up to which a picture is stored twice: as HTML, which untrusted notebooks show too, and as SVG for other readers.
TWICE = 80_000
#: Set to 0 where no front end will ever look: only the static output is made.
WIDGET = "DAGNB_WIDGET"

#: What may stand in a `data:` address inside of double quotes; everything else is escaped.
_SAFE = " !$&'()*+,-./:;=?@[]_`{|}~^<>"


def static_bundle(graph: TaskGraph, plan: Plan | None, timeline: Timeline | None, mark: str) -> dict[str, str]:
    """text/plain, text/html and, unless it is large, image/svg+xml.

    The HTML holds the picture as an image: JupyterLab strips inline SVG from notebooks that it does not trust, but
    shows images. The live widget hides the element that carries its `mark`.
    """
    from dagnb.widgets.static import figure_svg, text_summary

    text = text_summary(graph, plan, timeline)
    svg = figure_svg(graph, plan, timeline)
    bundle = {"text/plain": text, "text/html": _html(svg, text.partition("\n")[0], mark)}
    return bundle | {"image/svg+xml": svg} if len(svg) <= TWICE else bundle


def _html(svg: str, alt: str, mark: str) -> str:
    from html import escape

    source = "data:image/svg+xml," + quote(" ".join(svg.split()), safe=_SAFE.replace('"', ""))
    return (
        f'<div class="dagnb-static" data-dagnb="{mark}">'
        f'<img src="{source}" alt="{escape(alt)}" style="max-width:100%"></div>'
    )


class Panel:
    """One DAG in one cell.

    mark       ties the static output to the live widget
    execution  the execution of the cell that it stands in
    """

    def __init__(self, shell: Any, dag: Dag, plan: Plan | None) -> None:
        self.shell, self.dag = shell, dag
        self.execution: Execution = CELLS.now()
        self.mark = f"dagnb-{secrets.token_hex(4)}"
        self.plan = plan
        self.run: Run | None = None
        self.shown = ""
        self.widget: Any = None
        self._lock = threading.Lock()

    def show(self, run: Run | None = None) -> None:
        """Put both outputs into the cell that is running."""
        self.run = run
        if has_front_end(self.shell):
            self.widget = self._live_widget()
            self._publish(update=False)
            if run is not None:
                self._follow(run)
        else:
            print(self._bundle()["text/plain"])  # noqa: T201 -- a terminal

    def follow(self, run: Run) -> None:
        """The picture goes live."""
        self.run, self.plan = run, run.plan
        self._follow(run)

    def refresh(self) -> None:
        """Bring the static output up to date, from any thread: it lands in its own cell, by its display id."""
        if has_front_end(self.shell):
            self._publish(update=True)

    def close(self) -> None:
        """No more live picture here; the static one stays."""
        if self.widget is not None:
            self.widget.close()
            self.widget = None

    def _live_widget(self) -> Any:
        if os.environ.get(WIDGET) == "0":
            return None
        from .live import live_widget

        try:
            widget, bundle = live_widget(self.dag, self.plan, self.mark)
        except (ImportError, DagnbError):
            logging.getLogger("dagnb").info("no live widget here", exc_info=True)
            return None
        self.shell.display_pub.publish(data=bundle, metadata={})
        return widget

    def _follow(self, run: Run) -> None:
        if self.widget is not None:
            self.widget.follow(run)

    def _publish(self, *, update: bool) -> None:
        with self._lock:  # the end of a run may come while the cell still draws
            bundle = self._bundle()
            if update and bundle["text/plain"] == self.shown:
                return
            self.shown = bundle["text/plain"]
            self.shell.display_pub.publish(
                data=bundle, metadata={}, transient={"display_id": self.mark}, update=update
            )

    def _bundle(self) -> dict[str, str]:
        if self.run is not None:
            return static_bundle(self.run.graph, self.plan, self.run.timeline, self.mark)
        try:
            return static_bundle(self.dag.graph, self.plan, None, self.mark)
        except DagnbError as error:  # the cells together make no graph: told here, refused at the plan
            return {"text/plain": str(error)}


def has_front_end(shell: Any) -> bool:
    """Whether outputs go to a notebook; a terminal gets text."""
    return getattr(shell, "kernel", None) is not None


class View:
    """All panels of this kernel; hears of runs from the session."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.panels: list[Panel] = []

    def show(self, dag: Dag, *, planner: object = None, workers: int | None = None, plan: Plan | None = None) -> Panel:
        """A panel in the cell that is running, with a plan if one can be made."""
        if plan is None:
            try:
                plan = dag.plan(planner, workers=workers)
            except DagnbError:
                if planner is not None or not dag._builder.problems:  # noqa: SLF001 -- else the panel says why
                    raise
        run = dag.last if dag.last is not None and not dag._builder.problems and dag.last.graph is dag.graph else None  # noqa: SLF001
        return self._add(Panel(self.shell, dag, plan), run if planner is None and workers is None else None)

    def _add(self, panel: Panel, run: Run | None) -> Panel:
        cell = panel.execution.cell
        again = [p for p in self.panels if p.execution.cell == cell and p.execution is not panel.execution]
        for old in again + self.panels[: max(0, len(self.panels) - PANELS + 1)]:
            if old in self.panels:
                self.panels.remove(old)
                old.close()
        self.panels.append(panel)
        if run is not None:
            panel.plan = run.plan
        panel.show(run)
        return panel

    def of(self, dag: Dag) -> Iterator[Panel]:
        """The panels of one DAG."""
        return (panel for panel in tuple(self.panels) if panel.dag is dag)

    def started(self, dag: Dag, run: Run, /, *, quiet: bool) -> None:
        """Every panel of the DAG goes live; the cell that runs it gets one if it has none."""
        for panel in self.of(dag):
            panel.follow(run)
        here = threading.current_thread() is threading.main_thread() and bool(CELLS.stack)
        if here and not quiet and not any(p.execution is CELLS.now() for p in self.of(dag)):
            self._add(Panel(self.shell, dag, run.plan), run)

    def ended(self, dag: Dag, run: Run, /) -> None:
        """The static pictures show how it went."""
        for panel in self.of(dag):
            if panel.run is run:
                panel.refresh()
        terminal = not has_front_end(self.shell) and threading.current_thread() is threading.main_thread()
        if terminal and any(panel.run is run for panel in self.of(dag)):
            print(f"{dag.name} · {run_line(run)}")  # noqa: T201 -- a terminal

    def close(self) -> None:
        """Close all panels."""
        while self.panels:
            self.panels.pop().close()


def register(shell: Any, view: View) -> None:
    """How Dag, Run and Plan show themselves as the last value of a cell."""
    formatter = shell.display_formatter
    formatter.ipython_display_formatter.for_type(Dag, lambda dag: view.show(dag) and None)
    formatter.ipython_display_formatter.for_type_by_name("dagnb.runtime.run", "Run", lambda run: _show_run(view, run))
    formatter.mimebundle_formatter.for_type_by_name("dagnb.planning.plan", "Plan", _plan_bundle)


def unregister(shell: Any) -> None:
    """Take `register` back."""
    formatter = shell.display_formatter
    formatter.ipython_display_formatter.pop(Dag, None)
    for module, name, table in (("dagnb.runtime.run", "Run", "ipython_display"), ("dagnb.planning.plan", "Plan", "mimebundle")):
        found = getattr(formatter, f"{table}_formatter")
        found.deferred_printers.pop((module, name), None)


def _show_run(view: View, run: Run) -> None:
    """One line where the panel of the run stands in the same cell, else its picture."""
    if any(p.run is run and p.execution is CELLS.now() for p in view.panels):
        print(f"{run.graph.name} · {run_line(run)}")  # noqa: T201 -- the output of the user's own cell
        return
    bundle = static_bundle(run.graph, run.plan, run.timeline, f"dagnb-{secrets.token_hex(4)}")
    if has_front_end(view.shell):
        view.shell.display_pub.publish(data=bundle, metadata={})
    else:
        print(bundle["text/plain"])  # noqa: T201 -- a terminal


def _plan_bundle(plan: Plan, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG001 -- IPython's
    """Text and picture of a plan whose DAG is still as it was; else its text."""
    for dag in registry.dags().values():
        problems = dag._builder.problems  # noqa: SLF001 -- a formatter must not raise
        if not problems and dag.graph.fingerprint == plan.graph_fingerprint:
            return static_bundle(dag.graph, plan, None, f"dagnb-{secrets.token_hex(4)}")
    return {"text/plain": repr(plan)}


__all__ = ["Panel", "View", "register", "static_bundle", "unregister"]
