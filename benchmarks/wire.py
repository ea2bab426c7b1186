"""What travels for a graph of 1,000 nodes: 10 functions of a notebook, two inputs each from the last 60, constants."""

from __future__ import annotations

import random
import zlib
from typing import Any

import dagnb
from dagnb.graph.builder import GraphBuilder
from dagnb.planners.free import Free
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.runtime.functions import stored
from dagnb.runtime.pack import Package, pack

NODES = 1_000

SOURCE = '''
def f{k}(x, y=None, *, scale={k}):
    """Stage {k} of a pipeline."""
    import math
    out = []
    for i in range(10):
        if x is None:
            continue
        out.append(math.sqrt(abs(hash((i, scale)))) * (scale + i) if i % 2 else math.sin(i))
    acc = sum(out) + scale

    def helper(a, b=2):
        return a * b + scale

    return helper(acc) if y is None else helper(acc, 3)
'''


def sample(nodes: int = NODES) -> Package:
    """The package of that graph; every fifth constant is a small dictionary, the others are numbers."""
    ns: dict[str, Any] = {"__name__": "__main__"}
    for k in range(10):
        exec(compile(SOURCE.format(k=k), "cell", "exec"), ns)
    tasks = [dagnb.task(ns[f"f{k}"]) for k in range(10)]
    chance, builder = random.Random(0), GraphBuilder("wire")
    rec = builder.begin({}, "cell", hide=False)
    handles: list[Any] = []
    for i in range(nodes):
        inputs = [handles[d] for d in chance.sample(range(max(0, i - 60), i), 2)] if i > 20 else []
        constant = {"const": i} if i % 5 == 0 else i
        handles.append(tasks[chance.randrange(10)](*(inputs[:1] or [None]), *inputs[1:], scale=constant))
    builder.commit(rec)
    graph, cluster = builder.graph(), Cluster.local(2)
    return pack(graph, Free().plan(graph, cluster, estimate(graph)), {}, kept=graph.kept)


def sizes(package: Package) -> dict[str, tuple[int, int]]:
    """Part → bytes, raw and compressed."""
    parts = {
        "graph": package.body,
        "for the scripts": package.deps + package.counters + package.roots,
        "functions": b"".join(
            data for data in stored(b"secret", package.functions).values() if isinstance(data, bytes)
        ),
    }
    return {name: (len(part), len(zlib.compress(part, 6))) for name, part in parts.items()}
