"""Either side of a stream is killed, at several places: the values are right, each task is told once."""

from __future__ import annotations

import numpy as np
import pytest

from dagnb.graph.graph import TaskRef
from dagnb.runtime.pool import LocalPool
from dagnb.runtime.run import start
from tests.chaos.spree import hunt, told_once
from tests.chaos.work import agreed, total
from tests.runtime.dags import Sketch
from tests.runtime.flows import LENGTH, heavy, made, marks, taken, weights, woven
from tests.runtime.test_annotations import nothing_left, planned

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool.connect()


@pytest.mark.parametrize("free", [False, True], ids=["named", "free"])
@pytest.mark.parametrize(
    ("producer", "consumer"),
    [
        *[(0, -1), (6, -1), (12, -1), (-1, 0), (-1, 5), (-1, 12), (6, 3), (3, 6), (12, 12)],
        *[pytest.param(*where, marks=pytest.mark.long) for where in ((1, -1), (11, -1), (-1, 11))],
    ],
)
def test_a_death_on_either_side_loses_nothing_and_repeats_no_outcome(pool, tmp_path, producer, consumer, free):
    """What the consumer saw is what the producer's value is, of one and the same attempt."""
    path = str(tmp_path) + "/"
    sketch = Sketch()
    source = sketch(made, path, producer, "chunk")
    reader = sketch(taken, path, consumer, source)
    last = sketch(agreed, [source, reader])
    graph = sketch.graph(kept=[source.task, reader.task])
    begun = start(graph, planned(graph, [-1, -1, -1] if free else [0, 1, 0], {}), pool).wait(30)
    assert begun.state == "done", (begun.state, begun.errors())
    found = begun.result(last)
    assert found == begun.result(reader) == begun.result(source)
    assert len(found) == LENGTH
    assert len({chunk.split()[1] for chunk in found}) == 1
    assert marks(path + "made") <= 2 + (producer >= 0)
    told_once(begun, 3)
    nothing_left(begun)


def test_sigkill_among_large_streams(pool):
    sketch = Sketch()
    sums = [sketch(heavy, sketch(weights, i)) for i in range(12)]
    last = sketch(total, sums)
    graph = sketch.graph()
    where = [k % 3 for i in range(12) for k in (i, i + 1)] + [-1]
    begun = start(graph, planned(graph, where, {}, workers=3), pool)
    hunt(pool, begun, 0.1, 1)
    assert begun.result(last) == sum((6 * i + 15) << 17 for i in range(12))


@pytest.mark.parametrize("seed", range(3))
def test_sigkill_among_woven_streams(pool, seed):
    sketch, want = woven(seed, 150)
    graph = sketch.graph(kept=range(150))
    where = np.random.default_rng(seed).integers(-1, 3, 150).tolist()
    begun = start(graph, planned(graph, where, {}, workers=3), pool)
    hunt(pool, begun, 0.08, seed)
    assert [begun.result(TaskRef(i)) for i in range(150)] == want
