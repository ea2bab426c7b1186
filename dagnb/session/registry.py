"""DAGs by name: one of each name in a notebook, one of each name and function in a script."""

from __future__ import annotations

import sys
from keyword import iskeyword
from typing import Any

from dagnb.errors import OptionError, near
from dagnb.graph.cells import CELLS, calling_frame
from dagnb.graph.options import is_name, shown

from .dag import Dag
from .later import not_yet
from .names import DAGS


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
    key = (scope, name)
    known = DAGS.get(key)
    return known if known is not None and not (new or known.attached) else register(unregistered(name), scope)


def unregistered(name: str) -> Dag:
    """A new DAG that takes its place in the registry later, when its first body has not raised. Raises OptionError.

    In the place of one that was attached it answers for that run, until it is run itself.
    """
    if not is_name(name) or iskeyword(name):
        raise OptionError(f"{shown(name)} is not a name for a DAG.\n  Give it a short Python name, like etl.")
    made, known = Dag(name), dags().get(name)
    if known is not None and known.attached:
        made.last, made.real = known.last, known.real
    return made


def register(target: Dag, scope: str = "") -> Dag:
    """Make a DAG known by its name, in the place of one that had it."""
    key = (scope, target.name)
    if not target.attached:  # cells take the place of what was read from the store, wherever that stands
        for stood in [k for k, found in DAGS.items() if found.attached and found.name == target.name]:
            del DAGS[stood]
    if DAGS.get(key) is not target:
        DAGS.pop(key, None)  # the newest stands last
        DAGS[key] = target
    return target


def anonymous() -> Dag:
    """A new DAG that no name leads to."""
    return Dag("dag")


def dags() -> dict[str, Dag]:
    """Name → the newest DAG of that name."""
    return {name: found for (_, name), found in DAGS.items()}


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
    advice = near(name, known) or (
        f"There are: {', '.join(known)}." if known else "There is none yet: write a %%dag cell."
    )
    raise OptionError(f"there is no DAG {name}.\n  {advice[0].upper()}{advice[1:]}")


def drop(name: str) -> None:
    """Forget a DAG and its last run. Raises OptionError when there is none of that name."""
    find(name).drop()
