"""P4: how well two workers are kept busy: perfect packing (a list schedule without overhead) ÷ what was measured."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import shapes
from table import Goal, Row, show

if TYPE_CHECKING:
    from peers import Peers

#: (what, DAG, seconds of a task, sides, goals). Naps leave the processors to others; spins are work.
CASES = (
    ("10 ms, fan of 400", lambda: shapes.fan(400, shapes.nap), 0.010, ("dagnb", "dask"), (0.96, 0.985)),
    ("10 ms, 10×40 layered", lambda: shapes.layered(10, 40, shapes.nap), 0.010, ("dagnb", "dask"), (0.96, 0.985)),
    ("10 ms, chain of 100", lambda: shapes.chain(100, shapes.nap), 0.010, ("dagnb", "dask"), (0.98, 0.985)),
    (
        "1 ms, 50×40 layered",
        lambda: shapes.layered(50, 40, shapes.spin, first=1e-3),
        1e-3,
        ("dagnb", "dask"),
        (0.85, 0.93),
    ),
    ("100 µs, 50×40 layered", lambda: shapes.layered(50, 40, shapes.spin, first=1e-4), 1e-4, ("dagnb",), (0.5, 0.7)),
)


def p4(peers: Peers, rounds: int) -> None:
    for what, make, length, sides, (must, stretch) in CASES:
        ideal = shapes.packing(make(), 2, length)
        found = {side: [ideal / s for s in times] for side, times in peers.rounds(sides, make, rounds).items()}
        value = statistics.median(found["dagnb"])
        goal = Goal(must, stretch, unit="")
        show(Row("P4", what, found["dagnb"], found.get("dask", []), "dask", goal, "", value))
