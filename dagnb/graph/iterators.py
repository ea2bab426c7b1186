"""Tasks that give and take one piece after the other: generators, and functions with an `Iterator[T]` argument.

The value of a generator task is the list of what it yields. `@task(stream=True)` says that a function takes some of
its arguments piece by piece: those annotated as iterators. It gets an iterator whatever is there: over a list that is
whole, or over the pieces of a generator that still runs on another worker. Workers read this file too: nothing heavy
is imported.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .care import bare

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable

#: inspect.CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR, without importing inspect.
GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200


def with_iterators(
    at: tuple[int, ...], names: tuple[str, ...], fn: Callable[..., Any], /, *args: Any, **words: Any
) -> Any:
    """Call `fn`; the arguments at these positions and of these names become iterators."""
    given = [iter(value) if k in at else value for k, value in enumerate(args)]
    return fn(*given, **{word: iter(value) if word in names else value for word, value in words.items()})


def streaming(fn: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`fn` as workers call it where `stream=True`. Raises OptionError when no argument is annotated as an iterator."""
    from .options import option_error

    at, names = [], []
    for k, parameter in enumerate(_parameters(fn)):
        if not _is_iterator(parameter.annotation):
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise option_error(
                f"@task(stream=True): {name} has the iterators {parameter}, and nobody knows how many.",
                "Give each argument that comes piece by piece a name of its own.",
            )
        if parameter.kind is not parameter.KEYWORD_ONLY:
            at.append(k)
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            names.append(parameter.name)
    if not at and not names:
        raise option_error(
            f"@task(stream=True): {name} has no argument that could come piece by piece.",
            f"Annotate it: def {name}(chunks: Iterator[int]), or leave stream=True out.",
        )
    return partial(with_iterators, tuple(at), tuple(names), fn)


def _parameters(fn: Callable[..., Any]) -> list[inspect.Parameter]:
    import inspect

    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return []  # built-in functions that do not tell


def _is_iterator(annotation: Any) -> bool:
    import collections.abc
    import typing

    if isinstance(annotation, str):  # `from __future__ import annotations`; what it names may be unknown here
        return annotation.partition("[")[0].rpartition(".")[2].strip() == "Iterator"
    return (typing.get_origin(annotation) or annotation) is collections.abc.Iterator


def flags(fn: Any) -> int:
    """The flags of the code that a call of `fn` runs, 0 where nobody can tell."""
    return int(getattr(getattr(unwrapped(fn), "__code__", None), "co_flags", 0))


def unwrapped(fn: Any) -> Any:
    """The function inside of partial functions."""
    while isinstance(fn := bare(fn), partial):
        fn = fn.args[2] if fn.func is with_iterators else fn.func
    return fn
