"""Tasks that yield and tasks that listen. It imports little, so that a worker that comes anew is there soon."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagnb.graph.iterators import streaming

if TYPE_CHECKING:
    from tests.runtime.dags import Sketch

STEP = 0.04
#: Chunks of a producer that dies.
LENGTH = 12


def streamed(function: Any) -> Any:
    found = streaming(function, function.__name__)
    found.__name__ = function.__name__  # type: ignore[attr-defined]  # a partial function has room for it
    return found


def steps(n: int, seconds: float = STEP) -> Iterator[int]:
    for i in range(n):
        time.sleep(seconds)
        yield i


def big_steps(n: int, size: int) -> Iterator[Any]:
    import numpy as np

    for i in range(n):
        time.sleep(0.01)
        yield np.full(size, i, np.int64)


def same_buffer(n: int) -> Iterator[Any]:
    import numpy as np

    buffer = np.zeros(3)
    parts: list[int] = []
    for i in range(n):
        time.sleep(0.01)
        buffer += 1
        parts.append(i)
        yield buffer, parts


async def async_steps(n: int) -> Any:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


def empty() -> Iterator[int]:
    time.sleep(0.1)
    yield from ()


@streamed
def collect(chunks: Iterator[Any], seconds: float = STEP) -> list[Any]:
    found = []
    for chunk in chunks:
        time.sleep(seconds)
        found.append(chunk)
    return found


@streamed
def kind_of(chunks: Iterator[Any]) -> str:
    return type(chunks).__name__ + f" {sum(1 for _ in chunks)}"


@streamed
def sums(chunks: Iterator[Any]) -> float:
    return float(sum(chunk.sum() for chunk in chunks))


@streamed
def few(chunks: Iterator[int], n: int) -> list[int]:
    return [next(chunks) for _ in range(n)]


@streamed
def doubled(chunks: Iterator[int]) -> Iterator[int]:
    for chunk in chunks:
        time.sleep(STEP)
        yield 2 * chunk


@streamed
def both(left: Iterator[int], right: Iterator[int], more: Any = 0) -> list[Any]:
    return [*zip(left, right, strict=True), more]


def marks(path: str) -> int:
    return Path(path).read_text().count("x") if Path(path).exists() else 0


def mark(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("x")


def pieces(number: int, *xs: list[int]) -> Iterator[int]:
    for i in range(number % 7):
        time.sleep(0.002)
        yield number * 31 + i + sum(map(sum, xs))


@streamed
def woven_in(number: int, left: Iterator[int], right: Iterator[int]) -> Iterator[int]:
    so_far = number
    for chunk in left:
        so_far = (so_far * 17 + chunk) % 10_007
        yield so_far
    yield sum(right) % 10_007


def woven(seed: int, tasks: int) -> tuple[Sketch, list[list[int]]]:
    """Generators that take generators; and what they must give."""
    from dagnb.graph.graph import TaskRef
    from tests.runtime.dags import Sketch

    chance = random.Random(seed)
    sketch, want = Sketch("woven"), []
    for i in range(tasks):
        if i < 4 or chance.random() < 0.3:
            some = chance.sample(range(i), min(i, 2))
            sketch(pieces, i, *map(TaskRef, some))
            want.append(list(pieces(i, *(want[d] for d in some))))
        else:
            left, right = chance.sample(range(i), 2)
            sketch(woven_in, i, TaskRef(left), TaskRef(right))
            want.append(list(woven_in(i, want[left], want[right])))
    return sketch, want


def die_once(path: str) -> None:
    """The first to come here dies."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def made(path: str, at: int, tag: str) -> Iterator[Any]:
    """Dies once before the chunk `at`; every attempt gives other chunks, so that nobody may mix them."""
    with Path(path + "made").open("a") as file:
        file.write("x")
    attempt = marks(path + "made")
    for i in range(LENGTH):
        if i == at:
            die_once(path + "producer")
        time.sleep(0.02)
        yield f"{tag} {attempt} {i}"
    if at == LENGTH:
        die_once(path + "producer")


@streamed
def taken(path: str, at: int, chunks: Iterator[Any]) -> list[Any]:
    with Path(path + "taken").open("a") as file:
        file.write("x")
    found = []
    for i, chunk in enumerate(chunks):
        if i == at:
            die_once(path + "consumer")
        found.append(chunk)
    if at == LENGTH:
        die_once(path + "consumer")
    return found


@streamed
def heavy(chunks: Iterator[Any]) -> float:
    return float(sum(chunk.sum() for chunk in chunks))


def weights(number: int) -> Iterator[Any]:
    import numpy as np

    for i in range(6):
        time.sleep(0.005)
        yield np.full(1 << 17, number + i, np.int64)
