"""Code as it behaves: a digest of its instructions, and what it reads from outside, without names of files and lines.

Constants are taken where an instruction loads them. So a docstring, which no instruction loads, does not count, nor do
comments, blank lines, and the cell or the line where a function stands. Found once for each code object.
"""

from __future__ import annotations

import dis
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

#: Instructions that say nothing about behaviour.
_SILENT = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "RESUME", "PRECALL"})

#: What a class body stores about its place in the file, from Python 3.13 on.
_PLACES = frozenset({"__firstlineno__", "__static_attributes__"})

#: Flags that matter: *args, **kwargs, generator, coroutine, both. Others are of the file, the place or the docstring.
_BEHAVIOUR = 0x4 | 0x8 | 0x20 | 0x80 | 0x100 | 0x200

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What a code object does, functions written inside it included.

    digest    of the instructions
    globals   names read from outside with the attributes taken of them: ("np", "mean"), ("K",); sorted
    imports   modules imported inside: (level, name); sorted
    """

    digest: str
    globals: tuple[tuple[str, ...], ...]
    imports: tuple[tuple[int, str], ...]


class _Held:
    """A code object told apart by identity: equality of code objects compares line numbers and costs a walk."""

    __slots__ = ("code",)

    def __init__(self, code: CodeType) -> None:
        self.code = code

    def __hash__(self) -> int:
        return id(self.code)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.code is self.code


def code_facts(code: CodeType) -> CodeFacts:
    """The facts of a code object. It is held as long as they are, so that no other takes its identity."""
    return _facts(_Held(code))


@lru_cache(maxsize=4096)
def _facts(held: _Held) -> CodeFacts:
    code = held.code
    reads: set[tuple[str, ...]] = set()
    imports: set[tuple[int, str]] = set()
    words: list[Any] = [
        sys.version_info[:2], code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount,
        code.co_flags & _BEHAVIOUR, code.co_varnames[: _arguments(code)], code.co_exceptiontable,
    ]  # fmt: skip
    words += _instructions(code, reads, imports)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found = code_facts(inner)
            reads.update(found.globals)
            imports.update(found.imports)
    digest = hashlib.blake2b(repr(words).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return CodeFacts(digest, tuple(sorted(reads)), tuple(sorted(imports)))


def _arguments(code: CodeType) -> int:
    starred = bool(code.co_flags & 0x4) + bool(code.co_flags & 0x8)
    return code.co_argcount + code.co_kwonlyargcount + starred


def _instructions(
    code: CodeType, reads: set[tuple[str, ...]], imports: set[tuple[int, str]]
) -> Iterator[tuple[str, object]]:
    """Name and argument of every instruction that counts; gathers what is read and imported."""
    chain: tuple[str, ...] = ()
    constants: list[Any] = []
    found = [i for i in dis.get_instructions(code) if i.opname not in _SILENT]
    for i, after in zip(found, [*found[1:], None], strict=True):
        if i.opname in _ATTRIBUTE and chain:
            chain = (*chain, str(i.argval))
        else:
            reads.add(chain)
            chain = (str(i.argval),) if i.opname in _GLOBAL else ()
        if i.opname == "IMPORT_NAME":
            level = constants[-2] if len(constants) > 1 and isinstance(constants[-2], int) else 0
            imports.add((level, str(i.argval)))
        if i.opcode in dis.hasconst:
            constants.append(i.argval)
            placed = after is not None and after.opname == "STORE_NAME" and after.argval in _PLACES
            yield i.opname, "" if placed else constant_key(i.argval)
        else:
            yield i.opname, i.argrepr or i.arg
    reads.discard(())


def constant_key(value: object) -> object:
    """A constant of code as plain text, 1, True and 1.0 told apart, sets in an order of their own."""
    if isinstance(value, CodeType):
        return code_facts(value).digest
    if isinstance(value, tuple):
        return ("tuple", *[constant_key(v) for v in value])
    if isinstance(value, frozenset):
        return ("set", *sorted([constant_key(v) for v in value], key=repr))
    return (type(value).__name__, repr(value))
