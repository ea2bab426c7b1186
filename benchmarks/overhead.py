"""What a task costs that does nothing: P1, P2, P2b, P3, and P5, the one figure that is free of grain."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import shapes
from table import Goal, Row, show

if TYPE_CHECKING:
    from peers import Peers

SHAPES = {
    "10k fan-in": (shapes.fan, 100, 300),
    "2k chain": (shapes.chain, 500, 1_500),
    "4,096-leaf tree": (shapes.tree, 100, 300),
    "100×50 layered": (shapes.layered, 100, 300),
}

#: P5: task lengths between which METG is looked for, and how often the interval is halved (on a logarithm).
SHORTEST, LONGEST, HALVINGS = 5e-6, 20e-3, 8


def p1(peers: Peers, rounds: int) -> None:
    """No-op makespan, fresh (nothing remembered), beside distributed and the bare loop."""
    _no_ops(peers, rounds, ("dagnb", "dask", "loop"))


def p2(peers: Peers, rounds: int) -> None:
    """The same beside ProcessPoolExecutor; P2b: what is left per task."""
    _no_ops(peers, rounds, ("dagnb", "executor"))


def _no_ops(peers: Peers, rounds: int, sides: tuple[str, ...]) -> None:
    for name, (make, must, stretch) in SHAPES.items():
        found = peers.rounds(sides, make, rounds)
        ours, tasks = found["dagnb"], len(make().calls)
        if "dask" in found:
            note = f"(bare loop {statistics.median(found['loop']) * 1e3:.2f} ms)"
            show(Row("P1", name + ", fresh", ours, found["dask"], "dask", Goal(must, stretch), note=note))
        if "executor" in found:
            show(Row("P2", name, ours, found["executor"], "executor", Goal(15, 40)))
            each = [seconds / tasks for seconds in ours]
            value = statistics.median(each) * 1e6
            show(Row("P2b", f"{name}, per task", each, goal=Goal(5, 2, most=True, unit=" µs"), unit="µs", value=value))


def p3(peers: Peers, rounds: int) -> None:
    """A round trip for every task."""
    for name, make in (("2k fan", lambda: shapes.fan(2_000)), ("40×50 layered", lambda: shapes.layered(40, 50))):
        found = peers.rounds(("dagnb", "dask"), make, rounds, single=True)
        show(Row("P3", f"{name}, each coordinated", found["dagnb"], found["dask"], "dask", Goal(5, 15)))


def p5(peers: Peers, rounds: int) -> None:
    """METG(50 %): the length of a task at which half of the time is work."""
    found = {"dagnb": [metg(peers, "dagnb", runs=3) for _ in range(max(1, rounds // 2))]}
    found["dask"] = [metg(peers, "dask", runs=1)]
    value = statistics.median(found["dagnb"]) * 1e6
    goal = Goal(150, 50, most=True, unit=" µs")
    show(Row("P5", "METG(50 %), 50×40 layered", found["dagnb"], found["dask"], "dask", goal, "µs", value))


def metg(peers: Peers, side: str, runs: int) -> float:
    """By halving the interval; efficiency is work ÷ (two processes × time)."""
    low, high = SHORTEST, LONGEST
    for _ in range(HALVINGS if side == "dagnb" else HALVINGS - 2):
        length = (low * high) ** 0.5
        times = [peers.measure(side, shapes.layered(50, 40, shapes.spin, first=length)) for _ in range(runs)]
        if 2_000 * length / (2 * statistics.median(times)) >= 0.5:
            high = length
        else:
            low = length
    return high
