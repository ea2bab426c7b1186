"""What this machine costs beside the tasks: measured by past runs, told to the simulator as facts of a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dagnb.trace.samples import LARGE, PAIR, SHORT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.history import History
    from dagnb.trace.timeline import Timeline

    from .cluster import Cluster
    from .estimates import Estimates
    from .plan import Plan

    Floats = NDArray[np.float64]

#: Bytes from which a transfer tells the bandwidth; smaller ones tell the latency.
SMALL = 1e6

#: Measurements from which a fact is believed.
ENOUGH = 3

#: Graphs whose numbers of tasks differ by less than this factor take about as long to hand over.
ALIKE = 3.0

#: Bandwidths outside of this are hiccups of the measurement.
SLOWEST, FASTEST = 1e7, 1e11


def measured(history: History) -> dict[str, float]:
    """Facts for `Cluster.local` that are known: overhead, latency, bandwidth, publish, keep. Medians, in two digits.

    overhead   between two tasks of one worker, of runs whose tasks are long enough to be announced one by one
    """
    facts: dict[str, float] = {}
    overhead = history.pairs("overhead")
    long = overhead["y"][overhead["x"] >= SHORT]
    if len(long) >= ENOUGH:
        facts["overhead"] = _round(float(np.median(long)))
    facts |= _network(history, facts.get("overhead", 0.0))
    return facts


def suited(cluster: Cluster, history: History, estimates: Estimates) -> Cluster:
    """The cluster as these tasks meet it.

    Short ones are coordinated in batches, small outputs are not published, a larger graph takes longer to hand over.
    Facts that do not matter are left out, because the simulator is faster without them.
    """
    facts: dict[str, float] = {}
    if begin := _begin(history.pairs("begin"), len(estimates)):
        facts["warm"] = begin
    if float(estimates.mean.mean()) < SHORT:
        pairs = history.pairs("overhead")
        short = pairs["y"][pairs["x"] < SHORT]
        facts["overhead"] = _round(float(np.median(short))) if len(short) >= ENOUGH else 0.0
    if float(estimates.size.max()) <= LARGE:
        facts["publish"] = facts["keep"] = float("inf")
    return replace(cluster, **facts) if facts else cluster  # type: ignore[arg-type]  # all of these fields are numbers


def _begin(known: NDArray[np.void], tasks: int) -> float:
    """Seconds from the submission to the first start: of graphs of about that size, else of whatever ran last."""
    like = known[np.abs(np.log(known["x"] / max(tasks, 1))) < np.log(ALIKE)]
    last = (like if len(like) >= ENOUGH else known)["y"][-LAST:]
    return _round(float(np.median(last))) if len(last) >= ENOUGH else 0.0


def model_error(
    history: History, graph: TaskGraph, plan: Plan, cluster: Cluster, timeline: Timeline, run: int
) -> NDArray[np.void]:
    """[1] PAIR: ln (actual ÷ simulated with the measured durations), what the simulator itself is off; x: tasks.

    Simulated with what is known of the machine today, which is what the next forecast is made with.
    """
    from .replay import measured as durations
    from .simulator import forecast

    known = durations(graph, cluster, timeline)
    if not cluster.limits:
        cluster = suited(replace(cluster, **measured(history)), history, known)  # type: ignore[arg-type]  # numbers
    simulated, actual = forecast(graph, plan, cluster, known).makespan, float(timeline.end.max())
    if not (simulated > 0 and actual > 0):
        return np.zeros(0, PAIR)
    return np.array([(run, len(graph), np.log(actual / simulated))], PAIR)


def doubt(history: History) -> float:
    """The usual deviation (of a logarithm) of real makespans from simulated ones, in the last runs; 0 before any.

    The median: one run that had to start its workers, or met another's load, says little of the next.
    """
    last = history.pairs("model")["y"][-LAST:]
    return float(np.median(np.abs(last))) if len(last) else 0.0


#: Runs whose model error counts.
LAST = 12


def _network(history: History, overhead: float) -> dict[str, float]:
    """Rates from large values, latency from small ones; a transfer includes what coordinates it: that goes."""
    facts: dict[str, float] = {}
    written = history.pairs("publish")
    if rate := _rate(written["x"], written["y"]):
        facts["publish"] = rate
    kept = history.pairs("keep")
    if rate := _rate(kept["x"], kept["y"]):
        facts["keep"] = rate
    moved = history.pairs("transfer")
    small = moved["y"][moved["x"] < SMALL]
    if len(small) >= ENOUGH:
        facts["latency"] = _round(max(float(np.median(small)) - overhead, 0.0))
    large = moved[moved["x"] >= SMALL]
    rest = large["y"] - facts.get("latency", 0.0) - overhead - large["x"] / facts.get("publish", np.inf)
    if rate := _rate(large["x"], rest):
        facts["bandwidth"] = rate
    return facts


def _rate(size: Floats, seconds: Floats) -> float:
    """Bytes per second; 0 for too few values."""
    if len(size) < ENOUGH:
        return 0.0
    return _round(min(max(float(np.median(size / np.maximum(seconds, size / FASTEST))), SLOWEST), FASTEST))


def _round(value: float) -> float:
    """Two digits: what wobbles below that must not make new plans."""
    return float(f"{value:.2g}")
