"""Columns of numbers as they travel: the narrowest type that holds them, named by the first byte.

The kernel writes them with numpy, the worker reads them with `array`: it starts without numpy.
"""

from __future__ import annotations

from array import array
from itertools import accumulate, compress, count, islice, repeat
from operator import le, sub
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Type codes of `array`, the narrowest first, with the numbers that they hold.
_TYPES = (("B", 0, 0xFF), ("b", -0x80, 0x7F), ("H", 0, 0xFFFF), ("h", -0x8000, 0x7FFF), ("I", 0, 0xFFFFFFFF))
#: In the place of a type code: the same number again and again; length and number follow.
_SAME = b"="


def packed(column: NDArray[Any]) -> bytes:
    """A column of integers as bytes."""
    if not len(column):
        return b""
    low, high = int(column.min()), int(column.max())
    if low == high:
        return _SAME + pack("<Iq", len(column), low)
    code = next(code for code, least, most in _TYPES if least <= low and high <= most)
    data: bytes = column.astype("<" + code).tobytes()
    return code.encode() + data


def unpacked(data: bytes) -> list[int]:
    """What `packed` was given."""
    if not data:
        return []
    if data[:1] == _SAME:
        length, number = unpack_from("<Iq", data, 1)
        return [number] * length
    column = array(data[:1].decode())
    column.frombytes(memoryview(data)[1:])
    return column.tolist()


def pack_needs(starts: NDArray[Any], deps: NDArray[Any]) -> tuple[bytes, bytes]:
    """Dependencies as CSR: how many each task has, and how far back each of them lies."""
    import numpy as np

    counts = np.diff(starts)
    return packed(counts), packed(np.repeat(np.arange(len(counts)), counts) - deps)


def unpack_needs(each: list[int], back: bytes) -> tuple[list[int], list[int], list[int], list[int]]:
    """Dependencies and dependents as CSR: starts, deps, starts of the dependents, dependents in ascending order.

    each    how many dependencies every task has
    back    the other half of `pack_needs`
    """
    starts = [0, *accumulate(each)]
    owners = _owners(each, starts)
    deps = list(map(sub, owners, unpacked(back)))
    return starts, deps, *_turned(owners, deps, len(each))


def _owners(each: list[int], starts: list[int]) -> list[int]:
    """Whose each dependency is: where those of a task begin, the number grows. Half the time of a `repeat` for each."""
    grows, last = [0] * starts[-1], 0
    for task in compress(count(), each):
        grows[starts[task]] = task - last
        last = task
    return list(accumulate(grows))


def _turned(owners: list[int], deps: list[int], n: int) -> tuple[list[int], list[int]]:
    """Dependents as CSR, by counting: no list for each task, which a fan of thousands would pay for."""
    m = len(deps)
    first = deps[0] if m else 0
    if m and deps[-1] - first == m - 1 and deps == list(range(first, first + m)):  # fans, trees, chains
        return [*repeat(0, first), *range(m + 1), *repeat(m, n - first - m)], owners
    counts = [0] * n
    for need in deps:
        counts[need] += 1
    starts = [0, *accumulate(counts)]
    if all(map(le, deps, islice(deps, 1, None))):
        return starts, owners
    at, users = starts[:-1], owners[:]
    for owner, need in zip(owners, deps, strict=True):
        k = at[need]
        users[k] = owner
        at[need] = k + 1
    return starts, users
