"""What the scripts do with packed columns, beside plain Python; and that none of them takes many tasks at once."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.graph.graph import TaskRef
from dagnb.runtime import pack as packing
from dagnb.runtime.fetch import INPUTS, blobs_of
from dagnb.runtime.hub import Hub
from dagnb.runtime.keys import DAGNB, TODO, inbox, run_prefix
from dagnb.runtime.outbox import ENTRIES, runs_of
from dagnb.runtime.run import start
from dagnb.runtime.scripts import script
from dagnb.runtime.slot import Verdict
from dagnb.runtime.store import MOVED
from tests.runtime.dags import Sketch, free_plan, leaf, total

KEY = "dagnb:column"
SLOT = 950
COLUMNS = script("columns")
#: Tasks that wait in one slot in these tests.
MANY = 2 * MOVED + 2_345
#: Ascending places: close together, apart, and both.
places = st.lists(st.integers(0, 400) | st.integers(0, 20_000), min_size=1, max_size=300, unique=True).map(sorted)


def u32(numbers) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


@pytest.fixture(scope="module")
def wire(pool):
    line = pool.wire()
    yield line
    line.call("DEL", KEY)
    line.close()


@settings(max_examples=60)
@given(places, st.data())
def test_counters_fall_as_one_by_one(wire, where, data):
    by = data.draw(st.lists(st.integers(1, 3) | st.integers(1, 2**20), min_size=len(where), max_size=len(where)))
    before = [(7 * i) % 50_000 for i in range(20_001)]
    wire.call("SET", KEY, struct.pack(f">{len(before)}i", *before))
    left = wire.call(
        "EVAL", COLUMNS + "return fall(KEYS[1], numbers(ARGV[1], 1), numbers(ARGV[2], 1))", 1, KEY, u32(where), u32(by)
    )
    want = list(before)
    for i, less in zip(where, by, strict=True):
        want[i] -= less
    assert left == [want[i] for i in where]
    assert list(struct.unpack(f">{len(want)}i", wire.call("GET", KEY))) == want


@settings(max_examples=60)
@given(st.lists(places, min_size=1, max_size=4))
def test_numbers_are_filled_in_and_read_as_one_by_one(wire, several):
    wire.call("DEL", KEY)
    want: dict[int, int] = {}
    for number, tasks in enumerate(several, 1):
        wire.call(
            "EVAL", COLUMNS + "fill(KEYS[1], numbers(ARGV[1], 1), tonumber(ARGV[2]))", 1, KEY, runs_of(tasks), number
        )
        want |= dict.fromkeys(tasks, number)
    held = wire.call("GET", KEY)
    found = struct.unpack(f">{len(held) // 4}I", held)
    assert [want.get(i, 0) for i in range(len(found))] == list(found)
    asked = sorted({*want, 0, 777, 19_999, 30_000})
    read = (
        COLUMNS
        + "local at, found = column(KEYS[1], 0, '>I4', 4), {} "
        + "for i, k in ipairs(ARGV) do found[i] = at(k) end return found"
    )
    assert wire.call("EVAL", read, 1, KEY, *asked) == [want.get(i, 0) for i in asked]


def test_names_of_blobs_are_found_for_tasks_near_and_far(wire):
    prefix = run_prefix("columns")
    wire.calls([("RPUSH", prefix + "names", "a", "b"), ("SETRANGE", prefix + "loc", 4 * 200_000, struct.pack(">I", 2))])
    wire.call("SETRANGE", prefix + "loc", 4, struct.pack(">3I", 1, 0, 2))
    try:
        assert blobs_of(wire, prefix, [200_000, 3, 1, 2, 0, 90_000, 999_999]) == ["b", "b", "a", "", "", "", ""]
    finally:
        wire.call("DEL", prefix + "names", prefix + "loc")


@pytest.fixture
def deserted(pool):
    """A run of many tasks in a slot without a process."""
    sketch = Sketch()
    sketch(total, [sketch(leaf, i) for i in range(MANY)])
    graph = sketch.graph()
    store = Hub.of(pool).store
    run = f"hand{time.time_ns() % 10**12}"
    store.recover(None, SLOT, 1, None)
    store.submit(run, packing.pack(graph, free_plan(graph), {}, kept=graph.kept), [SLOT], {}, time.perf_counter_ns())
    yield store, run
    store.cancel(run)
    store.drop(run)
    store._call("DEL", inbox(SLOT), TODO + str(SLOT))
    store._call("HDEL", DAGNB + "ws", *(f"{k}{SLOT}" for k in "esar"))


def test_what_a_dead_worker_owned_goes_back_in_pieces_and_in_order(deserted):
    store, run = deserted
    prefix = run_prefix(run)
    store._call("HSET", DAGNB + "ws", f"r{SLOT}", run)
    store._call("RPUSH", prefix + f"own{SLOT}", b"p" + u32(range(MANY - 50)), b"m%d,%d" % (MANY - 50, MANY - 49))
    store._call("RPUSH", prefix + f"own{SLOT}", b"r%d:48" % (MANY - 48))
    first = int(store._call("EVAL", script("recover"), 1, DAGNB, SLOT, 2, 3, "{}"))
    assert MOVED <= first < MANY / 2, "Redis had a pause"
    assert store._call("LINDEX", prefix + f"own{SLOT}", 0)[:1] == b"p", (
        "a supervisor that dies now leaves the rest to the next"
    )
    assert first + store.recover(None, SLOT, 3, Verdict(3, "3 workers died running it")) == MANY - 1
    assert store.recover(None, SLOT, 3, Verdict(3, "again")) == -1
    assert list(map(int, store._call("LRANGE", prefix + "q", 0, -1))) == [i for i in range(MANY) if i != 3]
    assert store._call("LRANGE", prefix + f"q{SLOT}", 0, -1) == [b"F3"]
    assert list(store.failures(run)) == [3]


def test_the_queue_of_a_slot_that_is_given_up_moves_in_pieces_and_in_order(deserted):
    store, run = deserted
    prefix = run_prefix(run)
    for i in range(0, MANY, 1000):
        store._call("RPUSH", prefix + f"q{SLOT}", *range(i, min(MANY, i + 1000)))
    assert store.reroute(run, SLOT, None) == MANY
    assert list(map(int, store._call("LRANGE", prefix + "q", 0, -1))) == list(range(MANY))
    assert store.reroute(run, SLOT, None) == 0


def test_whoever_asks_reports_what_has_failed_in_a_slot_that_is_given_up(deserted):
    """The heir of a plan that names nobody does not look into a queue of its own any more."""
    store, run = deserted
    prefix = run_prefix(run)
    store._call("RPUSH", prefix + f"q{SLOT}", "F3", "T5:12000", 7)
    assert store.reroute(run, SLOT, SLOT + 1) == 3
    assert sorted(store._call("LRANGE", prefix + "q", 0, -1)) == [b"F3", b"T5:12000"]
    assert store._call("LRANGE", prefix + f"q{SLOT + 1}", 0, -1) == [b"7"]
    store._call("DEL", prefix + f"q{SLOT + 1}")


def several(a: int, b: int) -> int:
    return 3 * a + b


def noisy(i: int) -> int:
    print(i)
    return i


def test_more_inputs_than_a_claim_looks_up_and_more_kept_values_than_a_request_carries(pool):
    """Fans of more than INPUTS into one task, claimed with others; every task is kept, and every one prints."""
    sketch = Sketch()
    leaves = [sketch(noisy, i) for i in range(2 * ENTRIES + 100)]
    wide = [sketch(total, leaves[k:]) for k in range(6)]
    pairs = [sketch(several, leaves[i], leaves[-i - 1]) for i in range(len(leaves))]
    sketch(total, wide + pairs)
    assert len(leaves) > INPUTS
    graph = sketch.graph(kept=range(len(sketch.calls)))
    for single in (False, True):
        run = start(graph, free_plan(graph), pool, single=single).wait(60)
        assert run.state == "done", run.errors()
        want = sketch.values()
        assert [run.result(TaskRef(i)) for i in (0, 5, *range(len(leaves), len(want)))] == [
            want[i] for i in (0, 5, *range(len(leaves), len(want)))
        ]
        store = run.hub.store
        assert store._call("HLEN", run_prefix(run.id) + "log") == len(leaves)
        names = [name for name in store._call("HKEYS", run_prefix(run.id) + "keep") if not name.startswith(b"@")]
        assert len(names) == len(want)
