"""What the tasks of the chaos suite do. It imports next to nothing: whoever succeeds a killed worker reads it first."""

from __future__ import annotations

import os
import time
from typing import Any


def mix(number: int, *xs: int) -> int:
    """Depends on the order and identity of all inputs."""
    return (number * 7919 + sum(x * (k + 1) for k, x in enumerate(xs))) % 1_000_003


def nap(number: int, *xs: int) -> int:
    """4 to 12 ms, so that several deaths fall into a run."""
    time.sleep(0.004 + number % 5 * 0.002)
    return mix(number, *xs)


def total(xs: list[int]) -> int:
    """The last task of a random graph."""
    return sum(xs)


def block(number: int, *xs: Any) -> Any:
    """Half a megabyte whose content depends on all inputs; checks that no input is torn."""
    import numpy as np

    time.sleep(0.004)
    for x in xs:
        assert (x == x[0]).all()
    return np.full(60_000, float(mix(number, *(int(x[0]) for x in xs))))


def heads(xs: list[Any]) -> int:
    """What is left of many blocks."""
    return int(sum(x[0] for x in xs))


def counted(path: str, seconds: float, number: int, *xs: int) -> int:
    """Says that it has begun, in one write that no other can tear, and takes its time."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, b"%d\n" % number)
    os.close(file)
    time.sleep(seconds)
    return mix(number, *xs)


def table(number: int) -> Any:
    """Half a megabyte: too large to travel with a claim."""
    import numpy as np

    time.sleep(0.01)
    return np.full(1 << 16, float(number))


def peek(x: Any, number: int) -> float:
    """A look at a table."""
    time.sleep(0.02)
    return float(x[0]) + number


def agreed(both: list[list[str]]) -> list[str]:
    """What two have to say, if it is the same."""
    assert both[0] == both[1]
    return both[0]


def flaky(folder: str, number: int, *xs: int) -> int:
    """Every third task fails at its first two calls."""
    time.sleep(0.003)
    with open(f"{folder}/{number}", "a") as file:  # noqa: PTH123  pathlib takes its time to import
        file.write("x")
        file.flush()
        if number % 3 == 0 and file.tell() <= 2:
            raise OSError(f"no luck with {number}")
    return mix(number, *xs)
