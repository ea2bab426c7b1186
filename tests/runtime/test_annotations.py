"""What a plan asks beside place and order is done by real workers, and its timeline shows it."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dagnb.errors import TaskError
from dagnb.graph.graph import TaskGraph, TaskRef
from dagnb.planning.assignment import Annotations
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.annotated import ASK, NOBODY, Annotated
from dagnb.runtime.compiled import Compiled
from dagnb.runtime.pack import pack
from dagnb.runtime.run import start
from dagnb.runtime.store import LASTING
from dagnb.runtime.values import INLINE
from dagnb.trace.events import RecordKind, TaskState
from tests.runtime.dags import Sketch, leaf, mix, random_dag, run, total
from tests.runtime.life import until

if TYPE_CHECKING:
    from dagnb.runtime.run import Run

MEGABYTE = 1 << 17  # float64


def planned(
    graph: TaskGraph, where: list[int], notes: dict[int, Annotations], *, workers: int = 2, order: Any = None
) -> Plan:
    """A plan by hand: the number of each task's worker, -1 for whoever is free."""
    sequence = range(len(graph)) if order is None else order
    cluster = Cluster.local(workers)
    return Plan.build(
        graph, cluster, estimate(graph), worker=where, sequence=sequence, annotations=notes, planner="hand"
    )


@pytest.fixture(autouse=True, scope="module")
def warm(pool):
    """All workers have imported this module: what is timed here is not that."""
    sketch = Sketch()
    for _ in range(3):
        sketch(nap, 0.0)
    graph = sketch.graph()
    run(graph, pool, plan=planned(graph, [0, 1, 2], {}, workers=3))


def w(*numbers: int) -> tuple[Any, ...]:
    return tuple(f"w{i}" for i in numbers)


def asides(done: Run, kind: RecordKind) -> list[tuple[int, int, float, float]]:
    """(task, worker, start, at) of the asides of a kind."""
    found = done.timeline.asides
    found = found[found["kind"] == kind]
    return [(int(r["task"]), int(r["worker"]), float(r["start"]), float(r["at"])) for r in found]


def nothing_left(done: Run) -> None:
    """No key of the run is there but those that outlive it."""
    found = done.hub.store._keys(f"dagnb:{{{done.id}}}:*")
    left = {key.decode().rpartition("}:")[2].partition(".")[0].rstrip("0123456789") for key in found}
    assert left <= {*LASTING, "k"}


# ---- how they travel ------------------------------------------------------------------------------------------------
def test_annotations_travel_and_a_plan_without_them_carries_none():
    sketch = random_dag(12, 1)
    graph = sketch.graph()
    notes = {
        2: Annotations(duplicate=w(1)),
        3: Annotations(group=7),
        4: Annotations(group=7, keep_local=True),
        11: Annotations(preload=tuple(graph.dependencies(11)[:1])),
    }
    where = [0, -1, 0, -1, -1, *[-1] * 6, 1]
    program = Compiled(pack(graph, planned(graph, where, notes), {}, kept=graph.kept).body)
    first = graph.dependencies(11)[0]
    assert program.annotated == Annotated({2: (0, 1)}, {3: 7, 4: 7}, {first: {1: 1}}, (4,), {})
    assert [program.route[i] for i in range(5)] == [0, NOBODY, ASK, ASK, ASK]
    assert program.annotated.ways([40, 41]) == {2: "d40,41", 3: "g7", 4: "g7"}
    plain = Compiled(pack(graph, planned(graph, where, {}), {}, kept=graph.kept).body)
    assert plain.annotated.tables() is None
    assert plain.twins == []


# ---- duplicates -----------------------------------------------------------------------------------------------------
def array(n: int, *_: Any) -> Any:
    return np.full(n, 2.0)


def size(x: Any, *_: Any) -> float:
    return float(x.sum())


def noted(path: str, n: int, seconds: float = 0.0) -> Any:
    """Leaves a line for each time it runs."""
    with Path(path).open("a") as file:
        file.write("ran\n")
    time.sleep(seconds)
    return np.full(n, 2.0)


@pytest.mark.parametrize("n", [3, INLINE // 4, MEGABYTE], ids=["tiny", "inline", "large"])
def test_both_copies_of_a_duplicate_show_and_one_counts(pool, tmp_path, n):
    sketch = Sketch()
    made = sketch(noted, str(tmp_path / "ran"), n, 0.05)
    readers = [sketch(size, made) for _ in range(4)]
    graph = sketch.graph()
    plan = planned(graph, [0, 0, 1, 0, 1], {0: Annotations(duplicate=w(1))})
    done = run(graph, pool, plan=plan)
    assert done.state == "done", done.errors()
    assert [done.result(r) for r in readers] == [2.0 * n] * 4
    assert (done.timeline.state == TaskState.DONE).all()
    assert done.timeline.worker.tolist()[1:] == [0, 1, 0, 1]
    ran = len((tmp_path / "ran").read_text().split())
    first, copies = int(done.timeline.worker[0]), asides(done, RecordKind.COPIED)
    assert ran == 2
    if n == MEGABYTE:  # smaller values may be there before the other copy has ended, and the run be over
        assert [(task, worker) for task, worker, _, _ in copies] == [(0, 1 - first)]
        assert copies[0][2] < copies[0][3]
        assert (done.timeline.fetch[1:] < 0.02).all()
    nothing_left(done)


def test_a_copy_that_has_not_begun_when_another_is_done_is_dropped(pool, tmp_path):
    sketch = Sketch()
    busy = sketch(nap, 0.3)
    made = sketch(noted, str(tmp_path / "ran"), 3)
    last = sketch(total, [sketch(size, made), busy])
    graph = sketch.graph()
    plan = planned(graph, [1, 0, 0, 0], {1: Annotations(duplicate=w(1))})
    done = run(graph, pool, plan=plan)
    assert done.result(last) == 6.3
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert asides(done, RecordKind.COPIED) == []
    assert done.timeline.worker[1] == 0


def nap(seconds: float, *_: Any) -> float:
    time.sleep(seconds)
    return seconds


def slow_on(path: str, x: int) -> int:
    """The first to come takes long."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return x
    time.sleep(0.5)
    return x


def test_the_first_copy_wins_and_its_followers_do_not_wait_for_the_other(pool, tmp_path):
    sketch = Sketch()
    made = sketch(slow_on, str(tmp_path / "first"), 5)
    last = sketch(leaf, made)
    graph = sketch.graph()
    done = run(graph, pool, plan=planned(graph, [0, -1], {0: Annotations(duplicate=w(1))}))
    assert done.result(last) == 5
    assert done.client_makespan < 0.4
    nothing_left(done)
    until(lambda: all(worker.task is None for worker in pool.status().workers))  # it runs to its end nevertheless
    nothing_left(done)


def fails(path: str, seconds: float) -> None:
    with Path(path).open("a") as file:
        file.write("ran\n")
    time.sleep(seconds)
    raise ValueError("no luck")


def test_the_first_outcome_counts_also_when_it_is_a_failure(pool, tmp_path):
    sketch = Sketch()
    made = sketch(fails, str(tmp_path / "ran"), 0.05)
    follower = sketch(leaf, made)
    other = sketch(leaf, 4)
    graph = sketch.graph()
    done = run(graph, pool, plan=planned(graph, [0, 1, -1], {0: Annotations(duplicate=w(1))}))
    assert done.state == "failed"
    assert [error.key for error in done.errors()] == [graph.keys[0]]
    assert done.progress[TaskState.SKIPPED] == 1
    assert done.result(other) == 4
    with pytest.raises(TaskError, match="no luck"):
        done.result(made)
    assert done.timeline.state[follower.task] == TaskState.SKIPPED
    nothing_left(done)


def fails_first(path: str, x: int) -> int:
    """The first to come is quick and right, whoever comes later fails."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        time.sleep(0.2)
        raise ValueError("came later") from None
    time.sleep(0.05)
    return x


def test_a_failure_that_comes_second_changes_nothing(pool, tmp_path):
    sketch = Sketch()
    made = sketch(fails_first, str(tmp_path / "first"), 5)
    chain = [sketch(nap, 0.1, made)]
    for _ in range(4):
        chain.append(sketch(nap, 0.1, chain[-1]))
    on_the_other = sketch(total, [sketch(leaf, made), chain[-1]])
    graph = sketch.graph()
    for holder in (0, 1):
        (tmp_path / "first").unlink(missing_ok=True)
        where = [0, *[holder] * 5, 1 - holder, -1]
        done = run(graph, pool, plan=planned(graph, where, {0: Annotations(duplicate=w(1))}))
        assert done.state == "done", done.errors()
        assert done.result(on_the_other) == 5.1
        assert len(asides(done, RecordKind.COPIED)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_graphs_with_many_duplicates_give_what_plain_python_gives(pool, seed):
    sketch = random_dag(300, seed)
    graph = sketch.graph(kept=range(0, 300, 7))
    done = run(graph, pool, plan=chance_plan(graph, seed))
    want = sketch.values()
    assert done.state == "done", done.errors()
    for task in graph.kept:
        assert done.result(TaskRef(task)) == want[task]
    told = done.timeline
    assert (told.state == TaskState.DONE).all()
    nothing_left(done)


def test_a_worker_that_drops_a_copy_does_not_seem_to_be_at_it(pool):
    """Two of them once left the last tiny task to each other for ever."""
    sketch = Sketch()
    sketch(nap, 0.3)
    twin = sketch(nap, 0.0)
    sketch(nap, 20.0, twin)
    graph = sketch.graph()
    begun = start(graph, planned(graph, [1, 0, 0], {1: Annotations(duplicate=w(1))}), pool)
    prefix, slot = f"dagnb:{{{begun.id}}}:", begun.slots[1]
    try:
        until(lambda: begun.timeline.state[0] == TaskState.DONE)
        until(lambda: begun.hub.store._call("SISMEMBER", prefix + "idle", slot))
        assert asides(begun, RecordKind.COPIED) == []  # it was dropped, not made
        assert not begun.hub.store._call("EXISTS", prefix + f"own{slot}")
    finally:
        begun.cancel()


def arrays(number: int, *xs: Any) -> Any:
    """Large values whose content depends on all inputs."""
    assert all((x == x[0]).all() for x in xs)
    return np.full(INLINE // 4, float(mix(number, *(int(x[0]) for x in xs))))


def heads(xs: list[Any]) -> int:
    return int(sum(x[0] for x in xs))


def test_duplicates_of_large_values_give_what_plain_python_gives(pool):
    sketch = random_dag(120, 9, arrays)
    _, args, kwargs = sketch.calls.pop()
    sketch.calls.append((heads, args, kwargs))
    graph = sketch.graph()
    done = run(graph, pool, plan=chance_plan(graph, 9))
    assert done.state == "done", done.errors()
    sketch.calls = [(mix if f is arrays else sum, a, k) for f, a, k in sketch.calls]
    assert done.result(TaskRef(119)) == sketch.values()[-1]
    nothing_left(done)


def chance_plan(graph: TaskGraph, seed: int, workers: int = 3) -> Plan:
    """Named, unnamed, grouped and duplicated tasks, mixed."""
    chance = random.Random(seed)
    where = [chance.choice([-1, *range(workers)]) for _ in range(len(graph))]
    notes: dict[int, Annotations] = {}
    for task in range(len(graph)):
        match chance.randrange(5):
            case 0 | 1:
                others = [i for i in range(workers) if i != where[task]]
                notes[task] = Annotations(duplicate=w(*chance.sample(others, chance.randint(1, len(others)))))
            case 2 if where[task] < 0:
                notes[task] = Annotations(group=chance.randrange(9))
            case 3:
                notes[task] = Annotations(preload=tuple(graph.dependencies(task)))
    return planned(graph, where, notes, workers=workers)


# ---- preload --------------------------------------------------------------------------------------------------------
def spin(seconds: float, *_: Any) -> float:
    """Busy in Python, as most tasks are: whoever shares the interpreter must get by."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds


def test_a_large_input_is_there_before_the_task_that_needs_it_begins(pool):
    sketch = Sketch()
    made = sketch(array, MEGABYTE)
    busy = sketch(spin, 0.6)
    readers = [sketch(size, made, busy) for _ in range(2)]
    graph = sketch.graph()
    where = [0, 1, 1, 1]
    note = Annotations(preload=(made.task,))
    early = run(graph, pool, plan=planned(graph, where, {2: note, 3: note}))
    late = run(graph, pool, plan=planned(graph, where, {}))
    for done in (early, late):
        assert [done.result(r) for r in readers] == [2.0 * MEGABYTE] * 2
        nothing_left(done)
    ((task, worker, start, at),) = asides(early, RecordKind.PRELOADED)
    assert (task, worker) == (made.task, 1)
    assert early.timeline.end[made.task] < start < at < early.timeline.end[busy.task]
    assert early.timeline.asides["size"][-1] >= MEGABYTE * 8
    assert asides(late, RecordKind.PRELOADED) == []


def test_small_inputs_travel_with_the_claim_and_are_not_preloaded(pool):
    sketch = Sketch()
    made = sketch(array, 100)
    busy = sketch(nap, 0.1)
    last = sketch(size, made, busy)
    graph = sketch.graph()
    done = run(graph, pool, plan=planned(graph, [0, 1, 1], {2: Annotations(preload=(0,))}))
    assert done.result(last) == 200.0
    assert asides(done, RecordKind.PRELOADED) == []


def test_a_cancelled_run_with_preloads_leaves_nothing(pool):
    sketch = Sketch()
    made = sketch(array, MEGABYTE)
    sketch(size, made, sketch(nap, 5.0))
    graph = sketch.graph()
    begun = start(graph, planned(graph, [0, 1, 1], {2: Annotations(preload=(0,))}), pool)
    until(lambda: begun.progress[TaskState.DONE] == 1)
    begun.cancel()
    until(lambda: all(worker.task is None for worker in pool.status().workers))
    assert begun.state == "cancelled"
    nothing_left(begun)


# ---- groups ---------------------------------------------------------------------------------------------------------
def wide(members: int, groups: int) -> tuple[Sketch, TaskGraph, dict[int, Annotations]]:
    """A source, chains of three behind it, a sink; every chain's tasks share a group with some others."""
    sketch = Sketch()
    source = sketch(leaf, 1)
    ends, notes = [], {}
    for i in range(members):
        value = source
        for _ in range(3):
            value = sketch(mix, i, value)
            notes[value.task] = Annotations(group=i % groups)
        ends.append(value)
    sketch(total, ends)
    return sketch, sketch.graph(), notes


@pytest.mark.parametrize("groups", [1, 4, 60])
def test_tasks_of_one_group_stay_together(pool, groups):
    sketch, graph, notes = wide(60, groups)
    done = run(graph, pool, plan=planned(graph, [-1] * len(graph), notes, workers=3))
    assert done.result(TaskRef(len(graph) - 1)) == sketch.values()[-1]
    ran = done.timeline.worker
    for group in range(groups):
        assert len({int(ran[task]) for task, note in notes.items() if note.group == group}) == 1
    nothing_left(done)


def heavy_fan_in(made: list[Any]) -> float:
    assert all(x.flags.owndata for x in made), "what comes out of Redis is a view of the bytes that came"
    return float(sum(x.sum() for x in made))


def test_large_values_within_a_group_are_not_fetched_again(pool):
    sketch = Sketch()
    fans = []
    for _ in range(6):
        made = [sketch(array, MEGABYTE // 4) for _ in range(3)]
        fans.append([*made, sketch(heavy_fan_in, made)])
    graph = sketch.graph()
    notes = {ref.task: Annotations(group=i) for i, fan in enumerate(fans) for ref in fan}
    done = run(graph, pool, plan=planned(graph, [-1] * 24, notes))
    assert [done.result(fan[-1]) for fan in fans] == [3 * 2.0 * MEGABYTE // 4] * 6
    ran = done.timeline.worker
    assert all(len({int(ran[ref.task]) for ref in fan}) == 1 for fan in fans)


# ---- what is told ---------------------------------------------------------------------------------------------------
def test_the_time_to_send_a_large_value_out_is_told(pool):
    sketch = Sketch()
    made, small, kept = sketch(array, MEGABYTE), sketch(leaf, 1), sketch(array, MEGABYTE)
    sketch(size, made, small)
    graph = sketch.graph()
    line = run(graph, pool, plan=planned(graph, [0, 0, 0, 1], {})).timeline
    assert line.upload[made.task] > 0
    assert line.upload[kept.task] > 0
    assert line.upload[small.task] == 0
