"""Who wants to hear of runs. The notebook registers its panels here; a script has none, and pays nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dagnb.runtime.run import Run

    from .dag import Dag


class Observer(Protocol):
    """Told in the thread that runs; `ended` comes from the run's listener when nobody waited for it."""

    def started(self, dag: Dag, run: Run, /, *, quiet: bool) -> None:
        """A run began; `quiet` asks for no new output."""

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

            logging.getLogger("dagnb").exception("could not show that the DAG was %s", event)
