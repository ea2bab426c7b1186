"""Words after `%dag` and `%%dag`: options described once, parsed here, listed by help and completion."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagnb.errors import OptionError, near


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    name    the long form, without dashes, and the name under which the value is found
    help    half a line
    short   one letter, or empty
    value   what stands for its value in help texts; empty for a switch
    parse   turns the word into the value; its ValueError becomes the text of the refusal
    built   False: known, but refused by name because what it asks for does not exist yet
    """

    name: str
    help: str
    short: str = ""
    value: str = ""
    parse: Callable[[str], Any] = str
    built: bool = True

    @property
    def flags(self) -> tuple[str, ...]:
        """`("-w", "--workers")`"""
        return (f"-{self.short}", f"--{self.name}") if self.short else (f"--{self.name}",)


def positive(word: str) -> int:
    """A whole number from 1 on. Raises ValueError."""
    if not word.isdecimal() or int(word) < 1:
        msg = f"takes a whole number from 1 on, not {word!r}"
        raise ValueError(msg)
    return int(word)


def seconds(word: str) -> float:
    """A time to wait. Raises ValueError."""
    try:
        value = float(word.removesuffix("s"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        msg = f"takes seconds, such as 30, not {word!r}"
        raise ValueError(msg)
    return value


def names(word: str) -> tuple[str, ...]:
    """Names between commas, each once. Raises ValueError."""
    found = tuple(dict.fromkeys(part.strip() for part in word.split(",") if part.strip()))
    if not found:
        msg = f"takes names such as heft,dask, not {word!r}"
        raise ValueError(msg)
    return found


def counts(word: str) -> tuple[int, ...]:
    """Whole numbers from 1 on between commas. Raises ValueError."""
    parts = [part.strip() for part in word.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        msg = f"takes whole numbers from 1 on, such as 4,8, not {word!r}"
        raise ValueError(msg)
    return tuple(dict.fromkeys(int(part) for part in parts))


WORKERS = Option("workers", "how many worker processes", "w", "N", positive)
PLANNER = Option("planner", "who makes the plan: auto, heft, free, simple …", "P", "NAME")
SEVERAL_WORKERS = Option("workers", "numbers of workers to compare", "w", "N,N", counts)
SEVERAL_PLANNERS = Option("planner", "planners to compare; all that are registered if left out", "P", "A,B", names)
BACKGROUND = Option("bg", "do not wait: later cells wait for what they touch", "b")
QUIET = Option("quiet", "show nothing")
SEED = Option("seed", "for planners that draw lots", "", "N", int)
TIMEOUT = Option("timeout", "give up waiting after so many seconds; the run goes on", "t", "SECONDS", seconds)
NEW = Option("new", "forget the DAG of this name first")
RUN = Option("run", "run it at once", "r")
FRESH = Option("fresh", "ignore remembered results", built=False)
ONLY = Option("only", "run only this node and what it needs", "", "NODE", built=False)
PARAM = Option("param", "a parameter of the run", "p", "K=V", built=False)
REQUIREMENTS = Option("requirements", "packages the workers need", "q", "FILE", built=False)
FOLLOW = Option("follow", "keep printing", "f", built=False)

#: What `%%dag NAME` takes.
CELL_OPTIONS = (RUN, BACKGROUND, WORKERS, PLANNER, NEW, QUIET, FRESH, ONLY, PARAM, REQUIREMENTS)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was said: plain words in order, and the value of every option (False or None where it was not given)."""

    words: tuple[str, ...]
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def parse(line: str, options: Sequence[Option], *, where: str, words: int) -> Parsed:
    """Split a line into at most `words` plain words and options.

    `where` is how the magic is called, for texts. Raises OptionError for an option that is unknown, has no value, has
    a bad one, or is not built yet, for too many words, and for a quote that is not closed.
    """
    values: dict[str, Any] = {o.name: None if o.value else False for o in options}
    plain: list[str] = []
    rest = iter(split(line, where))
    for word in rest:
        if not _is_option(word):
            plain.append(word)
            continue
        flag, given, inline = word.partition("=")
        option = _find(flag, options, where)
        if not option.value and given:
            raise _refuse(f"{flag} takes no value.", where, f"Write {flag} alone.")
        values[option.name] = (
            _value(option, flag, inline if given else next(rest, None), where) if option.value else True
        )
    if len(plain) > words:
        raise _refuse(f"{plain[words]!r} is one word too many.", where, f"{where}? lists what it takes.")
    return Parsed(tuple(plain), values)


def split(line: str, where: str) -> list[str]:
    """Words as a shell reads them, except that a `#` begins no comment. Raises OptionError for an open quote."""
    try:
        return shlex.split(line)
    except ValueError:
        raise _refuse("a quote is not closed.", where, "Close it, or leave the quotes out.") from None


def _is_option(word: str) -> bool:
    return word.startswith("-") and word not in {"-", "--"} and not word[1].isdecimal()


def _find(flag: str, options: Sequence[Option], where: str) -> Option:
    for option in options:
        if flag in option.flags:
            if not option.built:
                what = f"{flag} ({option.help}) is not available in this version of dagnb yet."
                raise _refuse(what, where, "Leave it out.")
            return option
    known = [f for o in options if o.built for f in o.flags]
    advice = near(flag, known) or (f"It takes {', '.join(known)}." if known else "It takes no options.")
    raise _refuse(f"{flag} is not an option here.", where, advice[0].upper() + advice[1:])


def _value(option: Option, flag: str, word: str | None, where: str) -> Any:
    if word is None or (_is_option(word) and option.parse is str):
        raise _refuse(f"{flag} needs a value.", where, f"Write {flag} {option.value}.")
    try:
        return option.parse(word)
    except ValueError as error:
        text = str(error) if str(error).startswith("takes") else f"does not take {word!r}"
        raise _refuse(f"{flag} {text}.", where, f"Write {flag} {option.value}.") from None


def _refuse(what: str, where: str, advice: str) -> OptionError:
    return OptionError(f"{where}: {what}\n  {advice}")
