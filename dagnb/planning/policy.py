"""Policy: who runs what next. Obeying a plan is one policy, an online scheduler is another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine import Engine

#: Nobody: no worker, or no task.
NONE = -1


class Policy:
    """What the engine of the simulator asks. With `on_ready`, `on_idle` and `on_loaded` a policy is whole.

    tick       seconds between calls of `on_tick`; 0 for never
    twice      tasks that `on_idle` may give to several workers: the first to finish wins
    streams    task → inputs that it takes while they are made, so that it is ready once these have started
    prewarm    (seconds after submission, worker) at which workers of an elastic cluster are launched in any case
    """

    tick: float = 0.0
    twice: Collection[int] = frozenset()
    streams: Mapping[int, Sequence[int]] = {}
    prewarm: Sequence[tuple[float, int]] = ()

    def begin(self, engine: Engine) -> None:
        """Before the first task; keep `engine` to ask it for `now`, `where`, `load`, `wake`."""

    def on_ready(self, task: int, worker: int) -> int:
        """`task` has all it needs; `worker` finished the last of it (-1: it is busy, or nobody). Returns whom to wake.

        The finisher has a free thread and is offered work at once, whoever is woken.
        """
        raise NotImplementedError

    def on_idle(self, worker: int) -> int:
        """The task that `worker` starts now, or -1."""
        raise NotImplementedError

    def on_loaded(self, task: int, worker: int) -> int:
        """What `Engine.load` sent ahead has reached `worker`. Returns whom to wake."""
        raise NotImplementedError

    def on_instant(self, task: int, worker: int) -> int:  # noqa: ARG002  a plan names the worker of a task
        """The worker that holds the outcome of a task of length zero."""
        return max(worker, 0)

    def on_tick(self) -> Iterable[int]:
        """Reconsider. Returns whom to wake."""
        return ()

    def spare(self) -> bool:
        """Whether an idle worker that was not woken might still be given something."""
        return True

    def backlog(self) -> int:
        """How many ready tasks any worker may take: an elastic cluster launches workers for them. -1: not known."""
        return NONE

    def keeps(self, task: int, worker: int) -> bool:  # noqa: ARG002  a plan looks at both
        """Whether the output of a task that ended on `worker` stays there until somebody elsewhere asks for it."""
        return False
