"""Payloads of real runs, changed and swapped: each is refused, and nothing of it is unpickled."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dagnb.errors import SignatureError, TaskError
from dagnb.graph.graph import TaskRef
from dagnb.runtime import arguments, fetch, frames, functions, requests
from dagnb.runtime.compiled import Compiled
from dagnb.runtime.context import Context
from dagnb.runtime.failures import _exception
from dagnb.runtime.frames import FRAME, HEAD, Incoming, Outgoing, Porter, StreamLost
from dagnb.runtime.keys import ARGUMENT, FUNCTION, run_prefix
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, start
from dagnb.runtime.serialize import MAC, seal, signature, unseal
from dagnb.runtime.store import Store
from dagnb.runtime.supervisor import CONTEXT, CONTEXTS
from dagnb.runtime.values import Encoded, Remote, Shelf
from tests.runtime import dags
from tests.runtime.life import private_directory, settings, until
from tests.runtime.test_several_runs import named

if TYPE_CHECKING:
    from collections.abc import Callable

ATTACKS = 20_000

#: (kind, name) → bytes as they lie or travel
Payloads = dict[tuple[str, str], bytes]


def value(i: int) -> Any:
    """Atoms, values that are pickled, and such as lie in files or in keys of their own."""
    return (i, (i, "x" * i), os.urandom(5000), np.full(20_000, i), {"a": [i]})[i % 5]


def reader(x: Any, path: str) -> str:
    while not Path(path).exists():
        time.sleep(0.01)
    return type(x).__name__


def wrong(i: int) -> Any:
    raise ValueError(f"wrong {i}", {"i": i})


def busy_run(pool: LocalPool, gate: Path, tasks: int = 10) -> Run:
    """Values of one worker wait in Redis for the other, until the gate is open."""
    sketch = dags.Sketch()
    for i in range(tasks):
        sketch(value, i)
    for _ in range(3):
        sketch(wrong, len(sketch.calls))
    sketch(dags.leaf, "an argument " * 10_000)
    where = [0] * len(sketch.calls)
    for i in range(tasks):
        sketch(reader, TaskRef(i), str(gate))
    graph = sketch.graph(kept=range(tasks))
    run = start(graph, named(graph, where + [1] * tasks), pool)
    prefix = run_prefix(run.id)
    until(lambda: {"blob", "err", "keep"} <= {part for part in ("blob", "err", "keep") if _has(run, prefix + part)})
    until(lambda: len(found(run, prefix + "keep")) >= tasks)
    return run


def _has(run: Run, key: str) -> bool:
    return bool(run.hub.store._call("EXISTS", key))


def found(run: Run, key: str) -> dict[str, bytes]:
    flat = run.hub.store._call("HGETALL", key)
    return {k.decode(): v for k, v in zip(flat[::2], flat[1::2], strict=True)}


def of_run(run: Run) -> Payloads:
    """What a live run has in Redis."""
    call, prefix = run.hub.store._call, run_prefix(run.id)
    payloads: Payloads = {("dag", run.id): call("GET", prefix + "dag")}
    payloads |= {("val", f"{run.id} {name}"): blob for name, blob in found(run, prefix + "blob").items()}
    payloads |= {("keep", f"{run.id} {task}"): data for task, data in found(run, prefix + "keep").items()}
    for task, record in found(run, prefix + "err").items():
        payloads["exc", f"{run.id} {task}"] = bytes.fromhex(json.loads(record)["exception"])
    for key in run.hub.store._keys(prefix + "k[0-9]*"):
        payloads["chunk", key.decode()] = call("GET", key)
    for key in run.hub.store._keys(FUNCTION + "*"):
        if not functions._names_bundle(data := call("GET", key)):
            payloads["fn", key.decode().removeprefix(FUNCTION)] = data
    for key in run.hub.store._keys(ARGUMENT + "*"):
        payloads["arg", key.decode().removeprefix(ARGUMENT)] = call("GET", key)
    payloads |= {("context", key): data for key, data in found(run, CONTEXTS).items()}
    return payloads


def of_requests(pool: LocalPool, monkeypatch: pytest.MonkeyPatch) -> Payloads:
    """What this kernel asks of the supervisor, and the answers."""
    said: Payloads = {}

    def sealing(secret: bytes, purpose: bytes, data: bytes) -> bytes:
        sealed = seal(secret, purpose, data)
        said["request", str(len(said))] = sealed
        return sealed

    def unsealing(secret: bytes, purpose: bytes, data: bytes) -> memoryview:
        said["answer", str(len(said))] = bytes(data)
        return unseal(secret, purpose, data)

    with monkeypatch.context() as patch:
        patch.setattr(requests, "seal", sealing)
        patch.setattr(requests, "unseal", unsealing)
        for workers in (2, 3):
            pool.status()
            pool._sizes = ()
            pool.ensure(workers)
    return said


def of_stream(secret: bytes, path: Path, monkeypatch: pytest.MonkeyPatch) -> Payloads:
    """Frames of a stream that a consumer has read to its end."""
    said: Payloads = {}

    def signing(secret: bytes, purpose: bytes, data: bytes) -> bytes:
        mac = signature(secret, purpose, data)
        said["frame", purpose.decode().removeprefix("stream:")] = mac + bytes(data)
        return mac

    with monkeypatch.context() as patch:
        patch.setattr(frames, "signature", signing)
        porter = Porter(str(path), secret)
        for token in ("run:1:1", "run:2:1"):
            stream = porter.streams[token] = Outgoing(token)
            for chunk in (1, "two", Encoded(pickle.dumps((3,))), Encoded(pickle.dumps(os.urandom(20_000)))):
                stream.chunks.append(chunk)
            stream.end()
            incoming = Incoming(str(path), secret, token)
            assert len(list(incoming)) == 4
            incoming.close()
    return said


def openers(  # noqa: C901  one small function for each kind
    pool: LocalPool, runs: dict[str, Run], members: dict[str, int]
) -> dict[str, Callable[[str, bytes], Any]]:
    """How the product opens each kind, called as it calls it. `members`: one task of each group of kept values."""
    secret = pool.secret
    desk: Any = SimpleNamespace(secret=secret)

    def val(name: str, data: bytes) -> Any:
        run, blob = name.split()
        loop: Any = SimpleNamespace(desk=desk, run_id=run)
        return fetch._opened(loop, blob.encode(), data)

    def keep(name: str, data: bytes) -> Any:
        run, task = name.split()
        store = runs[run].hub.store
        if task.startswith("@"):  # several values: whoever opens it has asked for one of them
            redis: Any = SimpleNamespace(_call=lambda *_: (data, task), secret=secret)
            return Store._kept_with_others(redis, run, members[name], task.encode())
        return store.opened(run, int(task), data)

    def exc(name: str, data: bytes) -> Any:
        run, task = name.split()
        found = _exception(runs[run], int(task), data.hex())
        if found is None:
            raise SignatureError("the failure is told by its text alone")
        return found

    def fn(name: str, data: bytes) -> Any:
        wire: Any = SimpleNamespace(call=lambda *_: [data])
        if name.startswith("@"):  # several functions
            found: Any = functions._opened(secret, name.encode(), data)
        else:
            found = functions.fetched(wire, secret, [name])[name]
        if isinstance(found, SignatureError) or found is None:
            raise found or SignatureError("there is no such function")
        return pickle.loads(found) if isinstance(found, bytes) else found

    def chunk(name: str, data: bytes) -> Any:
        wire: Any = SimpleNamespace(call=lambda *_: data)
        return Shelf(wire, secret, "", 0).get(Remote(name.rpartition(":")[0], 1, len(data) - MAC))

    def frame(name: str, data: bytes) -> Any:
        token, _, number = name.rpartition(":")
        incoming = Incoming.__new__(Incoming)
        incoming.secret, incoming.token, incoming.number = secret, token, int(number)
        incoming.data, incoming.at, incoming.over, incoming.lost, incoming.size = bytearray(), 0, False, False, 0
        whole = memoryview(HEAD.pack(0, len(data)) + data)
        at = [0]

        def recv_into(into: memoryview) -> int:
            part = whole[at[0] : at[0] + len(into)]
            into[: len(part)] = part
            at[0] += len(part)
            return len(part)

        incoming.line = SimpleNamespace(recv_into=recv_into, sendall=lambda _: None)
        assert len(data) <= FRAME + MAC + 1
        try:
            incoming._receive()
        except StreamLost as lost:
            raise lost.__cause__ or lost from None

    return {
        "dag": lambda name, data: Compiled(unseal(secret, f"dag:{name}".encode(), data)),
        "val": val,
        "keep": keep,
        "exc": exc,
        "chunk": chunk,
        "fn": fn,
        "arg": lambda name, data: arguments.fetched(lambda *_: data, secret, [name]),
        "frame": frame,
        "context": lambda _, data: Context.from_json(json.loads(bytes(unseal(secret, CONTEXT, data)))["context"]),
        "request": lambda _, data: requests.unpack_request(secret, data),
        "answer": lambda _, data: requests._opened(secret, data),
    }


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


class Canary:
    """Whoever unpickles it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def changed(chance: random.Random, data: bytes, other: bytes, canary: bytes) -> bytes:
    """One of the ways to present something else."""
    at = chance.randrange(len(data))
    way = chance.randrange(8)
    if way == 0:
        return data[:at] + bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]
    if way == 1:
        return data[:at]
    if way == 2:
        return data + chance.randbytes(chance.randrange(1, 40))
    if way == 3:
        return data[:MAC] + canary
    if way == 4:
        return canary
    if way == 5:
        return seal(chance.randbytes(32), b"", canary)
    if way == 6:
        return data[:MAC] + other[MAC:]
    return other


#: Names that a signature does not cover, because all payloads of the kind mean the same wherever they lie.
ANYWHERE = {"request", "answer", "context"}


def test_of_twenty_thousand_none_is_unpickled(pool, tmp_path, monkeypatch):
    runs = [busy_run(pool, tmp_path / "gate") for _ in range(2)]
    try:
        payloads = of_run(runs[0]) | of_run(runs[1]) | of_requests(pool, monkeypatch)
        payloads |= of_stream(pool.secret, tmp_path / "s", monkeypatch)
        names = {key for key, data in payloads.items() if len(data) < MAC}  # of groups of small kept values
        members = {
            f"{name.split()[0]} {payloads.pop(key).decode()}": int(name.split()[1])
            for key in names
            for _, name in [key]
        }
        kinds = Counter(kind for kind, _ in payloads)
        opening = openers(pool, {run.id: run for run in runs}, members)
        assert kinds.keys() == opening.keys()
        for (kind, name), data in payloads.items():  # as they are they are opened
            opening[kind](name, data)
        assert attacked(pool, payloads, opening, tmp_path, monkeypatch) >= ATTACKS
        assert not (tmp_path / "canary").exists()
    finally:
        (tmp_path / "gate").touch()
        for run in runs:
            run.wait(20)
            assert [type(failure.exception) for failure in run.errors()] == [ValueError] * 3
    assert pool.status().workers


def noted(loads: Callable[..., Any], opened: list[object]) -> Callable[..., Any]:
    """Notes what this thread opens; others, which follow runs of other tests, may go on."""
    here = threading.get_ident()

    def note(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == here:
            opened.append(1)
            return None
        return loads(*args, **kwargs)

    return note


def attacked(
    pool: LocalPool,
    payloads: Payloads,
    opening: dict[str, Callable[[str, bytes], Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> int:
    """Try all attacks; how many were refused. Nothing may have been unpickled or parsed."""
    chance = random.Random(5)
    canary = pickle.dumps(Canary(tmp_path / "canary"))
    opened: list[object] = []
    places = sorted(payloads)
    by_kind = {kind: [place for place in places if place[0] == kind] for kind in opening}
    with monkeypatch.context() as patch:
        for module in (pickle, json):
            patch.setattr(module, "loads", noted(module.loads, opened))
        for i in range(ATTACKS):
            kind = list(opening)[i % len(opening)]
            place = chance.choice(by_kind[kind])
            other = payloads[chance.choice(by_kind[kind] if chance.random() < 0.5 else places)]
            attack = changed(chance, payloads[place], other, canary)
            if attack == payloads[place] or (kind in ANYWHERE and attack in map(payloads.get, by_kind[kind])):
                attack = canary
            if kind == "frame" and len(attack) > FRAME + MAC + 1:
                attack = canary  # no frame is so long
            with pytest.raises(SignatureError):
                opening[kind](place[1], attack)
            assert not opened, (place, i)
    return i + 1


def replaced(run: Run, part: str, name: str, data: bytes) -> None:
    run.hub.store._call("HSET", run_prefix(run.id) + part, name, data)


def test_a_value_that_was_changed_in_redis_ends_its_run_by_name(tmp_path):
    """The workers refuse it, the run fails and says why, and the next one runs."""
    with private_directory() as directory:
        pool = LocalPool.connect(settings(directory, workers=2))
        try:
            sketch = dags.Sketch()
            first = sketch(value, 2)
            hold = sketch(reader, 1, str(tmp_path / "gate"))
            sketch(both, first, hold)
            graph = sketch.graph()
            run = start(graph, named(graph, [0, 1, 1]), pool)
            until(lambda: _has(run, run_prefix(run.id) + "blob"))
            canary = pickle.dumps(Canary(tmp_path / "canary"))
            for name, blob in found(run, run_prefix(run.id) + "blob").items():
                replaced(run, "blob", name, blob[:MAC] + canary)
            (tmp_path / "gate").touch()
            run.wait(5)
            assert run.state == "failed"
            assert not any(worker.broken for worker in pool.status().workers)
            assert "not signed" in run.errors()[-1].message
            assert not (tmp_path / "canary").exists()
            again = dags.Sketch()
            last = again(dags.inc, again(dags.leaf, 1))
            assert dags.run(again.graph(), pool).result(last) == 2
        finally:
            pool.stop()


def both(x: Any, y: Any) -> str:
    return type(x).__name__ + y


def test_code_that_was_changed_in_redis_is_not_run(tmp_path):
    with private_directory() as directory:
        pool = LocalPool.connect(settings(directory, workers=2))
        try:
            sketch = dags.Sketch()
            last = sketch(dags.leaf, 1)
            run = dags.run(sketch.graph(), pool)
            for worker in pool.status().workers:  # their successors read the function anew
                os.kill(worker.pid, signal.SIGKILL)
            until(lambda: pool.status().deaths >= 2 and all(worker.state == "up" for worker in pool.status().workers))
            (key,) = run.hub.store._keys(FUNCTION + "*")
            run.hub.store._call("SET", key, os.urandom(MAC) + pickle.dumps(Canary(tmp_path / "canary")))
            done = dags.run(sketch.graph(), pool)
            assert [failure.type for failure in done.errors()] == ["SignatureError"]
            with pytest.raises(TaskError, match="not signed"):
                done.result(last)
            assert not (tmp_path / "canary").exists()
        finally:
            pool.stop()


def test_what_a_run_has_kept_is_refused_when_it_was_changed(pool):
    sketch = dags.Sketch()
    refs = [sketch(value, i) for i in range(5)]
    done = dags.run(sketch.graph(), pool)
    done._sealed.clear()  # what came with the word that it has ended
    for name, data in found(done, run_prefix(done.id) + "keep").items():
        if len(data) >= MAC:
            replaced(done, "keep", name, data[:-1] + bytes([data[-1] ^ 1]))
    for ref in refs:
        with pytest.raises(SignatureError, match="not signed"):
            done.result(ref)
