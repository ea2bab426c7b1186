"""How sure a forecast is: draw durations of runs that could be, simulate each, take percentiles of the *makespan*.

Percentiles of tasks do not add up: that all tasks are slow at once is far less likely than that one is. What tasks of
one run have in common (a busy machine) is in `Estimates.draw`. Nor is the makespan of mean durations the middle of the
makespans: of several noisy workers the last one counts, and each layer of a graph waits for its slowest task.

How many runs are drawn depends on the size of the graph alone, so that the same question has the same answer:
BUDGET simulated tasks in all, but between FEW and MANY runs; and never more than LIMIT simulated tasks, for which large
graphs make do with as few as FEWEST. From ENOUGH runs on a percentile is one of them (interpolated); with fewer it is
that of the log-normal distribution with their mean and deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .plan import Plan
from .stage import play

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimates import Estimates
    from .policy import Policy

Floats = NDArray[np.float64]

BUDGET, LIMIT = 20_000, 200_000
FEWEST, FEW, ENOUGH, MANY = 4, 16, 40, 200

#: The interval of a plan: four of five runs.
LEVELS = (0.1, 0.9)


def draws_for(tasks: int) -> int:
    """How many runs of a graph of this size are drawn."""
    wanted = min(MANY, max(FEW, BUDGET // max(tasks, 1)))
    return max(FEWEST, min(wanted, LIMIT // max(tasks, 1)))


def makespans(
    graph: TaskGraph,
    how: Plan | Callable[[], Policy],
    cluster: Cluster,
    estimates: Estimates,
    *,
    draws: int | None = None,
    seed: int = 0,
) -> Floats:
    """[draws] seconds from submission to the last end, ascending, of runs that could be.

    `how` is a plan that fits, or makes a fresh policy for each run.
    """
    found = []
    chance = np.random.default_rng(seed)
    for _ in range(draws_for(len(graph)) if draws is None else draws):
        drawn = estimates.draw(chance)
        drawn.flags.writeable = False
        run = replace(estimates, mean=drawn, p50=drawn, p90=drawn)
        engine = play(graph, how if isinstance(how, Plan) else how(), cluster, run)
        found.append(max(engine.end, default=0.0))
    return np.sort(np.array(found, np.float64))


def quantiles(
    graph: TaskGraph,
    how: Plan | Callable[[], Policy],
    cluster: Cluster,
    estimates: Estimates,
    levels: Sequence[float] = LEVELS,
    *,
    draws: int | None = None,
    seed: int = 0,
) -> tuple[float, ...]:
    """The makespans that so many of all runs stay below: one for each of `levels`, which lie between 0 and 1.

    Raises ValueError for a level outside.
    """
    wrong = [level for level in levels if not 0 < level < 1]
    if wrong:
        raise ValueError(f"a level of {wrong[0]} is not between 0 and 1: 0.9 means nine of ten runs")
    found = makespans(graph, how, cluster, estimates, draws=draws, seed=seed)
    if len(found) >= ENOUGH or found[0] <= 0:
        return tuple(float(value) for value in np.quantile(found, levels))
    logs = np.log(found)
    spread = float(logs.std(ddof=1)) if len(found) > 1 else 0.0
    return tuple(float(np.exp(logs.mean() + spread * NormalDist().inv_cdf(level))) for level in levels)


def centred(graph: TaskGraph, plan: Plan, cluster: Cluster, estimates: Estimates) -> tuple[float, float, float] | None:
    """(low, middle, high): four of five runs of a plan end between low and high, and as many before as after middle.

    None where durations are certain, or no seconds.
    """
    if not estimates.has_seconds or not (estimates.p90 > estimates.p50).any():
        return None
    low, middle, high = quantiles(graph, plan, cluster, estimates, (LEVELS[0], 0.5, LEVELS[1]))
    return low, middle, high


def at_service_level(
    graph: TaskGraph,
    how: Plan | Callable[[], Policy],
    cluster: Cluster,
    estimates: Estimates,
    sla: Literal["average"] | float = "average",
    *,
    draws: int | None = None,
    seed: int = 0,
) -> float:
    """The makespan that a planner should make small: that of the mean run, or one that so many of all runs stay below.

    Raises ValueError for a service level that is neither "average" nor between 0 and 1.
    """
    if isinstance(sla, str):
        if sla != "average":
            raise ValueError(f"there is no service level {sla!r}: give 'average', or a part of all runs such as 0.9")
        return max(play(graph, how if isinstance(how, Plan) else how(), cluster, estimates).end, default=0.0)
    return quantiles(graph, how, cluster, estimates, (sla,), draws=draws, seed=seed)[0]
