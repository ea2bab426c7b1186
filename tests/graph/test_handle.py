"""Everything a handle refuses, word for word, with the line of the cell; and what it can do."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dagnb.errors import BuildError, NotRunError
from dagnb.graph.builder import GraphBuilder
from dagnb.graph.handle import Handle
from dagnb.graph.task import task
from tests.graph.kernel import BASICS, Kernel

UNKNOWN = "its value is not known before the run."
PLAIN = "raw was given to a plain function, which needs its value now."
CALCULATE = f"cannot calculate with raw: {UNKNOWN}"
INTO_A_TASK = "Put the arithmetic into a task."
AS_A_TASK = "Make that function a task: task(f)(raw)."
ONCE = "which can be read only once and not be sent to a worker."

REFUSALS = [
    (
        "for d in raw: pass",
        "cannot loop over raw: its length is not known before the run.",
        "One task for each element: some_task.map(raw).",
    ),
    (
        "[*raw]",
        "cannot loop over raw: its length is not known before the run.",
        "One task for each element: some_task.map(raw).",
    ),
    (
        "load(*raw)",
        "cannot loop over raw: its length is not known before the run.",
        "One task for each element: some_task.map(raw).",
    ),
    (
        "a, b = raw",
        "cannot unpack raw: how many values it has is not known before the run.",
        "Say so: @task(outs=2) on load.",
    ),
    (
        "a, b, c = raw",
        "cannot unpack raw: how many values it has is not known before the run.",
        "Say so: @task(outs=3) on load.",
    ),
    (
        "a, *b = raw",
        "cannot unpack raw: how many values it has is not known before the run.",
        "Say so: @task(outs=2) on load.",
    ),
    (
        "if raw: pass",
        f"cannot test raw: {UNKNOWN}",
        "Write dagnb.when(raw, a, otherwise=b), or put the test into a task.",
    ),
    ("not raw", f"cannot test raw: {UNKNOWN}", "Write dagnb.when(raw, a, otherwise=b), or put the test into a task."),
    ("raw == 1", f"cannot compare raw: {UNKNOWN}", "Put the comparison into a task."),
    ("raw in (1, 2)", f"cannot compare raw: {UNKNOWN}", "Put the comparison into a task."),
    ("sorted([raw, load(2)])", "cannot compare load(…): " + UNKNOWN, "Put the comparison into a task."),
    ("raw + 1", CALCULATE, INTO_A_TASK),
    ("1 - raw", CALCULATE, INTO_A_TASK),
    ("-raw", CALCULATE, INTO_A_TASK),
    ("round(raw)", CALCULATE, INTO_A_TASK),
    ("sum([raw])", CALCULATE, INTO_A_TASK),
    ("len(raw)", "cannot look into raw: it is a handle, not a value.", "Put len() or `in` into a task."),
    ("1 in raw", "cannot look into raw: it is a handle, not a value.", "Put len() or `in` into a task."),
    (
        "raw.mean()",
        "raw.mean is not known before the run: raw is a handle, not a value.",
        "Put it into a task: task(lambda v: v.mean)(raw).",
    ),
    (
        "hasattr(raw, 'shape')",
        "raw.shape is not known before the run: raw is a handle, not a value.",
        "Put it into a task: task(lambda v: v.shape)(raw).",
    ),
    ("raw()", "raw is a handle, not a function.", "Call a task with it: some_task(raw)."),
    ("task(raw)", "raw is a handle, not a function.", "Call a task with it: some_task(raw)."),
    ("float(raw)", PLAIN, AS_A_TASK),
    ("open(raw)", PLAIN, AS_A_TASK),
    ("range(raw)", PLAIN, AS_A_TASK),
    ("next(raw)", PLAIN, AS_A_TASK),
    ("import numpy; numpy.array([raw])", PLAIN, AS_A_TASK),
    ("import numpy; numpy.asarray(raw)", PLAIN, AS_A_TASK),
    ("with raw: pass", PLAIN, AS_A_TASK),
    ("raw['k'] = 1", "cannot change raw: it is a handle, not a value.", "Return the changed value from a task."),
    ("del raw['k']", "cannot change raw: it is a handle, not a value.", "Return the changed value from a task."),
    (
        "raw[1:3]",
        "cannot select from raw by a slice: a key must be known before the run.",
        "Put it into a task: task(lambda v, k: v[k])(raw, …).",
    ),
    (
        "raw[raw]",
        "cannot select from raw by a Handle: a key must be known before the run.",
        "Put it into a task: task(lambda v, k: v[k])(raw, …).",
    ),
    (
        "clean({raw: 1})",
        "raw is used as a dictionary key; a key must be known before the run.",
        "Use the handle as the value.",
    ),
    (
        "clean({(raw, 1): 1})",
        "raw is used as a dictionary key; a key must be known before the run.",
        "Use the handle as the value.",
    ),
    ("clean(load(i) for i in (1, 2))", f"an argument is a generator, {ONCE}", "Make it a list: list(…)."),
    ("clean(map(load, (1, 2)))", f"an argument is a map, {ONCE}", "Make it a list: list(…)."),
    ("clean(k=[zip()])", f"an argument is a zip, {ONCE}", "Make it a list: list(…)."),
    ("l = []; l.append(l); clean(l)", "an argument contains itself.", "Break the circle before passing it."),
    ("two(raw)", "two(x, y): missing a required argument: 'y'.", "The call must fit the signature of the task."),
    (
        "two(raw, y=1, z=2)",
        "two(x, y): got an unexpected keyword argument 'z'.",
        "The call must fit the signature of the task.",
    ),
]


@pytest.fixture
def nb() -> Iterator[Kernel]:
    kernel = Kernel(BASICS)
    kernel.ok("f", "@task\ndef two(x, y): return x")
    yield kernel
    kernel.unpark()


@pytest.mark.parametrize(("line", "what", "advice"), REFUSALS)
def test_refusals(nb: Kernel, line: str, what: str, advice: str) -> None:
    error = nb.run("1", f"%%dag etl\nraw = load(1)\n{line}")
    assert isinstance(error, BuildError), repr(error)
    assert str(error) == f"{what}\n  Cell In[3], line 3: {line}\n  {advice}"


def test_inside_something_opaque(nb: Kernel) -> None:
    error = nb.run("1", "%%dag etl\nraw = load(1)\nimport pickle; pickle.dumps(raw)")
    text = "raw is inside something that dagnb does not look into.\n  Cell In[3], line 2: raw = load(1)\n  "
    assert str(error) == text + "Handles are found in list, tuple, dict, set and dataclass: pass it in one of these."


def test_a_handle_outside_of_any_dag(nb: Kernel) -> None:
    nb.ok("1", "%%dag etl\nraw = load(1)\nparts = {'k': [raw]}")
    for call in "clean(raw)", "clean(parts)", "clean(x=[raw])":
        error = nb.run("2", call)
        assert isinstance(error, BuildError)
        assert str(error).startswith(
            "clean() got the handle raw outside of any DAG: it would run here, now, without the value."
        )
        assert str(error).endswith(
            "Call it in a %%dag cell or in a `with dagnb.dag(…)` block, or pass the value: raw.result()."
        )
    nb.ok("2", "assert clean(1) == ('clean', (1,))")


def test_a_plain_function_gets_a_note(nb: Kernel) -> None:
    error = nb.run("1", "%%dag etl\nimport pandas as pd\nraw = [load(1), load(2)]\npd.concat(raw)")
    assert isinstance(error, TypeError)
    text = f"{error} {getattr(error, '__notes__', '')}"
    assert "concat() got the handle load(…) (line 4). Make it a task: task(concat)(…)." in text


def test_private_names_are_attribute_errors(nb: Kernel) -> None:
    nb.ok("1", "%%dag etl\nraw = load(1)")
    raw = nb.ns["raw"]
    assert not hasattr(raw, "_repr_html_")
    assert not hasattr(raw, "__wrapped__")
    assert copy.copy(raw) is raw
    assert copy.deepcopy([raw])[0] is raw
    assert {raw: 1}[raw] == 1
    assert [raw].index(raw) == 0
    assert repr(raw) == "<raw: a load() of etl, not computed here>"
    assert (raw.kind, raw.name, raw.key) == ("load", "raw", "raw")


def test_selecting(nb: Kernel) -> None:
    nb.ok("1", "@task(outs=('train', 'test'))\ndef cut(*x): return x")
    nb.ok("2", "%%dag etl\nraw = load(1)\nc = cut(raw['col'], raw['a'][0])\ntr, te = c\nm = merge(c.train)")
    graph = nb.etl.graph()
    assert graph.calls is not None
    assert graph.calls.args[1:] == (((0, ("col",)), (0, ("a", 0))), ((1, (0,)),))
    assert nb.ns["c"].test.name == "te"
    assert nb.ns["raw"]["x"].name == "raw['x']"
    error = nb.run("3", "%%dag etl\nc.valid")
    assert str(error).startswith("c.valid is not known before the run")
    with pytest.raises(ValueError, match="not enough values to unpack"):
        _a, _b, _d = nb.ns["c"]


class Owner:
    """Answers for handles as the session's Dag does."""

    def handle_result(self, handle: Handle[Any], timeout: float | None, /) -> Any:
        return handle.key, timeout

    async def handle_async(self, handle: Handle[Any], /) -> Any:
        await asyncio.sleep(0)
        return handle.name

    def handle_done(self, handle: Handle[Any], /) -> bool:
        return handle.key == "a"

    def handle_logs(self, handle: Handle[Any], /) -> Any:
        return f"log of {handle.key}"

    def handle_why(self, handle: Handle[Any], /) -> Any:
        return f"why {handle.key}"


def test_questions_go_to_the_owner() -> None:
    builder = GraphBuilder("etl", Owner())
    load = task(lambda x: x, name="load")
    ns: dict[str, Any] = {}
    rec = builder.begin(ns, "nowhere.py")
    ns["a"] = load(1)
    b: Any = load(2)
    builder.commit(rec)
    a = ns["a"]
    assert a.result(3) == ("a", 3)
    assert b.result() == ("load", None)
    assert (a.done(), b.done()) == (True, False)
    assert (a.logs(), a.why()) == ("log of a", "why a")

    async def main() -> Any:
        return await a

    assert asyncio.run(main()) == "a"


def test_without_an_owner() -> None:
    builder = GraphBuilder("etl")
    rec = builder.begin({}, "nowhere.py")
    handle: Any = task(len, name="size")([])
    with pytest.raises(BuildError, match="is being recorded"):
        _ = handle.key
    builder.commit(rec)
    with pytest.raises(NotRunError, match="was never run"):
        handle.result()


def test_three_slots() -> None:
    assert Handle.__slots__ == ("_index", "_rec", "_select")
    builder = GraphBuilder("etl")
    rec = builder.begin({}, "nowhere.py")
    handle = task(len)([])
    builder.commit(rec)
    assert not hasattr(handle, "__dict__")
    assert sys.getsizeof(handle) - 16 * gc.is_tracked(handle) <= 40
    with pytest.raises(BuildError):
        pickle.dumps([handle])
