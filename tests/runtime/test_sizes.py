"""Workers of several sizes on this machine: real processes that are really held to what their cluster says."""

from __future__ import annotations

import ctypes
import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import psutil
import pytest

from dagnb import dag, status, task
from dagnb.errors import OptionError, PlanError, TaskError, WorkerMemoryError
from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerSpec
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime.context import THREAD_COUNTS, Context
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.resources import PLAIN, Resources, machine, resources_of
from dagnb.runtime.run import Run, start
from dagnb.runtime.serialize import dumps
from tests.runtime import dags
from tests.runtime.life import private_directory, processes, settings, until

SMALL, BIG = 192e6, 768e6
#: More than a small worker has, and less than a big one.
MUCH = 300_000_000

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="affinity and RLIMIT_DATA are those of Linux")
needs_two = pytest.mark.skipif(machine() < 2, reason="a worker of two cpus needs two")
pytestmark = needs_linux


@pytest.fixture(scope="module")
def sized():
    """A pool of its own: its supervisor has other workers than that of the other tests."""
    with private_directory() as directory:
        pool = LocalPool.connect(settings(directory))
        yield pool
        pool.stop()
        until(lambda: not processes(directory))
        assert list(directory.path.iterdir()) == []


def cluster(*, cpus: float = 1) -> Cluster:
    return Cluster((WorkerSpec("small", memory=SMALL), WorkerSpec("big", memory=BIG, cpus=cpus)))


def run(
    pool: LocalPool, sketch: dags.Sketch, where: list[int], on: Cluster | None = None, kept: Sequence[int] = ()
) -> Run:
    """Run with these workers named, to the end."""
    on = on or cluster()
    graph = sketch.graph(kept)
    plan = Plan.build(graph, on, estimate(graph), worker=where, sequence=range(len(graph)))
    done = start(graph, plan, pool).wait(30)
    assert done.state != "running", done.progress
    return done


# ---- tasks ----------------------------------------------------------------------------------------------------------
def seen(_: int) -> tuple[dict[str, str | None], list[int], int]:
    """The thread counts, the processors and the process of a task."""
    return {name: os.environ.get(name) for name in THREAD_COUNTS}, sorted(os.sched_getaffinity(0)), os.getpid()


def inherited(_: int) -> list[int]:
    """The processors of a process that a task starts."""
    code = "import os; print(sorted(os.sched_getaffinity(0)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return [int(word) for word in told.strip("[]\n").split(",")]


def take(size: int) -> int:
    return len(bytearray(size))


def allocate(size: int) -> bool:
    """As C code does."""
    malloc = ctypes.CDLL(None).malloc
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    return malloc(size) is not None


def share(size: int) -> int:
    """Memory that RLIMIT_DATA does not count, touched."""
    import mmap

    pages = mmap.mmap(-1, size)
    for at in range(0, size, 4096):
        pages[at] = 1
    time.sleep(1)
    return len(pages)


CHILD = """
import mmap, sys, time
size = int(sys.argv[1])
pages = mmap.mmap(-1, size)
for at in range(0, size, 4096): pages[at] = 1
time.sleep(20)
"""


def delegate(size: int) -> int:
    """The same in a process that the task starts."""
    return subprocess.run([sys.executable, "-c", CHILD, str(size)], check=False).returncode


def hand_on(size: int) -> bytes:
    """A value that there is room for, but not for what sending it takes."""
    return bytes(size)


def hand_on_text(size: int) -> str:
    return "x" * size


def hand_on_list(size: int) -> list[bytes]:
    return [bytes(size)]


class Parcel:
    """It has no size that anybody could see."""

    def __init__(self, size: int) -> None:
        self.content = bytes(size)

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        return bytes, (self.content,)


def hand_on_array(size: int) -> np.ndarray:
    return np.zeros(size, np.uint8)


def hand_on_hidden(size: int) -> np.ndarray:
    """An array is believed to travel, and is asked for its size; that of its content it does not know."""
    found = np.empty(1, object)
    found[0] = Parcel(size)
    return found


def length(value: object) -> str:
    return type(value).__name__


def forgive(size: int) -> str:
    """A task may handle it."""
    try:
        bytearray(size)
    except MemoryError:
        return "too much"
    return "enough"


# ---- what is imposed ------------------------------------------------------------------------------------------------
@needs_two
def test_processors_and_threads_are_those_of_the_size(sized, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    sketch = dags.Sketch()
    for i in range(2):
        sketch(seen, i)
    sketch(inherited, 2)
    done = run(sized, sketch, [0, 1, 0], cluster(cpus=1.5))
    small, big = done.result("t0"), done.result("t1")
    assert small[0] == dict.fromkeys(THREAD_COUNTS, "1")
    assert big[0] == dict.fromkeys(THREAD_COUNTS, "2"), "1.5 is rounded up, and comes before a habit of the user"
    assert (len(small[1]), len(big[1])) == (1, 2)
    assert done.result("t2") == small[1], "what a task starts is bound as well"
    assert small[2] != big[2]


@needs_two
def test_workers_are_spread_over_the_processors(sized):
    on = Cluster(tuple(WorkerSpec(f"w{i}", memory=BIG) for i in range(2)))
    sketch = dags.Sketch()
    for i in range(2):
        sketch(seen, i)
    done = run(sized, sketch, [0, 1], on)
    assert done.result("t0")[1] != done.result("t1")[1]


def test_a_plain_cluster_has_no_limits(sized):
    on = Cluster.local(1)
    assert not on.limits
    sketch = dags.Sketch()
    sketch(seen, 0)
    sketch(allocate, 3_000_000_000)  # above the 2 GB of a WorkerSpec; never touched, so it costs nothing
    done = run(sized, sketch, [0, 0], on)
    assert done.result("t0")[1] == sorted(os.sched_getaffinity(0))
    assert done.result("t1")


def test_the_same_sizes_use_the_same_workers_again_and_sizes_share_none(sized):
    first = sized.ensure(cluster())
    plain = sized.ensure(2)
    assert not set(first) & set(plain)
    assert sized.ensure(cluster()) == first
    assert sized.ensure(Cluster(cluster().workers[::-1])) == first[::-1]
    assert sized.ensure(1) == plain[:1]


def test_status_tells_the_sizes(sized):
    slots = sized.ensure(cluster())
    told = {worker.slot: worker for worker in sized.status().workers}
    assert [told[slot].size for slot in slots] == ["1 cpu, 192 MB", "1 cpu, 768 MB"]
    assert all(len(told[slot].processors) == 1 for slot in slots)
    assert all(told[slot].size == "" for slot in sized.ensure(1))


# ---- too much memory ------------------------------------------------------------------------------------------------
def failed(done: Run, key: str) -> WorkerMemoryError:
    """The error of the one task that failed."""
    assert [failure.key for failure in done.errors()] == [key], done.errors()
    with pytest.raises(WorkerMemoryError) as caught:
        done.result(key)
    assert isinstance(caught.value, (MemoryError, TaskError))
    return caught.value


def test_an_allocation_that_is_too_large_fails_its_task_by_name(sized):
    """Task, worker, limit and what was in use; the worker lives on, and neighbours know nothing of it."""
    sketch = dags.Sketch()
    before = sketch(seen, 0)
    hog = sketch(take, MUCH)
    sketch(dags.inc, hog)
    sketch(take, MUCH)
    after = sketch(seen, 1)
    began = time.monotonic()
    done = run(sized, sketch, [0, 0, 0, 1, 0])
    assert time.monotonic() - began < 10
    text = str(failed(done, "t1"))
    assert "its worker has 192 MB" in text
    assert "were in use when it was refused more" in text
    assert "t1 failed on small" in text
    assert "@task(memory=…)" in text
    assert done.timeline[2].state.name == "SKIPPED"
    assert done.result("t3") == MUCH
    assert done.result(f"t{before.task}")[2] == done.result(f"t{after.task}")[2]


def test_a_task_may_handle_it_itself_and_so_does_c_code(sized):
    sketch = dags.Sketch()
    sketch(forgive, MUCH)
    sketch(allocate, MUCH)
    done = run(sized, sketch, [0, 0])
    assert (done.result("t0"), done.result("t1")) == ("too much", False)


def test_a_worker_has_its_room_back_after_a_failure(sized):
    sketch = dags.Sketch()
    for _ in range(6):
        sketch(take, MUCH)
        sketch(take, int(SMALL / 2))
    done = run(sized, sketch, [0] * 12)
    assert [failure.key for failure in done.errors()] == [f"t{i}" for i in range(0, 12, 2)]
    assert all(done.result(f"t{i}") == int(SMALL / 2) for i in range(1, 12, 2))


def give_up(_: int) -> None:
    raise MemoryError("no room")


def test_a_memory_error_of_a_worker_without_limit_stays_one(sized):
    sketch = dags.Sketch()
    sketch(give_up, 0)
    done = run(sized, sketch, [0], Cluster.local(1))
    with pytest.raises(MemoryError, match="no room") as caught:
        done.result("t0")
    assert isinstance(caught.value, TaskError)
    assert not isinstance(caught.value, WorkerMemoryError)


@pytest.mark.chaos
@pytest.mark.parametrize("hog", [share, delegate])
def test_the_watch_ends_what_the_limit_does_not_see(sized, hog):
    """Blamed at its first death; what else was on that worker runs again and is not blamed."""
    deaths = sized.status().deaths
    sketch = dags.Sketch()
    for i in range(3):
        sketch(dags.leaf, i)
    bad = sketch(hog, MUCH)
    sketch(dags.inc, bad)
    for i in range(3):
        sketch(dags.leaf, i)
    began = time.monotonic()
    done = run(sized, sketch, [0] * 8)
    assert time.monotonic() - began < 10
    text = str(failed(done, "t3"))
    assert "its worker has 192 MB" in text
    assert "t3 failed on small" in text
    assert sized.status().deaths == deaths + 1
    assert done.timeline[4].state.name == "SKIPPED"
    assert [done.result(f"t{i}") for i in (0, 1, 2, 5, 6, 7)] == [0, 1, 2, 0, 1, 2]
    until(lambda: not list(children_of_tasks()))


def children_of_tasks() -> Iterator[psutil.Process]:
    """Processes that `delegate` has started."""
    for process in psutil.process_iter(["cmdline", "status"]):
        if CHILD in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            yield process


@pytest.mark.chaos
@pytest.mark.parametrize("make", [hand_on, hand_on_array])
def test_bytes_and_arrays_are_sent_to_a_task_without_room_for_a_second_one(sized, make: Callable[[int], object]):
    sketch = dags.Sketch()
    sketch(length, sketch(make, int(SMALL * 0.7)))
    assert run(sized, sketch, [0, 1]).result("t1") == ("bytes" if make is hand_on else "ndarray")


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("make", "kept"),
    [
        *((make, ()) for make in (hand_on_text, hand_on_list, hand_on_hidden)),
        *((make, (4,)) for make in (hand_on, hand_on_text, hand_on_list, hand_on_array, hand_on_hidden)),
    ],
)
def test_a_value_that_fits_and_cannot_be_sent_is_blamed_on_its_task(sized, make: Callable[[int], object], kept):
    """Not on the task that needs it, nor on those that ran before and after it, whose values leave with it."""
    sketch = dags.Sketch()
    before = [sketch(hand_on_array, 100_000) for _ in range(2)]
    for one in before:
        sketch(length, one)
    large = sketch(make, int(SMALL * 0.7))
    sketch(length, large)
    after = sketch(hand_on, 100_000)
    sketch(length, after)
    done = run(sized, sketch, [0, 0, 1, 1, 0, 1, 0, 1], kept=kept)
    text = str(failed(done, "t4"))
    assert "t4 failed on small" in text
    assert "its worker has 192 MB" in text
    assert done.timeline[5].state.name == "SKIPPED"
    assert [done.result(f"t{i}") for i in (2, 3, 7)] == ["ndarray", "ndarray", "bytes"]


def test_of_a_value_that_is_too_large_for_pickling_the_size_is_told():
    """Not that it cannot be pickled."""

    class Full:
        def __reduce__(self) -> tuple[object, ...]:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        dumps([Full()])


# ---- what is refused ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"speed": 2.0}, r"'odd' has speed=2, which is for simulated clusters only.*\n.*give speed=1"),
        ({"threads": 4}, r"'odd' has threads=4, which is for simulated clusters only.*\n.*give threads=1"),
        ({"cpus": 4096}, r"'odd' wants 4096 cpus, and this machine has \d+\.\n"),
        ({"memory": 1000}, r"'odd' has memory=1000, which is too little for Python\.\n"),
    ],
)
def test_a_worker_that_this_machine_cannot_be_is_refused_by_name(sized, spec, words):
    graph = dags.random_dag(3, 1).graph()
    on = Cluster((WorkerSpec("odd", **spec),))
    plan = Plan.build(graph, on, estimate(graph), worker=[0] * 3, sequence=range(3))
    with pytest.raises(OptionError, match=words):
        start(graph, plan, sized)


def test_speed_and_threads_are_refused_without_limits_too():
    with pytest.raises(OptionError, match="speed=2"):
        resources_of(Cluster((WorkerSpec("w0", speed=2.0),), limits=False))


def test_a_plan_that_puts_a_task_where_it_does_not_fit_is_refused_by_name(sized):
    graph = dags.random_dag(3, 1).graph()
    needy = TaskGraph.build("needy", [[], [0], [1]], calls=graph.calls, memory=[math.nan, 5e8, math.nan])
    plan = Plan.build(needy, cluster(), estimate(needy), worker=[1, 0, 0], sequence=range(3))
    with pytest.raises(PlanError, match=r"t1 needs 500 MB, and the plan puts it on 'small', which has 192 MB"):
        start(needy, plan, sized)


# ---- how it travels -------------------------------------------------------------------------------------------------
def test_resources_and_sized_contexts_survive_their_way():
    for size in (PLAIN, Resources(2, 10**9), Resources(keep_alive=math.inf), Resources(1, 10**9, 0.5)):
        assert Resources.from_dict(size.to_dict()) == size
        context = Context.here().sized(size)
        assert Context.from_json(context.to_json()) == context
    assert len({Context.here().sized(size).key for size in (PLAIN, Resources(2), Resources(keep_alive=1.0))}) == 3


def test_the_error_travels_and_joins():
    error = WorkerMemoryError("out of memory")
    assert str(pickle.loads(pickle.dumps(error))) == "out of memory"
    assert isinstance(error, MemoryError)


def test_a_run_that_knows_no_cluster_has_workers_without_limits(sized):
    """A plan of an older version, say."""
    graph = dags.random_dag(20, 3).graph()
    plan = dags.free_plan(graph)
    done = start(graph, Plan.from_json(plan.to_json().replace('"cluster": {', '"was": {')), sized).wait(20)
    assert done.state == "done"
    assert not done.cluster.limits


# ---- as a user has it -----------------------------------------------------------------------------------------------
def test_a_dag_on_workers_of_two_sizes():
    """What says that it needs much is put where there is much; `status` tells the sizes."""
    with dag("sizes") as sizes:
        parts = [task(take)(1000 + i) for i in range(3)]
        large = task(memory="500MB")(take)(MUCH)
        total = task(sum)([*parts, large])
    try:
        run = sizes.run(workers=cluster(), planner="heft", quiet=True)
        assert total.result() == MUCH + 3003
        assert run.plan.cluster == cluster()
        assert run.worker_name(run.timeline.worker[run.graph.index[large.name]]) == "big"
        assert run.costs.gb_seconds > 0
        assert "1 × 1 cpu, 192 MB (1 up) · 1 × 1 cpu, 768 MB (1 up)" in status()
        with pytest.raises(PlanError, match=r"large needs 500 MB.*larger than any of the 1 workers"):
            sizes.run(workers=Cluster((WorkerSpec("small", memory=SMALL),)), quiet=True)
    finally:
        sizes.drop()
