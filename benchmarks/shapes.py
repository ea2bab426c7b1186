"""Shapes of DAGs, once as a `with dagnb.dag` block and once as a Dask graph, and the value that both must give."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import dagnb

if TYPE_CHECKING:
    from collections.abc import Callable

Graph = dict[str, Any]


def leaf(c):
    return c


def inc(x):
    return x + 1


def add(a, b):
    return (a + b) & 0xFFFFFFFF


def total(xs):
    return sum(xs) & 0xFFFFFFFF


def nap(c, *xs):
    """10 ms asleep: how well are workers kept busy, whatever else the machine does."""
    time.sleep(0.010)
    return (c + sum(xs)) & 0xFFFFFFFF


def spin(seconds, *xs):
    """So many seconds of processor time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return (1 + sum(xs)) & 0xFFFFFFFF


#: What the tasks that take time return, without taking it.
AT_ONCE = {nap: lambda c, *xs: (c + sum(xs)) & 0xFFFFFFFF, spin: lambda _, *xs: (1 + sum(xs)) & 0xFFFFFFFF}


class Recorder:
    """Records the same calls for both sides."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], list[Any]]] = []

    def __call__(self, function: Callable[..., Any], *args: Any) -> Ref:
        self.calls.append((function, list(args)))
        return Ref(len(self.calls) - 1)

    def values(self) -> list[Any]:
        """By plain Python."""
        values: list[Any] = []
        for function, args in self.calls:
            plain = AT_ONCE.get(function, function)
            values.append(plain(*[look(a, values.__getitem__) for a in args]))
        return values

    def value(self) -> Any:
        """The last of them."""
        return self.values()[-1]

    def edges(self) -> tuple[list[set[int]], list[list[int]]]:
        """What each call needs, and who needs it."""
        needs = [
            {int(x) for a in args for x in (a if isinstance(a, list) else [a]) if type(x) is Ref}
            for _, args in self.calls
        ]
        users: list[list[int]] = [[] for _ in needs]
        for i, needed in enumerate(needs):
            for j in needed:
                users[j].append(i)
        return needs, users

    def renewed(self, turn: int) -> Recorder:
        """With another constant in its first call, if that is a leaf: nobody has seen this graph before."""
        if self.calls[0][0] is leaf:
            self.calls[0][1][0] += turn
        return self

    def is_chain(self) -> bool:
        """Whether each call needs the one before."""
        return all(i - 1 in needed for i, needed in enumerate(self.edges()[0]) if i)

    def dagnb(self, **options: Any) -> dagnb.Dag:
        """As a new DAG; `last` is its last node."""
        tasks = {f: dagnb.task(f) for f in dict.fromkeys(f for f, _ in self.calls)}
        with dagnb.dag("bench", new=True, **options) as dag:
            handles: list[Any] = []
            for function, args in self.calls:
                handles.append(tasks[function](*[look(a, handles.__getitem__) for a in args]))
            last = handles[-1]
            del handles
        dag.answer = last
        return dag

    def dask(self, tag: str) -> tuple[Graph, str]:
        """As a Dask graph with keys of its own, and the key of the last task."""
        graph = {
            f"{tag}-{i}": (f, *[look(a, lambda n: f"{tag}-{n}") for a in args])
            for i, (f, args) in enumerate(self.calls)
        }
        return graph, f"{tag}-{len(self.calls) - 1}"


class Ref(int):
    """The value of a call by its number."""


def look(argument: Any, get: Callable[[int], Any]) -> Any:
    if type(argument) is Ref:
        return get(argument)
    return [look(a, get) for a in argument] if isinstance(argument, list) else argument


def fan(n: int = 10_000, f: Any = leaf) -> Recorder:
    r = Recorder()
    r(total, [r(f, i) for i in range(n)])
    return r


def chain(n: int = 2_000, f: Any = None) -> Recorder:
    r = Recorder()
    x = r(f or leaf, 0)
    for _ in range(n - 1):
        x = r(f, 1, x) if f else r(inc, x)
    return r


def tree(leaves: int = 4_096) -> Recorder:
    r = Recorder()
    level = [r(leaf, i) for i in range(leaves)]
    while len(level) > 1:
        level = [r(add, a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    return r


def layered(layers: int = 100, width: int = 50, f: Any = None, seed: int = 1, first: Any = None) -> Recorder:
    """`first`: first argument of all, where `f` wants one."""
    chance, r = random.Random(seed), Recorder()
    level = [r(f or leaf, i if first is None else first) for i in range(width)]
    for _ in range(layers - 1):
        pairs = [chance.sample(level, 2) for _ in range(width)]
        level = [r(f, first or 0, a, b) if f else r(add, a, b) for a, b in pairs]
    r(total, level)
    return r


def bag(n: int, seconds: float) -> Recorder:
    """Spins that need nothing, and one sum."""
    r = Recorder()
    r(total, [r(spin, seconds) for _ in range(n)])
    return r


def out_and_in(n: int) -> Recorder:
    r = Recorder()
    root = r(leaf, 1)
    r(total, [r(inc, root) for _ in range(n)])
    return r


def packing(recorder: Recorder, workers: int, duration: float) -> float:
    """Makespan of a greedy list schedule without any overhead: what perfect packing takes."""
    import heapq

    deps, users = recorder.edges()
    waiting = [len(d) for d in deps]
    ready = [i for i, w in enumerate(waiting) if not w]
    running: list[tuple[float, int]] = []
    clock = 0.0
    while ready or running:
        while ready and len(running) < workers:
            i = heapq.heappop(ready)
            heapq.heappush(running, (clock + (duration if recorder.calls[i][0] in AT_ONCE else 0.0), i))
        clock, i = heapq.heappop(running)
        for u in users[i]:
            waiting[u] -= 1
            if not waiting[u]:
                heapq.heappush(ready, u)
    return clock
