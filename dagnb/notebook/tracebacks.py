"""What the notebook shows of an error: dagnb's own are text alone; one in a `%%dag` body begins at its line there.

Both go through `_render_traceback_`, the method by which IPython lets an exception say how it is shown. The error is
raised all the same, so every one of them stops Run All.
"""

from __future__ import annotations

from types import CodeType, TracebackType
from typing import Any

from dagnb.errors import CancelledError, DagnbError
from dagnb.settings import Settings

RED, PLAIN = "\x1b[31m", "\x1b[39m"


def install(shell: Any) -> None:
    """Show every DagnbError in `shell` as its text, in red."""

    def render(error: DagnbError) -> list[str]:
        return shown(error, shell)

    setattr(DagnbError, "_render_traceback_", render)  # noqa: B010 -- an attribute only where there is a notebook


def uninstall() -> None:
    """Take `install` back."""
    if hasattr(DagnbError, "_render_traceback_"):
        delattr(DagnbError, "_render_traceback_")


def shown(error: DagnbError, shell: Any) -> list[str]:
    """The lines for one of our errors; all frames when the setting `debug` is on."""
    if Settings.load().debug:
        return list(shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__))
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    head = "" if isinstance(error, CancelledError) else f"{type(error).__name__}: "
    return [f"{RED}{head}{PLAIN}{error}{notes}"]


def begin_at(error: BaseException, code: CodeType, shell: Any) -> None:
    """Show `error` from the first frame of `code` on: what lies above is the machinery of magics.

    `error` keeps its whole traceback for debuggers; only what is shown begins later.
    """
    tail = _from(error.__traceback__, code)
    if tail is None or isinstance(error, DagnbError) or Settings.load().debug:
        return

    def render() -> list[str]:
        error.__dict__.pop("_render_traceback_", None)  # once: raised again elsewhere it is an ordinary error
        return list(shell.InteractiveTB.structured_traceback(type(error), error, tail, tb_offset=0))

    error.__dict__["_render_traceback_"] = render


def _from(traceback: TracebackType | None, code: CodeType) -> TracebackType | None:
    """What comes after the innermost frame of `code`."""
    found = None
    while traceback is not None:
        if traceback.tb_frame.f_code is code:
            found = traceback.tb_next
        traceback = traceback.tb_next
    return found
