"""Forecasts against real runs: how far off, and how often their interval holds.

    python benchmarks/forecast.py [constant tenth log-normal modes size] [--trials 4] [--workers 2] [--spin]

Q5  |forecast ÷ actual − 1| of the makespan (submission → last end) after three runs; tasks of 20 ms and more
Q7  part of the runs that end within their 80 % interval

A trial begins with an empty history, runs three times, forecasts, and runs once more. Every shape with every kind of
noise, drawn anew in the workers for each call. Tasks sleep, or with --spin compute: then the other load of the machine
counts, too. `middle` is the error of the middle of the interval: where tasks are noisy and many, the longest of several
workers takes longer than a simulation with means says, and the interval knows that.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import shapes

BASE = 0.03


def constant(_chance: random.Random, _size: int) -> float:
    return BASE


def tenth(chance: random.Random, _size: int) -> float:
    return BASE * chance.uniform(0.9, 1.1)


def log_normal(chance: random.Random, _size: int) -> float:
    return max(0.02, BASE * chance.lognormvariate(0, 0.5))


def modes(chance: random.Random, _size: int) -> float:
    return BASE * (4 if chance.random() < 0.2 else 1)


def by_size(_chance: random.Random, size: int) -> float:
    return 0.02 + size * 1e-6


NOISES = {"constant": constant, "tenth": tenth, "log-normal": log_normal, "modes": modes, "size": by_size}


def pass_time(seconds: float, spin: bool) -> None:  # noqa: FBT001
    if not spin:
        time.sleep(seconds)
        return
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def kind(noise, spin):
    """A function of that noise. What it returns has another size in every call, and the next may depend on that."""

    def work(*inputs):
        chance = random.Random()
        pass_time(noise(chance, sum(map(len, inputs))), spin)
        return bytes(chance.randrange(5_000, 30_000))

    return work


def fan(f) -> shapes.Recorder:
    r = shapes.Recorder()
    r(f, *[r(f) for _ in range(24)])
    return r


def chain(f) -> shapes.Recorder:
    r = shapes.Recorder()
    x = r(f)
    for _ in range(11):
        x = r(f, x)
    return r


def layers(f) -> shapes.Recorder:
    r, chance = shapes.Recorder(), random.Random(1)
    level = [r(f) for _ in range(6)]
    for _ in range(4):
        level = [r(f, *chance.sample(level, 2)) for _ in range(6)]
    r(f, *level)
    return r


SHAPES = {"fan": fan, "chain": chain, "layers": layers}


def trial(make, noise, workers: int, spin: bool) -> tuple[float, float, float, float]:  # noqa: FBT001
    """Forecast, both ends of its interval, and what the run then took."""
    home = tempfile.mkdtemp(prefix="db", dir="/tmp")
    os.environ["DAGNB_DATA_DIR"] = home
    try:
        dag = make(kind(noise, spin)).dagnb()
        for _ in range(3):
            dag.run(workers=workers)
        plan = dag.plan(workers=workers, budget=0.2)
        run = dag.run(plan=plan)
        low, high = plan.interval or (plan.makespan, plan.makespan)
        return plan.makespan, low, high, float(run.timeline.end.max())
    finally:
        shutil.rmtree(home, ignore_errors=True)


def line(name: str, rows: list[tuple[float, float, float, float]]) -> None:
    forecast, low, high, actual = np.array(rows).T
    off, middle = np.abs(forecast / actual - 1), np.abs((low + high) / 2 / actual - 1)
    held, below = (low <= actual) & (actual <= high), actual < low
    print(
        f"{name:20} off: median {np.median(off):6.1%} p90 {np.quantile(off, 0.9):6.1%}  middle {np.median(middle):6.1%}"
        f"   interval ±{np.mean((high - low) / 2 / actual):5.1%} holds {held.mean():4.0%}"
        f" (below {below.mean():4.0%}, above {(~held & ~below).mean():4.0%})   {len(rows)} runs",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("noises", nargs="*", default=list(NOISES), help="which kinds of noise (default: all)")
    parser.add_argument("--trials", type=int, default=4, help="of each kind and shape")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--spin", action="store_true", help="compute in place of sleeping")
    options = parser.parse_args()
    home = tempfile.mkdtemp(prefix="db", dir="/tmp")
    os.environ["DAGNB_RUNTIME_DIR"] = f"{home}/r"
    os.environ["DAGNB_HISTORY"] = "1"
    everything = []
    try:
        os.environ["DAGNB_DATA_DIR"] = f"{home}/warm"
        fan(kind(constant, spin=False)).dagnb().run(workers=options.workers)
        for name in options.noises:
            found = []
            for shape, make in SHAPES.items():
                rows = [trial(make, NOISES[name], options.workers, options.spin) for _ in range(options.trials)]
                line(f"{name}, {shape}", rows)
                found += rows
            everything += found
        line("all", everything)
    finally:
        from dagnb.session import engine

        engine.connect().stop()
        shutil.rmtree(Path(home), ignore_errors=True)


if __name__ == "__main__":
    main()
