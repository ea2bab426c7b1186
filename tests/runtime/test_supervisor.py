"""The supervisor with a real Redis and little workers: requests, deaths, restarts, and its own end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from dagnb.errors import StoreError
from dagnb.runtime import requests
from dagnb.runtime.context import Context
from dagnb.runtime.directory import is_taken, take
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.slots import BROKEN_AFTER
from tests.runtime.life import little_supervisor, processes, settings, state, until, wire_to

pytestmark = pytest.mark.chaos


@pytest.fixture
def pool(directory):
    """A kernel that is attached to a supervisor with little workers."""
    with little_supervisor(directory):
        found = LocalPool.connect(settings(directory))
        yield found
        found.close()


def tell(pool: LocalPool, slot: int, words: str) -> None:
    """Tell a little worker what to do."""
    wire = pool.wire()
    wire.call("RPUSH", f"test:{slot}", words)
    wire.close()


def seen(pool: LocalPool, key: str) -> list[str]:
    """What was noted under a key."""
    wire = pool.wire()
    found = [item.decode() for item in wire.call("LRANGE", key, 0, -1)]
    wire.close()
    return found


def wait_recovered(pool: LocalPool, calls: int) -> None:
    """Wait until `recover` was called so often."""
    until(lambda: len(recovered(pool)) == calls)


def recovered(pool: LocalPool) -> list[list[object]]:
    """What the store's `recover` was called with: slot, epoch, poison, reason."""
    return [json.loads(item) for item in seen(pool, "test:recovered")]


def pids(pool: LocalPool) -> dict[int, int | None]:
    return {worker.slot: worker.pid for worker in pool.status().workers}


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def replaced(pool: LocalPool, slot: int, old: int | None) -> bool:
    return pids(pool)[slot] not in {None, old} and pool.status().workers[slot].state == "up"


# -- requests --------------------------------------------------------------------------------------


def test_workers_are_up_when_ensure_returns_and_asking_again_starts_nothing(pool):
    assert pool.ensure(2) == (0, 1)
    assert len(seen(pool, "test:seen")) == 2
    assert pool.ensure(1) == (0,)
    assert pool.ensure(3) == (0, 1, 2)
    assert len(seen(pool, "test:seen")) == 3
    assert [worker.state for worker in pool.status().workers] == ["up"] * 3


def test_a_request_that_is_not_signed_is_not_obeyed(pool, directory):
    with wire_to(directory) as wire:
        wire.call("RPUSH", requests.LIST, b"x" * 32 + b'["stop", {}]')
        wire.call("RPUSH", requests.LIST, requests.pack_request(b"another secret", "stop", {}))
        wire.call("RPUSH", requests.LIST, requests.seal(directory.secret(), requests.ANSWER, b'["stop", {}]'))
    assert pool.ensure(1) == (0,)
    assert (directory.path.parent / "log").read_text().count("refused") == 3


def test_nonsense_is_answered_and_harms_nobody(pool, directory):
    with wire_to(directory) as wire:
        for verb, fields in (("fly", {}), ("ensure", {}), ("ensure", {"context": "{}", "workers": "x"})):
            with pytest.raises(StoreError, match=verb):
                requests.ask(wire, directory.secret(), verb, **fields)
        wire.call("RPUSH", requests.LIST, requests.pack_request(directory.secret(), "cancel", {}))
        wire.call("RPUSH", requests.LIST, requests.seal(directory.secret(), requests.ASK, b"not json"))
    assert pool.ensure(1) == (0,)


def test_contexts_never_share_a_process(pool, monkeypatch, tmp_path):
    assert pool.ensure(2) == (0, 1)
    monkeypatch.setenv("COLOUR", "blue")
    assert pool.ensure(1) == (2,)
    monkeypatch.chdir(tmp_path)
    assert pool.ensure(1) == (3,)
    assert [line.split(" ", 2)[2] for line in seen(pool, "test:seen")[2:]] == [
        f"{Path(__file__).resolve().parents[2]} blue",
        f"{tmp_path} blue",
    ]
    monkeypatch.undo()
    assert pool.ensure(2) == (0, 1)
    assert len({worker.context for worker in pool.status().workers}) == 3


def test_a_working_directory_that_is_gone_is_an_error_at_once(pool, monkeypatch, tmp_path):
    here = Context.here()
    gone = Context(str(tmp_path / "gone"), here.path, here.environ)
    with pytest.raises(StoreError, match="gone"):
        pool._ask("ensure", context=gone.to_json(), workers=1, kernel="kernel-1-x")


def test_workers_that_do_not_start_are_given_up_with_their_own_words(pool, monkeypatch, tmp_path):
    fault = tmp_path / "fault"
    fault.touch()
    monkeypatch.setenv("BAD_START", str(fault))
    began = time.monotonic()
    with pytest.raises(StoreError, match="no module named spam"):
        pool.ensure(1)
    assert time.monotonic() - began < 10
    starts = len(seen(pool, "test:seen"))
    assert starts == BROKEN_AFTER
    time.sleep(0.3)
    assert len(seen(pool, "test:seen")) == starts, "a given-up slot keeps starting workers"
    assert pool.status().workers[0].state == "broken"
    fault.unlink()
    assert pool.ensure(1) == (0,)


def test_a_kernel_does_not_go_on_believing_in_workers_that_were_given_up(pool, monkeypatch, tmp_path):
    fault = tmp_path / "fault"
    monkeypatch.setenv("BAD_START", str(fault))
    assert pool.ensure(1) == (0,)
    fault.touch()
    os.kill(pids(pool)[0], signal.SIGKILL)
    until(lambda: pool.status().workers[0].state == "broken")
    with pytest.raises(StoreError, match="no module named spam"):
        pool.ensure(1)
    fault.unlink()
    assert pool.ensure(1) == (0,)
    assert pool.status().workers[0].state == "up"


# -- deaths ----------------------------------------------------------------------------------------


def test_a_dead_worker_is_fenced_before_its_successor_comes(pool):
    pool.ensure(2)
    first = pids(pool)
    os.kill(first[1], signal.SIGKILL)
    until(lambda: replaced(pool, 1, first[1]))
    slot, epoch, poison, reason = recovered(pool)[-1]
    assert (slot, poison, reason) == (1, None, "")
    assert seen(pool, "test:seen")[-1].split()[:2] == ["1", str(epoch)]
    assert pids(pool)[0] == first[0]
    epochs = [call[1] for call in recovered(pool)]
    assert len(set(epochs)) == len(epochs)


@pytest.mark.parametrize(("end", "words"), [("kill 11", "killed by SIGSEGV"), ("exit 3", "exit code 3")])
def test_the_third_death_of_one_task_is_its_last(pool, end, words):
    pool.ensure(1)
    for death in range(3):
        tell(pool, 0, "mark other 5")
        tell(pool, 0, "mark run-1 7")
        tell(pool, 0, end)
        wait_recovered(pool, death + 2)
    assert [call[2] for call in recovered(pool)] == [None, None, None, 7]
    assert recovered(pool)[-1][3] == f"3 workers died running it ({words})"
    tell(pool, 0, "mark run-1 7")
    tell(pool, 0, end)
    wait_recovered(pool, 5)
    assert recovered(pool)[-1][2] is None, "poison is reported once"


def test_different_tasks_and_fenced_workers_are_not_blamed(pool):
    pool.ensure(1)
    for task in range(4):
        tell(pool, 0, f"mark run-1 {task}")
        tell(pool, 0, "kill 9")
        wait_recovered(pool, task + 2)
    for number in range(4):
        tell(pool, 0, "mark run-1 9")
        tell(pool, 0, f"exit {17 + number % 2}")
        wait_recovered(pool, number + 6)
    assert all(call[2] is None for call in recovered(pool))


def test_what_a_dead_worker_started_dies_with_it(pool):
    """It would go on writing where the successor writes."""
    pool.ensure(1)
    worker = pids(pool)[0]
    assert os.getsid(worker) == worker, "its own session: an interrupt of the notebook does not reach it"
    tell(pool, 0, "spawn")
    until(lambda: seen(pool, "test:child"))
    child = int(seen(pool, "test:child")[0])
    assert is_running(child)
    tell(pool, 0, "exit 3")
    until(lambda: not is_running(child))


def test_a_run_is_not_left_waiting_for_workers_that_never_come(pool, directory, monkeypatch, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    pool.ensure(1)
    with wire_to(directory) as wire:
        wire.call("HSET", "dagnb:runs", "run-1", "{}")
        wire.call("HSET", "dagnb:{run-1}:meta", "slots", "0", "state", "running")
        folder.rmdir()
        tell_pid = pids(pool)[0]
        os.kill(tell_pid, signal.SIGKILL)
        until(lambda: seen(pool, "test:failed"))
        run, reason = seen(pool, "test:failed")
        assert run == "run-1"
        assert "could not be started" in reason
    monkeypatch.undo()


# -- cancel ----------------------------------------------------------------------------------------


def test_cancel_interrupts_what_runs_and_kills_what_does_not_listen(pool, monkeypatch):
    monkeypatch.setenv("SOFT", "1")
    soft = pool.ensure(1)[0]
    monkeypatch.delenv("SOFT")
    deaf, other = pool.ensure(2)
    first = pids(pool)
    for slot, run in ((soft, "run-1"), (deaf, "run-1"), (other, "run-2")):
        tell(pool, slot, f"mark {run} 7")
    until(lambda: [worker.task for worker in pool.status().workers] == [7, 7, 7])
    began = time.monotonic()
    pool.cancel("run-1", grace=0.3)
    until(lambda: pids(pool)[deaf] not in {None, first[deaf]})
    assert 0.25 < time.monotonic() - began < 3
    assert pids(pool)[soft] == first[soft]
    assert pids(pool)[other] == first[other]
    assert recovered(pool)[-1][2:] == [None, ""], "who is killed on purpose is not blamed"


# -- Redis dies ------------------------------------------------------------------------------------


def test_redis_is_started_again_and_remembers(pool, directory):
    pool.ensure(2)
    first = pids(pool)
    with wire_to(directory) as wire:
        wire.call("SET", "kept", "1")
        time.sleep(0.1)
        for _ in range(2):
            old = state(directory)["redis"]
            os.kill(old, signal.SIGKILL)
            until(lambda old=old: state(directory)["redis"] != old)
            assert pool.status().redis.pid == state(directory)["redis"]
        assert wire.call("GET", "kept") == b"1"
    assert pool.ensure(2) == (0, 1)
    assert pids(pool) == first, "workers outlive a restart of Redis"


def test_a_worker_and_redis_dying_together(pool, directory):
    pool.ensure(1)
    old = pids(pool)[0]
    os.kill(state(directory)["redis"], signal.SIGKILL)
    os.kill(old, signal.SIGKILL)
    until(lambda: replaced(pool, 0, old))


def test_an_idle_kernel_is_still_there_after_redis_was_restarted(directory):
    with little_supervisor(directory, DAGNB_IDLE_TIMEOUT="0.4") as supervisor:
        pool = LocalPool.connect(settings(directory))
        pool.ensure(1)
        time.sleep(0.3)
        os.kill(state(directory)["redis"], signal.SIGKILL)
        time.sleep(1.2)
        assert supervisor.poll() is None
        pool.close()


# -- its own end -----------------------------------------------------------------------------------


def test_without_kernel_and_run_it_ends_and_leaves_nothing(directory):
    with little_supervisor(directory, DAGNB_IDLE_TIMEOUT="0.4") as supervisor:
        pool = LocalPool.connect(settings(directory))
        pool.ensure(1)
        time.sleep(1.0)
        assert supervisor.poll() is None, "a kernel is attached"
        with wire_to(directory) as wire:
            wire.call("HSET", "dagnb:runs", "run-1", "{}")
        pool.close()
        time.sleep(1.0)
        assert supervisor.poll() is None, "a run is live"
        with wire_to(directory) as wire:
            wire.call("HDEL", "dagnb:runs", "run-1")
        supervisor.wait(5)
    assert list(directory.path.iterdir()) == []
    assert processes(directory) == []


def test_it_does_not_leave_while_somebody_stands_in_the_door(directory):
    directory.prepare()
    door = take(directory.door)
    with little_supervisor(directory, DAGNB_IDLE_TIMEOUT="0.2") as supervisor:
        time.sleep(1.0)
        assert supervisor.poll() is None
        os.close(door)
        supervisor.wait(5)
    assert list(directory.path.iterdir()) == []


def test_a_signal_ends_everything_and_leaves_nothing(directory):
    with little_supervisor(directory) as supervisor:
        pool = LocalPool.connect(settings(directory))
        pool.ensure(2)
        began = time.monotonic()
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(5)
        assert time.monotonic() - began < 3
        pool.close()
    assert list(directory.path.iterdir()) == []
    assert processes(directory) == []


def test_stop_ends_everything_also_with_a_live_run(pool, directory):
    pool.ensure(1)
    with wire_to(directory) as wire:
        wire.call("HSET", "dagnb:runs", "run-1", "{}")
    pool.stop()
    until(lambda: not processes(directory))
    assert list(directory.path.iterdir()) == []


def test_unused_contexts_lose_their_workers_and_get_them_back(directory, monkeypatch):
    with little_supervisor(directory, DAGNB_IDLE_TIMEOUT="0.3"):
        pool = LocalPool.connect(settings(directory))
        assert pool.ensure(1) == (0,)
        monkeypatch.setenv("COLOUR", "red")
        assert pool.ensure(1) == (1,)
        until(lambda: [(worker.slot, worker.state) for worker in pool.status().workers] == [(1, "up")])
        monkeypatch.delenv("COLOUR")
        assert pool.ensure(1) == (0,)
        assert pool.status().workers[0].state == "up"
        pool.close()


def test_contexts_that_were_used_once_do_not_pile_up(directory, monkeypatch):
    """Neither their slots, nor their logs, nor what a successor would be told; who came back in between has all."""
    with little_supervisor(directory, DAGNB_IDLE_TIMEOUT="0.4"):
        pool = LocalPool.connect(settings(directory))
        for i in range(5):
            monkeypatch.setenv("COLOUR", f"colour {i}")
            pool.ensure(2)
        until(lambda: len(pool.status().workers) == 2)
        slots = [worker.slot for worker in pool.status().workers]
        used = pool.ensure(3)
        assert used[:2] == tuple(slots), "those in use have stayed, and a new one comes after them"
        assert {path.name for path in directory.path.glob("worker-*")} == {f"worker-{slot}.log" for slot in used}
        with wire_to(directory) as wire:
            assert wire.call("HLEN", "dagnb:contexts") == 1
        monkeypatch.setenv("COLOUR", "another")
        free = tuple(number for number in range(5) if number not in used)
        assert pool.ensure(2) == free[:2], "numbers that became free are used again"
        pool.close()


@pytest.mark.parametrize("live", [True, False])
def test_killed_it_takes_redis_and_workers_along_and_the_next_takes_up_what_it_left(directory, live):
    with little_supervisor(directory) as supervisor:
        pool = LocalPool.connect(settings(directory))
        pool.ensure(2)
        with wire_to(directory) as wire:
            wire.call("SET", "kept", "1")
            if live:
                wire.call("HSET", "dagnb:runs", "run-1", "{}")
                wire.call("HSET", "dagnb:{run-1}:meta", "slots", "0,1", "state", "running")
        old = {*pids(pool).values(), state(directory)["redis"]}
        supervisor.kill()
        supervisor.wait()
        until(lambda: not any(map(is_running, old)), 2)
        assert not is_taken(directory.lock)
        directory.state.unlink()
    with little_supervisor(directory):
        with wire_to(directory) as wire:
            assert wire.call("GET", "kept") == b"1"
        states = {worker.state for worker in pool.status().workers}
        assert states <= ({"up", "starting"} if live else {"stopped"})
        assert [call[0] for call in recovered(pool)] == [0, 1, 0, 1], "every slot was fenced again"
        assert pool.ensure(2) == (0, 1)
        with wire_to(directory) as wire:
            wire.call("DEL", "dagnb:runs")
        pool.close()


def test_a_live_run_outlives_a_signal_on_disk(directory):
    with little_supervisor(directory) as supervisor:
        with wire_to(directory) as wire:
            wire.call("HSET", "dagnb:runs", "run-1", "{}")
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(10)
        assert directory.has_history()
        directory.state.unlink()
    with little_supervisor(directory), wire_to(directory) as wire:
        assert wire.call("HGET", "dagnb:runs", "run-1") == b"{}"
        wire.call("DEL", "dagnb:runs")


def test_of_eight_that_start_at_once_one_serves(directory):
    """The real program, started by eight kernels."""
    code = (
        "from dagnb.runtime.pool import LocalPool\n"
        "pool = LocalPool.connect(); print(pool.status().pid, flush=True); input()\n"
    )
    environ = os.environ | {"DAGNB_RUNTIME_DIR": str(directory.path)}
    kernels = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    answers = {kernel.stdout.readline().strip() for kernel in kernels}
    assert len(answers) == 1
    assert answers != {""}
    pool = LocalPool.connect(settings(directory))
    assert len(pool.status().kernels) == 9
    threads = [threading.Thread(target=kernel.communicate, args=("\n",)) for kernel in kernels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(pool.status().kernels) == 1)
    pool.stop()
    assert list(directory.path.iterdir()) == []
