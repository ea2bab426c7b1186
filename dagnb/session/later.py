"""Names whose room is not built yet: each exists, and says so when it is used. Nothing is ever ignored silently."""

from __future__ import annotations

from typing import Any, NoReturn

from dagnb.errors import OptionError, place, user_frame


def not_yet(what: str, instead: str = "") -> NoReturn:
    """Refuse `what` by name: it is part of dagnb, but not of this version. Raises OptionError, always."""
    frame = user_frame()
    where = place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else ""
    lines = [f"{what} is not available in this version of dagnb yet.", where, instead]
    raise OptionError("\n  ".join(line for line in lines if line))


def param(default: Any = None, **_: Any) -> NoReturn:  # noqa: ARG001 -- the signature is the one to come
    """A value that the widget and `run(...)` can change. Not available yet."""
    not_yet("dagnb.param()", "Use an ordinary variable, and run the cell again to change it.")


def when(*_: Any, **__: Any) -> NoReturn:
    """A choice made while running. Not available yet."""
    not_yet("dagnb.when()", "Put the choice into a task: task(lambda ok, a, b: a if ok else b)(ok, a, b).")


def from_dask(*_: Any, **__: Any) -> NoReturn:
    """A DAG from a Dask collection. Not available yet."""
    not_yet("dagnb.from_dask()")


class Sweep:
    """The runs of `etl.sweep(...)`, one for each combination of parameters. Not available yet."""

    def __init__(self, *_: Any, **__: Any) -> None:
        not_yet("dagnb.Sweep")


def connect(*_: Any, **__: Any) -> NoReturn:
    """Use a Redis of one's own. Not available yet."""
    not_yet("dagnb.connect()", "dagnb starts a Redis of its own at the first run.")


def config(*_: Any, **__: Any) -> NoReturn:
    """Settings and where each came from. Not available yet."""
    not_yet("dagnb.config()", "Set the DAGNB_… environment variables before the kernel starts.")


def cache(*_: Any, **__: Any) -> NoReturn:
    """What is remembered across runs. Not available yet."""
    not_yet("dagnb.cache()", "Nothing is remembered across runs in this version.")
