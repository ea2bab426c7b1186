"""What one large run takes: bytes a task in Redis and in the kernel, and seconds.

    python benchmarks/load.py [tasks]        (default: 1,000,000)

No-op tasks without inputs and one task over the first of them, in one run on two workers, with every guarantee. Redis
is asked every 50 ms: its highest `used_memory` less that before; the kernel is looked at after the value has come. The
goals are at most 200 bytes a task in Redis and 1,500 in the kernel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

#: Seconds between two looks at Redis.
LOOK = 0.05
#: Bytes a task that are allowed, and inputs of the last task.
REDIS, KERNEL, FAN = 200, 1_500, 1_000


def leaf(c: int) -> int:
    return c


def total(xs: list[int]) -> int:
    return sum(xs)


class Highest(Thread):
    """The most memory that Redis has used since `base`."""

    def __init__(self, pool: Any) -> None:
        super().__init__(daemon=True)
        self.wire, self.over = pool.wire(), Event()
        self.base = self.most = used(self.wire)

    def run(self) -> None:
        while not self.over.wait(LOOK):
            self.most = max(self.most, used(self.wire))

    def stop(self) -> int:
        self.over.set()
        self.join()
        self.wire.close()
        return self.most - self.base


def used(wire: Any) -> int:
    """Bytes that Redis uses, its clients' buffers included."""
    told = wire.call("INFO", "memory").decode().split("used_memory:")[1]
    return int(told.split()[0])


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(tasks: int) -> dict[str, float]:
    """Bytes a task in Redis (`redis`) and here (`kernel`); seconds to record (`record`) and to run (`run`)."""
    import dagnb
    from dagnb.session import engine

    f, g = dagnb.task(leaf), dagnb.task(total)
    with dagnb.dag("warm", new=True) as warm:
        warm.answer = g([f(i) for i in range(10)])
    warm.run(workers=2)
    highest, before, began = Highest(engine.connect()), resident(), time.perf_counter()
    highest.start()
    with dagnb.dag("load", new=True) as dag:
        handles = [f(i) for i in range(tasks - 1)]
        dag.answer = g(handles[:FAN])
        del handles
    recorded = time.perf_counter()
    dag.run(workers=2)
    assert dag.answer.result() == sum(range(min(FAN, tasks - 1)))
    seconds = time.perf_counter() - recorded
    return {
        "redis": highest.stop() / tasks,
        "kernel": (resident() - before) / tasks,
        "record": recorded - began,
        "run": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="?", type=int, default=int(os.environ.get("N", "1000000")))
    tasks = max(2, parser.parse_args().tasks)
    home = tempfile.mkdtemp(prefix="dl", dir="/tmp")
    os.environ |= {"DAGNB_RUNTIME_DIR": f"{home}/r", "DAGNB_DATA_DIR": f"{home}/data", "DAGNB_HISTORY": "0"}
    try:
        found = measure(tasks)
    finally:
        from dagnb.session import engine

        if engine.connected() is not None:
            engine.connect().stop()
        shutil.rmtree(home, ignore_errors=True)
    for what, bound in (("redis", REDIS), ("kernel", KERNEL)):
        reached = "✓" if found[what] <= bound else "✗"
        print(f"{what:7} {found[what]:8,.0f} bytes a task  {reached}  (at most {bound:,})")
    print(f"{tasks:,} tasks: recorded in {found['record']:.1f} s, run in {found['run']:.1f} s")


if __name__ == "__main__":
    main()
