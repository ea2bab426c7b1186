"""What the tasks of the chaos suite do. It imports next to nothing: whoever succeeds a killed worker reads it first."""

from __future__ import annotations

import time


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


def block(number: int, *xs: object) -> object:
    """Half a megabyte whose content depends on all inputs; checks that no input is torn."""
    import numpy as np

    time.sleep(0.004)
    for x in xs:
        assert (x == x[0]).all()
    return np.full(60_000, float(mix(number, *(int(x[0]) for x in xs))))


def heads(xs: list[object]) -> int:
    """What is left of many blocks."""
    return int(sum(x[0] for x in xs))
