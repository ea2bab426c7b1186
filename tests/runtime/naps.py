"""Tasks for workers that come and go. It imports next to nothing, so that a cold start is that of a worker alone."""

from __future__ import annotations

import os
import time


def nap(_: int, *__: int) -> int:
    """A task that takes its time; the process it ran in."""
    time.sleep(0.1)
    return os.getpid()


def meet(place: str, i: int) -> int:
    """It ends when another one has begun, which must be in another process."""
    with open(os.path.join(place, str(i)), "w"):  # noqa: PTH118, PTH123  pathlib takes its time to import
        pass
    end = time.monotonic() + 10
    while len(os.listdir(place)) < 2:  # noqa: PTH208  likewise
        assert time.monotonic() < end, "nobody came"
        time.sleep(0.005)
    return os.getpid()
