"""The thread that fetches ahead, by itself: a real Redis, and a worker played by hand."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from dagnb.errors import SignatureError
from dagnb.runtime import preload
from dagnb.runtime.arena import Arena
from dagnb.runtime.hub import Hub
from dagnb.runtime.keys import run_prefix
from dagnb.runtime.preload import Preloader
from dagnb.runtime.serialize import seal
from dagnb.runtime.values import CHUNK, Remote, Shelf, pack_blob
from tests.runtime.life import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagnb.runtime.store import Store

SLOT = 910


class Bench:
    """A run in which some values lie in Redis, and a preloader that is told of them."""

    def __init__(self, store: Store, uses: dict[int, int]) -> None:
        self.store, self.run = store, f"early{time.time_ns() % 10**12}"
        self.prefix = run_prefix(self.run)
        talk = SimpleNamespace(wire=store.wire)
        desk = SimpleNamespace(slot=SLOT, secret=store.secret, talk=talk, arena=Arena([], SLOT, 1))
        loop: Any = SimpleNamespace(run_id=self.run, position=1, submitted=time.perf_counter_ns(), desk=desk)
        self.thread = Preloader(loop, uses)
        self.thread.start()

    def put(self, task: int, data: bytes, secret: bytes | None = None) -> Remote:
        remote = Shelf(self.store.wire, secret or self.store.secret, self.prefix, 1).put(task, data)
        self.tell(task, remote)
        return remote

    def tell(self, task: int, remote: Remote) -> None:
        blob = f"b{task}"
        sealed = seal(self.store.secret, f"val:{self.run}:{blob}".encode(), pack_blob({task: remote}))
        self.store._call("HSET", self.prefix + "blob", blob, sealed)
        self.store._call("RPUSH", f"{self.prefix}pre{SLOT}", f"{task}:{blob}")

    def close(self) -> None:
        self.thread.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()
        keys = self.store._keys(self.prefix + "*")
        if keys:
            self.store._call("DEL", *keys)


@pytest.fixture
def bench(pool) -> Iterator[Any]:
    made: list[Bench] = []

    def make(uses: dict[int, int]) -> Bench:
        made.append(Bench(Hub.of(pool).store, uses))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("size", [1 << 17, CHUNK - 32, CHUNK, 2 * CHUNK + 5])
def test_bytes_of_any_number_of_chunks_arrive_whole(bench, size):
    one = bench({3: 1})
    data = bytes(range(256)) * (size // 256 + 1)
    remote = one.put(3, data[:size])
    until(lambda: one.thread.there)
    assert bytes(one.thread.take(remote.key)) == data[:size]
    assert one.thread.size == 0
    ((at, start, _, _, told, task, worker, kind, _),) = one.thread.told()
    assert (task, worker, kind, told) == (3, 1, 7, size)
    assert 0 < start < at


def test_a_value_stays_for_as_many_tasks_as_want_it(bench):
    one = bench({3: 2})
    remote = one.put(3, b"x" * 100_000)
    until(lambda: one.thread.there)
    assert one.thread.take(remote.key) is not None
    assert one.thread.take(remote.key) is not None
    assert one.thread.take(remote.key) is None


def test_what_has_no_room_waits_until_there_is(bench, monkeypatch):
    monkeypatch.setattr(preload, "ROOM", 250_000)
    one = bench({1: 1, 2: 1, 3: 1})
    remotes = [one.put(i, bytes([i]) * 100_000) for i in (1, 2, 3)]
    until(lambda: len(one.thread.there) == 2)
    time.sleep(0.05)
    assert len(one.thread.there) == 2
    assert one.thread.take(remotes[0].key)[0] == 1
    until(lambda: remotes[2].key in one.thread.there)
    assert one.thread.size == 200_000


def test_one_value_beyond_all_room_comes_alone(bench, monkeypatch):
    monkeypatch.setattr(preload, "ROOM", 50_000)
    one = bench({1: 1})
    remote = one.put(1, b"x" * 100_000)
    until(lambda: one.thread.there)
    assert len(one.thread.take(remote.key)) == 100_000


def test_what_its_task_has_fetched_already_is_not_fetched_again(bench):
    one = bench({1: 1, 2: 1})
    remote = Shelf(one.store.wire, one.store.secret, one.prefix, 1).put(1, b"x" * 100_000)
    assert one.thread.take(remote.key) is None
    one.tell(1, remote)
    second = one.put(2, b"y" * 100_000)
    until(lambda: second.key in one.thread.there)
    assert remote.key not in one.thread.there


def test_a_payload_that_is_gone_or_short_is_left_to_its_task(bench):
    one = bench({1: 1, 2: 1, 3: 1})
    one.tell(1, Remote(one.prefix + "p1.9", 1, 100_000))
    one.store._call("SET", one.prefix + "p2.9:0", b"too short")
    one.tell(2, Remote(one.prefix + "p2.9", 1, 100_000))
    third = one.put(3, b"z" * 100_000)
    until(lambda: third.key in one.thread.there)
    assert len(one.thread.there) == 1
    assert one.thread.take(one.prefix + "p1.9") is None


def test_a_payload_of_a_stranger_is_never_handed_out(bench):
    one = bench({1: 1})
    remote = one.put(1, b"x" * 100_000, secret=b"another secret")
    until(lambda: not one.thread.is_alive())
    assert one.thread.take(remote.key) is None
    with pytest.raises(SignatureError):
        Shelf(one.store.wire, one.store.secret, one.prefix, 1).get(remote)
