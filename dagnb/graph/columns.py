"""A recording as arrays of integers: what `assemble` works on, made once for each recording."""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .handle import Handle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import Ints
    from .recording import Recording
    from .task import Task


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """Calls and dependencies of one recording.

    tasks    distinct tasks
    task     [n] which of them
    owner    [m] the call that needs …
    need     [m] … this call of the same recording, or -1-k for `foreign[k]`; each once for each call
    foreign  handles of other recordings
    users    [n] whether a call of the same recording needs it
    """

    tasks: tuple[Task[..., Any], ...]
    task: Ints
    owner: Ints
    need: Ints
    foreign: tuple[Handle[Any], ...]
    users: NDArray[np.bool_]


def columns_of(rec: Recording) -> Columns:
    """The recording as arrays, made once."""
    known = rec.arrays
    if not isinstance(known, Columns):
        rec.arrays = known = _read(rec)
    return known


def _read(rec: Recording) -> Columns:
    index: dict[Task[..., Any], int] = {}
    task = np.array([index.setdefault(fn, len(index)) for fn in rec.fns], np.int32)
    owner, need, foreign = _flatten(rec)
    users = np.zeros(len(task), np.bool_)
    users[need[need >= 0]] = True
    return Columns(tuple(index), task, owner, need, foreign, users)


def _flatten(rec: Recording) -> tuple[Ints, Ints, tuple[Handle[Any], ...]]:
    owner: list[int] = []
    need: list[int] = []
    foreign: list[Handle[Any]] = []
    for i, deps in enumerate(rec.deps):
        if i in rec.void:
            continue
        if type(deps) is Handle and deps._rec is rec:
            owner.append(i)
            need.append(deps._index)
        elif type(deps) is Handle:
            owner.append(i)
            foreign.append(deps)
            need.append(-len(foreign))
        elif deps:
            own = dict.fromkeys([h._index for h in deps if h._rec is rec])
            if len(own) < len(deps):
                own = _mixed(deps, rec, foreign)
            need += own
            owner += [i] * len(own)
    return np.array(owner, np.int32), np.array(need, np.int32), tuple(foreign)


def _mixed(deps: list[Handle[Any]], rec: Recording, foreign: list[Handle[Any]]) -> dict[int, None]:
    """Needs of a call in the order of first use, where some are of other recordings or come twice."""
    found: dict[int, None] = {}
    for handle in deps:
        if handle._rec is rec:
            found[handle._index] = None
        else:
            foreign.append(handle)
            found[-len(foreign)] = None
    return found
