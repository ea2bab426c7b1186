"""Room in Redis: results of runs that nobody has in hand any more, or that ended long ago, give way to those of today.

What a user may still ask for of a run that has ended stays for a day, some 8 kB of a short one. Of runs that their
kernel has forgotten (no variable leads to them) only the last thousand stay, for whoever wants to attach to them: so a
notebook that runs ten thousand small DAGs needs no more memory than one that runs a thousand. And whoever keeps large
values shall not be told one day that Redis is out of memory.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .keys import DAGNB, UNHELD, run_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .wire import Wire

#: Share of what Redis may use from which results give way, half of them at once.
SCARCE = 0.5
#: Seconds for which they stay in any case.
FRESH = 60.0
#: Forgotten runs whose results stay.
SPARED = 1000


def forget(wire: Wire, spared: int = SPARED) -> int:
    """Remove the results of forgotten runs, all but the last; of how many. One that is still live waits for its end."""
    many = int(wire.call("LLEN", UNHELD)) - spared
    if many <= 0:
        return 0
    runs = [name.decode() for name in wire.call("LRANGE", UNHELD, 0, many - 1)]
    states = wire.calls([("HGET", run_prefix(run) + "meta", "state") for run in runs])
    live = [run for run, state in zip(runs, states, strict=True) if state == b"running"]
    _remove(wire, set(runs) - set(live))
    wire.calls([("LTRIM", UNHELD, many, -1), *([("RPUSH", UNHELD, *live)] if live else [])])
    return many - len(live)


def make_room(wire: Wire, now: float | None = None) -> int:
    """Remove the oldest results where memory is scarce; of how many runs. Nothing where Redis has no limit."""
    words = wire.call("INFO", "memory").decode().split()
    told = dict(word.split(":", 1) for word in words if ":" in word)
    limit = int(told.get("maxmemory", 0))
    if not limit or int(told["used_memory"]) < SCARCE * limit:
        return 0
    old = _ended(wire, (time.perf_counter() if now is None else now) - FRESH)
    gone = {run for _, run in old[: (len(old) + 1) // 2]}
    _remove(wire, gone)
    return len(gone)


def _remove(wire: Wire, runs: set[str]) -> None:
    """Everything that Redis still has of them."""
    for name in _keys(wire, f"{DAGNB}[{{]*") if runs else ():
        if name[len(DAGNB) + 1 :].partition("}")[0] in runs:
            wire.call("UNLINK", name)


def _ended(wire: Wire, before: float) -> list[tuple[float, str]]:
    """(when, run) of those that ended before a time, the oldest first."""
    runs = [name[len(DAGNB) + 1 :].partition("}")[0] for name in _keys(wire, f"{DAGNB}[{{]*[}}]:fin")]
    times = wire.calls([("HGET", run_prefix(run) + "meta", "ended") for run in runs]) if runs else []
    found = ((int(at or 0) * 1e-9, run) for at, run in zip(times, runs, strict=True))
    return sorted(one for one in found if one[0] < before)


def _keys(wire: Wire, pattern: str) -> Iterator[str]:
    """All keys that match, as far as they are there throughout."""
    cursor = b"0"
    while True:
        cursor, names = wire.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        yield from (name.decode() for name in names)
        if cursor == b"0":
            return
