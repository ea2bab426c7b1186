"""What the user may set, and where each value came from.

Nearest wins: argument → `%dag config` → environment (`DAGNB_WORKERS`, …) → `[tool.dagnb]` in the pyproject.toml of the
working directory or of a parent → default. Seconds and bytes, as everywhere.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dagnb.errors import OptionError, near

#: Number of the language that kernels, supervisor and workers speak; another number means another supervisor.
PROTOCOL = 1

#: Functions of one Python are not understood by another: 3.13 crashes where it runs those of 3.11.
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

#: Seconds per suffix of a duration such as "5m".
_SUFFIXES = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _cpus() -> int:
    """Processors that this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Settings:
    """One consistent set of values; `sources` says in words where each came from.

    workers         worker processes, at least one
    planner         name of the planner used when none is given
    redis           address of an existing store (`redis://`, `rediss://`, `unix://`); None: our own
    redis_server    the server binary to start; None: looked for
    runtime_dir     folder of socket and lock; None: derived from user and interpreter
    data_dir        folder of what outlives a run; None: derived from user
    history         whether past runs teach the next forecasts
    idle_timeout    seconds without kernel and run after which the background processes end
    max_deaths      workers that may die running one task before the task fails
    insecure        allow a store on another host without TLS
    debug           show dagnb's own frames in tracebacks
    """

    workers: int = field(default_factory=_cpus)
    planner: str = "auto"
    redis: str | None = field(default=None, repr=False)
    redis_server: str | None = None
    runtime_dir: str | None = None
    data_dir: str | None = None
    history: bool = True
    idle_timeout: float = 60.0
    max_deaths: int = 3
    insecure: bool = False
    debug: bool = False
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)

    @classmethod
    def load(cls, **arguments: object) -> Settings:
        """The values in force here and now, nearest first; None as an argument means not given.

        Raises OptionError for an unknown name or a value of the wrong type, naming where it stands.
        """
        if arguments:
            return cls._read(arguments)
        seen = _surroundings()
        if _last and _last[0] == seen:
            found: Settings = _last[1]
            return found
        found = cls._read({})
        _last[:] = [seen, found]
        return found

    @classmethod
    def _read(cls, arguments: Mapping[str, object]) -> Settings:
        values: dict[str, Any] = {}
        sources = dict.fromkeys(NAMES, "default")
        for source, layer in _layers(arguments):
            for name, value in layer.items():
                values[name] = parse(name, value, source)
                sources[name] = source
        return cls(**values, sources=MappingProxyType(sources))

    @property
    def runtime_path(self) -> Path:
        """Folder of socket and lock, one per user, interpreter, protocol and store; not created here."""
        if self.runtime_dir:
            return Path(self.runtime_dir).expanduser().absolute()
        words = f"{sys.prefix}|{PYTHON}|{PROTOCOL}|{self.redis or ''}"
        digest = hashlib.sha256(words.encode()).hexdigest()[:10]
        base = os.environ.get("XDG_RUNTIME_DIR", "")
        if os.access(base, os.W_OK):
            return Path(base, "dagnb", digest)
        return Path(f"/tmp/dagnb-{os.getuid()}", digest)  # 0700, and checked on creation

    @property
    def data_path(self) -> Path:
        """Folder of what outlives a run; not created here."""
        if self.data_dir:
            return Path(self.data_dir).expanduser().absolute()
        base = os.environ.get("XDG_DATA_HOME")
        return Path(base or Path.home() / ".local" / "share", "dagnb")

    def items(self) -> Iterator[tuple[str, object, str]]:
        """(name, value, source) of every setting, as `%dag config` shows them; the password of an address is hidden."""
        for name in NAMES:
            value = getattr(self, name)
            yield name, hide_password(value) if name == "redis" and value else value, self.sources.get(name, "argument")

    def environ(self) -> dict[str, str]:
        """The same values as environment variables, to hand to a process of ours."""
        values = ((name, getattr(self, name)) for name in NAMES)
        return {_variable(name): str(int(v) if isinstance(v, bool) else v) for name, v in values if v is not None}


#: The names a user may set.
NAMES = tuple(f.name for f in fields(Settings) if f.name != "sources")

#: What `%dag config` has set in this process.
_CONFIGURED: dict[str, object] = {}


def configure(**values: object) -> Settings:
    """Set values for this process, as `%dag config workers=4` does; None takes one back. Returns what is in force.

    Raises OptionError, and then nothing is changed.
    """
    parsed = {name: None if value is None else parse(name, value, "%dag config") for name, value in values.items()}
    _CONFIGURED.update(parsed)
    for name in [name for name, value in _CONFIGURED.items() if value is None]:
        del _CONFIGURED[name]
    return Settings.load()


def parse(name: str, value: object, source: str) -> object:
    """`value` in the type of the setting `name`. Raises OptionError, naming the source."""
    if name not in _PARSERS:
        known = near(name, NAMES) or f"the settings are {', '.join(NAMES)}"
        msg = f"there is no setting {name!r}\n  {source}\n  {known}"
        raise OptionError(msg)
    wanted, parser = _PARSERS[name]
    try:
        return parser(value)
    except (TypeError, ValueError):
        shown = hide_password(value) if name == "redis" and isinstance(value, str) else repr(value)
        msg = f"the setting {name} must be {wanted}, not {shown}\n  {source}\n  give {wanted}"
        raise OptionError(msg) from None


def hide_password(address: str) -> str:
    """An address that may be shown: `redis://user:***@host` instead of the password, wherever it stands."""
    address = re.sub(r"([?&]password=)[^&#]*", r"\1***", address)
    head, at, tail = address.rpartition("@")
    if not at:
        return address
    scheme, slashes, login = head.partition("://")
    return f"{scheme}{slashes}{login.partition(':')[0]}:***@{tail}"


#: What the settings were read from last, and what they were: every run asks for them.
_last: list[Any] = []


def _surroundings() -> object:
    """All that settings without arguments depend on, for the price of a few system calls."""
    file = _project_file(os.getcwd())  # noqa: PTH109  hot path
    found = os.stat(file) if file is not None else None  # noqa: PTH116  hot path
    stamp = (file, found.st_mtime_ns, found.st_size) if found is not None else None
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return stamp, dict(getattr(os.environ, "_data", os.environ)), dict(_CONFIGURED), affinity


def _layers(arguments: Mapping[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """The sources of values, farthest first, so that the nearest is applied last."""
    file = _project_file(os.getcwd())  # noqa: PTH109  as above
    if file is not None:
        yield f"[tool.dagnb] in {file}", _project_table(Path(file))
    for name in NAMES:
        if os.environ.get(_variable(name)):
            yield _variable(name), {name: os.environ[_variable(name)]}
    yield "%dag config", dict(_CONFIGURED)
    yield "argument", {name: value for name, value in arguments.items() if value is not None}


def _variable(name: str) -> str:
    return f"DAGNB_{name.upper()}"


def _project_file(folder: str) -> str | None:
    """The nearest pyproject.toml of the folder and its parents. Every run asks: strings are quicker than paths."""
    at = folder
    while not os.path.isfile(file := os.path.join(at, "pyproject.toml")):  # noqa: PTH113, PTH118  see above
        at, below = os.path.dirname(at), at  # noqa: PTH120
        if at == below:
            return None
    return file


def _project_table(file: Path) -> dict[str, object]:
    """What stands under [tool.dagnb], names with - taken as _. Raises OptionError when it is not TOML."""
    found = file.stat()
    return dict(_read_table(file, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=8)
def _read_table(file: Path, _changed: int, _size: int) -> dict[str, object]:
    """Read once as long as the file stays the same: every run asks, and parsing takes longer than a small run."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if "dagnb" not in text:
        return {}
    import tomllib

    try:
        table = tomllib.loads(text).get("tool", {}).get("dagnb", {})
    except tomllib.TOMLDecodeError as error:
        msg = f"the settings cannot be read: {error}\n  {file}\n  mend the file"
        raise OptionError(msg) from None
    return {name.replace("-", "_"): value for name, value in table.items()}


def _count(value: object) -> int:
    number = int(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError
    return number


def _duration(value: object) -> float:
    if isinstance(value, str):
        text = value.strip().lower()
        scale = _SUFFIXES.get(text[-1:])
        value = float(text[:-1]) * scale if scale else float(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError
    return float(value)


def _flag(value: object) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if str(value).strip().lower() not in words:
        raise ValueError
    return words[str(value).strip().lower()]


def _text(value: object) -> str:
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise ValueError
    return str(value)


def _address(value: object) -> str:
    text = _text(value)
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError
    return text


_PARSERS: dict[str, tuple[str, Callable[[object], object]]] = {
    "workers": ("a whole number above zero", _count),
    "planner": ("the name of a planner", _text),
    "redis": ("an address redis://, rediss:// or unix://", _address),
    "redis_server": ("the path of a redis-server", _text),
    "runtime_dir": ("a path", _text),
    "data_dir": ("a path", _text),
    "history": ("true or false", _flag),
    "idle_timeout": ('seconds or a duration such as "5m"', _duration),
    "max_deaths": ("a whole number above zero", _count),
    "insecure": ("true or false", _flag),
    "debug": ("true or false", _flag),
}
