"""Two mistakes that Python words badly get a note: a name made from this cell, and a handle in a plain function."""

from __future__ import annotations

from types import FrameType
from typing import TYPE_CHECKING

from dagnb.errors import BuildError

from .arguments import first_handle

if TYPE_CHECKING:
    from .recording import Recording


def explain(error: BaseException, rec: Recording) -> None:
    """Add a note to an error of the body, where there is something to say that its text does not."""
    if isinstance(error, NameError) and rec.block is not None and error.name in rec.block.hidden:
        error.add_note(
            f"{error.name} is made from what this cell defines, so this cell cannot use it (that would be a cycle)."
        )
    elif isinstance(error, (TypeError, AttributeError, ValueError)) and not isinstance(error, BuildError):
        line, called = _callee(error, rec.file)
        handle = first_handle(called.f_locals.values()) if called is not None else None
        if handle is not None and called is not None:
            name = called.f_code.co_name
            error.add_note(f"{name}() got the handle {handle.name} (line {line}). Make it a task: task({name})(…).")


def _callee(error: BaseException, file: str) -> tuple[int, FrameType | None]:
    """The line of the body on the traceback, and the frame of the function that it called."""
    line, called, tb = 0, None, error.__traceback__
    while tb is not None:
        if tb.tb_frame.f_code.co_filename == file:
            line, called = tb.tb_lineno, tb.tb_next
        tb = tb.tb_next
    return line, called.tb_frame if called is not None else None
