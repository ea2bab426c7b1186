"""Generators as tasks: the value is the list of what is yielded, each piece as it was at that moment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from .serialize import ATOMS, dumps, loads
from .values import Encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def snapshot(chunk: Any, *, pickled: bool) -> tuple[Any, Any]:
    """A chunk as it is now, whatever its generator does to it later; and, where `pickled` asks for it, as it travels.

    An atom travels as it is, until somebody packs several of them; all else is Encoded at once.

    Raises PickleError for what cannot travel.
    """
    kind = type(chunk)
    if kind in ATOMS:
        return chunk, chunk
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not chunk.dtype.hasobject:
        return chunk.copy(), Encoded(dumps(chunk)) if pickled else None
    data = dumps(chunk)
    return loads(data), Encoded(data)


class Producer(Protocol):
    """Who runs the generators of a run."""

    produce: Callable[[Iterable[Any]], list[Any]]


def listing(function: Callable[..., Any], run: Producer) -> Callable[..., Any]:
    """A generator function as a task: its value is the list of what it yields."""

    def call(*args: Any, **kwargs: Any) -> list[Any]:
        return run.produce(function(*args, **kwargs))

    return call


def whole(chunks: Iterable[Any]) -> list[Any]:
    """The list of what is yielded, each as it was then: a generator may go on with the same object."""
    return [chunk if type(chunk) in ATOMS else snapshot(chunk, pickled=False)[0] for chunk in chunks]


async def gathered(chunks: Any) -> list[Any]:
    """The same of an asynchronous generator."""
    return [snapshot(chunk, pickled=False)[0] async for chunk in chunks]


def gathering(function: Callable[..., Any]) -> Callable[..., Any]:
    """An asynchronous generator function as a coroutine function."""
    return partial(_gather, function)


async def _gather(function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    return await gathered(function(*args, **kwargs))
