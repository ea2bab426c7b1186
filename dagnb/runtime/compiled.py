"""A run as a worker holds it: plain lists, made once from the packed arrays."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from .execute import awaited
from .serialize import loads
from .templates import shape

if TYPE_CHECKING:
    from collections.abc import Callable

_COROUTINE = 0x80  # inspect.CO_COROUTINE, without importing inspect


def _u32(data: bytes) -> list[int]:
    column = array("I")
    column.frombytes(data)
    return column.tolist()


class Compiled:
    """Topology in both directions, calls, order and places of one run.

    starts, deps            dependencies as CSR; cstarts, children: dependents
    constants               of all tasks, in order; those of task i begin at first_constant[i]
    roots                   free roots in the order in which they are handed out
    shapes                  by template: which short cut its calls take
    by_rank, rank           order among ready tasks, or None when it is the order of numbers
    place                   position of the named worker by task, or None when there is none
    """

    def __init__(self, body: bytes | memoryview) -> None:
        (
            self.n,
            starts,
            deps,
            cstarts,
            children,
            roots,
            function_of,
            template_of,
            self.templates,
            self.constants,
            counts,
            self.hashes,
            rank,
            places,
            kept,
            self.sources,
            self.single,
        ) = loads(body)
        self.starts, self.deps = _u32(starts), _u32(deps)
        self.cstarts, self.children = _u32(cstarts), _u32(children)
        self.roots = _u32(roots)
        self.function_of, self.template_of = _u32(function_of), _u32(template_of)
        self.first_constant = [0, *accumulate(counts[t] for t in self.template_of)]
        self.kept = frozenset(_u32(kept))
        self.rank = _u32(rank) if rank else None
        self.by_rank: list[int] | None = None
        if self.rank is not None:
            self.by_rank = [0] * self.n
            for task, position in enumerate(self.rank):
                self.by_rank[position] = task
        self.place: list[int] | None = None
        if places:
            column = array("h")
            column.frombytes(places)
            self.place = column.tolist()
        self.shapes = [shape(template) for template in self.templates]
        self.functions: list[Callable[..., Any]] = []

    def link(self, functions: list[Callable[..., Any]]) -> None:
        """Set the functions, in the order of `hashes`; an `async def` is run to its end by its caller."""
        self.functions = [_awaiting(f) if _is_coroutine(f) else f for f in functions]


def _is_coroutine(function: Callable[..., Any]) -> bool:
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & _COROUTINE)


def _awaiting(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return awaited(function(*args, **kwargs))

    return call
