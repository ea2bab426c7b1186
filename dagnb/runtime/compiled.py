"""A run as a worker holds it: plain lists, made once from the packed arrays."""

from __future__ import annotations

from itertools import accumulate, compress, count
from operator import not_
from typing import TYPE_CHECKING, Any

from dagnb.graph.care import Care, bare, care_of
from dagnb.graph.iterators import ASYNC_GENERATOR, COROUTINE, GENERATOR, flags

from .annotated import ASK, NOBODY, Annotated
from .columns import unpack_needs, unpacked
from .deadlines import timed
from .execute import awaited
from .pieces import gathering, listing, whole
from .serialize import loads
from .templates import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class Compiled:
    """Topology in both directions, calls, order and places of one run.

    starts, deps            dependencies as CSR; cstarts, children: dependents; in_degree: how many of the former
    constants               of all tasks, in order; those of task i begin at first_constant[i]
    large                   position among them → hash, of those that lie apart and are there only during a run
    roots                   free roots in the order in which they are handed out
    shapes                  by template: which short cut its calls take
    by_rank, rank           order among ready tasks, or None when it is the order of numbers
    place                   position of the named worker by task, or None when there is none
    route                   the same, but ASK for what has copies or a group: Redis knows where it goes
    annotated               what else the plan asks (`dagnb.runtime.annotated`)
    cares                   number of a function → how often it is tried, and how long a try may take
    """

    def __init__(self, body: bytes | memoryview) -> None:
        (
            counts,
            back,
            roots,
            function_of,
            template_of,
            self.templates,
            self.constants,
            self.large,
            constants,
            self.hashes,
            rank,
            places,
            kept,
            self.sources,
            self.single,
            tables,
        ) = loads(body)
        self.in_degree = unpacked(counts)
        self.starts, self.deps, self.cstarts, self.children = unpack_needs(self.in_degree, back)
        self.n = len(self.in_degree)
        self.roots = unpacked(roots) if roots is not None else list(compress(count(), map(not_, self.in_degree)))
        self.function_of, self.template_of = unpacked(function_of), unpacked(template_of)
        self.first_constant = [0, *accumulate(map(constants.__getitem__, self.template_of))]
        self.kept = frozenset(unpacked(kept))
        self.rank = unpacked(rank) if rank else None
        self.by_rank: Sequence[int] | None = None
        if self.rank is not None:
            by_rank = self.by_rank = [0] * self.n
            for task, position in enumerate(self.rank):
                by_rank[position] = task
        self.place = unpacked(places) if places else None
        self.annotated = Annotated.from_tables(tables)
        self.route = self._routes()
        self.twins = self._twin_functions()
        self.shapes = [shape(template) for template in self.templates]
        self.functions: list[Callable[..., Any]] = []
        self.cares: dict[int, Care] = {}
        self.produce: Callable[[Iterable[Any]], list[Any]] = whole

    def needs(self, task: int) -> list[int]:
        """What a task depends on. The hottest loops slice the columns themselves."""
        return self.deps[self.starts[task] : self.starts[task + 1]]

    def users(self, task: int) -> list[int]:
        """Who depends on a task."""
        return self.children[self.cstarts[task] : self.cstarts[task + 1]]

    def keyed(self) -> Sequence[int]:
        """Task by rank, also by a rank less `n`: such a key comes before all others in a heap."""
        if self.by_rank is None:
            self.by_rank = range(self.n)
        return self.by_rank

    def link(self, functions: list[Callable[..., Any]], clock: memoryview) -> None:
        """Set the functions, in the order of `hashes`; generators and `async def` are run to their end.

        clock   where those with a timeout say until when they may run (`dagnb.runtime.deadlines`)
        """
        self.cares = {number: care for number, f in enumerate(functions) if (care := care_of(f)) is not None}
        self.functions = [self._called(bare(f)) for f in functions]
        for number, care in self.cares.items():
            if care.timeout is not None:
                self.functions[number] = timed(self.functions[number], care.timeout, clock)
        self.functions += [self.functions[number] for number in self.twins]

    def fill(self, arguments: Mapping[str, Any]) -> None:
        """Set the large constants for a run, by hash; after it, with nothing, their memory is free."""
        for at, digest in self.large.items():
            self.constants[at] = arguments.get(digest)

    def _called(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What gives the value of a task when it is called."""
        kind = flags(function)
        if kind & GENERATOR:
            return listing(function, self)
        if kind & ASYNC_GENERATOR:
            return _awaiting(gathering(function))
        return _awaiting(function) if kind & COROUTINE else function

    def _routes(self) -> list[int] | None:
        found = self.annotated
        if not found.copies and not found.groups and not found.streams:
            return self.place
        route = list(self.place) if self.place is not None else [NOBODY] * self.n
        for task in found.streams:
            route[task] = route[task] if route[task] >= 0 else ASK
        for task in (*found.copies, *found.groups):
            route[task] = ASK
        return route

    def _twin_functions(self) -> list[int]:
        """Give tasks with copies function numbers of their own, behind all others; the functions that these repeat.

        The pace of such a number says that its tasks are always announced: the hot path needs no question for them.
        """
        twins: dict[int, int] = {}
        for task in self.annotated.copies:
            number = self.function_of[task]
            self.function_of[task] = len(self.hashes) + twins.setdefault(number, len(twins))
        return list(twins)


def _awaiting(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return awaited(function(*args, **kwargs))

    return call
