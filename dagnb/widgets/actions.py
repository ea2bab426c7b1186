"""What the buttons and sliders of a widget do, injected by whoever makes it, and the facts of its header line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the sliders stand at: so many workers, bytes of memory of each, bytes per second between two of them."""

    workers: int
    memory: float
    bandwidth: float


class WhatIf(Protocol):
    """How another plan is made while a slider is dragged."""

    def knobs(self, plan: Plan, /) -> Knobs:
        """Where the sliders stand for a real plan."""

    def __call__(self, plan: Plan, knobs: Knobs, /) -> Plan:
        """What its planner would plan with these; raise to refuse."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What the buttons do; a button without an action is not shown.

    run      start a run in the background; raise to refuse
    cancel   cancel the run that is shown
    detail   further facts for the drawer, by key of the task: `resources` (a mapping), `where`, `error`, `traceback`,
             `tries`, `stdout`, `stderr`, `note`
    what_if  plan again with other workers, memory and bandwidth: the sliders below a plan
    """

    run: Callable[[], object] | None = None
    cancel: Callable[[], object] | None = None
    detail: Callable[[str], Mapping[str, Any]] | None = None
    what_if: WhatIf | None = None

    def named(self) -> list[str]:
        """The names of the buttons that do something."""
        return [name for name in ("run", "cancel") if getattr(self, name) is not None]


def header_facts(
    graph: TaskGraph, plan: Plan | None, actions: Actions, imagined: Knobs | None = None
) -> dict[str, Any]:
    """The facts of the header line; js/toolbar.ts words them."""
    told = plan is not None and plan.has_seconds and plan.makespan is not None
    knobs = imagined or (actions.what_if.knobs(plan) if actions.what_if is not None and plan is not None else None)
    return {
        "name": graph.name,
        "tasks": len(graph),
        "planner": plan.planner if plan is not None else "",
        "workers": len(plan.workers) if plan is not None else 0,
        "forecast": plan.makespan if plan is not None and told else None,
        "lower_bound": plan.lower_bound if plan is not None and told else None,
        "interval": list(plan.interval) if plan is not None and told and plan.interval else None,
        "has_seconds": told,
        "declared": plan is not None and told and plan.interval is None,  # nothing was measured that could vary
        "actions": actions.named(),
        "knobs": asdict(knobs) if knobs is not None else None,
        "what_if": imagined is not None,
        "fingerprint": plan.fingerprint if plan is not None else "",
    }
