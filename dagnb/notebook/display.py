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
from dagnb.session import lives, registry
from dagnb.session.dag import Dag, builder_of
from dagnb.session.twins import run_line

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.runtime.run import Run
    from dagnb.trace.timeline import Timeline

#: Panels that a kernel keeps alive; the oldest are closed, and show their static picture from then on.
PANELS = 24
#: Seconds between two lines of progress where there is no widget.
TICK = 0.5
#: Characters up to which a picture is kept twice: in HTML, which untrusted notebooks show too, and as SVG.
TWICE = 80_000
#: Set to 0 where no front end will ever look: only the static output is made.
WIDGET = "DAGNB_WIDGET"

#: What may stand in a `data:` address inside of double quotes; everything else is escaped.
_SAFE = " !$&'()*+,-./:;=?@[]_`{|}~^<>"


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
    svg        whether its picture is saved as SVG too: not for a run, whose DAG has that in its own cell
    """

    def __init__(self, shell: Any, dag: Dag, plan: Plan | None, *, svg: bool = True) -> None:
        self.shell, self.dag, self.svg = shell, dag, svg
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

    def tell(self, text: str) -> None:
        """One line in the place of the picture while a run goes on; for terminals that follow a notebook."""
        with self._lock:
            if not lives.live(self.run):  # its picture may be there already, and must stay
                return
            self.shell.display_pub.publish(
                data={"text/plain": text}, metadata={}, transient={"display_id": self.mark}, update=True
            )
            self.shown = ""

    def redraw(self, plan: Plan | None) -> None:
        """The DAG has grown in the same cell."""
        self.plan, self.run = plan, None
        if self.widget is not None and plan is not None:
            self.widget.show_plan(plan, self.dag.graph)
        self.refresh()

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
            self.shell.display_pub.publish(data=bundle, metadata={}, transient={"display_id": self.mark}, update=update)

    def _bundle(self) -> dict[str, str]:
        if self.run is not None:
            actual = None if lives.live(self.run) else self.run.timeline
            return static_bundle(self.run.graph, self.plan, actual, self.mark, svg=self.svg)
        try:
            return static_bundle(self.dag.graph, self.plan, None, self.mark, svg=self.svg)
        except DagnbError as error:  # the cells together make no graph: told here, refused at the plan
            return {"text/plain": str(error)}


def has_front_end(shell: Any) -> bool:
    """Whether outputs go to a notebook; a terminal gets text."""
    return getattr(shell, "kernel", None) is not None


def in_a_cell() -> bool:
    """Whether output would land in a cell that is running: not in a thread, not in a callback."""
    return bool(CELLS.stack) and threading.current_thread() is threading.main_thread()


class View:
    """All panels of this kernel; hears of runs from the session."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.panels: list[Panel] = []

    def show(self, dag: Dag, *, planner: object = None, workers: int | None = None) -> Panel:
        """A panel in the cell that is running: the last run if the DAG is as it was then, else a plan."""
        if builder_of(dag).problems:
            return self._add(Panel(self.shell, dag, None), None)
        said = planner is not None or workers is not None
        run = dag.last if not said and dag.last is not None and dag.last.graph is dag.graph else None
        plan = run.plan if run is not None else dag.plan(planner, workers=workers)
        return self._add(Panel(self.shell, dag, plan), run)

    def show_plan(self, dag: Dag, plan: Plan) -> Panel:
        """A panel with one plan."""
        return self._add(Panel(self.shell, dag, plan), None)

    def _add(self, panel: Panel, run: Run | None) -> Panel:
        cell = panel.execution.cell
        again = [p for p in self.panels if p.execution.cell == cell and p.execution is not panel.execution]
        for old in again + self.panels[: max(0, len(self.panels) - PANELS + 1)]:
            if old in self.panels:
                self.panels.remove(old)
                old.close()
        self.panels.append(panel)
        panel.show(run)
        return panel

    def of(self, dag: Dag) -> Iterator[Panel]:
        """The panels of one DAG."""
        return (panel for panel in tuple(self.panels) if panel.dag is dag)

    def recorded(self, dag: Dag, /) -> None:
        """A `with` block shows what a `%%dag` cell shows; further blocks of a cell go into the same picture."""
        if not in_a_cell():
            return
        for note in builder_of(dag).notes:
            print(note)  # noqa: T201 -- the output of the user's own cell
        here = self.here(dag)
        if here is None:
            self.show(dag)
        else:
            here.redraw(None if builder_of(dag).problems else dag.plan())

    def here(self, dag: Dag) -> Panel | None:
        """The panel of a DAG in the cell that is running."""
        return next((p for p in self.of(dag) if p.execution is CELLS.now()), None)

    def starting(self, dag: Dag, plan: Plan, /, *, quiet: bool) -> None:
        """The cell that runs a DAG gets a panel if it has none."""
        if in_a_cell() and not quiet and self.here(dag) is None:
            self._add(Panel(self.shell, dag, plan, svg=not any(self.of(dag))), None)

    def started(self, dag: Dag, run: Run, /) -> None:
        """Every panel of the DAG goes live."""
        for panel in self.of(dag):
            panel.follow(run)
        if os.environ.get(WIDGET) == "0" and has_front_end(self.shell):
            threading.Thread(target=self._tick, args=(dag, run), name="dagnb-tick", daemon=True).start()

    def _tick(self, dag: Dag, run: Run) -> None:
        """Without a widget: a line twice a second, so that `dagnb run` can show how it stands."""
        done = threading.Event()
        run.on_end(lambda *_: done.set())
        while not done.wait(TICK):
            for panel in self.of(dag):
                if panel.run is run:
                    panel.tell(f"{dag.name} · {run_line(run)}")

    def ended(self, dag: Dag, run: Run, /) -> None:
        """The static pictures show how it went."""
        for panel in self.of(dag):
            if panel.run is run:
                panel.refresh()
        terminal = not has_front_end(self.shell) and in_a_cell()
        if terminal and any(panel.run is run for panel in self.of(dag)):
            print(f"{dag.name} · {run_line(run)}")  # noqa: T201 -- a terminal

    def close(self) -> None:
        """Close all panels."""
        while self.panels:
            self.panels.pop().close()


def register(shell: Any, view: View) -> None:
    """How Dag, Run and Plan show themselves as the last value of a cell."""
    formatter = shell.display_formatter
    formatter.ipython_display_formatter.for_type(Dag, lambda dag: _show_dag(view, dag))
    formatter.ipython_display_formatter.for_type_by_name("dagnb.runtime.run", "Run", lambda run: _show_run(view, run))
    formatter.mimebundle_formatter.for_type_by_name("dagnb.planning.plan", "Plan", _plan_bundle)


def unregister(shell: Any) -> None:
    """Take `register` back."""
    formatter = shell.display_formatter
    formatter.ipython_display_formatter.pop(Dag, None)
    for module, name, table in (
        ("dagnb.runtime.run", "Run", "ipython_display"),
        ("dagnb.planning.plan", "Plan", "mimebundle"),
    ):
        found = getattr(formatter, f"{table}_formatter")
        found.deferred_printers.pop((module, name), None)


def _show_dag(view: View, dag: Dag) -> None:
    """As `%dag show` does."""
    view.show(dag)


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
        problems = builder_of(dag).problems
        if not problems and dag.graph.fingerprint == plan.graph_fingerprint:
            return static_bundle(dag.graph, plan, None, f"dagnb-{secrets.token_hex(4)}")
    return {"text/plain": repr(plan)}


__all__ = ["Panel", "View", "register", "static_bundle", "unregister"]
