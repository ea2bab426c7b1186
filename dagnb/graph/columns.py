"""A recording as arrays of integers: what `assemble` works on, made once for each recording."""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .calls import ints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import Ints
    from .handle import Handle
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
    calls = rec.calls
    index = {task: k for k, task in enumerate(dict.fromkeys(form.task for form in calls.forms))}
    form = ints(calls.form)
    task = np.array([index[f.task] for f in calls.forms], np.int32)[form]
    owner, need, foreign = _needs(rec, form)
    users = np.zeros(len(task), np.bool_)
    users[need[need >= 0]] = True
    return Columns(tuple(index), task, owner, need, foreign, users)


def _needs(rec: Recording, form: Ints) -> tuple[Ints, Ints, tuple[Handle[Any], ...]]:
    """Owner and need of every pair: those of plain calls as they were recorded, those of special ones behind them."""
    calls = rec.calls
    counts = np.array([f.needs for f in calls.forms], np.int64)[form]
    owner, need = np.repeat(np.arange(len(form), dtype=np.int32), counts), ints(calls.needs)
    owners: list[int] = []
    needs: list[int] = []
    foreign: list[Handle[Any]] = []
    for i, (_, handles) in calls.special.items():
        own = _distinct(handles, rec, foreign)
        needs += own
        owners += [i] * len(own)
    if owners:
        owner, need = np.append(owner, np.array(owners, np.int32)), np.append(need, np.array(needs, np.int32))
    if rec.void:
        real = ~np.isin(owner, list(rec.void))
        owner, need = owner[real], need[real]
    return owner, need, tuple(foreign)


def _distinct(handles: list[Handle[Any]], rec: Recording, foreign: list[Handle[Any]]) -> dict[int, None]:
    """Needs of a special call in the order of first use."""
    found: dict[int, None] = {}
    for handle in handles:
        if handle._rec is rec:
            found[handle._index] = None
        else:
            foreign.append(handle)
            found[-len(foreign)] = None
    return found
