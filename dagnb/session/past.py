"""What runs teach the next plans: gathered after their end in a thread of its own, read before a plan is made.

A run costs its caller two appends here. Everything else (its events, the fingerprints of its functions, one
transaction) happens `PAUSE` seconds later or when a plan needs it, and at the end of the process. Of tiny runs of the
same functions only one in `AGAIN` seconds teaches: measuring must not cost more than what is measured.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections import deque
from pathlib import Path
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dagnb.settings import Settings

from . import pace

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimates import Estimates
    from dagnb.runtime.run import Run
    from dagnb.trace.history import History
    from dagnb.trace.samples import Taught

log = logging.getLogger("dagnb")

#: Seconds after the end of a run in which another may begin undisturbed.
PAUSE = 0.1

#: A run shorter than `TINY` seconds teaches again after `AGAIN` seconds only, and its plan stays whatever it taught.
TINY, AGAIN = 0.1, 1.0

#: Seconds between two looks at runs that nobody waits for.
LOOK = 1.0

#: Seconds per task that simulating a run costs; where that is more than a hundredth of the run it is not done.
REPLAY = 60e-6

_lock = RLock()
_pending: deque[Run] = deque(maxlen=1000)
_lasted: WeakKeyDictionary[TaskGraph, float] = WeakKeyDictionary()
_taught_at: dict[tuple[str, ...], float] = {}  # by the fingerprints of the functions
_graph_taught_at: WeakKeyDictionary[TaskGraph, float] = WeakKeyDictionary()
_histories: dict[Path, History] = {}
_wake = Event()
_thread: Thread | None = None
_pid = os.getpid()
_last_number = 0


# ---- told by the life of a run --------------------------------------------------------------------------------------
def begun(run: Run) -> None:
    """A run began; it teaches when it has ended, unless it was only acted."""
    if not run.acted and len(run.graph) and run.graph.calls is not None:
        _started()
        _pending.append(run)
        _wake.set()


def ended(run: Run) -> None:
    """Somebody waited for its end."""
    if run.client_makespan is not None:
        _lasted[run.graph] = run.client_makespan


def tiny(graph: TaskGraph) -> bool:
    """Whether the last run of this very graph was so short that forecasts of it pay for nothing."""
    return _lasted.get(graph, TINY) < TINY


# ---- asked before a plan --------------------------------------------------------------------------------------------
def history(settings: Settings | None = None) -> History | None:
    """The history of this user, None where the setting `history` is off."""
    settings = settings or Settings.load()
    if not settings.history:
        return None
    path = settings.data_path
    with _lock:
        found = _histories.get(path)
        if found is None:
            from dagnb.trace.history import History

            found = _histories[path] = History.open(path)
        return found


def version(settings: Settings | None = None) -> object:
    """Another one as soon as there is something new to learn from."""
    known = history(settings)
    return known.version if known is not None else None


def estimates(graph: TaskGraph, cluster: Cluster | None = None, settings: Settings | None = None) -> Estimates:
    """What is known of a graph: past runs, else what was declared. Raises OptionError for a wrong declaration."""
    from dagnb.planning.estimator import estimate

    return estimate(graph, history(settings), cluster)


def local(workers: int, settings: Settings | None = None) -> Cluster:
    """So many equal workers on this machine, with what was measured of it."""
    from dagnb.planning.cluster import Cluster

    known = history(settings)
    if known is None:
        return Cluster.local(workers)
    from dagnb.planning.machine import measured

    return Cluster.local(workers, **measured(known))


def flush(*, worth: bool = False) -> None:
    """Learn now from all that has ended; with `worth` only if one of them was long enough to be worth the wait."""
    ran = [run for run in tuple(_pending) if run.ending is not None]
    if not worth or any((run.client_makespan or 0.0) >= TINY for run in ran):
        _learn(look=False)


# ---- learning -------------------------------------------------------------------------------------------------------
def _started() -> None:
    """Have the thread."""
    global _thread, _pid  # noqa: PLW0603 -- one per process
    if _thread is not None and _pid == os.getpid():
        return
    with _lock:
        if _pid != os.getpid():  # a forked child has neither the thread nor these runs
            _pending.clear()
            _histories.clear()
        elif _thread is None:
            atexit.register(flush)
        _pid = os.getpid()
        _thread = Thread(target=_gather, name="dagnb-history", daemon=True)
        _thread.start()


def _gather() -> None:
    while True:
        _wake.wait()
        _wake.clear()
        wait = PAUSE
        while True:
            time.sleep(wait)
            _learn(look=True)
            if not _pending or _wake.is_set():
                break
            wait = LOOK


def _learn(*, look: bool) -> None:
    """Take what has ended out of the waiting runs, and add what it teaches to the history."""
    with _lock:
        waiting, due = [_pending.popleft() for _ in range(len(_pending))], []
        for run in waiting:
            if _over(run, look=look):
                due.append(run)
            elif run.hub.pool.attachment.alive():
                _pending.append(run)  # else its events have gone with the store
        known = history() if due else None
        if known is not None:
            found = [taught for run in due if (taught := _lesson(run)) is not None]
            if found:
                known.add(*found)


def _over(run: Run, *, look: bool) -> bool:
    """Whether a run has ended; asking the store must never start one anew."""
    if run.ending is None and look and run.hub.pool.attachment.alive():
        try:
            run.look()
        except Exception:  # noqa: BLE001 -- the store is gone; the next look finds that out
            return False
    return run.ending is not None


def _lesson(run: Run) -> Taught | None:
    """What a run teaches; None for a tiny one that has just taught, and for one whose events are gone."""
    from dagnb.graph.fingerprint import codes

    now = time.monotonic()
    lasted = run.client_makespan if run.client_makespan is not None else (run.ending.at if run.ending else 0.0)
    if lasted < TINY and now - _graph_taught_at.get(run.graph, -AGAIN) < AGAIN:
        return None  # known without a look at its functions, which would hold up a run that goes on
    functions = tuple(codes(run.graph))
    if lasted < TINY and now - _taught_at.get(functions, -AGAIN) < AGAIN:
        return None
    for known in [known for known, at in _taught_at.items() if now - at >= AGAIN]:
        del _taught_at[known]
    _taught_at[functions] = _graph_taught_at[run.graph] = now
    try:
        return _read(run, functions)
    except Exception:  # whatever is wrong with a run, it must not be with the next
        log.debug("run %s teaches nothing", run.id, exc_info=True)
        return None


def _read(run: Run, functions: tuple[str, ...]) -> Taught | None:
    from dagnb.trace.samples import Resources, taught

    global _last_number  # noqa: PLW0603 -- runs are numbered upwards
    if not run.told and not run.hub.pool.attachment.alive():
        return None
    cluster: Any = run.cluster
    plain = Resources()
    sizes = [Resources(w.cpus, w.memory) if cluster.limits else plain for w in cluster.workers]
    _last_number = max(_last_number + 1, time.time_ns())
    timeline = run.timeline
    found = taught(run.graph, timeline, functions, sizes, _last_number)
    pace.remember({code: float(rows["seconds"].mean()) for (code, _), rows in found.calls.items()})
    known = history()
    if known is not None and run.state.value == "done" and REPLAY * len(timeline) <= float(timeline.end.max()) / 100:
        from dagnb.planning.machine import model_error

        found.machine["model"] = model_error(known, run.graph, run.planned, cluster, timeline, _last_number)
    return found
