"""Who wants to hear of blocks and runs. The notebook registers its panels here; a script has none, and pays nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dagnb.planning.plan import Plan
    from dagnb.runtime.run import Run

    from .dag import Dag


class Observer(Protocol):
    """Told in the thread that records or runs; `ended` comes from the run's listener when nobody waited for it."""

    def recorded(self, dag: Dag, /) -> None:
        """A `with` block has ended well."""

    def starting(self, dag: Dag, plan: Plan, /, *, quiet: bool) -> None:
        """A run is about to begin; `quiet` asks for no new output."""

    def started(self, dag: Dag, run: Run, /) -> None:
        """It has begun."""

    def noted(self, text: str, /) -> None:
        """There is something to say about what the cell has asked for."""

    def ended(self, dag: Dag, run: Run, /) -> None:
        """The run is over, however it ended."""


#: Told in order; an observer that raises ends up in the log, never in the run.
OBSERVERS: list[Observer] = []


def tell(event: str, *facts: object, **more: object) -> None:
    """Call `event` on every observer."""
    for observer in tuple(OBSERVERS):
        try:
            getattr(observer, event)(*facts, **more)
        except Exception:
            import logging

            logging.getLogger("dagnb").exception("could not show %s", event)
