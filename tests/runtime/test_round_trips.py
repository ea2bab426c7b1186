"""How often Redis is asked: at most 1.05 times a task where each is coordinated, and hardly ever where none need be.

Counted by Redis itself (MONITOR): every command of every client, the submission and the kernel's waiting included.
What scripts call inside Redis is no round trip.
"""

from __future__ import annotations

import re
import socket
from collections import Counter
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from dagnb.runtime.run import start
from tests.runtime.dags import Sketch, add, free_plan, leaf, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagnb.graph.graph import TaskGraph
    from dagnb.runtime.pool import LocalPool

#: `1700000000.123456 [0 unix:/tmp/…/r.sock] "EVALSHA" …`; what a script calls has `lua` for an address.
SAID = re.compile(rb'^\+?[\d.]+ \[\d+ (?!lua)[^\]]*\] "([^"]+)"(?: "([^"]*)")?')
THE_END = b"the end of the count"


@contextmanager
def monitored(pool: LocalPool) -> Iterator[Counter[str]]:
    """Counts the commands that clients give, by name; complete once the block is left."""
    found: Counter[str] = Counter()
    line = socket.socket(socket.AF_UNIX)
    line.connect(pool.path)
    line.sendall(b"MONITOR\r\n")
    stream = line.makefile("rb")
    assert stream.readline() == b"+OK\r\n"

    def listen() -> None:
        for said in stream:
            match = SAID.match(said)
            if match and match[2] == THE_END:
                return
            if match:
                found[match[1].decode().upper()] += 1

    thread = Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        wire = pool.wire()
        wire.call("ECHO", THE_END)
        wire.close()
        thread.join(30)
        assert not thread.is_alive()
        line.close()


def fan(n: int) -> TaskGraph:
    sketch = Sketch("fan")
    sketch(total, [sketch(leaf, i) for i in range(n)])
    return sketch.graph()


def layered(layers: int, width: int) -> TaskGraph:
    sketch = Sketch("layered")
    level = [sketch(leaf, i) for i in range(width)]
    for k in range(1, layers):
        level = [sketch(add, level[i], level[(i * 7 + k) % width]) for i in range(width)]
    sketch(total, level)
    return sketch.graph()


#: What is asked every half second by whoever waits, whatever the number of tasks.
BY_TIME = ("BLPOP", "BLMOVE", "LRANGE")
GRAPHS = {"fan of 2,000": lambda: fan(2_000), "40×50 in layers": lambda: layered(40, 50)}


@pytest.mark.parametrize("shape", GRAPHS)
def test_full_coordination_asks_once_a_task(pool, shape):
    graph = GRAPHS[shape]()
    pool.ensure(2)
    with monitored(pool) as asked:
        done = start(graph, free_plan(graph), pool, single=True).wait(60)
    assert done.state == "done"
    print(f"{shape}: {asked.total() / len(graph):.3f} round trips a task: {asked.most_common(6)}")
    assert asked["EVALSHA"] >= len(graph) * 0.95, "it was coordinated"
    assert asked.total() - sum(asked[waiting] for waiting in BY_TIME) <= 1.05 * len(graph)


@pytest.mark.parametrize("shape", GRAPHS)
def test_without_need_next_to_nothing_is_asked(pool, shape):
    graph = GRAPHS[shape]()
    pool.ensure(2)
    with monitored(pool) as asked:
        done = start(graph, free_plan(graph), pool).wait(60)
    assert done.state == "done"
    print(f"{shape}: {asked.total() / len(graph):.3f} round trips a task")
    assert asked.total() <= 0.1 * len(graph)
