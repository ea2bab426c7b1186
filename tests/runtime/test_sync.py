"""The two scripts by themselves: numbered, fenced, atomic. A worker is played by hand, in a slot without a process."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest

from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime import pack as packing
from dagnb.runtime.hub import Hub
from dagnb.runtime.keys import DAGNB, TODO, inbox, run_prefix
from dagnb.runtime.outbox import runs_of
from dagnb.runtime.scripts import script
from dagnb.runtime.slot import Verdict
from dagnb.runtime.values import pack_blob
from tests.runtime.dags import Sketch, free_plan, leaf, total

if TYPE_CHECKING:
    from dagnb.runtime.store import Store

SLOT = 900


def packed(tasks) -> bytes:
    return struct.pack(f"<{len(tasks)}I", *tasks)


class Hand:
    """A worker played by hand. `mark`: what it says of a run in which tasks have copies."""

    mark = ""

    def __init__(self, store: Store, run: str, slot: int, epoch: int, workers: int, roots: int) -> None:
        self.store, self.run, self.slot, self.epoch = store, run, slot, epoch
        self.workers, self.roots, self.number = workers, roots, 0

    def sync(self, want: int = 0, *, number: int | None = None, **said):
        """One request; the parts of a commit are given by name."""
        if number is None:
            self.number += 1
            number = self.number
        tail: list = []
        falls = sorted(said.get("decrements", {}).items())
        tail += said.get("surplus", [])
        for name, tasks, data in said.get("blobs", []):
            tail += [name, runs_of(tasks), data]
        for part in ("kept", "notes"):
            for entry in said.get(part, []):
                tail += entry
        tail += said.get("skipped", [])
        some: list = [len(said.get(part, ())) for part in ("surplus", "blobs", "kept", "notes", "skipped")]
        if "named" in said:  # it leaves, and so many of them stay in its own queue
            some[0] = f"{some[0]}:{said['named']}"
        counts = [packed([c for c, _ in falls]), some[0], packed([by for _, by in falls]), *some[1:]]
        kind = b"l" if said.get("announced") else b"p"
        own = kind + packed(said["own"]) if "own" in said else b""
        words = (
            *("EVAL", script("sync"), 2, run_prefix(self.run), DAGNB, self.slot, self.epoch, number, self.run, want),
            *(said.get("finished", 0), own, said.get("events", b""), said.get("mean", 0), 0, self.workers, self.roots),
            *(b"", ",".join(said.get("payloads", []))),
        )
        words += (*counts, said.get("mark", self.mark), said.get("otherwise", b""), "")
        return self.store._call(*words, said.get("uses", ""), said.get("spent", ""), "ql", *tail)


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
        store.recover(None, slot, 1, None)
    store.submit(run, package, [SLOT, SLOT + 1], {}, time.perf_counter_ns())
    store._call("SREM", run_prefix(run) + "idle", SLOT + 1)  # as if it had been called
    yield [Hand(store, run, SLOT + i, 1, 2, 8) for i in range(2)]
    store.cancel(run)
    store.drop(run)
    for slot in (SLOT, SLOT + 1):
        store._call("DEL", inbox(slot), TODO + str(slot))
        store._call("HDEL", DAGNB + "ws", *(f"{k}{slot}" for k in "esar"))


@pytest.fixture
def twins(pool):
    """One task with a copy in each of two slots without processes, and one behind it."""
    sketch = Sketch()
    sketch(total, [sketch(leaf, 1)])
    graph = sketch.graph()
    store = Hub.of(pool).store
    run = f"hand{time.time_ns() % 10**12}"
    cluster = Cluster.local(2)
    notes = {0: Annotations(duplicate=(cluster.workers[1].id,))}
    plan = Plan.build(graph, cluster, estimate(graph), worker=[0, -1], sequence=[0, 1], annotations=notes)
    for slot in (SLOT, SLOT + 1):
        store.recover(None, slot, 1, None)
    store.submit(run, packing.pack(graph, plan, {}, kept=graph.kept), [SLOT, SLOT + 1], {}, time.perf_counter_ns())
    hands = [Hand(store, run, SLOT + i, 1, 2, 0) for i in range(2)]
    for hand in hands:
        hand.mark = "-"
    yield hands
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
    commit = {"finished": 3, "own": [], "decrements": {8: 3}}
    commit["blobs"] = [("b", [0, 1, 2], pack_blob({0: 0, 1: 1, 2: 2}))]
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
    one.sync(0, finished=1, own=[1, 2], decrements={8: 1}, blobs=[("b", [0], pack_blob({0: 0}))])
    assert one.store.recover(None, one.slot, 77, None) == 2
    assert one.store.recover(None, one.slot, 77, None) == -1
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
    one.sync(0, finished=6, own=[], decrements={8: 6}, blobs=[("mine", mine, b"sealed mine")])
    answer = two.sync(1, finished=2, own=[], decrements={8: 2}, blobs=[("theirs", theirs, b"sealed theirs")])
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
    assert one.store.recover(None, one.slot, 5, Verdict(1, "3 workers died running it")) == 1
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
    assert left <= {"meta", "fin", "keep", "err", "log", "tries", "ev"}


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


def called(hand: Hand) -> bool:
    return bool(hand.store._call("DEL", inbox(hand.slot)))


def test_the_second_worker_is_called_when_it_pays_or_nobody_knows(table):
    """What takes less than to hand its value over stays with the first worker, which claims as much as it wants."""
    one, two = table
    for mean, calls in ((1_000, False), (1_000_000, True), (0, True)):
        one.store._call("SADD", run_prefix(one.run) + "idle", two.slot)
        called(two)
        assert len(claim(one.sync(1, mean=mean))[0]) == 1
        assert called(two) is calls, mean
    assert claim(one.sync(8, mean=1_000)) == ([3, 4, 5, 6, 7], [])


def test_no_more_workers_are_called_than_there_are_tasks(table):
    one, two = table
    one.store._call("SADD", run_prefix(one.run) + "idle", two.slot, SLOT + 2, SLOT + 3)
    for _ in range(3):
        one.sync(2, mean=1_000)
    answer = one.sync(1, mean=10_000_000)
    assert answer[0].split(b" ")[2] == b"2", "one was called for the root that is left, two are idle"
    called(two)
    one.store._call("DEL", inbox(SLOT + 2), inbox(SLOT + 3))


def test_a_single_root_is_owned_by_the_first_slot_from_the_submission_on(pool):
    """A late word about an ended run does not make it forgotten; a death, or a slot given up, gives it back."""
    store, graph = Hub.of(pool).store, Sketch()
    graph(leaf, 1)
    graph = graph.graph()
    package = packing.pack(graph, free_plan(graph), {}, kept=graph.kept)
    hands = []
    for epoch, name in ((1, "before"), (2, "after"), (3, "broken")):
        store.recover(None, SLOT, epoch, None)
        run = f"{name}{time.time_ns() % 10**9}"
        store.submit(run, package, [SLOT, SLOT + 1], {}, time.perf_counter_ns())
        hands.append(Hand(store, run, SLOT, epoch, 2, 1))
        assert store._call("LRANGE", f"{run_prefix(run)}own{SLOT}", 0, -1) == [b"r0:1"]
        if name == "before":
            store.cancel(run)
        if name == "after":
            late = Hand(store, hands[0].run, SLOT, epoch, 2, 1)
            assert finished(late.sync(1)), "it has ended"
            assert store.recover(None, SLOT, 9, None) == 1
            assert store._call("LRANGE", run_prefix(run) + "q", 0, -1) == [b"0"]
            store.cancel(run)
        if name == "broken":
            assert store.reroute(run, SLOT, None) == 1
            assert store._call("LRANGE", run_prefix(run) + "q", 0, -1) == [b"0"]
            store.cancel(run)
        store.drop(run)
    for slot in (SLOT, SLOT + 1):
        store._call("DEL", inbox(slot), TODO + str(slot))
        store._call("HDEL", DAGNB + "ws", *(f"{k}{slot}" for k in "esar"))


def all_roots(table) -> tuple[Hand, Hand]:
    one, two = table
    for _ in range(8):
        one.sync(8, mean=1000)
    return one, two


def test_tiny_work_is_not_left_to_who_runs_a_task_that_may_be_long(table):
    one, two = all_roots(table)
    one.sync(0, mean=1000, finished=6, own=[0], surplus=[7], announced=True)
    assert claim(two.sync(1, mean=1000)) == ([], [7])
    assert one.store.recover(None, one.slot, 78, None) == 1  # what it had announced goes back as well
    assert claim(two.sync(1, mean=1000)) == ([], [0])


def test_who_has_waited_in_vain_takes_tiny_work(table):
    one, two = all_roots(table)
    one.sync(0, mean=1000, finished=6, own=[0], surplus=[7])
    assert claim(two.sync(1, mean=1000)) == ([], [])
    assert claim(two.sync(1, mean=1000, finished=1, own=[])) == ([], [])  # asks again at once, with a commit
    assert claim(two.sync(1, mean=1000)) == ([], [7])


def test_who_gives_work_away_does_not_wake_itself(table):
    one, _ = all_roots(table)
    for hand in table:
        assert claim(hand.sync(1, mean=1000)) == ([], [])
        hand.store._call("DEL", inbox(hand.slot))
    one.store._call("RPUSH", run_prefix(one.run) + "q", 7)
    assert claim(one.sync(1)) == ([], [7])
    one.sync(0, mean=1000, own=[0], surplus=[7], announced=True)
    assert [hand.store._call("LLEN", inbox(hand.slot)) for hand in table] == [0, 1]


# ---- copies ---------------------------------------------------------------------------------------------------------
def told(hand: Hand) -> list[bytes]:
    return [fields[1] for _, fields in hand.store._call("XRANGE", run_prefix(hand.run) + "ev", "-", "+")]


def copy(name: str, **more):
    """The commit of a copy of task 0."""
    said = {"mark": "c0", "events": b"first", "otherwise": b"second", "own": [], "decrements": {1: 1}}
    return said | {"blobs": [(name, [0], b"sealed " + name.encode())]} | more


def test_the_first_copy_counts_and_the_second_leaves_only_its_record(twins):
    one, two = twins
    assert claim(one.sync(1)) == claim(two.sync(1)) == ([], [0])
    prefix = run_prefix(one.run)
    one.store._call("SET", prefix + "p0.1:0", b"payload")
    one.sync(0, finished=1, **copy("a"))
    two.sync(0, finished=1, **copy("b", payloads=[prefix + "p0.1:0"], skipped=[1], notes=[("err", 0, "{}")]))
    assert told(one) == [b"first", b"second"]
    assert one.store._call("GET", prefix + "left") == b"1"
    assert one.store._call("BITFIELD", prefix + "cnt", "GET", "i32", "#1") == [0]
    assert one.store._call("HGETALL", prefix + "blob") == [b"a", b"sealed a"]
    for part in ("p0.1:0", "err", "skip", f"own{two.slot}"):
        assert not one.store._call("EXISTS", prefix + part)
    answer = two.sync(1)
    assert claim(answer) == ([], [1])
    assert answer[1:] == [b"sealed a"]
    assert finished(two.sync(0, finished=1, own=[]))
    assert not {k for k in one.store._keys(prefix + "*") if k.endswith((b"way", b"won", b"seat"))}


def test_a_copy_is_dropped_when_another_is_done_unless_its_value_stayed_there(twins):
    one, two = twins
    one.sync(1)
    one.sync(0, finished=1, **copy("a"))
    assert claim(two.sync(1)) == ([], [1])


def test_a_copy_whose_value_did_not_leave_is_still_made_elsewhere(twins):
    one, two = twins
    one.sync(1)
    one.sync(0, finished=1, **copy("a", mark="c0*", blobs=[]))
    assert claim(two.sync(1)) == ([], [0])


def test_a_copy_that_begins_late_does_not_tell_it(twins):
    one, two = twins
    one.sync(1)
    two.sync(1)
    one.sync(0, mark="b0", events=b"begins", otherwise=b"")
    one.sync(0, finished=1, **copy("a"))
    two.sync(0, mark="b0", events=b"begins too", otherwise=b"")
    assert told(one) == [b"begins", b"first"]


def test_a_copy_that_kills_its_workers_fails_its_task_only_if_it_is_first(twins):
    one, two = twins
    one.sync(1)
    two.sync(1)
    one.sync(0, finished=1, **copy("a"))
    two.store.recover(None, two.slot, 5, Verdict(0, "3 workers died running it"))
    assert one.store.failures(one.run) == {}
    again = Hand(two.store, two.run, two.slot, 5, 2, 0)
    again.mark = "-"
    assert claim(again.sync(2)) == ([], [1])


def test_a_copy_that_killed_its_workers_first_is_the_outcome(twins):
    one, two = twins
    one.sync(1)
    two.sync(1)
    two.store.recover(None, two.slot, 5, Verdict(0, "3 workers died running it"))
    one.sync(0, finished=1, **copy("a"))
    assert told(one)[-1] == b"second"
    assert "3 workers died" in one.store.failures(one.run)[0]["message"]
    again = Hand(two.store, two.run, two.slot, 5, 2, 0)
    again.mark = "-"
    assert b"F0" in again.sync(2)[0]
    assert finished(again.sync(0, finished=1, own=[], skipped=[1]))
    assert one.store.facts(one.run).state == "failed"


def test_who_leaves_a_run_owns_nothing_there_and_gets_nothing(table):
    one, two = table
    store, prefix = one.store, run_prefix(one.run)
    roots, _ = claim(one.sync(4))
    assert roots == [0, 1, 2, 3]
    store._call("RPUSH", prefix + "q", 7)
    store._call("RPUSH", f"{prefix}q{SLOT}", 6)
    store._call("SADD", prefix + "idle", SLOT)
    said = {"finished": 1, "decrements": {8: 1}, "own": [], "surplus": [3, 1, 2], "named": 1}
    assert claim(one.sync(0, **said)) == ([], [])
    assert claim(one.sync(0, number=one.number, **said)) == ([], [])  # sent again
    assert store._call("EXISTS", f"{prefix}own{SLOT}") == 0
    assert store._call("LRANGE", f"{prefix}q{SLOT}", 0, -1) == [b"3", b"6"]
    assert store._call("LRANGE", prefix + "q", 0, -1) == [b"1", b"2", b"7"]
    assert store._call("SISMEMBER", prefix + "idle", SLOT) == 0
    assert store.recover(None, SLOT, 2, None) == 0
    assert claim(two.sync(3))[1] == [1, 2]


def test_a_worker_that_owns_something_in_another_run_is_refused_and_loses_nothing(table):
    """`recover` looks in one run only: that of the last request."""
    one, _ = table
    assert claim(one.sync(2))[0] == [0, 1]
    elsewhere = Hand(one.store, f"{one.run}-other", SLOT, 1, 2, 8)
    elsewhere.number = one.number
    meta = run_prefix(elsewhere.run) + "meta"
    one.store._call("HSET", meta, "state", "running")
    assert elsewhere.sync(2) == [b"G"]
    one.store._call("DEL", meta)
    assert one.store.recover(None, SLOT, 2, None) == 2
