"""Files with large values: what is written comes back, nobody sees another's changes, and nothing stays behind."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from dagnb.graph.graph import TaskRef
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Plan
from dagnb.runtime import places, values
from dagnb.runtime.arena import Arena, assemble
from dagnb.runtime.hub import Hub
from dagnb.runtime.keys import run_prefix
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from dagnb.runtime.values import Parcel, pack_blob, unpack_blob
from tests.runtime.dags import Sketch, run
from tests.runtime.life import private_directory, settings, until

NUMBERS = 131_072  # a megabyte of floats


def seated(graph, where, workers=2):
    return Plan.build(
        graph, Cluster.local(workers), estimate(graph), worker=where, sequence=range(len(graph)), planner="hand"
    )


@pytest.fixture
def arena(tmp_path):
    return Arena([str(tmp_path)], 3, 77)


def through(arena, value, *, alone):
    parcel = Parcel(value)
    shared = arena.put("run", arena.number, parcel, alone=alone)
    (again,) = unpack_blob(pack_blob({0: shared})).values()
    assert again == shared
    return again, assemble(again, arena.view(again))


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes() if a.dtype != object else (a == b).all()
    else:
        assert a == b


# ---- by itself ------------------------------------------------------------------------------------------------------
BIG = np.arange(40_000.0).reshape(200, 200)
VALUES = {
    "rows": BIG,
    "columns": np.asfortranarray(BIG),
    "every second": np.arange(100_000.0)[::2],
    "transposed": BIG.T,
    "records": np.zeros(20_000, [("a", "i4"), ("b", "f8")]),
    "objects": np.array([{"a": i} for i in range(20_000)], object),
    "times": np.arange(20_000).astype("M8[s]"),
    "nothing": np.empty((0, 5)),
    "one number": np.float64(3.5),
    "bytes": bytes(range(256)) * 1000,
    "text": "ä" * 100_000,
    "several": [np.arange(20_000.0), "x", {"y": np.ones(30_000)}],
    "many small": [np.arange(10) for _ in range(2000)],
    "bytearray": bytearray(100_000),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_written_comes_back(arena, name, alone):
    shared, value = through(arena, VALUES[name], alone=alone)
    if name in ("several", "many small"):
        assert repr(value) == repr(VALUES[name])
    else:
        same(value, VALUES[name])
    assert shared.size > 0


def test_a_table_comes_back(arena):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": np.arange(50_000.0), "b": np.arange(50_000), "c": ["x", "y"] * 25_000})
    _, value = through(arena, table, alone=False)
    pandas.testing.assert_frame_equal(value, table)
    value.loc[0, "a"] = 7.0  # each reader has its own


@given(arrays_of.arrays(arrays_of.scalar_dtypes(), arrays_of.array_shapes(max_dims=3, max_side=4)), st.booleans())
def test_any_array_comes_back_whatever_its_size(array, alone):
    import tempfile

    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "INLINE", 8)  # nearly everything lies beside the pickle
        _, value = through(Arena([place], 0, 1), array, alone=alone)
    # numpy's pickles forget the byte order of dates, with or without us
    same(value, pickle.loads(pickle.dumps(array)) if array.dtype.kind in "mM" else array)


def test_several_readers_of_an_array_cannot_write_and_one_alone_writes_for_itself(arena):
    shared, value = through(arena, np.zeros(NUMBERS), alone=False)
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1.0
    shared, value = through(arena, np.zeros(NUMBERS), alone=True)
    value[0] = 1.0
    assert assemble(shared, arena.view(shared))[0] == 0.0


def test_a_part_of_a_value_outlives_its_file(arena):
    _, value = through(arena, np.arange(float(NUMBERS)), alone=True)
    part = value[100:110]
    del value
    arena.forget("run")
    assert part.tolist() == list(map(float, range(100, 110)))


def test_parts_are_aligned(arena):
    _, value = through(arena, [np.ones(70_001, np.uint8), np.ones(9000)], alone=True)
    assert all(part.ctypes.data % 64 == 0 for part in value)


def test_without_room_there_is_no_file(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    room = {str(first): 1 << 20, str(second): 1 << 21}
    arena = Arena([str(first), str(second)], 0, 1, room=lambda place: room[place])
    parcel = Parcel(np.zeros(100_000))
    found = [arena.put("run", i, parcel, alone=True) for i in range(5)]
    assert [None if f is None else f.place for f in found] == [0, 1, 1, None, None]
    assert len([*first.iterdir(), *second.iterdir()]) == 3


def test_a_full_filesystem_leaves_nothing_behind(tmp_path, monkeypatch):
    import errno

    wrote = os.pwrite

    def full(file, data, at):
        if at >= 1 << 16:
            raise OSError(errno.ENOSPC, "no space left")
        return wrote(file, data[: 1 << 15], at)

    monkeypatch.setattr(os, "pwrite", full)
    arena = Arena([str(tmp_path)], 0, 1)
    assert arena.put("run", 0, Parcel(np.zeros(NUMBERS)), alone=True) is None
    assert not list(tmp_path.iterdir())
    assert arena.size == 0


def test_what_has_no_reader_left_is_removed_and_what_is_not_committed_stays(arena, tmp_path):
    for task in range(3):
        arena.put("run", task, Parcel(np.zeros(NUMBERS)), alone=True)
    arena.collect("run", lambda tasks: [{0: b"0", 1: b"1", 2: None}[t] for t in tasks])
    assert sorted(arena.lent["run"]) == [1, 2]
    assert len(list(tmp_path.iterdir())) == 2
    arena.forget("run")
    assert not list(tmp_path.iterdir())
    assert arena.size == 0


# ---- places ---------------------------------------------------------------------------------------------------------
def test_places_are_private_and_go_with_their_directory(tmp_path, monkeypatch):
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(places, "MEMORY", memory)
    monkeypatch.setattr(places, "ENOUGH", 0)
    monkeypatch.delenv(places.VARIABLE, raising=False)
    runtime = tmp_path / "r"
    runtime.mkdir()
    made = places.prepare(runtime)
    assert len(made) == 2
    assert all(Path(place).stat().st_mode & 0o777 == 0o700 for place in made)
    assert places.listed(runtime) == made
    places.clear(runtime)
    assert not list(memory.iterdir())


def test_places_of_a_directory_that_was_removed_by_hand_are_swept(tmp_path, monkeypatch):
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(places, "MEMORY", memory)
    monkeypatch.setattr(places, "ENOUGH", 0)
    monkeypatch.delenv(places.VARIABLE, raising=False)
    for name in ("gone", "here"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
        places.prepare(tmp_path / name)
    assert len(list(memory.iterdir())) == 2
    for file in (tmp_path / "gone").glob("lock"):
        file.unlink()
    places.prepare(tmp_path / "here")
    assert [places.home_of(place) for place in memory.iterdir()] == [str(tmp_path / "here")]


def test_little_memory_means_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "ENOUGH", 1 << 60)
    monkeypatch.delenv(places.VARIABLE, raising=False)
    (place,) = places.prepare(tmp_path)
    assert Path(place).parent == tmp_path


# ---- between workers ------------------------------------------------------------------------------------------------
def produce(c):
    return np.full(NUMBERS, float(c))


def grow(x):
    return x + 1.0


def spoil(x):
    seen = float(x.sum())
    x[:] = -1.0
    return seen


def try_to_spoil(x):
    try:
        x[:] = -1.0
    except ValueError:
        return float(x.sum())
    return "it could be written"


def look(x):
    return float(x.sum())


def head(x):
    return x[:10]


def wrap_up(c):
    return {"array": np.full(NUMBERS, float(c)), "list": [c]}


def spoil_inside(x):
    seen = float(x["array"].sum()), x["list"][0]
    x["array"][:] = -1.0
    x["list"].append("spoiled")
    return seen


def files(pool):
    runtime = Path(pool.status().directory)
    return [path for place in places.listed(runtime) for path in Path(place).iterdir() if path.name.count(".") == 4]


def test_values_move_through_files_and_nothing_stays(pool):
    sketch = Sketch()
    made = [sketch(produce, i) for i in range(4)]
    sketch(list, [sketch(look, x) for x in made for _ in range(3)])
    graph = sketch.graph()
    done = run(graph, pool, plan=seated(graph, [0, 1, 0, 1] + [0, 1, 0] * 4 + [0]))
    assert done.result(TaskRef(len(graph) - 1)) == [float(NUMBERS * i) for i in range(4) for _ in range(3)]
    until(lambda: not files(pool))


@pytest.mark.parametrize("seats", [(0, 0, 0, 0), (0, 1, 1, 1), (0, 1, 0, 1), (1, 0, 1, 0)])
def test_nobody_sees_what_another_did_to_an_array(pool, seats):
    sketch = Sketch()
    x = sketch(produce, 2)
    readers = [sketch(try_to_spoil, x) for _ in range(3)]
    graph = sketch.graph(kept=[r.task for r in readers])
    done = run(graph, pool, plan=seated(graph, list(seats)))
    assert [done.result(r) for r in readers] == [2.0 * NUMBERS] * 3


@pytest.mark.parametrize("seats", [(0, 0, 0, 0), (0, 1, 1, 1), (0, 1, 0, 1), (1, 0, 1, 0)])
def test_nobody_sees_what_another_did_inside_a_value(pool, seats):
    sketch = Sketch()
    x = sketch(wrap_up, 2)
    readers = [sketch(spoil_inside, x) for _ in range(3)]
    graph = sketch.graph(kept=[r.task for r in readers])
    done = run(graph, pool, plan=seated(graph, list(seats)))
    assert [done.result(r) for r in readers] == [(2.0 * NUMBERS, 2)] * 3


@pytest.mark.parametrize("seats", [(0, 0), (0, 1)])
def test_the_only_reader_may_write_and_what_is_kept_stays_as_it_was(pool, seats):
    sketch = Sketch()
    x = sketch(produce, 2)
    seen = sketch(spoil, x)
    graph = sketch.graph(kept=[0])
    done = run(graph, pool, plan=seated(graph, list(seats)))
    assert done.result(seen) == 2.0 * NUMBERS
    assert done.result(x)[0] == 2.0


def test_a_part_of_an_input_is_a_value_of_its_own(pool):
    sketch = Sketch()
    x = sketch(produce, 5)
    part = sketch(head, x)
    seen = sketch(look, sketch(grow, part))
    graph = sketch.graph(kept=[part.task])
    done = run(graph, pool, plan=seated(graph, [0, 1, 0, 1]))
    assert done.result(part).tolist() == [5.0] * 10
    assert done.result(seen) == 60.0


def most_files(pool, begun):
    most = 0
    while begun.wait(0.002).state == "running":
        most = max(most, sum(path.stat().st_size for path in files(pool) if path.exists()))
    return most


def test_a_long_chain_between_workers_takes_the_room_of_a_few_links(pool):
    sketch = Sketch()
    x = sketch(make_ten, 1)
    for _ in range(60):
        x = sketch(grow, x)
    sketch(look, x)
    graph = sketch.graph()
    begun = start(graph, seated(graph, [i % 2 for i in range(len(graph))]), pool)
    most = most_files(pool, begun)
    assert begun.state == "done", begun.errors()
    assert begun.result(TaskRef(len(graph) - 1)) == 61.0 * 1_250_000
    assert 10_000_000 <= most < 120_000_000  # of 610 MB; a worker looks back every 32 MB that it wrote
    until(lambda: not files(pool))


def make_ten(c):
    return np.full(1_250_000, float(c))


def nap_and_look(x):
    time.sleep(0.3)
    return float(x.sum())


def lose_files(x, path, me):
    """What Redis said of values that are gone: as after a restart of the machine."""
    for file in Path(path).read_text().splitlines():
        for entry in Path(file).iterdir():
            if entry.name.count(".") == 4:
                entry.unlink(missing_ok=True)
    return me


def add(a, b):
    return float(a.sum()) + b


def test_what_is_gone_is_made_again(pool):
    """Two generations are lost at once, after they were committed."""
    listing = str(Path(pool.status().directory) / "arena")
    sketch = Sketch()
    x = sketch(produce, 3)
    y = sketch(grow, x)
    thief = sketch(lose_files, sketch(look, y), listing, 1)
    seen = [sketch(add, y, thief), sketch(add, x, thief)]
    graph = sketch.graph(kept=[s.task for s in seen])
    done = run(graph, pool, plan=seated(graph, [0, 1, 0, 1, 0, 1]))
    assert done.state == "done", done.errors()
    assert [done.result(s) for s in seen] == [4.0 * NUMBERS + 1, 3.0 * NUMBERS + 1]


def test_readers_are_counted_and_the_last_commit_frees(pool):
    sketch = Sketch()
    x = sketch(produce, 3)
    early = sketch(look, x)
    late = sketch(nap_and_look, x)
    sketch(list, [early, late])
    graph = sketch.graph()
    store = Hub.of(pool).store
    begun = start(graph, seated(graph, [0, 1, 1, 0]), pool)
    until(lambda: store._call("HGET", run_prefix(begun.id) + "use", 0) == b"1")
    assert len(files(pool)) == 1  # one reader has been, the other is at it
    assert begun.wait(20).state == "done"
    until(lambda: not files(pool))


def die_once(x, path):
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return float(x.sum())


def test_a_reader_that_dies_reads_again(pool, tmp_path):
    """Nothing is freed before the commit of the reader: what its successor needs is still there."""
    sketch = Sketch()
    x = sketch(produce, 3)
    fill = [sketch(produce, i) for i in range(40)]
    seen = sketch(die_once, x, str(tmp_path / "died"))
    sketch(list, [sketch(look, f) for f in fill])
    graph = sketch.graph(kept=[seen.task])
    where = [0] + [0] * 40 + [1] + [1] * 40 + [0]
    done = run(graph, pool, plan=seated(graph, where))
    assert done.state == "done", done.errors()
    assert done.result(seen) == 3.0 * NUMBERS
    until(lambda: not files(pool))


# ---- without room ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def bare():
    """A pool without any place for files: large values go through Redis."""
    with private_directory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv(places.VARIABLE, "")
        found = LocalPool.connect(settings(directory, workers=2))
        patch.undo()
        yield found
        found.stop()


def test_without_a_place_values_go_through_redis_and_leave_with_their_last_reader(bare):
    sketch = Sketch()
    x = sketch(make_ten, 1)
    for _ in range(30):
        x = sketch(grow, x)
    sketch(look, x)
    graph = sketch.graph()
    store = Hub.of(bare).store
    begun = start(graph, seated(graph, [i % 2 for i in range(len(graph))]), bare)
    most = 0
    while begun.wait(0.01).state == "running":
        most = max(most, len(store._keys(run_prefix(begun.id) + "p[0-9]*")))
    assert begun.result(TaskRef(len(graph) - 1)) == 31.0 * 1_250_000
    assert 3 <= most <= 15  # three keys each
    assert not store._keys(run_prefix(begun.id) + "p[0-9]*")


def test_a_small_place_fills_and_the_rest_goes_through_redis(tmp_path):
    """The place is a filesystem of its own where that can be had; else its room is said to be small."""
    with private_directory() as directory, pytest.MonkeyPatch.context() as patch:
        small = Path(f"{directory.path.parent}/small")
        small.mkdir()
        patch.setenv(places.VARIABLE, str(small))
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("a filesystem of eight megabytes needs the right to mount one")
        try:
            pool = LocalPool.connect(settings(directory, workers=2))
            sketch = Sketch()
            made = [sketch(produce, i) for i in range(30)]
            seen = [sketch(look, x) for x in made]
            graph = sketch.graph(kept=[s.task for s in seen])
            done = run(graph, pool, plan=seated(graph, [0] * 30 + [1] * 30))
            assert [done.result(s) for s in seen] == [float(NUMBERS * i) for i in range(30)]
            pool.stop()
            until(lambda: not list(small.glob("*")))
        finally:
            subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_killed_supervisor_leaves_nothing_that_its_successor_does_not_take_up(tmp_path):
    with private_directory() as directory:
        pool = LocalPool.connect(settings(directory, workers=2))
        sketch = Sketch()
        made = [sketch(produce, i) for i in range(6)]
        seen = [sketch(nap_and_look, x) for x in made]
        graph = sketch.graph(kept=[s.task for s in seen])
        begun = start(graph, seated(graph, [0] * 6 + [1] * 6), pool)
        until(lambda: files(pool))
        memory = [Path(p) for p in places.listed(directory.path)]
        os.kill(pool.status().pid, signal.SIGKILL)
        assert begun.wait(30).state == "done", begun.errors()
        assert [begun.result(s) for s in seen] == [float(NUMBERS * i) for i in range(6)]
        pool.stop()
        until(lambda: not any(place.exists() for place in memory))
