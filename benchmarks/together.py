"""Fifty runs at once: five kernels submit ten each, in the same folder, and share one pool of two workers.

    python benchmarks/together.py [runs of each kernel] [kernels]        (default: 10 5)

Every run is a hundred tasks of 5 ms and one over all of them. Each kernel checks its results. When a third, a half
and two thirds of all tasks are done, the progress of all runs is read at one moment: fair is where all go on at about
the same rate between these looks. Before, submitting fifty takes a second, and who comes first is served first. Beside
it, a run of twenty such tasks behind one of four thousand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Tasks of one run beside the last, and seconds of each.
TASKS, LENGTH = 100, 0.005
#: Shares of all tasks after which the runs are compared.
LOOKS = (1 / 3, 1 / 2, 2 / 3)
#: Seconds after which it has failed.
PATIENCE = 120.0


def nap(i: int) -> int:
    time.sleep(LENGTH)
    return i


def total(xs: list[int]) -> int:
    return sum(xs)


def build(name: str, tasks: int) -> Any:
    """A DAG of so many naps and their sum."""
    import dagnb

    with dagnb.dag(name, new=True) as dag:
        dag.answer = dagnb.task(total)([dagnb.task(nap)(i) for i in range(tasks)])
    return dag


def kernel(runs: int) -> None:
    """One of several kernels: says what was done whenever it is asked, and at the end how long each run took."""
    build("warm", 2).run(workers=2, quiet=True)
    dags = [build(f"d{i}", TASKS) for i in range(runs)]
    print("ready", flush=True)
    sys.stdin.readline()
    begun = [dag.run(workers=2, wait=False, quiet=True) for dag in dags]
    for line in sys.stdin:
        if line.strip() == "end":
            break
        print(json.dumps([run.progress[3] for run in begun]), flush=True)
    for dag in dags:
        assert dag.answer.result(timeout=PATIENCE) == sum(range(TASKS))
    assert all(run.timeline.counts[3] == TASKS + 1 for run in begun)
    print(json.dumps([run.ending.at for run in begun]), flush=True)


def together(kernels: int, runs: int) -> tuple[list[list[int]], list[float]]:
    """Tasks done of every run at each of LOOKS, and how long every run took."""
    words = [sys.executable, str(Path(__file__)), "--kernel", str(runs)]
    environ = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(words, env=environ, **pipes) for _ in range(kernels)]
    try:
        for each in started:
            assert each.stdout.readline() == "ready\n"
        ask(started, "go")
        looks: list[list[int]] = []
        end = time.monotonic() + PATIENCE
        while len(looks) < len(LOOKS):
            assert time.monotonic() < end, "it hangs"
            time.sleep(0.02)
            done = [count for told in told_by(started, "how far") for count in told]
            if sum(done) >= LOOKS[len(looks)] * len(done) * (TASKS + 1):
                looks.append(done)
        return looks, [seconds for told in told_by(started, "end") for seconds in told]
    finally:
        for each in started:
            each.kill()
            each.communicate()


def ask(started: list[Any], word: str) -> None:
    """Say a word to all kernels."""
    for each in started:
        each.stdin.write(word + "\n")
        each.stdin.flush()


def told_by(started: list[Any], word: str) -> list[list[Any]]:
    """What all kernels answer."""
    ask(started, word)
    return [json.loads(each.stdout.readline()) for each in started]


def behind() -> float:
    """Seconds that a short run takes behind a long one."""
    long, short = build("long", 4_000), build("short", 20)
    run = long.run(workers=2, wait=False, quiet=True)
    time.sleep(0.5)
    began = time.perf_counter()
    short.run(workers=2, quiet=True)
    seconds = time.perf_counter() - began
    assert run.state == "running"
    run.cancel()
    return seconds


def main() -> None:
    """See above."""
    if "--kernel" in sys.argv:
        kernel(int(sys.argv[2]))
        return
    numbers = dict(enumerate(map(int, sys.argv[1:])))
    runs, kernels = numbers.get(0, 10), numbers.get(1, 5)
    home = tempfile.mkdtemp(prefix="dt", dir="/tmp")
    os.environ |= {"DAGNB_RUNTIME_DIR": f"{home}/r", "DAGNB_DATA_DIR": f"{home}/data", "DAGNB_HISTORY": "0"}
    try:
        looks, seconds = together(kernels, runs)
        waited = [behind() for _ in range(3)]
    finally:
        from dagnb.session import engine

        engine.connect().stop()
        shutil.rmtree(home, ignore_errors=True)
    least = kernels * runs * TASKS * LENGTH / 2
    print(f"{kernels * runs} runs of {kernels} kernels: {max(seconds):.1f} s (two workers at no cost: {least:.1f} s)")
    for share, done in zip(LOOKS, looks, strict=True):
        by_kernel = [sum(done[i : i + runs]) for i in range(0, len(done), runs)]
        print(
            f"  at {share:4.0%} of all tasks, done of each run: {min(done)} to {max(done)}, "
            f"max/min {max(done) / max(1, min(done)):.2f}; by kernel {max(by_kernel) / max(1, min(by_kernel)):.2f}"
        )
    gained = [b - a for a, b in zip(looks[0], looks[-1], strict=True) if b <= TASKS]
    print(
        f"  rates between the first and the last of these: {min(gained)} to {max(gained)} tasks, "
        f"max/min {max(gained) / max(1, min(gained)):.2f} ({len(gained)} runs that had not ended; a turn is 20 tasks)"
    )
    print(f"  the first run had ended after {min(seconds):.1f} s, the last after {max(seconds):.1f} s")
    print(f"20 tasks of 5 ms behind 4,000: {sorted(waited)[1]:.2f} s, at most {max(waited):.2f} s")


if __name__ == "__main__":
    main()
