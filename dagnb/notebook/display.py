"""All panels of a kernel, and how Dag, Run and Plan show themselves as the last value of a cell."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dagnb.graph.cells import CELLS
from dagnb.session import joining, registry
from dagnb.session.dag import Dag, builder_of
from dagnb.session.twins import run_line

from .analyses import show_analysis
from .panel import WIDGET, Panel, has_front_end
from .pictures import comparison_bundle, static_bundle

if TYPE_CHECKING:
    from dagnb.planning.plan import Plan
    from dagnb.runtime.run import Run
    from dagnb.session.compare import Comparison

#: Panels that a kernel keeps alive; the oldest are closed, and show their static picture from then on.
PANELS = 24
#: Seconds between two lines of progress where there is no widget.
TICK = 0.5


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

    def show_comparison(self, dag: Dag, comparison: Comparison) -> Panel:
        """A panel with plans side by side; the best one is what ▶ runs until another is picked."""
        at = comparison.best_of(dag.name)
        panel = Panel(self.shell, dag, comparison[at].plan if at >= 0 else None)
        panel.comparison = comparison
        return self._add(panel, None)

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

    def noted(self, text: str, /) -> None:
        """One line in the cell that is running; what is said elsewhere nobody has asked for."""
        if in_a_cell():
            print(text)  # noqa: T201 -- the output of the user's own cell

    def recorded(self, dag: Dag, /) -> None:
        """A `with` block shows what a `%%dag` cell shows; further blocks of a cell go into the same picture."""
        if not in_a_cell():
            return
        if not builder_of(dag).problems:
            joining.recorded(dag)
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
    formatter.ipython_display_formatter.for_type_by_name(
        "dagnb.session.compare", "Comparison", lambda comparison: _show_comparison(view, comparison)
    )
    formatter.ipython_display_formatter.for_type_by_name(
        "dagnb.planning.analysis", "Analysis", lambda analysis: show_analysis(shell, analysis)
    )


def unregister(shell: Any) -> None:
    """Take `register` back."""
    formatter = shell.display_formatter
    formatter.ipython_display_formatter.pop(Dag, None)
    for module, name, table in (
        ("dagnb.runtime.run", "Run", "ipython_display"),
        ("dagnb.planning.plan", "Plan", "mimebundle"),
        ("dagnb.session.compare", "Comparison", "ipython_display"),
        ("dagnb.planning.analysis", "Analysis", "ipython_display"),
    ):
        found = getattr(formatter, f"{table}_formatter")
        found.deferred_printers.pop((module, name), None)
        for kind in [kind for kind in found.type_printers if (kind.__module__, kind.__name__) == (module, name)]:
            found.pop(kind)  # it has been shown: IPython then keeps the printer by class


def _show_dag(view: View, dag: Dag) -> None:
    """As `%dag show` does."""
    view.show(dag)


def _show_run(view: View, run: Run) -> None:
    """One line where the panel of the run stands in the same cell, else its picture."""
    if any(p.run is run and p.execution is CELLS.now() for p in view.panels):
        print(f"{run.graph.name} · {run_line(run)}")  # noqa: T201 -- the output of the user's own cell
        return
    attached = next((dag for dag in registry.dags().values() if dag.last is run and dag.graph is run.graph), None)
    if run.attached and attached is not None:
        view.show(attached)
        return
    bundle = static_bundle(run.graph, run.plan, run.timeline, f"dagnb-{secrets.token_hex(4)}")
    if has_front_end(view.shell):
        view.shell.display_pub.publish(data=bundle, metadata={})
    else:
        print(bundle["text/plain"])  # noqa: T201 -- a terminal


def _show_comparison(view: View, comparison: Comparison) -> None:
    """As `%dag compare` does where it is of one DAG that is still as it was; else the table and its picture."""
    name, graph = next(iter(comparison.graphs.items()), ("", None))
    dag = registry.dags().get(name)
    if len(comparison.graphs) == 1 and dag is not None and not builder_of(dag).problems and dag.graph is graph:
        view.show_comparison(dag, comparison)
    elif has_front_end(view.shell):
        view.shell.display_pub.publish(data=comparison_bundle(comparison, f"dagnb-{secrets.token_hex(4)}"), metadata={})
    else:
        print(comparison.table())  # noqa: T201 -- a terminal


def _plan_bundle(plan: Plan, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG001 -- IPython's
    """Text and picture of a plan whose DAG is still as it was; else its text."""
    for dag in registry.dags().values():
        problems = builder_of(dag).problems
        if not problems and dag.graph.fingerprint == plan.graph_fingerprint:
            return static_bundle(dag.graph, plan, None, f"dagnb-{secrets.token_hex(4)}")
    return {"text/plain": repr(plan)}
