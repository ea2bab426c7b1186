"""The live widget of a DAG with its buttons wired to the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagnb.session import lives
from dagnb.session.what_if import Turned
from dagnb.widgets.actions import Actions
from dagnb.widgets.dag import DagWidget

if TYPE_CHECKING:
    from dagnb.planning.plan import Plan
    from dagnb.session.dag import Dag

#: What front ends look for to draw a widget.
VIEW = "application/vnd.jupyter.widget-view+json"


def live_widget(dag: Dag, plan: Plan | None, mark: str) -> tuple[DagWidget, dict[str, Any]]:
    """The widget, and the output that shows it, whose text is empty: in a saved notebook the static output speaks."""
    actions = Actions(
        run=lambda: _run(dag, widget),
        cancel=lambda: _cancel(dag),
        detail=lambda key: _detail(dag, key),
        what_if=Turned(dag),
    )
    widget = DagWidget(dag.graph, plan, actions=actions)
    widget.widget_id = mark
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return widget, {VIEW: view, "text/plain": ""}


def _run(dag: Dag, widget: DagWidget) -> None:
    """▶: in the background, by the plan that is shown if it still fits.

    Of a plan that only might be, its planner and its number of workers are used: the network is what it is.
    """
    plan = widget.plan
    if widget.imagined is not None and plan is not None:
        dag.run(planner=plan.planner, workers=widget.imagined.workers, wait=False, quiet=True)
        return
    fits = plan is not None and plan.graph_fingerprint == dag.graph.fingerprint
    dag.run(plan=plan if fits else None, wait=False, quiet=True)


def _cancel(dag: Dag) -> str:
    """■: no new tasks, those running end within seconds."""
    if dag.last is None or not lives.live(dag.last):
        return f"{dag.name} is not running."
    dag.last.cancel()
    return ""


def _detail(dag: Dag, key: str) -> Mapping[str, Any]:
    """What the drawer shows beside the times: what the task may use, its failed tries, what it printed, its failure."""
    run = dag.last
    if run is None or key not in run.graph.index:
        return {}
    assigned = run.plan.assignments[run.graph.index[key]]
    found: dict[str, Any] = {"resources": {"cpus": 1, "planned on": assigned.worker or "whoever is free"}}
    log = run.logs(key)
    found |= {"tries": log.history, "traceback": log.traceback, "stdout": log.stdout, "stderr": log.stderr}
    return {name: value for name, value in found.items() if value}
