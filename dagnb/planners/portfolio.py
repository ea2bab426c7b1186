"""The portfolio of `auto` beyond `free` and `heft`: other planners and ranks, then a search from the best of them.

A module of its own, because a run that is planned as `free` should not wait for what it does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dagnb.graph.analysis import upward_order, upward_rank
from dagnb.planning.listing import drawn, transfers
from dagnb.planning.placement import Placed, occupied
from dagnb.planning.planner import find_planner
from dagnb.planning.simulator import forecast, in_units_of

from .search import Search

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Plan


def searched(
    graph: TaskGraph,
    cluster: Cluster,
    estimates: Estimates,
    known: tuple[Plan, Plan],
    work: float,
    bound: float,
    costs: Mapping[str, float],
    seed: int,
) -> tuple[Plan, int, list[str]]:
    """(the best plan that the rest of the portfolio finds, schedules weighed, members that were left out)."""
    units = in_units_of(estimates, cluster)
    transfer = transfers(units, estimates)
    search = Search(graph, units, estimates, transfer, seed)
    for plan in known:
        _offer(search, plan, graph, cluster, estimates)
    search.work, cut = 0.0, []  # those two have been paid for
    for name, cost, member in _members(search, graph, cluster, estimates, costs):
        if search.work + cost * len(graph) > work:
            cut.append(name)
        elif search.makespan > bound:
            member()
            search.work += cost * len(graph)
    search.improve(work, bound)
    order = np.argsort(np.array(search.key), kind="stable")
    placed = Placed(list(search.worker), list(search.key), [])
    found = drawn(graph, units, estimates, transfer, placed, order.tolist())
    return found, search.evaluations + 3, cut


def _members(
    search: Search, graph: TaskGraph, cluster: Cluster, estimates: Estimates, costs: Mapping[str, float]
) -> list[tuple[str, float, Callable[[], None]]]:
    """(name, cost per task, what lets it propose) of those that follow `free` and `heft`."""
    units = in_units_of(estimates, cluster)
    transfer = transfers(units, estimates)
    times = [occupied(w, units, estimates) for w in units.workers]

    def rank(time: np.ndarray[tuple[int], np.dtype[np.float64]], travel: float) -> None:
        search.draw(upward_order(upward_rank(graph, time, transfer * travel)))

    def ask(name: str) -> None:
        plan = find_planner(name).plan(graph, cluster, estimates)
        _offer(search, plan, graph, cluster, estimates)

    return [
        ("heft without transfers in its rank", costs["ranks"], partial(rank, np.mean(times, axis=0), 0.0)),
        ("heft by the fastest workers", costs["ranks"], partial(rank, np.min(times, axis=0), 1.0)),
        ("cpop", costs["cpop"], partial(ask, "cpop")),
        ("peft", costs["peft"], partial(ask, "peft")),
    ]


def _offer(search: Search, plan: Plan, graph: TaskGraph, cluster: Cluster, estimates: Estimates) -> None:
    """Let a plan be weighed; where it names nobody, with the workers that took the tasks in its simulated run."""
    columns = plan.columns
    worker, key = columns.worker, columns.priority
    if (worker < 0).any():
        timeline = forecast(graph, plan, cluster, estimates).timeline
        worker, key = timeline.worker, timeline.start
    search.offer(worker.tolist(), key.tolist())
