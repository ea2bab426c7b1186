"""Graphs with calls, built by hand, and the plain Python that says what they must give."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Any

import numpy as np

from dagnb.graph.graph import Calls, TaskGraph, TaskRef
from dagnb.planners.free import Free
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.runtime.run import Run, start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dagnb.planning.plan import Plan
    from dagnb.runtime.pool import LocalPool

Call = tuple[Any, ...]


class Sketch:
    """Collects calls; `sketch(f, x, y)` gives a TaskRef, as a handle would."""

    def __init__(self, name: str = "sketch") -> None:
        self.name = name
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> TaskRef:
        self.calls.append((function, args, kwargs))
        return TaskRef(len(self.calls) - 1)

    def graph(self, kept: Sequence[int] = ()) -> TaskGraph:
        functions = list(dict.fromkeys(f for f, _, _ in self.calls))
        number = {f: i for i, f in enumerate(functions)}
        deps = [list(dict.fromkeys(r.task for r in refs((a, k)))) for _, a, k in self.calls]
        calls = Calls(
            tuple(functions),
            np.array([number[f] for f, _, _ in self.calls], np.int32),
            tuple(a for _, a, _ in self.calls),
            tuple(k or None for _, _, k in self.calls),
        )
        graph = TaskGraph.build(self.name, deps, kind=[f.__name__ for f, _, _ in self.calls], calls=calls)
        object.__setattr__(graph, "kept", frozenset(graph.sinks.tolist()) | frozenset(kept))
        return graph

    def values(self) -> list[Any]:
        """What plain Python computes, task by task."""
        found: list[Any] = []
        for function, args, kwargs in self.calls:
            found.append(function(*fill(args, found), **fill(kwargs, found)))
        return found


def refs(value: Any) -> list[TaskRef]:
    if isinstance(value, TaskRef):
        return [value]
    if dataclasses.is_dataclass(value):
        return refs(vars(value))
    if isinstance(value, dict):
        return [r for v in value.values() for r in refs(v)]
    if isinstance(value, (list, tuple, set)):
        return [r for v in value for r in refs(v)]
    return []


def fill(value: Any, values: list[Any]) -> Any:
    if isinstance(value, TaskRef):
        found = values[value.task]
        for key in value.select:
            found = found[key]
        return found
    if isinstance(value, dict):
        return {k: fill(v, values) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(fill(v, values) for v in value)
    return value


def free_plan(graph: TaskGraph, workers: int = 2) -> Plan:
    return Free().plan(graph, Cluster.local(workers), estimate(graph))


def run(graph: TaskGraph, pool: LocalPool, *, plan: Plan | None = None, workers: int = 2, **options: Any) -> Run:
    """Run to the end, within 60 s; one that does not end shall not be in the way of the tests that follow."""
    done = start(graph, plan or free_plan(graph, workers), pool, **options).wait(60)
    if done.state == "running":
        progress = done.progress
        done.cancel()
        raise AssertionError(progress)
    return done


# ---- functions and shapes -------------------------------------------------------------------------------------------
def leaf(c: int) -> int:
    return c


def inc(x: int) -> int:
    return x + 1


def add(a: int, b: int) -> int:
    return (a + b) % 1_000_003


def total(xs: list[int]) -> int:
    return sum(xs)


def mix(number: int, *xs: int) -> int:
    """Depends on the order and identity of all inputs."""
    return (number * 7919 + sum(x * (k + 1) for k, x in enumerate(xs))) % 1_000_003


def random_dag(tasks: int, seed: int, function: Callable[..., Any] = mix, last: Callable[..., Any] = total) -> Sketch:
    """Up to three inputs each, from the fifty before; a `last` task over all that nobody uses."""
    chance = random.Random(seed)
    sketch = Sketch("random")
    unused: dict[int, None] = {}
    for i in range(tasks - 1):
        near = range(max(0, i - 50), i)
        inputs = chance.sample(near, min(len(near), chance.choice([0, 1, 1, 2, 2, 3]))) if i >= 10 else []
        for d in inputs:
            unused.pop(d, None)
        sketch(function, i, *(TaskRef(d) for d in inputs))
        unused[i] = None
    sketch(last, [TaskRef(d) for d in unused])
    return sketch
