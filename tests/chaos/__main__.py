"""`python -m tests.chaos`: every fault with many seeds, and how long it takes until things are as before.

Prints two tables: for each fault, how many values were wrong, tasks lost, tasks told twice and gaps in what was told;
then medians and worst cases of deaths and attaches. The exit code is 1 unless all is as it should be.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
import traceback
from typing import TYPE_CHECKING

import pytest

from dagnb.runtime.marks import Marks
from dagnb.runtime.pool import LocalPool
from tests.chaos import (
    test_connections_cut,
    test_disk_full,
    test_history_cut,
    test_host_lost,
    test_kernel_killed,
    test_memory_full,
    test_redis_killed,
    test_sent_twice,
    test_supervisor_killed,
    test_turns_killed,
    test_two_faults,
    test_worker_frozen,
    test_worker_killed,
)
from tests.chaos.spree import SOUND, Siege, Verdict, siege
from tests.runtime.life import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAULTS: dict[str, Callable[[int], Verdict]] = {
    "worker killed every 300 ms": test_worker_killed.fault,
    "worker killed every 100 ms": test_worker_killed.often,
    "the same among large values": test_worker_killed.among_blocks,
    "worker frozen": test_worker_frozen.fault,
    "every third request twice": test_sent_twice.fault,
    "connections cut": test_connections_cut.fault,
    "Redis killed three times": test_redis_killed.fault,
    "supervisor killed": test_supervisor_killed.fault,
    "kernel killed": test_kernel_killed.fault,
    "end of the history lost": test_history_cut.fault,
    "host lost": test_host_lost.fault,
    "memory full": test_memory_full.fault,
    "disk full": test_disk_full.fault,
    "two deaths at once": test_two_faults.fault,
    "three runs that take turns": test_turns_killed.fault,
    "the same, and Redis": test_turns_killed.with_redis,
}

#: What is measured → seconds that it may take.
LIMITS = {
    "worker dead → its task runs again": 0.1,
    "Redis dead → it answers": 1.0,
    "supervisor dead → it answers": 1.0,
    "attach": 0.2,
}


def reliability(seeds: int, only: str) -> bool:
    """The first table; whether everything is sound."""
    print(f"{'fault':<30}{'runs':>5}{'wrong':>7}{'lost':>6}{'twice':>7}{'gaps':>6}{'other':>7}{'median':>9}")
    sound = True
    for name, fault in FAULTS.items():
        if only not in name:
            continue
        found, broken, times = SOUND, 0, []
        for seed in range(1, seeds + 1):
            began = time.monotonic()
            try:
                found += fault(seed)
            except pytest.skip.Exception as reason:
                print(f"{name:<30} skipped: {reason}")
                break
            except Exception:  # noqa: BLE001  the other runs shall be counted
                broken += 1
                print(f"--- {name}, seed {seed}", file=sys.stderr)
                traceback.print_exc()
            times.append(time.monotonic() - began)
        else:
            counts = f"{found.wrong:>7}{found.lost:>6}{found.twice:>7}{found.gaps:>6}{broken:>7}"
            print(f"{name:<30}{len(times):>5}{counts}{statistics.median(times):>8.1f}s", flush=True)
        sound = sound and found == SOUND and not broken
    return sound


def restarts(found: Siege) -> Iterator[float]:
    """Seconds from the death of a worker to when its task runs again, wherever that is."""
    marks = Marks(found.directory.marks)
    for _ in range(10):
        found.go_on(0.1)
        slots = [worker.slot for worker in found.workers()]
        while not (busy := [worker for worker in found.workers() if worker.task is not None]):
            found.go_on(0.001)
        victim = busy[0]
        task = marks.read(victim.slot).task
        began = time.perf_counter()
        os.kill(victim.pid or 0, signal.SIGKILL)
        if task is None:
            continue  # it was between two
        if again(marks, victim.slot, slots, task):
            yield time.perf_counter() - began


def again(marks: Marks, dead: int, slots: list[int], task: int) -> bool:
    """Wait until a task runs again; False when it does not, because it was done and only its commit was on the way."""
    cleared, end = False, time.perf_counter() + 2
    while time.perf_counter() < end:
        now = {slot: marks.read(slot).task for slot in slots}
        cleared = cleared or now[dead] != task
        if any(at == task and (cleared or slot != dead) for slot, at in now.items()):
            return True
        time.sleep(0.0002)
    return False


def measured(rounds: int) -> dict[str, list[float]]:
    """The second table, as seconds."""
    found: dict[str, list[float]] = {name: [] for name in LIMITS}
    worker, redis, supervisor, attach = found.values()
    for seed in range(rounds):
        with siege(seed, tasks=4_000, listen=False) as one:
            one.under_way()
            worker += restarts(one)
            for what, times in (("redis", redis), ("supervisor", supervisor)):
                one.go_on(0.3)
                began = time.perf_counter()
                one.kill(what)
                wire = one.pool.wire()
                wire.call("INFO", "server")
                wire.close()
                one.pool.status()
                times.append(time.perf_counter() - began)
            for _ in range(5):
                began = time.perf_counter()
                LocalPool.connect(settings(one.directory)).close()
                attach.append(time.perf_counter() - began)
    return found


def recovery(rounds: int) -> bool:
    """Print it; whether every median keeps to its limit."""
    print(f"\n{'until things are as before':<36}{'n':>5}{'median':>10}{'worst':>10}{'limit':>9}")
    kept = True
    for name, times in measured(rounds).items():
        middle = statistics.median(times)
        kept = kept and middle < LIMITS[name]
        row = f"{len(times):>5}{middle * 1e3:>7.0f} ms{max(times) * 1e3:>7.0f} ms{LIMITS[name] * 1e3:>6.0f} ms"
        print(f"{name:<36}{row}", flush=True)
    return kept


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="runs of each fault")
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    options = parser.parse_args()
    os.environ["DAGNB_HISTORY"] = "0"
    sound = reliability(options.seeds, options.only)
    kept = True if options.only else recovery(max(1, options.seeds // 10))
    return 0 if sound and kept else 1


if __name__ == "__main__":
    sys.exit(main())
