"""Acting a DAG out: the same graph, whose tasks sleep as long as theirs would take and return as much as theirs would.

What a worker calls is here, so nothing heavy is imported at the top.
"""

from __future__ import annotations

import math
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from dagnb.errors import OptionError, PlanError, near

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.assignment import Annotations
    from dagnb.planning.estimates import Estimates
    from dagnb.planning.plan import Plan

#: Bytes that one acted task may return, and all together: Redis and the workers share one machine's memory.
LARGEST, ALL = 16_000_000, 512_000_000

#: What a run may be.
MODES = ("real", "sleep")


def act(seconds: float, size: int, *_: Any) -> bytes:
    """What every task of an acted graph does: it gets its inputs, sleeps, and returns `size` bytes."""
    if seconds > 0:
        time.sleep(seconds)
    return bytes(size)


def scale_of(mode: object, scale: object) -> float | None:
    """The scale of an acted run, or None for a real one. Raises OptionError."""
    if mode not in MODES:
        advice = near(str(mode), MODES) or "It is 'real', or 'sleep' to act it out."
        raise OptionError(f"run() has no mode {mode!r}.\n  {advice[0].upper()}{advice[1:]}")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise OptionError(f"scale is a finite number above 0, not {scale!r}.\n  scale=0.01 makes 100 s one second.")
    if mode == "sleep":
        return float(scale)
    if scale != 1:
        raise OptionError(f"scale={scale} is for acting out.\n  Write run(mode='sleep', scale={scale}).")
    return None


def acted(graph: TaskGraph, estimates: Estimates, scale: float) -> TaskGraph:
    """The same tasks, keys, kinds and edges, but every task only sleeps.

    It sleeps `scale` times its expected duration and returns `scale` times its expected bytes, so that computing and
    moving keep their proportion. An output has at most `LARGEST` bytes, and all have at most `ALL` together (then each
    is reduced alike). Durations and sizes are declared as they will be, so that a plan of this graph is a forecast of
    the acting. No value of it outlives the run. Raises OptionError where durations are not known in seconds.
    """
    import numpy as np

    from dagnb.graph.graph import Calls, TaskRef

    if len(graph) and not estimates.has_seconds:
        raise _unknown(graph, estimates)
    seconds = np.asarray(estimates.mean) * scale
    size = np.minimum(np.asarray(estimates.size) * scale, LARGEST)
    size = np.floor(size * min(1.0, ALL / max(float(size.sum()), 1.0)))
    given = list(zip(seconds.tolist(), size.astype(np.int64).tolist(), strict=True))
    args = tuple((*given[i], *(TaskRef(d) for d in graph.dependencies(i))) for i in range(len(graph)))
    # a function for each kind, as in the real graph: workers measure how long the calls of one take, and act on it
    calls = Calls((act,) * len(graph.kinds), graph.kind, args, (None,) * len(graph))
    return replace(graph, calls=calls, duration=seconds, size=size, kept=frozenset())


def _unknown(graph: TaskGraph, estimates: Estimates) -> OptionError:
    from dagnb.planning.estimator import NEUTRAL

    kinds = [graph.kinds[graph.kind[i]] for i, source in enumerate(estimates.source) if source == NEUTRAL]
    few = list(dict.fromkeys(kinds))
    named = ", ".join(few[:4]) + (", …" if len(few) > 4 else "")
    return OptionError(
        f"{graph.name} cannot be acted out: nobody has said how long {named} takes.\n"
        f'  Say it, @task(est="2s"), or run {graph.name} once.'
    )


def plan_for(plan: Plan, graph: TaskGraph, acting: TaskGraph, scale: float) -> Plan:
    """A plan of the real graph for its acting: the same assignments; its figures are simulated anew when asked for.

    Raises PlanError for a plan that is not for `graph`.
    """
    if plan.graph_fingerprint != graph.fingerprint:
        raise PlanError(
            f"the plan is not for this graph: {graph.name} was changed after it was made.\n  Plan it again."
        )
    columns = plan.columns
    notes = {i: note if note.prewarm is None else _earlier(note, scale) for i, note in columns.notes.items()}
    given = {"seed", "cluster", "planning_time"}  # all else that may be None comes from the simulator
    figures: dict[str, Any] = {f.name: None for f in fields(plan) if f.default is None and f.name not in given}
    return replace(
        plan,
        assignments=replace(columns, notes=notes),
        graph_fingerprint=acting.fingerprint,
        estimates_fingerprint="",
        has_seconds=True,
        **figures,
    )


def _earlier(note: Annotations, scale: float) -> Annotations:
    """What a plan says of a moment, on the scale of the acting."""
    return replace(note, prewarm=(note.prewarm or 0.0) * scale)
