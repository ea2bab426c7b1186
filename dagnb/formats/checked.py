"""A JSON document from outside, read with care: every complaint says what is wrong, where, and what to do."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from dagnb.errors import FormatError

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a document, which knows where it stands.

    value   as JSON gave it
    path    `workflow.tasks[3].parents`; empty for the whole document
    file    what the reader of an error calls the document
    """

    value: Any
    path: str
    file: str

    def wrong(self, what: str, advice: str) -> FormatError:
        """The error of this place, with its three lines; it is returned, not raised."""
        where = f"at {self.path}" if self.path else ""
        return FormatError("\n  ".join(line for line in (f"{self.file}: {what}", where, advice) if line))

    def mapping(self) -> dict[str, Any]:
        """The value, which must be an object."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"{_said(self.value)} stands where an object {{…}} is needed.", "Mend the document.")
        return self.value

    def get(self, key: str) -> Part | None:
        """A member of this object, or None where it is missing or null."""
        value = self.mapping().get(key)
        return None if value is None else Part(value, f"{self.path}.{key}" if self.path else key, self.file)

    def need(self, key: str) -> Part:
        """A member of this object that must be there."""
        found = self.get(key)
        if found is None:
            there = ", ".join(list(self.mapping())[:8]) or "nothing"
            raise self.wrong(f"{key!r} is missing.", f"Here stand: {there}. Is it a WfFormat document?")
        return found

    def parts(self, key: str) -> list[Part]:
        """The elements of a list in this object; none where it is missing."""
        found = self.get(key)
        if found is None:
            return []
        if not isinstance(found.value, list):
            raise found.wrong(f"{_said(found.value)} stands where a list is needed.", "Mend the document.")
        return [Part(value, f"{found.path}[{i}]", self.file) for i, value in enumerate(found.value)]

    def texts(self, key: str) -> list[str]:
        """The elements of a list of texts in this object; none where it is missing."""
        found = self.mapping().get(key)
        if isinstance(found, list) and all(type(text) is str for text in found):  # the common case, without `Part`s
            return found
        return [part.text() for part in self.parts(key)]

    def text(self) -> str:
        """The value, which must be a text that says something."""
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong(f"{_said(self.value)} stands where a text is needed.", "Mend the document.")
        return self.value

    def amount(self, unit: str) -> float:
        """The value, which must be a finite number, 0 or more."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"{_said(value)} stands where a number of {unit} is needed.", "Write the bare number.")
        if not 0 <= value < math.inf:
            raise self.wrong(f"{value} {unit} cannot be.", f"Write a finite number of {unit}, 0 or more.")
        return float(value)


def load(source: str | Path) -> Part:
    """The document in a file (`.json`, `.json.gz`: the bytes tell) or in a text. Raises FormatError."""
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        file, text = "the text", source
    else:
        file, text = Path(source).name or str(source), _read(Path(source))

    def constant(word: str) -> NoReturn:
        raise FormatError(f"{file}: {word} is not a number that JSON knows.\n  Leave out what is not known.")

    try:
        return Part(json.loads(text.lstrip("\ufeff"), parse_constant=constant), "", file)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FormatError(f"{file} is not JSON: {error.msg}\n  at {where}\n  Is the file whole?") from None
    except (RecursionError, ValueError) as error:  # nested too deeply; a number of too many digits
        raise FormatError(f"{file} cannot be read as JSON: {error}\n  Mend the document.") from None


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data.startswith(_GZIP) else data).decode()
    except OSError as error:  # gzip's own complaint is one, too
        why = error.strerror or str(error)
        raise FormatError(f"{path.name or path} cannot be read: {why}\n  at {path}\n  Look at the path.") from None
    except (EOFError, zlib.error):
        raise FormatError(f"{path.name} is cut off or damaged.\n  at {path}\n  Fetch it again.") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path.name} is not a text in UTF-8.\n  at {path}\n  Is it JSON?") from None
    except ValueError as error:  # a null character in the path
        raise FormatError(f"{str(path)!r:.200} is not a path: {error}\n  Look at the path.") from None


def _said(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
