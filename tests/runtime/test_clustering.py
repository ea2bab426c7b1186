"""Short tasks stay with a large input when moving it would take longer, and then it never leaves."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from dagnb.planning.assignment import Annotations
from tests.runtime.dags import Sketch, run, total
from tests.runtime.test_annotations import nothing_left, planned

LARGE = 2 << 20  # float64: 16 MB


def large(n: int) -> Any:
    return np.ones(n)


def head(x: Any, number: int) -> float:
    return float(x[number])


def pause(x: Any, number: int) -> float:
    time.sleep(0.05)
    return float(x[number])


def fan(reader: Any, n: int, width: int) -> tuple[Any, Any]:
    sketch = Sketch()
    made = sketch(large, n)
    last = sketch(total, [sketch(reader, made, i) for i in range(width)])
    return sketch.graph(), last


def test_short_readers_of_a_large_value_stay_and_it_never_leaves(pool):
    graph, last = fan(head, LARGE, 8)
    for _ in range(3):  # at first nobody knows that they are short
        done = run(graph, pool, plan=planned(graph, [-1] * len(graph), {}))
        assert done.result(last) == 8.0
        nothing_left(done)
    assert len(set(done.timeline.worker[:-1].tolist())) == 1
    assert done.timeline.upload[0] == 0.0


def test_a_plan_that_keeps_an_output_local_is_obeyed(pool):
    graph, last = fan(head, 1 << 14, 8)  # 128 kB: too little to wait for by itself
    plan = planned(graph, [0] * len(graph), {0: Annotations(keep_local=True)})
    for _ in range(3):
        done = run(graph, pool, plan=plan)
        assert done.result(last) == 8.0
    assert done.timeline.upload[0] == 0.0


def test_long_readers_are_shared(pool):
    graph, last = fan(pause, 1 << 16, 8)
    for _ in range(3):
        done = run(graph, pool, plan=planned(graph, [-1] * len(graph), {}))
        assert done.result(last) == 8.0
    assert len(set(done.timeline.worker[1:-1].tolist())) == 2


def test_a_reader_that_is_named_elsewhere_gets_the_value_at_once(pool):
    graph, last = fan(head, 1 << 16, 3)
    plan = planned(graph, [0, 0, 1, 0, 0], {0: Annotations(keep_local=True)})
    for _ in range(2):
        done = run(graph, pool, plan=plan)
        assert done.result(last) == 3.0
        assert done.timeline.worker.tolist() == [0, 0, 1, 0, 0]


def rows(done: Any) -> list[list[int]]:
    """The tasks of each worker in the order in which they began."""
    begun = np.argsort(done.timeline.start)
    return [[int(i) for i in begun if done.timeline.worker[i] == w] for w in (0, 1)]


def pairs(count: int) -> tuple[Any, Any]:
    """Values of a megabyte, each read twice; task numbers: all that are made, then their readers in pairs."""
    sketch = Sketch()
    made = [sketch(large, 1 << 17) for _ in range(count)]
    last = sketch(total, [sketch(head, a, i) for a in made for i in (0, 1)])
    return sketch.graph(), last


def at_once(row: list[int], count: int) -> int:
    """How many large values this worker held at most, of those that it made and read itself."""
    held, most, left = set(), 0, {i: sum(count + 2 * i + k in row for k in (0, 1)) for i in range(count)}
    for task in row:
        if task < count and left[task] == 2:
            held.add(task)
        elif count <= task < 3 * count:
            made = (task - count) // 2
            left[made] -= 1
            if not left[made]:
                held.discard(made)
        most = max(most, len(held))
    return most


def test_large_values_are_used_up_before_more_are_made(pool):
    count = 40
    graph, last = pairs(count)
    found = []
    for _ in range(6):  # at first nobody knows how long they take, and one hiccup makes a function slow for a while
        done = run(graph, pool, plan=planned(graph, [-1] * len(graph), {}))
        assert done.result(last) == 2.0 * count
        nothing_left(done)
        found.append(max(at_once(row, count) for row in rows(done)))
    assert min(found) == 1, found


def test_the_order_of_a_plan_that_names_workers_is_obeyed(pool):
    count = 10
    graph, last = pairs(count)
    for _ in range(3):
        done = run(graph, pool, plan=planned(graph, [0] * len(graph), {}))
        assert done.result(last) == 2.0 * count
    assert rows(done)[0] == list(range(len(graph)))
