"""Which recording is on: task calls go to it. Other threads and older asyncio tasks are outside, they run now."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from dagnb.errors import BuildError, refusal

if TYPE_CHECKING:
    from .handle import Builder, Handle


class Recorder(Protocol):
    """What a task needs of the recording that is on."""

    builder: Builder
    closed: bool

    def record(self, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType, /) -> Handle[Any]:
        """A new node; its handle."""


#: a ContextVar, so that other threads and older asyncio tasks are not caught by it
ACTIVE: ContextVar[Recorder | None] = ContextVar("dagnb_recording", default=None)

#: recordings going on, each with the threads that were there before it: a pool started in a body must not run tasks now
OPEN: dict[int, set[threading.Thread]] = {}


def refuse_new_thread(name: str) -> None:
    """Raise BuildError in a thread that the body of a DAG started: the task would run now, unrecorded."""
    here = threading.current_thread()  # not its ident: idents are used again
    if all(here not in threads for threads in OPEN.values()):
        raise thread_refusal(name)


def thread_refusal(name: str) -> BuildError:
    """The refusal of a call in a thread that a body started."""
    return refusal(
        f"{name}() was called from a thread that the body of a DAG started; it would run now, not in the DAG.",
        f"Call {name}() in the body itself: calls only record, they are already parallel in the run.",
    )
