"""Failures: kept with the run, told in the words of the notebook, and harmless to everybody else."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from dagnb.errors import CancelledError, PickleError, SignatureError, SkippedError, TaskError
from dagnb.graph.graph import TaskRef
from dagnb.runtime.hub import Hub
from dagnb.runtime.pack import pack
from dagnb.runtime.run import start
from dagnb.runtime.store import Store
from dagnb.runtime.wire import Wire
from dagnb.trace.events import TaskState
from tests.runtime.dags import Sketch, free_plan, inc, leaf, run


def boom(x: Any) -> Any:
    print("before the storm")
    secret_number = x * 41
    raise ValueError(f"bad {secret_number}")


def after(*_: Any) -> int:
    return 1


class OddError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a}-{b}")


def odd(x: Any) -> Any:
    raise OddError(1, 2)


def leave(x: Any) -> Any:
    raise SystemExit(3)


def interrupted(x: Any) -> Any:
    raise KeyboardInterrupt


def exits(x: Any) -> Any:
    os._exit(3)


def crashes(x: Any) -> Any:
    os.kill(os.getpid(), signal.SIGSEGV)


def makes_a_lock(x: Any) -> Any:
    return {"deep": [threading.Lock()]}


def makes_a_generator(x: Any) -> Any:
    return (i for i in range(3))


def recurses(x: Any) -> Any:
    return recurses(x)


def chatters(x: Any) -> int:
    import sys

    for i in range(100_000):
        print("line", i)
    print("to the side", file=sys.stderr)
    return 1


def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def spins(seconds: float) -> float:
    sum(range(10**11))  # C code: no Python handler can stop it
    return seconds


def story(function: Any) -> tuple[Sketch, TaskRef, TaskRef]:
    """A failing task with two generations of followers, beside a branch that is sound."""
    sketch = Sketch()
    bad = sketch(function, sketch(leaf, 2))
    skipped = sketch(after, sketch(after, bad))
    sound = sketch(inc, sketch(leaf, 5))
    sketch(after, skipped, sound)
    return sketch, bad, sound


def test_a_task_that_raises_skips_its_followers_only(pool):
    sketch, bad, sound = story(boom)
    graph = sketch.graph(kept=[sound.task])
    done = run(graph, pool)
    assert done.state == "failed"
    assert done.result(sound) == 6
    (failure,) = done.errors()
    assert (failure.key, failure.type, failure.message) == (graph.keys[bad.task], "ValueError", "bad 82")
    assert failure.stdout == "before the storm\n"
    assert isinstance(failure.exception, ValueError)
    assert "test_failing.py, line" in failure.traceback
    assert "raise ValueError" in failure.traceback
    assert "secret_number = 82" in failure.traceback
    assert "dagnb/runtime" not in failure.traceback
    states = done.timeline.state.tolist()
    assert states.count(TaskState.FAILED) == 1
    assert states.count(TaskState.SKIPPED) == 3
    with pytest.raises(SkippedError):
        done.result(TaskRef(len(graph) - 1))
    with pytest.raises(TaskError, match="bad 82"):
        done.result(bad)
    assert "before the storm" in str(done.logs(bad))


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        (odd, "OddError", "1-2"),
        (leave, "SystemExit", "3"),
        (interrupted, "KeyboardInterrupt", ""),
        (makes_a_lock, "PickleError", r"['deep'][0]"),
        (makes_a_generator, "PickleError", "generator"),
        (recurses, "RecursionError", "recursion"),
        (exits, "WorkerLostError", "3 workers died running it (exit code 3)"),
        (crashes, "WorkerLostError", "SIGSEGV"),
    ],
)
def test_each_way_to_fail_has_a_name_and_costs_nobody_else(pool, function, kind, text):
    sketch, _, sound = story(function)
    began = time.monotonic()
    done = run(sketch.graph(kept=[sound.task]), pool)
    assert time.monotonic() - began < 5
    (failure,) = done.errors()
    assert failure.type == kind
    assert text in failure.message
    assert done.result(sound) == 6
    assert run(Sketch().graph(), pool).state == "done"
    again = Sketch()
    last = again(inc, again(leaf, 1))
    assert run(again.graph(), pool).result(last) == 2


def test_many_failures_with_common_followers_end_the_run(pool):
    sketch = Sketch()
    for i in range(40):
        bad = [sketch(boom, sketch(leaf, i)), sketch(leaf, i)]
        for _ in range(5):
            bad = [sketch(after, *bad), sketch(after, *bad)]
    last = sketch(after, *[TaskRef(i) for i in range(len(sketch.calls))])
    done = run(sketch.graph(), pool, workers=4)
    assert len(done.errors()) == 40
    counts = done.progress
    assert counts[TaskState.SKIPPED] == 40 * 10 + 1
    assert counts[TaskState.DONE] == 40 * 2
    assert done.timeline.state[last.task] == TaskState.SKIPPED


def test_output_is_kept_head_and_tail(pool):
    sketch = Sketch()
    ref = sketch(chatters, 0)
    log = run(sketch.graph(), pool).logs(ref)
    assert log.stdout.startswith("line 0\n")
    assert log.stdout.endswith("line 99999\n")
    assert "characters left out" in log.stdout
    assert len(log.stdout) < 70_000
    assert log.stderr == "to the side\n"


def test_an_argument_that_cannot_travel_is_refused_before_the_run(pool):
    sketch = Sketch()
    sketch(after, {"a": [threading.Lock()]})
    graph = sketch.graph()
    with pytest.raises(PickleError, match=r"an argument of t0 .*\['a'\]\[0\]"):
        start(graph, free_plan(graph), pool)


def test_a_function_that_cannot_travel_is_refused_before_the_run(pool):
    lock = threading.Lock()

    def locked(x: int) -> int:
        with lock:
            return x

    sketch = Sketch()
    sketch(locked, 1)
    graph = sketch.graph()
    with pytest.raises(PickleError, match=r"locked\(\) cannot be sent to a worker.*\.lock"):
        start(graph, free_plan(graph), pool)


@pytest.mark.parametrize("function", [sleeps, spins])
def test_cancel_ends_python_and_c_code_within_seconds(pool, function):
    sketch = Sketch()
    for _ in range(6):
        sketch(function, 60.0)
    graph = sketch.graph()
    begun = start(graph, free_plan(graph), pool)
    time.sleep(0.4)
    before = time.monotonic()
    begun.cancel()
    assert begun.state == "cancelled"
    with pytest.raises(CancelledError):
        begun.result(TaskRef(0))
    seen: set[int] = set()
    while seen != {0, 1} and time.monotonic() - before < 4:  # both workers come back
        again = Sketch()
        refs = [again(sleeps, 0.05) for _ in range(4)]
        done = run(again.graph(), pool)
        assert [done.result(r) for r in refs] == [0.05] * 4
        seen |= set(done.timeline.worker.tolist())
    assert seen == {0, 1}
    assert begun.progress[TaskState.CANCELLED] == 6
    begun.cancel()
    assert begun.state == "cancelled"


@pytest.mark.parametrize("values", [1, 3], ids=["alone", "with others"])
def test_a_changed_value_in_the_store_is_refused(pool, values):
    """Also the name under which a small one lies with others."""
    sketch = Sketch()
    for value in range(values):
        sketch(leaf, value)
    done = run(sketch.graph(), pool, workers=1)
    store, key = done.hub.store, f"dagnb:{{{done.id}}}:keep"

    def kept() -> list[tuple[bool, object]]:
        return [store.kept(done.id, task) for task in range(values)]

    found = store._call("HGETALL", key)
    for field, data in zip(found[::2], found[1::2], strict=True):
        for at in {0, len(data) // 2, min(31, len(data) - 1), min(32, len(data) - 1), len(data) - 1}:
            store._call("HSET", key, field, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(SignatureError):
                kept()
        store._call("HSET", key, field, b"")
        with pytest.raises(SignatureError):
            kept()
        store._call("HSET", key, field, data)
    assert kept() == [(True, task) for task in range(values)]


@pytest.mark.parametrize("what", ["body", "function", "secret"])
def test_a_changed_package_is_not_opened_by_a_worker(pool, what, tmp_path):
    """Nothing of it is unpickled, the run fails as a whole, and the workers live on."""
    witness = tmp_path / "witness"
    sketch = Sketch()
    sketch(after, Witness(str(witness)))
    graph = sketch.graph()
    package = pack(graph, free_plan(graph), {}, kept=graph.kept)
    secret = bytes(32) if what == "secret" else pool.secret
    slots, store = pool.ensure(2), Hub.of(pool).store
    pids = {w.pid for w in pool.status().workers}
    run_id = what.ljust(16, "f")
    with closing(Tampering(pool.path, what)) as wire:
        Store(wire, secret).submit(run_id, package, slots, {}, time.perf_counter_ns())
    end = time.monotonic() + 5
    while (facts := store.facts(run_id)).state == "running" and time.monotonic() < end:
        time.sleep(0.01)
    assert facts.state == "failed"
    reported = facts.reason or str(store.failures(run_id))
    assert "not signed with this user's secret" in reported
    assert what == "function" or not witness.exists()
    assert {w.pid for w in pool.status().workers} == pids
    store.drop(run_id)


class Witness:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


class Tampering(Wire):
    """Flips one bit of what it writes, after it was signed."""

    def __init__(self, path: str, what: str) -> None:
        self.what = what
        super().__init__(path)

    def send(self, commands: Any) -> None:
        part = {"body": "}:dag", "function": "dagnb:fn:"}.get(self.what, "never")
        changed = []
        for verb, *rest in commands:
            for i in range(0, len(rest), 2):
                if verb == "MSET" and part in str(rest[i]) and len(rest[i + 1]) > 50:
                    rest[i + 1] = rest[i + 1][:50] + bytes([rest[i + 1][50] ^ 4]) + rest[i + 1][51:]
            changed.append((verb, *rest))
        super().send(changed)
