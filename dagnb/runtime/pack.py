"""A graph and its plan, compiled once into the few packed arrays that workers run.

What travels, for n tasks and m dependencies: how many each task needs and how far back these lie, function and template
numbers, each in the narrowest type that holds them (`columns`), constants in one pickle, and the hash of every distinct
function; the functions themselves are stored once each. A *template* says how the arguments of a call are put together;
equal templates are shared, so that 10,000 calls `clean(x)` have one (`dagnb.runtime.templates`). Nothing in it says
which run it is for: equal graphs with equal plans make equal bytes, which a worker reads only once.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.errors import PickleError
from dagnb.graph.calls import CONSTANT, GATHERED
from dagnb.graph.graph import TaskRef
from dagnb.graph.iterators import unwrapped

from .annotated import NOBODY, Annotated
from .arguments import taken_out
from .columns import pack_needs, packed
from .serialize import ATOMS, dumps
from .templates import CONST, FROZEN, Template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dagnb.graph.calls import Arguments, Form, PackedCalls
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan


#: Atoms in a container that is put together from a template; more would make a template for each length.
SMALL = 4


@dataclass(frozen=True, eq=False, slots=True)
class Package:
    """What is submitted: `body` for every worker, the rest for Redis.

    body         pickled tuple, see `pack`
    functions    hash → pickled function
    deps         topology for the scripts: starts [n+1], then dependencies
    base, width  where in `deps` the dependencies begin, and the bytes of a number there
    counters     i32 big endian per task: dependencies that are not committed yet
    roots        u32: roots without a named worker, in the order in which they are handed out
    named_roots  slot position → roots that are named for it
    places       i16 per task: position of the named worker, -1 for none; empty when no task has one
    annotated    what else the plan asks
    queued       roots for the common queue, in their order: those about which the script must ask
    arguments    hash → pickled constant, of those too large to travel in each package
    """

    body: bytes
    functions: dict[str, bytes]
    deps: bytes
    base: int
    width: int
    counters: bytes
    roots: bytes
    named_roots: dict[int, list[int]]
    places: bytes
    tasks: int
    annotated: Annotated
    queued: list[int]
    arguments: dict[str, bytes]


def pack(
    graph: TaskGraph, plan: Plan, sources: Mapping[str, str], *, kept: frozenset[int], single: bool = False
) -> Package:
    """Compile.

    sources   texts of notebook cells by file name, for tracebacks
    kept      tasks whose values outlive the run
    single    a round trip for every task, to measure coordination

    Raises PickleError naming the task and the argument or variable that cannot travel.
    """
    if graph.calls is None:
        msg = f"{graph.name} was read from a trace: it has no functions to run."
        raise PickleError(msg)
    templates, template_of, constants, counts = _templates(graph)
    large, arguments = taken_out(constants)
    functions = pickled_functions(graph)
    rank, places = _order(graph, plan)
    annotated = Annotated.of(plan, graph)
    roots = graph.roots
    free = roots if not len(places) else roots[places[roots] < 0]
    if annotated.copies or annotated.groups:
        free = np.array([root for root in free.tolist() if not annotated.routed(root)], np.int64)
    if rank is not None:
        free = free[np.argsort(rank[free], kind="stable")]
    body = dumps(
        (
            *pack_needs(graph.dep_start, graph.deps),
            None if np.array_equal(free, roots) else packed(free),
            packed(graph.calls.function),
            packed(template_of),
            templates,
            constants,
            large,
            counts,
            tuple(functions),
            b"" if rank is None else packed(rank),
            packed(places),
            packed(np.array(sorted(kept), np.int64)),
            dict(sources),
            single,
            annotated.tables(),
        )
    )
    width = 2 if max(len(graph), len(graph.deps)) < 1 << 16 else 4
    topology = b"".join(np.ascontiguousarray(c, f"<u{width}").tobytes() for c in (graph.dep_start, graph.deps))
    named, queued = _queues(graph, rank, places, annotated)
    return Package(
        body,
        functions,
        topology,
        width * (len(graph) + 1),
        width,
        np.diff(graph.dep_start).astype(">i4").tobytes(),
        _u32(free),
        named,
        places.astype("<i2").tobytes(),
        len(graph),
        annotated,
        queued,
        arguments,
    )


def _queues(graph: TaskGraph, rank: Any, places: Any, annotated: Annotated) -> tuple[dict[int, list[int]], list[int]]:
    """Roots that begin in a worker's own queue, by its position, and those that begin in the common one."""
    named: dict[int, list[int]] = {}
    queued: list[int] = []
    if not len(places) and not annotated.copies and not annotated.groups:
        return named, queued
    roots = graph.roots if rank is None else graph.roots[np.argsort(rank[graph.roots], kind="stable")]
    for root in roots.tolist():
        seat = int(places[root]) if len(places) else NOBODY
        for position in annotated.copies.get(root, (seat,)):
            if position >= 0:
                named.setdefault(position, []).append(root)
            elif annotated.routed(root):
                queued.append(root)
    return named, queued


def _u32(column: Any) -> bytes:
    data: bytes = np.ascontiguousarray(column, "<u4").tobytes()
    return data


def _order(graph: TaskGraph, plan: Plan) -> tuple[Any, Any]:
    """Rank of every task among all (smaller runs first), None if it is its number; position of its named worker."""
    columns = plan.columns
    n = len(graph)
    rank: Any = None
    if (np.diff(columns.priority) <= 0).any():
        sequence = np.lexsort((np.arange(n), columns.order, columns.priority))
        if (np.diff(sequence) < 0).any():
            rank = np.empty(n, np.uint32)
            rank[sequence] = np.arange(n, dtype=np.uint32)
    if not n or columns.worker.max() < 0:
        return rank, np.zeros(0, np.int16)
    position = {worker: i for i, worker in enumerate(plan.workers)}
    seat = np.array([*(position[worker] for worker in columns.ids), -1], np.int16)
    return rank, seat[columns.worker]


def pickled_functions(graph: TaskGraph) -> dict[str, bytes]:
    """Hash → pickled function, in the order of function numbers."""
    calls = graph.calls
    assert calls is not None
    found: dict[str, bytes] = {}
    for number, function in enumerate(calls.functions):
        try:
            data = dumps(function)
        except PickleError as error:
            task = int(np.flatnonzero(calls.function == number)[0])
            name = getattr(unwrapped(function), "__name__", "function")
            advice = "Make what it uses inside the function, or pass it as an argument."
            msg = f"{name}() cannot be sent to a worker: {error}{_line(graph, task)}\n  {advice}"
            raise PickleError(msg) from error
        # the number keeps apart two functions of equal bytes: positions are what tasks refer to
        found[hashlib.sha256(data + b"%d" % number).hexdigest()[:32]] = data
    return found


def _line(graph: TaskGraph, task: int) -> str:
    return f"\n  {graph.where[task]}" if graph.where else ""


def _templates(graph: TaskGraph) -> tuple[list[Template], Any, list[Any], list[int]]:
    """Distinct templates, the template of every task, all constants in order, how many each template has."""
    calls = graph.calls
    assert calls is not None
    found = _Templates(graph)
    if calls.packed is None:
        arguments = zip(calls.args, calls.kwargs, strict=True)
        template_of = [found.read(task, *both) for task, both in enumerate(arguments)]
        return found.templates, np.array(template_of, np.int64), found.constants, found.counts
    return found.templates, found.plain(calls.packed), found.constants, found.counts


class _Templates:
    """Templates and constants of a graph, task by task or, where calls are plain, all at once."""

    def __init__(self, graph: TaskGraph) -> None:
        self.graph = graph
        self.templates: list[Template] = []
        self.counts: list[int] = []
        self.constants: list[Any] = []
        self.deps = graph.deps
        self._numbers: dict[Template, int] = {}
        self._frozen: dict[int, tuple[Any, bytes]] = {}

    def number(self, template: Template, constants: int) -> int:
        """The number of a template, of which a call has so many constants."""
        known = self._numbers.setdefault(template, len(self.templates))
        if known == len(self.templates):
            self.templates.append(template)
            self.counts.append(constants)
        return known

    def read(self, task: int, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> int:
        """The template of one call; its constants are appended."""
        low, high = self.graph.dep_start[task : task + 2].tolist()
        reader = _Reader(self.graph, task, self.deps[low:high].tolist(), self._frozen)
        positional = tuple([reader.item(a) for a in args])
        keywords = tuple([(k, reader.item(v)) for k, v in kwargs.items()]) if kwargs else ()
        self.constants += reader.constants
        return self.number((positional, keywords), len(reader.constants))

    def plain(self, calls: PackedCalls) -> Any:
        """The template of every call: one look at each form, and at each call that is not plain."""
        of_form = np.zeros(len(calls.forms), np.int64)
        odd = np.zeros(len(calls.forms), np.bool_)
        used = np.bincount(calls.form, minlength=len(calls.forms))
        for i in np.flatnonzero(used).tolist():
            form = calls.forms[i]
            odd[i] = form.special or not ATOMS.issuperset(form.types)
            if not odd[i]:
                of_form[i] = self.number(_template(form), len(form.types))
        template_of = of_form[calls.form]
        each = np.array([len(form.types) for form in calls.forms], np.int64)
        starts = np.concatenate([[0], np.cumsum(each[calls.form])]).tolist()
        done, plain = 0, calls.constants
        for task in np.flatnonzero(odd[calls.form]).tolist():
            self.constants += plain[done : starts[task]]
            done = starts[task + 1]
            form = calls.forms[calls.form[task]]
            args, kwargs = (
                calls.special[task] if form.special else self._stand_in(task, form, plain[starts[task] : done])
            )
            template_of[task] = self.read(task, args, kwargs)
        self.constants += plain[done:]
        return template_of

    def _stand_in(self, task: int, form: Form, constants: Sequence[Any]) -> Arguments:
        """The arguments of a plain call that has constants which a task could change."""
        needed = self.deps[self.graph.dep_start[task] : self.graph.dep_start[task + 1]].tolist()
        rest = iter(constants)
        values = [next(rest) if item == CONSTANT else TaskRef(needed[item]) for item in form.items]
        cut = len(values) - len(form.keywords)
        return tuple(values[:cut]), dict(zip(form.keywords, values[cut:], strict=True))


def _template(form: Form) -> Template:
    """The template of calls whose constants never change."""
    if form.items == (GATHERED,):
        return (("slice", 0, form.needs),), ()
    items = tuple([CONST if item == CONSTANT else item for item in form.items])
    cut = len(items) - len(form.keywords)
    return items[:cut], tuple(zip(form.keywords, items[cut:], strict=True))


class _Reader:
    """Turns the arguments of one task into items and constants."""

    __slots__ = ("constants", "frozen", "graph", "position", "task")

    def __init__(self, graph: TaskGraph, task: int, deps: Sequence[int], frozen: dict[int, tuple[Any, bytes]]) -> None:
        self.graph = graph
        self.task = task
        self.position = {d: k for k, d in enumerate(deps)}
        self.constants: list[Any] = []
        self.frozen = frozen  # id → (kept alive, pickled): an object used by many calls is pickled once

    def item(self, value: Any) -> Any:
        kind = type(value)
        if kind is TaskRef:
            k = self.position[value.task]
            return ("select", k, value.select) if value.select else k
        if kind in ATOMS:
            self.constants.append(value)
            return CONST
        if not _holds_refs(value) and not _small(value):
            return self._freeze(value)
        if kind in (list, tuple, set, frozenset, dict):
            return self._container(value)
        return self._graft(value)

    def _container(self, value: Any) -> Any:
        """A container whose parts are put together anew for each call."""
        kind = type(value)
        if kind is list:
            return self._slice(value) or ("list", tuple([self.item(v) for v in value]))
        if kind is dict:
            return ("dict", tuple([self.item(k) for k in value]), tuple([self.item(v) for v in value.values()]))
        return (kind.__name__, tuple([self.item(v) for v in value]))

    def _slice(self, refs: list[Any]) -> tuple[str, int, int] | None:
        """A list of whole values of neighbouring dependencies, as fan-ins have it: two numbers instead of thousands."""
        if len(refs) < 4 or any(type(r) is not TaskRef or r.select for r in refs):
            return None
        low = self.position[refs[0].task]
        position = self.position
        if any(position[r.task] != low + i for i, r in enumerate(refs)):
            return None
        return ("slice", low, low + len(refs))

    def _graft(self, value: Any) -> tuple[Any, ...]:
        """A dataclass or a subclass of a container: a frozen copy of it, and what is put into that copy for each call.

        No `__init__` is called: what that computes or checks was done when the notebook made it.
        """
        if dataclasses.is_dataclass(value):
            inner = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if hasattr(value, f.name)}
            changed = {name: part for name, part in inner.items() if _holds_refs(part)}
            empty = copy.copy(value)
            for name in changed:
                object.__setattr__(empty, name, None)
            return ("attributes", self._freeze(empty), tuple(changed), tuple(map(self.item, changed.values())))
        if isinstance(value, dict):
            bare_dict = copy.copy(value)
            for key in value:
                dict.__setitem__(bare_dict, key, None)
            frozen = self._freeze(bare_dict)  # first: constants are read in this order
            keys = tuple(map(self.item, value))
            return ("items", frozen, keys, tuple(map(self.item, value.values())))
        if isinstance(value, list):
            bare_list = copy.copy(value)
            list.__setitem__(bare_list, slice(None), [])
            return ("elements", self._freeze(bare_list), tuple(map(self.item, value)))
        make = type(value)._make if hasattr(value, "_make") else type(value)
        return ("like", self._freeze(make), tuple(map(self.item, value)))

    def _freeze(self, value: Any) -> int:
        known = self.frozen.get(id(value))
        if known is None:
            try:
                known = self.frozen[id(value)] = (value, dumps(value))
            except PickleError as error:
                graph, task = self.graph, self.task
                advice = "Make it inside the task, or pass what it is made from."
                where = f"{error}.{_line(graph, task)}"
                msg = f"an argument of {graph.keys[task]} cannot be sent to a worker: {where}\n  {advice}"
                raise PickleError(msg) from error
        self.constants.append(known[1])
        return FROZEN


def _small(value: Any) -> bool:
    """Whether it is a handful of atoms: a template of them is a fraction of a pickle, and made as fast."""
    kind = type(value)
    if kind not in (list, tuple, dict) or len(value) > SMALL:
        return False
    return ATOMS.issuperset(map(type, value.values() if kind is dict else value)) and (
        kind is not dict or ATOMS.issuperset(map(type, value))
    )


def _holds_refs(value: Any) -> bool:
    """Whether a handle is somewhere inside; iterative, because nesting has no limit."""
    todo = [value]
    while todo:
        part = todo.pop()
        kind = type(part)
        if kind is TaskRef:
            return True
        if kind in ATOMS:
            continue
        if isinstance(part, dict):
            todo.extend(part.keys())
            todo.extend(part.values())
        elif isinstance(part, (list, tuple, set, frozenset)):
            todo.extend(part)
        elif dataclasses.is_dataclass(part) and not isinstance(part, type):
            todo.extend(getattr(part, f.name) for f in dataclasses.fields(part) if f.init)
    return False
