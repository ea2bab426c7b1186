"""The outline of a run: what another kernel needs to show it and to ask it for values, when the first one is gone.

Names, kinds, edges, where each call stands, declared sizes, what is kept, what was expected: JSON, compressed and
signed, without any object of the user's. The plan lies beside it. It is written once for each graph, in the piece that
submits a small run, and in a thread of its own behind the submission of a large one.
"""

from __future__ import annotations

import ast
import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from dagnb.errors import CELL_LABELS, RunError
from dagnb.graph.calls import Coded, LateMapping
from dagnb.graph.graph import TaskGraph, TaskRef
from dagnb.graph.identity import identity
from dagnb.planning.estimates import Estimates

from .columns import pack_needs, packed, unpacked
from .packed import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .pack import Package
    from .run import Run

#: Version of the form; a reader refuses a newer one.
FORMAT = 1

_DECLARED = ("duration", "size", "cpus", "memory")
_EXPECTED = ("mean", "p50", "p90", "size")


@dataclass(frozen=True, eq=False, slots=True)
class Outline:
    """What is known of a run without its code.

    graph      without functions
    identity   of code and arguments (`graph.identity`); `unknown` names what in them could not be compared
    kept       tasks whose values outlive the run
    labels     file of a cell → what people call it
    """

    graph: TaskGraph
    identity: str
    unknown: tuple[str, ...]
    kept: frozenset[int]
    acted: bool
    estimates: Estimates | None
    labels: Mapping[str, str]


@dataclass(frozen=True, eq=False, slots=True)
class _Written:
    """An outline, and what it was made of. A package is the same object as long as code and arguments are the same."""

    package: Package
    kept: frozenset[int]
    estimates: Estimates | None
    acted: bool
    data: bytes


_written: WeakKeyDictionary[TaskGraph, _Written] = WeakKeyDictionary()


def outline_of(run: Run, package: Package) -> bytes:
    """The outline of a run as it is stored, before it is signed; the same bytes as long as nothing has changed."""
    known, facts = _written.get(run.graph), (run.kept, run.said_estimates, run.acted)
    if known is not None and known.package is package and (known.kept, known.estimates, known.acted) == facts:
        return known.data
    data = write(run.graph, run.kept, run.said_estimates, run.labels, acted=run.acted)
    if len(run.graph) <= LARGEST:
        _written[run.graph] = _Written(package, *facts, data)
    return data


def write(
    graph: TaskGraph,
    kept: frozenset[int],
    estimates: Estimates | None = None,
    labels: Sequence[str] = (),
    *,
    acted: bool = False,
) -> bytes:
    """The outline of a run of `graph`; `labels` are the files of its cells."""
    same = identity(graph)
    where, at = _places(graph.where)
    document = {
        "format": FORMAT,
        "name": graph.name,
        "keys": graph.keys,
        "kinds": graph.kinds,
        "kind": _column(graph.kind),
        "needs": [_text(data) for data in pack_needs(graph.dep_start, graph.deps)],
        "kept": _column(np.array(sorted(kept), np.int64)),
        "bound": _column(np.array(sorted(graph.kept), np.int64)),
        "where": where,
        "at": _column(at),
        "aliases": _aliases(graph),
        "declared": {name: _floats(getattr(graph, name)) for name in _DECLARED},
        "expected": estimates and _expected(estimates),
        "labels": {file: CELL_LABELS[file] for file in labels if file in CELL_LABELS},
        "identity": same.digest,
        "unknown": same.unknown,
        "acted": acted,
    }
    return zlib.compress(json.dumps(document).encode("utf-8", "surrogatepass"), 1)


def read(data: bytes | memoryview) -> Outline:
    """What `write` wrote. Raises RunError for the form of a newer version."""
    found = json.loads(zlib.decompress(data))
    if found["format"] > FORMAT:
        msg = "the run was begun by a newer version of dagnb, whose outline cannot be read here\n  Upgrade dagnb."
        raise RunError(msg)
    return Outline(
        _graph(found),
        found["identity"],
        tuple(found["unknown"]),
        frozenset(_ints(found["kept"])),
        found["acted"],
        found["expected"] and _estimates(found["expected"]),
        found["labels"],
    )


def _graph(found: Mapping[str, Any]) -> TaskGraph:
    counts, back = (np.array(_ints(column), np.int64) for column in found["needs"])
    n = len(found["keys"])
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    deps = (np.repeat(np.arange(n), counts) - back).astype(np.int32)
    keys = tuple(found["keys"])
    aliases = {key: TaskRef(i) for i, key in enumerate(keys)}
    for path, (task, select) in found["aliases"].items():
        aliases.setdefault(path, TaskRef(task, ast.literal_eval(select)))
    where = found["where"]
    declared: dict[str, Any] = {name: _read_floats(found["declared"][name], n) for name in _DECLARED}
    return TaskGraph(
        found["name"],
        keys,
        tuple(found["kinds"]),
        np.array(_ints(found["kind"]), np.int32),
        starts,
        deps,
        where=tuple([where[at] for at in _ints(found["at"])]),
        aliases=aliases,
        kept=frozenset(_ints(found["bound"])),
        **declared,
    )


def _places(where: Sequence[str]) -> tuple[list[str], NDArray[Any]]:
    """Distinct places in the order of their first tasks, and which of them each task has."""
    if isinstance(where, Coded):
        distinct, codes = where.coded
        return list(distinct), codes
    words = {place: i for i, place in enumerate(dict.fromkeys(where))}
    return list(words), np.array([words[place] for place in where], np.int64)


def _aliases(graph: TaskGraph) -> dict[str, tuple[int, str]]:
    """Names beside the keys; those that select by what is no literal are left out."""
    texts = {path: (ref, repr(ref.select)) for path, ref in _beside(graph).items()}
    kept = {path: (ref, text) for path, (ref, text) in texts.items() if not ref.select or _is_literal(text, ref.select)}
    return {path: (ref.task, text) for path, (ref, text) in kept.items()}


def _beside(graph: TaskGraph) -> Mapping[str, TaskRef]:
    """The aliases without the keys that mean their own task; of a recorded graph without an object for every task."""
    aliases = graph.aliases
    if isinstance(aliases, LateMapping) and aliases.beside is not None:
        return aliases.beside()
    keys = graph.index
    return {path: ref for path, ref in aliases.items() if path not in keys or ref.select or ref.task != keys[path]}


def _is_literal(text: str, value: object) -> bool:
    try:
        return bool(ast.literal_eval(text) == value)
    except (ValueError, SyntaxError, TypeError):
        return False


def _expected(estimates: Estimates) -> dict[str, Any]:
    sources = {name: i for i, name in enumerate(dict.fromkeys(estimates.source))}
    how = estimates.how
    return {
        **{name: _floats(getattr(estimates, name)) for name in _EXPECTED},
        "n": len(estimates),
        "sources": list(sources),
        "source": _column(_numbers(estimates.source, sources)),
        "has_seconds": estimates.has_seconds,
        "reference": estimates.reference,
        "share": _factor(estimates.share),
        "exponent": _factor(estimates.exponent),
        "methods": estimates.methods,
        "how": None if how is None else _column(how),
    }


def _numbers(words: Sequence[str], number: Mapping[str, int]) -> NDArray[np.int64]:
    if len(number) <= 1:
        return np.zeros(len(words), np.int64)
    return np.array([number[word] for word in words], np.int64)


def _estimates(found: Mapping[str, Any]) -> Estimates:
    n, sources = found["n"], found["sources"]
    columns: dict[str, Any] = {name: _read_floats(found[name], n) for name in _EXPECTED}
    return Estimates(
        **columns,
        source=tuple([sources[i] for i in _ints(found["source"])]),
        has_seconds=found["has_seconds"],
        reference=found["reference"],
        share=_read_factor(found["share"]),
        exponent=_read_factor(found["exponent"]),
        methods=tuple(found["methods"]),
        how=None if found["how"] is None else np.array(_ints(found["how"]), np.int32),
    )


# ---- columns in JSON ------------------------------------------------------------------------------------------------
def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _column(column: NDArray[Any]) -> str:
    return _text(packed(column))


def _ints(text: str) -> list[int]:
    return unpacked(base64.b64decode(text))


def _floats(column: NDArray[Any]) -> str:
    """Eight bytes for each number, or for all of them where they are one and the same (also "not a number")."""
    data = np.ascontiguousarray(column, "<f8")
    bits = data.view(np.int64)
    return _text((data[:1] if len(data) and (bits == bits[0]).all() else data).tobytes())


def _read_floats(text: str, n: int) -> NDArray[np.float64]:
    found = np.frombuffer(base64.b64decode(text), "<f8")
    column = np.full(n, found[0]) if len(found) == 1 else found.astype(np.float64)
    column.flags.writeable = False
    return column


def _factor(value: float | NDArray[np.float64]) -> str:
    return _text(np.ascontiguousarray(value, "<f8").tobytes())


def _read_factor(text: str) -> Any:
    found = np.frombuffer(base64.b64decode(text), "<f8")
    return float(found[0]) if len(found) == 1 else found.astype(np.float64)
