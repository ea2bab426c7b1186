"""Values that were committed, read from Redis: those that came with a claim, and those that were too many for it.

No script looks up more than INPUTS dependencies for one claim, or sends more than about a megabyte of blobs with it:
Redis serves nobody meanwhile. The worker fetches the rest on its payload connection, in short commands.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from .keys import run_prefix
from .serialize import unseal
from .values import Gone, unpack_blob

if TYPE_CHECKING:
    from .loop import Loop
    from .wire import Wire

#: Dependencies that `sync` looks up for one claim; it counts in the order of its answer, and so do we.
INPUTS = 2_000
#: Numbers of a column that one command reads at most, and between two that are wanted.
WINDOW, GAP = 1 << 16, 256
#: Blobs, each up to 256 kB, that one command reads.
SEVERAL = 4


def received(
    loop: Loop, claimed: list[int], came: bytes, blobs: list[bytes | None], others: bytes
) -> dict[int, Any] | None:
    """What is found of the inputs of claimed tasks; None when a blob is gone, because the run has ended.

    came, blobs   names of blobs and what they hold, as they came with the answer
    others        names of those that did not come
    """
    names = came.split(b",") if came else []
    if others:
        more = others.split(b",")
        names, blobs = names + more, blobs + _blobs(loop, more)
    found: dict[int, Any] = {}
    for name, blob in zip(names, blobs, strict=True):
        if blob is None:
            return None
        found |= _opened(loop, name, blob)
    late = _late(loop, claimed)
    if late:
        found |= stored(loop, [d for d in late if d not in found])
    return found


def _late(loop: Loop, claimed: list[int]) -> set[int]:
    """What was not looked up for a claim and is not here."""
    starts, values, asked = loop.graph.starts, loop.values, 0
    found: set[int] = set()
    for task in claimed:
        count = starts[task + 1] - starts[task]
        if asked + count > INPUTS:
            found.update(d for d in loop.graph.needs(task) if type(values[d]) is Gone)
        else:
            asked += count
    return found


def stored(loop: Loop, tasks: list[int]) -> dict[int, Any]:
    """What commits say of the values of these tasks, as far as they are there."""
    if not tasks:
        return {}
    wanted = set(tasks)
    names = [name.encode() for name in {*blobs_of(loop.desk.shelf.wire, run_prefix(loop.run_id), tasks)} if name]
    found: dict[int, Any] = {}
    for name, blob in zip(names, _blobs(loop, names), strict=True):
        if blob is not None:
            found |= {task: value for task, value in _opened(loop, name, blob).items() if task in wanted}
    return found


def blobs_of(wire: Wire, prefix: str, tasks: list[int]) -> list[str]:
    """For each task the name of the blob that holds its value, empty where there is none."""
    numbers = _numbers(wire, prefix + "loc", tasks)
    distinct = sorted({*numbers.values()} - {0})
    names = {0: ""}
    for at in range(0, len(distinct), WINDOW):
        some = distinct[at : at + WINDOW]
        said = wire.calls([("LINDEX", prefix + "names", number - 1) for number in some])
        names |= {number: (name or b"").decode() for number, name in zip(some, said, strict=True)}
    return [names[numbers[task]] for task in tasks]


def _numbers(wire: Wire, key: str, tasks: list[int]) -> dict[int, int]:
    """The numbers of these tasks in a column of u32, big endian."""
    stretches: list[list[int]] = []
    for task in sorted({*tasks}):
        if stretches and task - stretches[-1][-1] <= GAP and task - stretches[-1][0] < WINDOW:
            stretches[-1].append(task)
        else:
            stretches.append([task])
    said = wire.calls([("GETRANGE", key, 4 * some[0], 4 * some[-1] + 3) for some in stretches])
    found: dict[int, int] = {}
    for some, packed in zip(stretches, said, strict=True):
        column = array("I", packed.ljust(4 * (some[-1] - some[0] + 1), b"\0"))
        column.byteswap()
        first = some[0]
        found.update((task, column[task - first]) for task in some)
    return found


def _blobs(loop: Loop, names: list[bytes]) -> list[bytes | None]:
    key = run_prefix(loop.run_id) + "blob"
    groups = [names[i : i + SEVERAL] for i in range(0, len(names), SEVERAL)]
    return [blob for some in loop.desk.shelf.wire.calls([("HMGET", key, *some) for some in groups]) for blob in some]


def _opened(loop: Loop, name: bytes, blob: bytes) -> dict[int, Any]:
    return unpack_blob(unseal(loop.desk.secret, f"val:{loop.run_id}:".encode() + name, blob))
