"""DAGs by name: one of each name in a notebook, one of each name and function in a script."""

from __future__ import annotations

import sys
from typing import Any

from dagnb.errors import OptionError, near
from dagnb.graph.cells import CELLS, calling_frame

from .dag import Dag
from .later import not_yet

#: (where a name is one and the same, name) → DAG; the newest last
_DAGS: dict[tuple[str, str], Dag] = {}


def dag(name: str | None = None, /, *, new: bool = False, requirements: Any = None) -> Dag:
    """The DAG of that name, made if there is none: `with dagnb.dag("etl") as etl:` records into it.

    In a notebook a name is one DAG. In a script it is one DAG in each function, so that entering the same block again
    replaces what it recorded. `new=True` starts anew; without a name the DAG is anonymous and always new. Raises
    OptionError for a name that is no Python name.
    """
    if requirements is not None:
        not_yet("dag(requirements=…)", "Install the packages into the kernel's own environment.")
    if callable(name):
        not_yet("@dagnb.dag on a function (a sub-DAG)", "Call its tasks in one block.")
    scope = CELLS.scope(calling_frame(sys._getframe(1)))
    return anonymous() if name is None else named(name, scope, new=new)


def named(name: str, scope: str = "", *, new: bool = False) -> Dag:
    """The DAG `name` in `scope`, made if there is none or if it is to be new. Raises OptionError."""
    if not isinstance(name, str) or not name.isidentifier():
        raise OptionError(f"{name!r} is not a name for a DAG.\n  Give it a Python name, like etl.")
    key = (scope, name)
    if new or key not in _DAGS:
        _DAGS.pop(key, None)  # the newest stands last
        _DAGS[key] = Dag(name)
    return _DAGS[key]


def anonymous() -> Dag:
    """A new DAG that no name leads to."""
    return Dag("dag")


def dags() -> dict[str, Dag]:
    """Name → the newest DAG of that name."""
    return {name: found for (_, name), found in _DAGS.items()}


def find(name: str | None = None) -> Dag:
    """A DAG by its name, which may be left out when there is only one. Raises OptionError, naming the near ones."""
    known = dags()
    if name is None:
        if len(known) == 1:
            return next(iter(known.values()))
        if not known:
            raise OptionError("there is no DAG yet.\n  Write one: a cell that begins with %%dag etl.")
        raise OptionError(f"which DAG? There are {', '.join(known)}.\n  Say its name.")
    if name in known:
        return known[name]
    advice = near(name, known) or (f"There are: {', '.join(known)}." if known else "There is none yet: write a %%dag cell.")
    raise OptionError(f"there is no DAG {name}.\n  {advice[0].upper()}{advice[1:]}")


def drop(name: str) -> None:
    """Forget a DAG and its last run. Raises OptionError when there is none of that name."""
    forget(find(name))


def forget(target: Dag) -> None:
    """Take a DAG out of the registry and let go of its last run."""
    for key in [key for key, found in _DAGS.items() if found is target]:
        del _DAGS[key]
    target._release()
