"""One DAG in one cell: the live widget, and below it the output that stays in a saved notebook."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from typing import TYPE_CHECKING, Any

from dagnb.errors import DagnbError
from dagnb.graph.cells import CELLS, Execution
from dagnb.session import lives

from .pictures import comparison_bundle, static_bundle

if TYPE_CHECKING:
    from dagnb.planning.plan import Plan
    from dagnb.runtime.run import Run
    from dagnb.session.compare import Comparison
    from dagnb.session.dag import Dag

#: Set to 0 where no front end will ever look: only the static output is made.
WIDGET = "DAGNB_WIDGET"


def has_front_end(shell: Any) -> bool:
    """Whether outputs go to a notebook; a terminal gets text."""
    return getattr(shell, "kernel", None) is not None


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
        self.comparison: Comparison | None = None
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
        self.plan, self.run, self.comparison = plan, None, None
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
        if self.comparison is not None:
            widget.show_comparison(self.comparison.rows, self.comparison.best_of(self.dag.name))
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
        if self.comparison is not None:  # a run of one of its plans is kept in the cell of the DAG
            return comparison_bundle(self.comparison, self.mark, svg=self.svg)
        if self.run is not None:
            actual = None if lives.live(self.run) else self.run.timeline
            return static_bundle(self.run.graph, self.plan, actual, self.mark, svg=self.svg)
        try:
            return static_bundle(self.dag.graph, self.plan, None, self.mark, svg=self.svg)
        except DagnbError as error:  # the cells together make no graph: told here, refused at the plan
            return {"text/plain": str(error)}
