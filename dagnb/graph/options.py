"""What may be said about a task: `@task(est="30s", outs=2)`; checked when it is said, with the line in the notebook.

Options whose room is not built yet are refused by name, never ignored; at their default they are accepted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypedDict

from dagnb.errors import OptionError, near, place, user_frame

from .care import MOST, Care


class TaskOptions(TypedDict, total=False):
    """The keywords of `@task` and `.options`, for type checkers and completion."""

    name: str
    outs: int | tuple[str, ...]
    est: float | str
    out_size: float | str
    retries: int
    retry_delay: float | str
    retry_on: type[BaseException] | tuple[type[BaseException], ...]
    timeout: float | str | None
    cpus: float
    memory: float | str | None
    cache: bool | str
    version: str | None
    requires: str | tuple[str, ...] | None
    seed: int | str | None
    rerun: bool
    stream: bool


@dataclass(frozen=True, slots=True)
class Options:
    """Options that work.

    name      the kind of the task; the function's own name where None
    outs      number or names of the values that the function returns
    est       guess of the duration in seconds
    out_size  guess of the size of the result in bytes
    cpus      processors that the task uses, and the memory in bytes: on workers of several sizes it goes where it has
    memory    them; None is content with any
    stream    the arguments annotated as iterators come piece by piece, if possible while they are made
    retries   further tries of a call that failed; `retry_delay` seconds before the first of them, doubled each time
    retry_on  after exceptions of which classes
    timeout   seconds that a try may take; None: any
    """

    name: str | None = None
    outs: int | tuple[str, ...] = 1
    est: float | None = None
    out_size: float | None = None
    cpus: float | None = None
    memory: float | None = None
    stream: bool = False
    retries: int = 0
    retry_delay: float = 1.0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    timeout: float | None = None

    @property
    def care(self) -> Care:
        """What is done when a call fails or takes too long."""
        return Care(self.retries, self.retry_delay, self.retry_on, self.timeout)


#: option whose room does not stand yet → the default, which is accepted
LATER: Mapping[str, Any] = MappingProxyType(
    {
        "cache": True,
        "version": None,
        "requires": None,
        "seed": "auto",
        "rerun": True,
    }
)

#: Characters of a name.
LONGEST_NAME = 200

#: attributes of every handle: an output of that name could not be reached
_HANDLE_WORDS = frozenset({"key", "name", "kind", "result", "done", "logs", "why"})

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]+)\s*")


def option_error(what: str, advice: str) -> OptionError:
    """An OptionError with its three lines."""
    frame = user_frame()
    where = place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else ""
    return OptionError("\n  ".join(part for part in (what, where, advice) if part))


def not_yet(what: str) -> OptionError:
    """The refusal of something that is designed and not built."""
    return option_error(f"{what} is not available yet in this version of dagnb.", "Leave it out for now.")


def parse(given: Mapping[str, Any], base: Options = Options()) -> Options:
    """`base` with the given options checked and put in. Raises OptionError."""
    for word, value in given.items():
        if word in LATER:
            default = LATER[word]
            if type(value) is not type(default) or value != default:
                raise not_yet(f"the option {word}={value!r}")
        elif word not in _PARSERS:
            words = (*_PARSERS, *LATER)
            raise option_error(f"@task has no option {word}.", near(word, words) or f"It knows {', '.join(words)}.")
    return replace(base, **{word: _PARSERS[word](value) for word, value in given.items() if word in _PARSERS})


def seconds(value: object, word: str = "est") -> float:
    """`30`, `"30s"`, `"5m"`, `"2h"` in seconds."""
    return _quantity(value, _SECONDS, word, 'a duration such as 30, "30s", "5m" or "2h"')


def size(value: object, word: str = "out_size") -> float:
    """`4096`, `"200MB"`, `"4GB"`, `"1GiB"` in bytes."""
    return _quantity(value, _BYTES, word, 'a size such as 4096, "200MB" or "4GB"')


def _quantity(value: object, units: Mapping[str, float], word: str, wanted: str) -> float:
    number = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str) and (match := _QUANTITY.fullmatch(value)):
        number = float(match[1]) * units.get(match[2].lower(), math.nan)
    if not 0 <= number < math.inf:
        raise option_error(
            f"{word}={value!r} is not {wanted}.",
            f"Write {word}={'30' if units is _SECONDS else '4096'}, or a text with its unit.",
        )
    return number


def is_name(value: object) -> bool:
    """Whether a DAG or a kind of tasks may be called so: a Python name that fits a picture."""
    return isinstance(value, str) and value.isidentifier() and len(value) <= LONGEST_NAME


def shown(value: object) -> str:
    """A wrong name as an error text shows it."""
    text = repr(value)
    return text if len(text) <= LONGEST_NAME else f"{text[:40]}… ({len(text):,} characters)"


def _name(value: object) -> str:
    if not is_name(value):
        raise option_error(
            f"name={shown(value)} is not a name.",
            f'The name of a task is a Python name of at most {LONGEST_NAME} characters, such as name="clean".',
        )
    return str(value)


def _outs(value: object) -> int | tuple[str, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    names = tuple(value) if isinstance(value, (tuple, list)) else ()
    if not names or not all(isinstance(n, str) and n.isidentifier() and n[0] != "_" for n in names):
        raise option_error(
            f"outs={value!r} does not say which values there are.",
            'Write their number, outs=2, or their names, outs=("train", "test").',
        )
    if len(set(names)) < len(names) or _HANDLE_WORDS & set(names):
        bad = next(n for n in names if names.count(n) > 1 or n in _HANDLE_WORDS)
        raise option_error(
            f"outs={value!r}: {bad} cannot be the name of an output.",
            "Every output needs a name of its own that handles do not use.",
        )
    return names


def _cpus(value: object) -> float:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not 0 < number < math.inf:
        raise option_error(f"cpus={value!r} is not a number of processors.", "Write cpus=2; a part of one is cpus=0.5.")
    return number


def _memory(value: object) -> float | None:
    if value is None:
        return None
    found = size(value, "memory")
    if not found:
        raise option_error(f"memory={value!r}: no task works without.", 'Write memory="4GB", or leave it out.')
    return found


def _stream(value: object) -> bool:
    if not isinstance(value, bool):
        raise option_error(
            f"stream={value!r} is not True or False.",
            "Which arguments stream is said by their annotation, Iterator[…].",
        )
    return value


def _retries(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST:
        return value
    raise option_error(
        f"retries={value!r} is not how often a failed call is made again.", f"Write a number from 0 to {MOST - 1}."
    )


def _retry_on(value: object) -> tuple[type[BaseException], ...]:
    classes = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if classes and all(isinstance(c, type) and issubclass(c, BaseException) for c in classes):
        return classes
    raise option_error(
        f"retry_on={value!r} does not say after which exceptions.",
        "Write their classes: retry_on=OSError, or retry_on=(OSError, TimeoutError).",
    )


def _timeout(value: object) -> float | None:
    if value is None:
        return None
    found = seconds(value, "timeout")
    if not found:
        raise option_error(f"timeout={value!r}: no task is that quick.", 'Write timeout="30s", or leave it out.')
    return found


_PARSERS: dict[str, Callable[[object], Any]] = {
    "name": _name,
    "outs": _outs,
    "est": seconds,
    "out_size": size,
    "cpus": _cpus,
    "memory": _memory,
    "stream": _stream,
    "retries": _retries,
    "retry_delay": lambda value: seconds(value, "retry_delay"),
    "retry_on": _retry_on,
    "timeout": _timeout,
}
