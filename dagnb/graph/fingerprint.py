"""What a function is, in 32 hexadecimal digits: the same for the same behaviour, in every kernel and hash seed.

    counts                                          does not count
    instructions and constants                      comments, docstrings, blank lines, the cell, the file, the line
    defaults, closures, values of globals it reads  globals it does not read, the function's own name
    helpers, classes, modules of the user: by code  nodes and variables of the notebook that it does not read
    installed packages: by name and version         how they are installed, and where

What cannot be compared (a lock, an open file, an array beyond `limit`) counts by its type alone and is named in
`unknown`: whoever only wants to find measurements again can live with that, whoever reuses results cannot.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import pickle
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .bytecode import code_facts
from .care import bare
from .graph import TaskGraph, TaskRef
from .handle import Handle
from .origin import is_library, top_version

#: Bytes of one value up to which its content is compared.
LIMIT = 1 << 26

#: Values looked at for one function; lists beyond that count by their type and length.
BUDGET = 20_000

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range})

#: What a class holds that says nothing about its behaviour, or repeats what something else in it says.
_CLUTTER = frozenset(
    {
        *("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__firstlineno__", "__match_args__"),
        *("__static_attributes__", "__dataclass_fields__", "__dataclass_params__", "__abstractmethods__", "_abc_impl"),
    }
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of one function.

    digest     32 hexadecimal digits
    unknown    what could not be compared, named: "LOCK (lock)", "X (ndarray of 1,600,000,000 bytes)"
    """

    digest: str
    unknown: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether everything the function depends on was compared."""
        return not self.unknown


def fingerprint(function: Callable[..., Any], *, limit: int = LIMIT) -> Fingerprint:
    """The fingerprint of anything that can be called. Never raises; `limit` is in bytes, for each value."""
    walk = _Walk(limit)
    try:
        digest = walk.digest(function, getattr(function, "__name__", "function"))
    except (RecursionError, RuntimeError):  # RuntimeError: a dictionary was changed meanwhile by another thread
        digest = walk.give_up(function)
    return Fingerprint(digest, tuple(walk.unknown))


def content(value: Any, where: str, *, limit: int = LIMIT) -> tuple[object, tuple[str, ...]]:
    """Words that are equal for equal values in every kernel, and what in it could not be compared. Never raises."""
    walk = _Walk(limit)
    try:
        words = walk.value(value, where)
    except (RecursionError, RuntimeError):
        words = walk.give_up(value)
    return words, tuple(walk.unknown)


#: Bytes of one value up to which its content counts in `codes`: they are asked for before every run.
QUICK = 1 << 20


def codes(graph: TaskGraph) -> list[str]:
    """Under which code the measurements of each of `graph.calls.functions` are kept; [] for a graph from a trace.

    What cannot be compared counts by its type: measurements of nearly the same code are better than none. How often it
    is tried does not count.
    """
    functions = graph.calls.functions if graph.calls else ()
    return [fingerprint(bare(function), limit=QUICK).digest for function in functions]


def _hashed(words: object) -> str:
    return hashlib.blake2b(repr(words).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class _Walk:
    """One walk over a function and what it refers to. `where` names a value for people."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = BUDGET
        self.unknown: dict[str, None] = {}
        self._open: dict[int, int] = {}  # identity → depth, of what is being looked at: cycles end here
        self._known: dict[int, tuple[object, str]] = {}  # identity → itself (so that it lives) and its digest

    def give_up(self, value: Any) -> str:
        """The digest of what cannot be walked through."""
        self.unknown["what it refers to (nested too deeply, or changing)"] = None
        return _hashed(("deep", type(value).__name__))

    # ---- any value --------------------------------------------------------------------------------------------------
    def value(self, value: Any, where: str) -> object:
        """Words that are equal for equal values."""
        if type(value) in _ATOMS:
            if type(value) in (str, bytes) and len(value) > 100:
                return self._bytes(value.encode("utf-8", "surrogatepass") if type(value) is str else value, where)
            return (type(value).__name__, repr(value))
        if type(value) is TaskRef:
            return ("task", value.task, self.value(value.select, where))
        return self.digest(value, where)

    def digest(self, value: Any, where: str) -> str:
        """The digest of a value that refers to others."""
        identity = id(value)
        if identity in self._known:
            return self._known[identity][1]
        if identity in self._open:
            return f"again {self._open[identity]}"
        self.left -= 1
        self._open[identity] = len(self._open)
        try:
            found = _hashed(self._words(value, where))
        finally:
            del self._open[identity]
        self._known[identity] = (value, found)
        return found

    def _words(self, value: Any, where: str) -> object:  # noqa: C901, PLR0911, PLR0912 -- one line for each sort
        kind = type(value)
        if self.left <= 0:
            return self._unknown(value, f"{where} (too much to compare)")
        if kind in (list, tuple):
            return (
                (kind.__name__, *[self.value(v, where) for v in value])
                if self._fits(value)
                else self._big(value, where)
            )
        if kind in (set, frozenset):
            return (kind.__name__, *self._unordered(value, where)) if self._fits(value) else self._big(value, where)
        if kind in (dict, types.MappingProxyType):
            return ("dict", *self._mapping(value, where)) if self._fits(value) else self._big(value, where)
        if kind is types.FunctionType:
            return self._function(value, where)
        if kind is types.MethodType:
            return ("method", self.digest(value.__func__, where), self.value(value.__self__, f"{where}.__self__"))
        if kind in (types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType):
            return self._builtin(value, where)
        if kind is functools.partial:
            return (
                "partial",
                self.value(value.func, where),
                self.value(value.args, where),
                self.value(value.keywords, where),
            )
        if kind is types.ModuleType:
            return self._module(value.__name__)
        if isinstance(value, type):
            return self._class(value, where)
        if kind in (staticmethod, classmethod):
            return (kind.__name__, self.value(value.__func__, where))
        if kind is property:
            return ("property", *[self.value(f, where) for f in (value.fget, value.fset, value.fdel)])
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(value, where)
        if kind is Handle:
            return self._unknown(value, f"{where} (a handle)")
        return self._instance(value, where)

    def _fits(self, value: Any) -> bool:
        return len(value) <= self.left

    def _big(self, value: Any, where: str) -> object:
        return self._unknown(value, f"{where} ({type(value).__name__} of {len(value):,})"), len(value)

    def _unknown(self, value: Any, said: str) -> object:
        self.unknown[said] = None
        return ("unknown", type(value).__module__, type(value).__qualname__)

    def _apart(self, value: Any, where: str) -> object:
        """Words that do not depend on what was met before: for what comes in no order."""
        if type(value) in _ATOMS:
            return self.value(value, where)
        inner = _Walk(self.limit)
        inner.left, inner.unknown = self.left, self.unknown
        words = inner.value(value, where)
        self.left = inner.left
        return words

    def _unordered(self, value: Any, where: str) -> list[object]:
        return sorted((self._apart(v, where) for v in value), key=repr)

    def _mapping(self, value: Mapping[Any, Any], where: str) -> list[object]:
        pairs = sorted(((self._apart(k, where), v) for k, v in value.items()), key=lambda pair: repr(pair[0]))
        return [(k, self.value(v, where)) for k, v in pairs]

    def _bytes(self, data: Any, where: str) -> object:
        size = memoryview(data).nbytes
        if size > self.limit:
            self.unknown[f"{where} ({size:,} bytes)"] = None
            return ("large", size)
        return ("bytes", hashlib.blake2b(data, digest_size=16).hexdigest())

    def _array(self, value: Any, where: str) -> object:
        if value.dtype.hasobject:
            return ("objects", value.shape, self.value(value.tolist(), where))
        facts = (str(value.dtype), value.shape)
        if value.nbytes > self.limit:
            self.unknown[f"{where} (ndarray of {value.nbytes:,} bytes)"] = None
            return ("array", facts)
        flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return ("array", facts, hashlib.blake2b(flat.data, digest_size=16).hexdigest() if value.size else "")

    # ---- code -------------------------------------------------------------------------------------------------------
    def _function(self, f: types.FunctionType, where: str) -> object:
        code = f.__code__
        closed = [(n, self._cell(c, n)) for n, c in zip(code.co_freevars, f.__closure__ or (), strict=True)]
        given = (self.value(f.__defaults__, where), self.value(f.__kwdefaults__, where))
        home = str(f.__globals__.get("__name__", ""))
        if is_library(home, code.co_filename):
            return ("library", home, code.co_qualname, top_version(home), closed, given)
        facts = code_facts(code)
        reads = [(chain, self._read(f.__globals__, chain)) for chain in facts.globals]
        package = f.__globals__.get("__package__") or ""
        imports = [self._import(level, name, str(package)) for level, name in facts.imports]
        return ("function", facts.digest, [r for r in reads if r[1] is not None], imports, closed, given)

    def _cell(self, cell: Any, name: str) -> object:
        try:
            return self.value(cell.cell_contents, name)
        except ValueError:
            return "empty"

    def _read(self, space: Mapping[str, Any], chain: tuple[str, ...]) -> object:
        """What a global stands for; of a module of the user's only what is taken of it. None: a builtin, or nothing."""
        name = chain[0]
        if name not in space:
            return None
        value = space[name]
        for attribute in chain[1:]:
            if type(value) is not types.ModuleType or _of_library(value) or not hasattr(value, attribute):
                break
            value, name = getattr(value, attribute), f"{name}.{attribute}"
        return self.value(value, name)

    def _import(self, level: int, name: str, package: str) -> object:
        try:
            return self._module(importlib.util.resolve_name("." * level + name, package) if level else name)
        except ImportError:
            return ("missing", name)

    def _module(self, name: str) -> object:
        """A library by its version, a module of the user's by its text."""
        module = sys.modules.get(name)
        if module is not None and _of_library(module):
            return ("module", name, top_version(name))
        file = getattr(module, "__file__", None)
        if module is None:
            try:
                spec = importlib.util.find_spec(name)
            except (ImportError, ValueError, AttributeError):
                spec = None
            file = spec.origin if spec is not None else None
        if file is None or is_library(name, file):
            return ("module", name, top_version(name))
        return ("module", name, _text(file))

    def _builtin(self, value: Any, where: str) -> object:
        owner = getattr(value, "__self__", None)
        words = (type(value).__name__, getattr(value, "__module__", None), value.__qualname__)
        if owner is None or type(owner) is types.ModuleType:
            return (*words, top_version(str(words[1] or "builtins")))
        return (*words, self.value(owner, f"{where}.__self__"))

    def _class(self, value: type, where: str) -> object:
        module = sys.modules.get(value.__module__)
        if value.__module__ == "builtins" or (module is not None and _of_library(module)):
            return ("class", value.__module__, value.__qualname__, top_version(value.__module__))
        members = sorted((n, m) for n, m in vars(value).items() if n not in _CLUTTER and not _is_slot(m))
        bases = [self.digest(base, where) for base in value.__bases__ if base is not object]
        return ("class", value.__qualname__, bases, [(n, self.value(m, f"{where}.{n}")) for n, m in members])

    # ---- objects ----------------------------------------------------------------------------------------------------
    def _instance(self, value: Any, where: str) -> object:
        kind, own = type(value), getattr(value, "__dict__", None)
        if type(own) is dict and "__wrapped__" in own and callable(value):  # a task, an lru_cache, …
            return ("wrapper", kind.__qualname__, self.value(own["__wrapped__"], where))
        if type(own) is dict and _plain_state(kind):
            return ("object", self.digest(kind, where), self.value(own, where))
        return self._pickled(value, where)

    def _pickled(self, value: Any, where: str) -> object:
        sink = _Sink(self.limit)
        try:
            pickle.Pickler(sink, 5).dump(value)
        except Exception as error:  # noqa: BLE001 -- whatever it raises, it cannot be compared
            why = f" of more than {self.limit:,} bytes" if isinstance(error, _TooLargeError) else ""
            return self._unknown(value, f"{where} ({type(value).__name__}{why})")
        version = top_version(type(value).__module__)
        return ("pickle", self.digest(type(value), where), version, sink.hash.hexdigest())


class _TooLargeError(Exception):
    """A value is larger than its content is compared."""


class _Sink:
    """A file that only hashes."""

    def __init__(self, limit: int) -> None:
        self.hash, self.left = hashlib.blake2b(digest_size=16), limit

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.left -= size
        if self.left < 0:
            raise _TooLargeError
        self.hash.update(data)
        return size


def _plain_state(kind: Any) -> bool:
    """Whether the attributes are all that an object of this class of the user's is."""
    usual = all(getattr(kind, how) is getattr(object, how) for how in ("__reduce__", "__reduce_ex__"))
    return usual and "__slots__" not in vars(kind)


def _is_slot(member: object) -> bool:
    return isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType))


def _of_library(module: types.ModuleType) -> bool:
    return is_library(module.__name__, getattr(module, "__file__", None))


def _text(file: str) -> str:
    """A digest of a file of the user's, as it is now."""
    try:
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return "unreadable"
