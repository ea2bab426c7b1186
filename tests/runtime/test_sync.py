"""The two scripts by themselves: numbered, fenced, atomic. A worker is played by hand, in a slot without a process."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dagnb.runtime import pack as packing
from dagnb.runtime.hub import Hub
from dagnb.runtime.keys import DAGNB, TODO, inbox, run_prefix
from dagnb.runtime.values import pack_blob
from tests.runtime.dags import Sketch, free_plan, leaf, total

if TYPE_CHECKING:
    from dagnb.runtime.store import Store

SYNC = (Path(packing.__file__).parent / "sync.lua").read_text()
SLOT = 900


class Hand:
    """A worker played by hand."""

    def __init__(self, store: Store, run: str, slot: int, epoch: int, workers: int, roots: int) -> None:
        self.store, self.run, self.slot, self.epoch = store, run, slot, epoch
        self.workers, self.roots, self.number = workers, roots, 0

    def sync(self, want: int = 0, *, number: int | None = None, **said):
        """One request; the parts of a commit are given by name."""
        if number is None:
            self.number += 1
            number = self.number
        tail: list = []
        for child, by in said.get("decrements", {}).items():
            tail += ["INCRBY", "i32", f"#{child}", -by]
        tail += said.get("surplus", [])
        for part in ("where", "blobs", "kept", "notes"):
            for entry in said.get(part, []):
                tail += entry
        tail += said.get("skipped", [])
        counts = [len(said.get(p, ())) for p in ("decrements", "surplus", "where", "blobs", "kept", "notes", "skipped")]
        own = b"p" + struct.pack(f"<{len(said['own'])}I", *said["own"]) if "own" in said else b""
        words = (
            *("EVAL", SYNC, 2, run_prefix(self.run), DAGNB, self.slot, self.epoch, number, self.run, want),
            *(said.get("finished", 0), own, said.get("events", b""), said.get("mean", 0), 0, self.workers, self.roots),
            *(b"", ",".join(said.get("payloads", []))),
        )
        return self.store._call(*words, *counts, *tail)


@pytest.fixture
def table(pool):
    """Eight roots and a task over all of them, submitted to two slots without processes."""
    sketch = Sketch()
    sketch(total, [sketch(leaf, i) for i in range(8)])
    graph = sketch.graph()
    store = Hub.of(pool).store
    run = f"hand{time.time_ns() % 10**12}"
    package = packing.pack(graph, free_plan(graph), {}, kept=graph.kept)
    for slot in (SLOT, SLOT + 1):
        store.recover(None, slot, 1, None, "")
    store.submit(run, package, [SLOT, SLOT + 1], {}, time.perf_counter_ns())
    yield [Hand(store, run, SLOT + i, 1, 2, 8) for i in range(2)]
    store.cancel(run)
    store.drop(run)
    for slot in (SLOT, SLOT + 1):
        store._call("DEL", inbox(slot), TODO + str(slot))
        store._call("HDEL", DAGNB + "ws", *(f"{k}{slot}" for k in "esar"))


def claim(answer) -> tuple[list[int], list[int]]:
    """Root positions and task numbers that an answer grants."""
    first, count, _idle, _finished, _active, rest = answer[0].split(b" ", 5)
    ids, _, _ = rest.partition(b"|")
    return list(range(int(first), int(first) + int(count))), [int(i) for i in ids.split(b",") if i]


def finished(answer) -> bool:
    return answer[0].split(b" ")[3] == b"1"


def test_a_repeated_request_gets_the_stored_answer_and_changes_nothing(table):
    one, two = table
    granted = one.sync(3)
    assert claim(granted) == ([0, 1, 2], [])
    for _ in range(3):
        assert one.sync(3, number=1) == granted
    assert claim(two.sync(3)) == ([3, 4, 5], [])
    commit = {"finished": 3, "own": [], "decrements": {8: 3}, "where": [(i, "b") for i in range(3)]}
    commit["blobs"] = [("b", pack_blob({0: 0, 1: 1, 2: 2}))]
    first = one.sync(0, **commit)
    assert one.sync(0, number=2, **commit) == first
    assert one.store._call("BITFIELD", run_prefix(one.run) + "cnt", "GET", "i32", "#8") == [5]
    assert one.store._call("GET", run_prefix(one.run) + "left") == b"6"


def test_a_stranger_and_a_gap_are_refused(table):
    one, _ = table
    one.sync(1)
    assert one.sync(1, number=3) == [b"G"]
    assert one.sync(1, number=0) == [b"G"]
    late = Hand(one.store, one.run, one.slot, 0, 2, 8)
    assert late.sync(1) == [b"F"]


def test_a_dead_worker_is_fenced_and_what_it_owned_goes_back(table):
    one, two = table
    one.sync(3)
    one.sync(0, finished=1, own=[1, 2], decrements={8: 1}, where=[(0, "b")], blobs=[("b", pack_blob({0: 0}))])
    assert one.store.recover(None, one.slot, 77, None, "") == 2
    assert one.store.recover(None, one.slot, 77, None, "") == -1
    assert one.sync(0, finished=2, own=[]) == [b"F"]
    assert claim(two.sync(2)) == ([3], [1])
    assert claim(two.sync(2)) == ([4], [2])
    entries = [fields[1] for _, fields in one.store._call("XRANGE", run_prefix(one.run) + "ev", "-", "+")]
    assert entries[-1][:4] == bytes([2, 0, 0, 0])


def test_the_last_dependency_makes_ready_and_brings_its_inputs(table):
    one, two = table
    grants = [claim(hand.sync(4))[0] for hand in table]
    assert grants == [[0, 1, 2, 3], [4, 5]]
    assert claim(one.sync(4))[0] == [6]
    assert claim(one.sync(4))[0] == [7]
    mine, theirs = [0, 1, 2, 3, 6, 7], [4, 5]
    said = {"where": [(i, "mine") for i in mine], "blobs": [("mine", b"sealed mine")]}
    one.sync(0, finished=6, own=[], decrements={8: 6}, **said)
    answer = two.sync(
        1,
        finished=2,
        own=[],
        decrements={8: 2},
        where=[(i, "theirs") for i in theirs],
        blobs=[("theirs", b"sealed theirs")],
    )
    assert claim(answer) == ([], [8])
    assert sorted(answer[1:]) == [b"sealed mine", b"sealed theirs"]
    ended = two.sync(0, finished=1, own=[], kept=[(8, b"sealed value")])
    assert finished(ended)
    assert finished(one.sync(1))
    assert one.store.facts(one.run).state == "done"
    assert one.store._call("HGET", run_prefix(one.run) + "keep", 8) == b"sealed value"


def test_a_commit_whose_payload_was_lost_is_refused_whole(table):
    one, _ = table
    one.sync(3)
    lost = run_prefix(one.run) + "p0.1:0"
    assert one.sync(0, finished=3, own=[], decrements={8: 3}, payloads=[lost]) == [b"G"]
    assert one.store._call("GET", run_prefix(one.run) + "left") == b"9"


def test_skipped_tasks_count_once_however_many_skip_them(table):
    one, two = table
    one.sync(1)
    two.sync(1)
    for hand, task in ((one, 0), (two, 1)):
        hand.sync(0, finished=1, own=[], notes=[("err", task, "{}")], skipped=[8])
    assert one.store._call("GET", run_prefix(one.run) + "left") == b"6"


def test_poison_is_reported_by_the_successor(table):
    one, _ = table
    one.sync(2)
    assert one.store.recover(None, one.slot, 5, 1, "3 workers died running it") == 1
    again = Hand(one.store, one.run, one.slot, 5, 2, 8)
    answer = again.sync(2)
    assert b"F1" in answer[0]
    assert "3 workers died" in one.store.failures(one.run)[1]["message"]


def test_an_ended_run_gives_nothing_more(table):
    one, _ = table
    one.sync(2)
    assert one.store.cancel(one.run)
    assert not one.store.cancel(one.run)
    answer = one.sync(3, finished=2, own=[])
    assert finished(answer)
    assert claim(answer) == ([], [])
    left = {name.decode().rpartition(":")[2] for name in one.store._keys(run_prefix(one.run) + "*")}
    assert left <= {"meta", "fin", "keep", "err", "log", "ev"}


def test_tiny_work_is_left_to_whoever_is_at_it_but_never_to_nobody(table):
    """Two workers that were woken together once left the last task to each other for ever."""
    one, two = table
    for _ in range(8):
        one.sync(8, mean=1000)
    assert claim(one.sync(8, mean=1000)) == ([], [])
    one.sync(0, mean=1000, finished=7, own=[0], surplus=[7])
    assert claim(two.sync(1)) == ([], [])
    one.sync(0, mean=1000, finished=0, own=[])
    assert claim(two.sync(1)) == ([], [7])
