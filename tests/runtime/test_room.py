"""Results give way where memory is scarce, the oldest first, and never those of now or of a live run."""

from __future__ import annotations

import gc
import time

import pytest

from dagnb.errors import NotRunError
from dagnb.runtime.hub import TOLD
from dagnb.runtime.keys import UNHELD
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.room import forget, make_room
from dagnb.runtime.run import start
from tests.runtime.dags import Sketch, free_plan, run
from tests.runtime.life import settings


def large(i: int) -> bytes:
    return bytes([i]) * 100_000


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.fixture
def pool(directory):
    found = LocalPool.connect(settings(directory, workers=2))
    yield found
    found.stop()


def one(pool: LocalPool, i: int):
    sketch = Sketch()
    sketch(large, i)
    return run(sketch.graph(), pool)


def test_the_oldest_half_goes_when_redis_is_half_full(pool):
    runs = [one(pool, i) for i in range(6)]
    sketch = Sketch()
    sketch(nap, 2.0)
    live = start(sketch.graph(), free_plan(sketch.graph()), pool)
    wire = pool.wire()
    later = time.perf_counter() + 100
    assert make_room(wire, later) == 0
    used = int(wire.call("INFO", "memory").split(b"used_memory:")[1].split()[0])
    wire.call("CONFIG", "SET", "maxmemory", int(used * 1.9))
    assert make_room(wire) == 0  # all of them are of this minute
    assert make_room(wire, later) == 3
    keys = [name.decode() for name in wire.call("KEYS", "dagnb:{*")]
    assert not [name for name in keys for old in runs[:3] if old.id in name]
    for old in runs[:3]:
        old._sealed.clear()
        with pytest.raises(NotRunError, match="expired"):
            old.result(old.graph.keys[0])
    for kept in runs[3:]:
        assert len(kept.result(kept.graph.keys[0])) == 100_000
    assert live.wait(10).result(live.graph.keys[0]) == 2.0


def test_of_forgotten_runs_only_the_last_stay(pool):
    held = one(pool, 0)
    gone = [one(pool, i).id for i in range(1, TOLD)]  # no variable leads to them
    sketch = Sketch()
    sketch(nap, 2.0)
    live = start(sketch.graph(), free_plan(sketch.graph()), pool).id
    gc.collect()
    last = one(pool, TOLD)  # its submission tells of them
    wire = pool.wire()
    assert wire.call("LLEN", UNHELD) == TOLD
    assert forget(wire, TOLD) == 0
    assert forget(wire, 5) == TOLD - 5
    assert len(left(wire) & set(gone)) == 4
    assert {held.id, last.id, live} < left(wire)
    assert forget(wire, 0) == 4  # one goes on
    assert forget(wire, 0) == 0
    assert left(wire) == {held.id, last.id, live}
    held._sealed.clear()
    assert len(held.result(held.graph.keys[0])) == 100_000


def left(wire) -> set[str]:
    return {name.decode().partition("{")[2].partition("}")[0] for name in wire.call("KEYS", "dagnb:{*")}
