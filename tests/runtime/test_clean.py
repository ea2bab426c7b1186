"""Nothing is left: no key of a run that was dropped, no file after a clean, and never anything of a live run gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dagnb.graph.graph import TaskRef
from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.clean import clean
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import Run, start
from dagnb.settings import Settings
from tests.runtime.dags import Sketch, free_plan, leaf, mix, random_dag, run, total
from tests.runtime.life import ROOT, private_directory, processes, settings, until


def large(number: int, *_: object) -> bytes:
    return bytes(200_000 + number)


def large_slowly(number: int, *_: object) -> bytes:
    time.sleep(0.02)
    return bytes(9_000_000 + number)


def fails(_: int) -> int:
    print("words")
    raise ValueError("as it should")


def keys_of(pool: LocalPool, run: Run) -> set[str]:
    """Every key with the id of a run, whatever it begins with."""
    wire = pool.wire()
    found: set[str] = set()
    cursor = b"0"
    while True:
        cursor, names = wire.call("SCAN", cursor, "COUNT", 1000)
        found.update(name.decode() for name in names if run.id.encode() in name)
        if cursor == b"0":
            wire.close()
            return found


def everything() -> tuple[Sketch, Plan]:
    """Named workers, copies, groups, preloads; small, large and kept values; output, failures and followers."""
    sketch = Sketch("everything")
    notes: dict[int, Annotations] = {}
    where: list[int] = []

    def add(function, *args, on=-1, **note):
        where.append(on)
        if note:
            notes[len(sketch.calls)] = Annotations(**note)
        return sketch(function, *args)

    for i in range(8):
        source = add(large, i, on=i % 2, duplicate=(f"w{1 - i % 2}",))
        add(large, i, source, on=0)
        add(large, i + 1, source, on=1, preload=(source.task,))
        add(large, i + 3, add(large, i + 2, group=i), group=i)
        add(leaf, add(fails, i, on=1))
    add(total, [add(mix, i) for i in range(300)], on=0)
    graph = sketch.graph()
    cluster = Cluster.local(2)
    plan = Plan.build(graph, cluster, estimate(graph), worker=where, sequence=range(len(graph)), annotations=notes)
    return sketch, plan


def test_a_run_that_has_ended_has_only_what_its_user_may_ask_for(pool):
    sketch = Sketch()
    value = sketch(large, 1)
    for i in range(30):
        value = sketch(large, i, value)
    done = run(sketch.graph(), pool)
    assert {key.rpartition(":")[2] for key in keys_of(pool, done)} <= {
        "meta",
        "fin",
        "ev",
        "keep",
        "plan",
        "outline",
        "0",
    }
    assert not [key for key in keys_of(pool, done) if "}:p" in key and not key.endswith(":plan")], "intermediates"
    wire = pool.wire()
    lives = [wire.call("TTL", key) for key in keys_of(pool, done)]
    wire.close()
    assert lives
    assert all(0 < seconds <= 86_400 for seconds in lives), "what stays, expires"
    done.drop()
    assert keys_of(pool, done) == set()


def test_no_key_is_left_of_a_run_of_everything_that_was_dropped(pool):
    sketch, plan = everything()
    done = run(sketch.graph(), pool, plan=plan)
    assert done.state == "failed"
    assert len(done.errors()) == 8
    assert done.result(TaskRef(len(done.graph) - 1)) == sum(mix(i) for i in range(300))
    done.drop()
    until(lambda: keys_of(pool, done) == set())


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.3])
def test_no_key_is_left_of_a_run_that_was_cancelled_and_dropped_at_once(pool, wait):
    """Its workers are in the middle of writing large values."""
    sketch = Sketch()
    values = [sketch(large_slowly, i) for i in range(12)]
    for value in values:
        sketch(large_slowly, 1, value)
    graph = sketch.graph()
    begun = start(graph, free_plan(graph), pool)
    time.sleep(wait)
    begun.cancel()
    begun.drop()
    last = time.monotonic()
    end = last + 15
    while time.monotonic() < last + 2.0:  # they go on writing for a moment, a second at most, and then clean up
        if keys_of(pool, begun):
            last = time.monotonic()
            assert last < end, keys_of(pool, begun)
        time.sleep(0.05)


def shared_memory(pids: list[int]) -> set[str]:
    """Entries of /dev/shm of which something is open or mapped in one of these processes."""
    found: set[str] = set()
    for pid in pids:
        process = psutil.Process(pid)
        found.update(one.path for one in (*process.memory_maps(), *process.open_files()))
    return {"/".join(path.split("/")[:4]).removesuffix(" (deleted)") for path in found if path.startswith("/dev/shm/")}


def kernel() -> None:
    """A run with large values; says what its workers have in shared memory, and ends."""
    pool = LocalPool.connect()
    sketch = Sketch()
    values = [sketch(large_slowly, i) for i in range(4)]
    for value in values:
        sketch(large_slowly, 1, value)
    graph = sketch.graph()
    begun = start(graph, free_plan(graph), pool)
    until(lambda: begun.progress.get(3, 0) > 3, 30)
    segments = shared_memory([worker.pid for worker in pool.status().workers if worker.pid])
    assert begun.wait(30).state == "done"
    print(json.dumps(sorted(segments)))


def test_after_an_idle_exit_there_is_no_file_no_segment_and_no_process():
    with private_directory() as directory:
        code = "from tests.runtime.test_clean import kernel; kernel()"
        environ = {"DAGNB_RUNTIME_DIR": str(directory.path), "DAGNB_IDLE_TIMEOUT": "0.4", "PYTHONPATH": ROOT}
        command = [sys.executable, "-c", code]
        out = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=90)
        assert out.returncode == 0, out.stderr
        until(lambda: not processes(directory), 30)
        assert list(directory.path.iterdir()) == []
        assert not [path for path in json.loads(out.stdout) if Path(path).exists()]


# ---- dagnb clean ----------------------------------------------------------------------------------------------------
def gone(directory) -> None:
    """Kill a supervisor as nobody should."""
    os.kill(json.loads(directory.state.read_text())["pid"], signal.SIGKILL)
    until(lambda: not processes(directory))


def test_what_a_killed_supervisor_left_is_removed(tmp_path):
    with private_directory() as directory:
        chosen = settings(directory, data_dir=str(tmp_path))
        pool = LocalPool.connect(chosen)
        sketch = random_dag(50, 1)
        run(sketch.graph(), pool)
        (found,) = clean(chosen)
        assert found.stays == "they are running"
        assert pool.status().pid
        gone(directory)
        before = sorted(path.name for path in directory.path.iterdir())
        assert before
        (found,) = clean(chosen, dry=True)
        assert (found.path, found.stays) == (str(directory.path), "")
        assert found.size > 1000
        assert {"lock", "secret"} <= {path.name for path in directory.path.iterdir()}, "nothing was done"
        assert [remains.stays for remains in clean(chosen)] == [""]
        assert list(directory.path.iterdir()) == []
        assert processes(directory) == []
        assert clean(chosen) == []
        pool.close()


def slow(number: int, *_: int) -> int:
    time.sleep(0.02)
    return number


def test_a_run_that_can_go_on_is_not_given_up(tmp_path):
    with private_directory() as directory:
        chosen = settings(directory, data_dir=str(tmp_path))
        pool = LocalPool.connect(chosen)
        sketch = random_dag(120, 2, slow)
        graph = sketch.graph()
        begun = start(graph, free_plan(graph), pool)
        time.sleep(1.3)  # written down: every second
        gone(directory)
        (found,) = clean(chosen)
        assert "a run of random goes on when a kernel attaches" in found.stays
        assert not processes(directory), "who looked has gone"
        assert begun.wait(30).state == "done"
        assert begun.timeline.counts[3] == len(graph)
        gone(directory)
        pool.close()


def test_all_gives_it_up_and_forgets_what_runs_taught(tmp_path):
    with private_directory() as directory:
        chosen = settings(directory, data_dir=str(tmp_path))
        pool = LocalPool.connect(chosen)
        graph = random_dag(400, 3, slow).graph()
        start(graph, free_plan(graph), pool)
        time.sleep(1.2)
        gone(directory)
        for name in ("history.sqlite", "history.sqlite-wal", "history.sqlite.broken-17", "mine.txt"):
            (tmp_path / name).write_bytes(b"x" * 10)
        kept = {remains.path.rpartition("/")[2]: bool(remains.stays) for remains in clean(chosen, dry=True)}
        assert kept == {
            directory.path.name: True,
            "history.sqlite": True,
            "history.sqlite-wal": True,
            "history.sqlite.broken-17": False,
        }
        assert not any(remains.stays for remains in clean(chosen, everything=True))
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
        assert list(directory.path.iterdir()) == []
        pool.close()


def test_a_directory_that_is_not_ours_is_not_looked_into(tmp_path, monkeypatch):
    """Nor one that cannot be read: it is named, and stays."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("DAGNB_RUNTIME_DIR")
    beside = tmp_path / "dagnb"
    for name, file in (("other", "notes.txt"), ("stale", "secret"), ("closed", "appendonly.aof")):
        (beside / name).mkdir(parents=True)
        (beside / name / file).write_bytes(b"anything")
    (beside / "closed" / "lock").touch()
    chosen = Settings.load(data_dir=str(tmp_path / "data"), redis_server="/nowhere")
    found = {remains.path.rpartition("/")[2]: remains.stays for remains in clean(chosen)}
    assert found.keys() == {"stale", "closed"}
    assert found["stale"] == ""
    assert "cannot be asked" in found["closed"]
    assert sorted(path.name for path in beside.iterdir()) == ["closed", "other"]
    assert (beside / "closed" / "appendonly.aof").exists()


def test_the_command_says_what_it_did(tmp_path):
    with private_directory() as directory:
        environ = os.environ | {"DAGNB_RUNTIME_DIR": str(directory.path), "DAGNB_DATA_DIR": str(tmp_path)}

        def dagnb(*words: str) -> str:
            command = [sys.executable, "-m", "dagnb", "clean", *words]
            return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout

        assert dagnb() == "nothing was left behind\n"
        pool = LocalPool.connect(settings(directory))
        assert dagnb().rstrip().endswith("kept: they are running")
        gone(directory)
        assert dagnb("--dry-run").rstrip().endswith("would be removed")
        (found,) = json.loads(dagnb("--json"))
        assert (found["path"], found["stays"]) == (str(directory.path), "")
        assert dagnb() == "nothing was left behind\n"
        pool.close()
