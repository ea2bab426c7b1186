"""Helpers for the tests of background processes: a supervisor in a directory of its own, and a very little worker.

The little worker stands in a slot like a real one: it says that it is up, and then does what it is told through a list
in Redis (`mark`: pretend to run a task; `exit`, `kill`: end). To watch it die, the real protocol is not needed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from dagnb.runtime import places
from dagnb.runtime.directory import RuntimeDir
from dagnb.runtime.wire import Wire
from dagnb.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LITTLE_WORKER = """
import os, signal, subprocess, sys, time
sys.path.append(ROOT)
from dagnb.runtime.marks import Marks
from dagnb.runtime.wire import Wire
slot, epoch, directory = sys.argv[1:4]
wire = Wire(directory + "/r.sock")
wire.call("RPUSH", "test:seen", "%s %s %s %s" % (slot, epoch, os.getcwd(), os.environ.get("COLOUR", "")))
signal.signal(signal.SIGINT, signal.default_int_handler if os.environ.get("SOFT") else signal.SIG_IGN)
if os.path.exists(os.environ.get("BAD_START", "")):
    sys.stderr.write("no module named spam\\n")
    sys.exit(1)
os.write(int(os.environ["DAGNB_READY"]), b"1")
line = Marks(directory + "/marks").line(int(slot))
while True:
    try:
        told = wire.call("BLPOP", "test:" + slot, 1)
    except KeyboardInterrupt:
        line[:8] = b"\\xff" * 8
        wire.connect()
        continue
    if wire.call("HGET", "dagnb:ws", "e" + slot) != epoch.encode():
        os._exit(17)
    words = told[1].decode().split() if told else []
    if words[:1] == ["mark"]:
        line[8:40] = words[1].encode().ljust(32, b"\\0")
        line[:8] = int(words[2]).to_bytes(8, "little")
    elif words[:1] == ["spawn"]:
        child = subprocess.Popen(["sleep", "100"])
        wire.call("RPUSH", "test:child", str(child.pid))
    elif words[:1] == ["exit"]:
        os._exit(int(words[1]))
    elif words[:1] == ["kill"]:
        os.kill(os.getpid(), int(words[1]))
"""

#: A supervisor whose workers are the little one, and whose store notes what it is asked to recover.
LITTLE_SUPERVISOR = """
import json, sys
sys.path.append(ROOT)
from dagnb.runtime.directory import RuntimeDir
from dagnb.runtime.supervisor import Supervisor, serve
from dagnb.settings import Settings
class Notes:
    def __init__(self, wire, secret):
        self.wire = wire
    def recover(self, run, slot, epoch, verdict):
        fresh = self.wire.call("HGET", "dagnb:ws", "e%d" % slot) != str(epoch).encode()
        self.wire.call("HSET", "dagnb:ws", "e%d" % slot, str(epoch))
        told = [verdict.task, verdict.reason] if verdict else [None, ""]
        self.wire.call("RPUSH", "test:recovered", json.dumps([slot, epoch, *told]))
        return 0 if fresh else -1
    def reroute(self, run, slot, heir):
        return self.wire.call("RPUSH", "test:rerouted", json.dumps([run, slot, heir]))
    def fail(self, run, reason):
        self.wire.call("RPUSH", "test:failed", run, reason)
        return self.wire.call("HDEL", "dagnb:runs", run) == 1
def command(slot, epoch, directory):
    return [sys.executable, "-c", WORKER, str(slot), str(epoch), str(directory)]
sys.exit(serve(Supervisor(RuntimeDir(sys.argv[1]), Settings.load(), Notes, command), -1))
"""

ROOT = str(Path(__file__).resolve().parents[2])


def until(true: Callable[[], object], patience: float = 10.0) -> None:
    """Wait for something to become true; an assertion error when it does not."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, f"not true within {patience} s"
        time.sleep(0.005)


@contextmanager
def private_directory(home: str | Path = "/tmp") -> Iterator[RuntimeDir]:
    """A runtime directory of one test, with a path short enough for a socket; what lives in it dies with the test."""
    path = Path(tempfile.mkdtemp(prefix="dl", dir=home))
    directory = RuntimeDir(path / "r")
    try:
        yield directory
    finally:
        for process in processes(directory):
            process.kill()
        places.clear(directory.path)
        shutil.rmtree(path, ignore_errors=True)


def processes(directory: RuntimeDir) -> list[psutil.Process]:
    """Living processes that name the directory in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        named = any(str(directory.path) in word for word in words) and process.info["status"] != psutil.STATUS_ZOMBIE
        if named and process.pid != os.getpid():
            found.append(process)
    return found


@contextmanager
def little_supervisor(directory: RuntimeDir, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real supervisor and a real Redis around little workers; ended by SIGTERM, and waited for."""
    worker = LITTLE_WORKER.replace("ROOT", repr(ROOT))
    code = LITTLE_SUPERVISOR.replace("ROOT", repr(ROOT)).replace("WORKER", repr(worker))
    directory.prepare()
    with (directory.path.parent / "log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(directory.path)],
            stderr=output,
            env=os.environ | {"DAGNB_RUNTIME_DIR": str(directory.path)} | environ,
            start_new_session=True,
        )
    try:
        until(lambda: directory.state.exists() or process.poll() is not None)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def killed_kernel(directory: RuntimeDir, program: str) -> str:
    """Start a kernel that says one line, kill it as it waits, and return the line. Its supervisor soon finds nobody."""
    environ = {"DAGNB_RUNTIME_DIR": str(directory.path), "DAGNB_IDLE_TIMEOUT": "0.5", "PYTHONPATH": ROOT}
    kernel = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert kernel.stdout is not None
    said = kernel.stdout.readline().strip().decode()
    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.communicate()
    return said


@contextmanager
def wire_to(directory: RuntimeDir) -> Iterator[Wire]:
    """A connection to the Redis of a directory."""
    wire = Wire(str(directory.socket))
    try:
        yield wire
    finally:
        wire.close()


def settings(directory: RuntimeDir, **values: object) -> Settings:
    """Settings of a kernel that attaches to this directory."""
    return Settings.load(**{"runtime_dir": str(directory.path)} | values)


def state(directory: RuntimeDir) -> dict[str, object]:
    """supervisor.json."""
    found: dict[str, object] = json.loads(directory.state.read_text())
    return found
