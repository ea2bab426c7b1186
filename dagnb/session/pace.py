"""How long calls of a function take, remembered in this process: a graph of tiny tasks need not look into the history.

Looking there costs milliseconds for each new graph (records, laws, noises), and each run makes the history a new one.
Where all tasks together are a matter of milliseconds no plan is better for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

#: Seconds of work, over all tasks, below which a run that nobody watches is planned without its past.
WORK = 0.1

#: Functions that are remembered; the oldest go first.
FUNCTIONS = 4096

_paces: dict[str, float] = {}


def remember(seconds: Mapping[str, float]) -> None:
    """Keep the mean seconds of one call by the fingerprint of its function; what was kept of it before is replaced."""
    for code, mean in seconds.items():
        _paces.pop(code, None)
        _paces[code] = mean
    for code in list(_paces)[: max(0, len(_paces) - FUNCTIONS)]:
        _paces.pop(code, None)


def slight(graph: TaskGraph) -> bool:
    """Whether it is known, without asking anybody, that all tasks of a graph together take less than `WORK` seconds."""
    if graph.calls is None or not _paces or len(graph.calls.functions) > FUNCTIONS:
        return False
    import numpy as np

    from dagnb.graph.fingerprint import codes

    known = [_paces.get(code) for code in codes(graph)]
    if not known or None in known:
        return False
    calls = np.bincount(graph.calls.function, minlength=len(known))
    return float(calls @ np.array(known, np.float64)) < WORK
