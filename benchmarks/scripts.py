"""R6: how long a script keeps Redis from everybody else, at 100,000 tasks and 20,000-wide fans, by Redis' clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import shapes
from table import Goal, Row, show

if TYPE_CHECKING:
    from peers import Peers

CASES = {
    "100,000 tasks, fan-in": lambda: shapes.fan(100_000),
    "100,000 tasks, 1,000 wide": lambda: shapes.layered(100, 1_000),
    "20,000-wide out and in": lambda: shapes.out_and_in(20_000),
}
#: What counts as a script.
SCRIPTS = (b"EVAL", b"EVALSHA", b"FCALL")


def r6(peers: Peers, rounds: int) -> None:
    from dagnb.session import engine

    peers.dagnb(shapes.fan(50))
    wire = engine.connect().wire()
    for setting, value in (("slowlog-log-slower-than", 0), ("slowlog-max-len", 1_000_000)):
        wire.call("CONFIG", "SET", setting, value)
    for name, make in CASES.items():
        longest = []
        for _ in range(max(1, rounds // 2)):
            wire.call("SLOWLOG", "RESET")
            peers.dagnb(make())
            told = [entry for entry in wire.call("SLOWLOG", "GET", -1) if entry[3][0].upper() in SCRIPTS]
            longest.append(max(entry[2] for entry in told) * 1e-6)
        goal = Goal(20, 5, most=True, unit=" ms")
        show(Row("R6", f"longest script, {name}", longest, goal=goal, value=max(longest) * 1e3))
    wire.call("CONFIG", "SET", "slowlog-log-slower-than", 10_000)
    wire.call("SLOWLOG", "RESET")
    wire.close()
    time.sleep(0.1)
