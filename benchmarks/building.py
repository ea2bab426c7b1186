"""What the kernel does before a run begins, stage by stage, without any worker.

    python benchmarks/building.py [--rounds 5]

P12     nodes per second in a `with dagnb.dag` block of 100,000 calls, commit included: must 50k, stretch 200k
P9      bytes per node that travel, 1,000 nodes of 10 functions, raw and compressed: must 24, stretch 7 compressed
stages  milliseconds of a fresh graph's way to its submission, and of a worker's reading it

Every package is read back as a worker reads it and computed; its last value must be that of plain Python.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import shapes
import wire

import dagnb
from dagnb.planning.plan import Plan
from dagnb.runtime.compiled import Compiled
from dagnb.runtime.pack import pack
from dagnb.runtime.serialize import loads
from dagnb.runtime.templates import bind
from dagnb.session.plans import make_plan
from dagnb.session.sources import sources

NODES = 100_000


class Watch:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def time(self, stage: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        found = work()
        self.times.setdefault(stage, []).append((time.perf_counter() - began) * 1e3)
        return found


def computed(program: Compiled) -> Any:
    """The value of the last task, by plain calls in the order of the numbers."""
    values: list[Any] = []
    for i in range(program.n):
        inputs = [values[d] for d in program.deps[program.starts[i] : program.starts[i + 1]]]
        constants = program.constants[program.first_constant[i] : program.first_constant[i + 1]]
        args, kwargs = bind(program.templates[program.template_of[i]], inputs, constants)
        values.append(program.functions[program.function_of[i]](*args, **kwargs))
    return values[-1]


def one(recorder: shapes.Recorder, watch: Watch) -> None:
    """A fresh graph from its recording to what a worker holds."""
    dag = watch.time("recorded", recorder.dagnb)
    gc.collect()
    graph = watch.time("assembled", lambda: dag.graph)
    plan: Plan = watch.time("planned", lambda: make_plan(graph, 2, figures=False, thorough=False))
    package = watch.time("packed", lambda: pack(graph, plan, sources(graph), kept=graph.kept))
    text = watch.time("plan as text", plan.to_json)
    program = watch.time("read", lambda: Compiled(package.body))
    program.link([loads(package.functions[digest]) for digest in program.hashes], memoryview(bytearray(8)).cast("Q"))
    assert computed(program) == recorder.value()
    assert Plan.from_json(text).assignments == plan.assignments


def stages(rounds: int) -> None:
    made = {
        "10k fan-in": shapes.fan,
        "2k chain": shapes.chain,
        "4,096-leaf tree": shapes.tree,
        "100×50 layered": shapes.layered,
    }
    for name, make in made.items():
        watch = Watch()
        recorder = make()
        for _ in range(rounds):
            one(recorder, watch)
        parts = "  ".join(f"{stage} {statistics.median(times):6.2f}" for stage, times in watch.times.items())
        kernel = sum(statistics.median(watch.times[stage]) for stage in ("assembled", "planned", "packed"))
        each = kernel / len(recorder.calls) * 1e4
        print(f"{name:16} {parts} ms;  to the submission {kernel:.1f} ms, {each:.1f} ms per 10,000 nodes", flush=True)


def chained(n: int) -> float:
    """Nodes per second: a chain."""
    step = dagnb.task(shapes.add)
    began = time.perf_counter()
    with dagnb.dag("chained", new=True) as dag:
        x = step(0, 0)
        for i in range(n - 1):
            x = step(x, i)
    took = time.perf_counter() - began
    assert len(dag) == n
    return n / took


def listed(n: int) -> float:
    """Nodes per second: two lists, each place of which names its node."""
    first, second = dagnb.task(shapes.leaf), dagnb.task(shapes.add)
    began = time.perf_counter()
    with dagnb.dag("listed", new=True) as dag:
        xs = [first(i) for i in range(n // 2)]
        ys = [second(x, 1) for x in xs]
    took = time.perf_counter() - began
    assert (len(dag), ys[-1].name) == (n, f"ys[{n // 2 - 1}]")
    return n / took


def p12(rounds: int) -> None:
    for name, build in (("a chain", chained), ("two lists", listed)):
        rates = [build(NODES) / 1e3 for _ in range(rounds)]
        spread = f"{min(rates):.0f}–{max(rates):.0f}"
        print(f"P12 {NODES:,} nodes, {name:10} {statistics.median(rates):6.0f}k nodes/s ({spread})", flush=True)


def p9() -> None:
    for part, (raw, compressed) in wire.sizes(wire.sample()).items():
        print(f"P9 {part:16} {raw / wire.NODES:6.1f} bytes per node raw, {compressed / wire.NODES:5.1f} compressed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", help="P9, P12: both are printed in any case")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="db", dir="/tmp") as home:
        os.environ["DAGNB_DATA_DIR"] = home
        p9()
        p12(rounds)
        stages(rounds)


if __name__ == "__main__":
    main()
