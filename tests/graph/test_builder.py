"""The rules of names, cells and re-execution one by one: every row of the table of holes, with the lines it shows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dagnb.errors import BuildError, NotRunError, PlanError, UnknownNameError
from dagnb.graph import scope
from dagnb.graph.builder import GraphBuilder
from dagnb.graph.graph import TaskRef
from dagnb.graph.handle import Handle
from dagnb.graph.task import task
from tests.graph.kernel import BASICS, Kernel


@pytest.fixture
def nb() -> Iterator[Kernel]:
    kernel = Kernel(BASICS)  # its execution is In[1]
    yield kernel
    kernel.unpark()


def dag(body: str) -> str:
    return "%%dag etl\n" + body


# ---- names ----------------------------------------------------------------------------------------------------------


def test_first_minute(nb: Kernel) -> None:
    nb.ok("1", "files = ['u', 'v']")
    body = "parts = [clean(load(f)) for f in files]\ntable = merge(parts)\nmodels = {'rf': clean(table)}\nsave(models)"
    nb.ok("2", dag(body))
    assert nb.names == ("load", "parts[0]", "load_2", "parts[1]", "table", "models['rf']", "save")
    assert nb.etl["parts[1]"].key == "parts[1]"
    assert nb.etl.graph().where[:2] == ("Cell In[3], line 2",) * 2


NAMING = [
    ("a = b = load(1)", "a"),
    ("raw = load(1)\ncfg = {'raw': raw}", "raw"),
    ("cfg = {}\nraw = load(1)\ncfg['raw'] = raw", "raw"),
    ("x = load(1)\nx = clean(x)", "load x"),
    ("parts = []\nfor f in 'ab':\n    p = load(f)\n    parts.append(p)", "parts[0] parts[1]"),
    ("for f in 'ab':\n    p = load(f)", "load p"),
    ("t = (load(1), [load(2)])", "t[0] t[1][0]"),
    ("_tmp = load(1)\nb = clean(_tmp)", "load b"),
    ("s = {load(1)}", "load"),
    ("a = load(1)\ndel a", "load"),
    ("a = b = load(1)\ndel a", "b"),
    ("def inner():\n    global deep\n    deep = load(1)\ninner()", "deep"),
    ("rows = [(y := load(i)) for i in (1, 2)]", "rows[0] rows[1]"),
    ("from dataclasses import make_dataclass\nC = make_dataclass('C', ['m'])\nc = C(load(1))", "c.m"),
    ("import collections\nP = collections.namedtuple('P', 'u v')\np = P(load(1), load(2))", "p.u p.v"),
    ("l = []\nl.append(l)\nl.append(load(1))", "l[1]"),
    ("m = [[load(10*i+j) for j in (0, 1)] for i in (0, 1)]", "m[0][0] m[0][1] m[1][0] m[1][1]"),
    ("clean_2 = load(0)\nclean(1), clean(2), clean(3)", "clean_2 clean clean_3 clean_4"),
    ("task(lambda v: v)(load(1))", "load lambda"),
    (
        "_o = task(clean.fn, name='load_2')\nload(1), load(2), _o(3), _o(4), load(5)",
        "load load_2 load_2_2 load_2_3 load_3",
    ),
    ("load_3 = clean(0)\nload(1), clean(2), load(3), clean(4), load(5)", "load_3 load clean load_2 clean_2 load_4"),
]


@pytest.mark.parametrize(("body", "names"), NAMING)
def test_names_come_from_variables(nb: Kernel, body: str, names: str) -> None:
    for _ in range(2):
        nb.ok("1", dag(body))
        assert " ".join(nb.names) == names
    nb.ok("2", "with dag('etl', new=True):\n    " + body.replace("\n", "\n    "))
    assert " ".join(nb.names) == names


def test_outputs_are_aliases_of_the_call(nb: Kernel) -> None:
    nb.ok("1", "@task(outs=2)\ndef split(x): return x, x\n@task(outs=('train', 'test'))\ndef cut(x): return x, x")
    nb.ok("2", dag("tr, te = split(1)\nc = cut(2)\nm = merge(tr, te, c.train, c.test, c[1])"))
    graph = nb.etl.graph()
    assert graph.keys == ("split", "c", "m")
    assert graph.aliases["te"] == TaskRef(0, (1,))
    assert graph.calls is not None
    assert graph.calls.args[2] == (
        TaskRef(0, (0,)),
        TaskRef(0, (1,)),
        TaskRef(1, (0,)),
        TaskRef(1, (1,)),
        TaskRef(1, (1,)),
    )
    assert graph.dependencies(2) == [0, 1]
    assert nb.ns["te"].name == "te"
    assert nb.ns["te"].key == "split"


def test_kept_are_sinks_and_plain_variables(nb: Kernel) -> None:
    nb.ok("1", dag("parts = [load(i) for i in (0, 1)]\nt = merge(parts)\nu = {'k': clean(t)}\nsave(u)"))
    graph = nb.etl.graph()
    assert {graph.keys[i] for i in graph.kept} == {"t", "save"}


def test_options_reach_the_graph(nb: Kernel) -> None:
    nb.ok("f", "@task(est='2m', out_size='3kB', name='fitting')\ndef fit(x): return x")
    nb.ok("1", dag("a = fit(1)\nb = fit.options(est=7)(a)\nc = load(b)\nfit(c)"))
    graph = nb.etl.graph()
    assert graph.duration[:2].tolist() == [120, 7]
    assert graph.duration[2] != graph.duration[2]  # not declared: NaN
    assert graph.size[0] == 3000
    assert graph.keys[3] == "fitting"
    assert graph.calls is not None
    assert len(graph.calls.functions) == 2  # one function under two sets of options


# ---- several cells --------------------------------------------------------------------------------------------------


def test_chain_over_cells(nb: Kernel) -> None:
    nb.ok("1", dag("df = load(1)"))
    nb.ok("2", dag("df = clean(df)"))
    nb.ok("3", dag("df = merge(df)"))
    want = nb.content
    for cell, source in [("2", "clean(df)"), ("2", "clean(df)"), ("1", "load(1)"), ("1", "load(1)")]:
        nb.ok(cell, dag(f"df = {source}"))
        assert nb.content == want
        assert nb.edges == {"load>clean", "clean>df"}
        label = nb.etl.cells[cell].execution.label
        assert nb.notes == [f'df here is the one of {label}; etl["df"] is the one of In[4]']
    nb.ok("3", dag("df = merge(df)"))  # after cell 1, without 2 between: df is what it is in Python
    assert nb.edges == {"load>df"}
    assert nb.notes == ["df is now the one of In[8] (was In[6])"]
    nb.ok("2", dag("df = clean(df)"))  # going on from there reads what cell 3 left, as in Python
    assert nb.edges == {"load>merge", "merge>df"}
    for cell, source in [("1", "load(1)"), ("2", "clean(df)"), ("3", "merge(df)")]:
        nb.ok(cell, dag(f"df = {source}"))  # in order, it mends itself
    assert nb.content == want


def test_a_name_used_again_keeps_the_reader_in_between(nb: Kernel) -> None:
    for cell, line in enumerate(["res = load(1)", "r1 = clean(res)", "res = load(2)", "r2 = clean(res)"]):
        nb.ok(str(cell), dag(line))
    assert nb.edges == {"load>r1", "res>r2"}
    assert not nb.notes


def test_taking_over_is_told_and_garbage_goes(nb: Kernel) -> None:
    nb.ok("1", dag("model = load(1)"))
    nb.ok("2", dag("report = clean(model)"))
    nb.ok("9", dag("model = load(2)"))
    assert nb.notes == ["model: now defined here (was In[2]; In[3] still uses that one until it is run again)"]
    assert nb.edges == {"load>report"}
    nb.ok("2", dag("report = clean(model)"))
    assert nb.notes == ["model is now the one of In[4] (was In[2])"]
    assert set(nb.names) == {"model", "report"}  # nobody uses the first load, and its name is taken


def test_two_independent_givers_are_a_standing_doubt(nb: Kernel) -> None:
    nb.ok("1", dag("x = load(1)"))
    nb.ok("2", dag("x = load(2)"))
    assert nb.notes == ["x: now defined here (was In[2])"]
    assert nb.etl.warnings == ["x is given in 2 cells (In[2], In[3]); the newest counts"]
    nb.ok("1", dag("x = load(1)"))
    assert nb.etl.graph().calls.args == ((1,),)  # type: ignore[union-attr]  # the newest wins


def test_cut_and_paste_to_another_cell(nb: Kernel) -> None:
    nb.ok("1", dag("raw = load(1)\ntidy = clean(raw)"))
    nb.ok("2", dag("report = save(tidy)"))
    nb.ok("1", dag("raw = load(1)"))
    assert nb.notes == ["tidy is gone; In[3] needs it"]
    with pytest.raises(PlanError) as error:
        nb.etl.graph()
    assert str(error.value) == (
        "etl makes no graph:\n"
        "  report (In[3], line 2) needs tidy, which no cell defines any more (last in In[4]). "
        "Run In[3] again, or define it."
    )
    assert isinstance(nb.run("5", "tidy"), NameError)
    nb.ok("3", dag("tidy = clean(raw)"))
    assert nb.edges == {"raw>tidy", "tidy>report"}
    assert not nb.notes


def test_deleted_cell(nb: Kernel) -> None:
    nb.ok("1", dag("raw = load(1)"))
    nb.ok("2", dag("tidy = clean(raw)"))
    nb.etl.drop_cell("1")
    (problem,) = nb.etl.problems
    assert problem.startswith("tidy (In[3], line 2) needs raw, which no cell defines any more (last in In[2]).")
    assert problem.endswith("Run In[3] again, or define it.")
    nb.etl.drop_cell("2")
    assert nb.names == ()


@pytest.mark.parametrize("n", [5, 9])
def test_a_list_of_another_length(nb: Kernel, n: int) -> None:
    nb.ok("1", "files = list(range(8))")
    nb.ok("2", dag("parts = [load(f) for f in files]"))
    nb.ok("3", dag("tidy = [clean(p) for p in parts]\nall_ = merge(tidy)"))
    nb.ok("1", f"files = list(range({n}))")
    nb.ok("2", dag("parts = [load(f) for f in files]"))
    assert nb.notes == [f"parts has {n} places now (had 8): run In[4] again, it was built from 8"]
    assert f"In[4] was built when parts (In[6]) had 8 places; it has {n} now. Run In[4] again." in nb.etl.problems
    if n == 5:
        missing = (
            "tidy[5] (In[4], line 2) needs parts[5], but parts has 5 places now (In[6]). Run In[4] again, or define it."
        )
        assert missing in nb.etl.problems
    nb.ok("3", dag("tidy = [clean(p) for p in parts]\nall_ = merge(tidy)"))
    assert len(nb.names) == 2 * n + 1


def test_a_raising_body_changes_nothing(nb: Kernel) -> None:
    nb.ok("1", dag("a = load(1)"))
    before, graph = nb.ns["a"], nb.etl.graph()
    body = "a = load(2)\nb = clean(a)\nps = [load(1)]\nm = {'k': load(3)}\n1/0"
    assert isinstance(nb.run("1", dag(body)), ZeroDivisionError)
    assert nb.etl.graph() is graph
    assert nb.ns["a"] is before
    assert not {"b", "ps", "m"} & set(nb.ns)


def test_handles_of_a_failed_run_are_refused(nb: Kernel) -> None:
    nb.ok("0", "bag = []")
    nb.run("1", dag("bag.append(load(1))\n1/0"))
    error = nb.run("2", dag("m = merge(bag)"))
    assert str(error).startswith("this handle was made by a run of In[3] that failed.")
    assert str(error).endswith("Run that cell again.")
    with pytest.raises(NotRunError, match=r"a run of In\[3\] that failed"):
        _ = nb.ns["bag"][0].key


def test_a_cell_does_not_see_what_it_made(nb: Kernel) -> None:
    nb.ok("1", dag("a = load(1)"))
    nb.ok("2", dag("b = clean(a)"))
    error = nb.run("1", dag("a = load(b)"))
    assert isinstance(error, NameError)
    assert error.__notes__ == [
        "b is made from what this cell defines, so this cell cannot use it (that would be a cycle)."
    ]
    assert nb.ns["b"].name == "b"
    nb.ok("3", "bag = {'b': b}")
    nb.ok("1", dag("a = load(bag['b'])"))
    with pytest.raises(PlanError) as caught:
        nb.etl.graph()
    assert str(caught.value) == "etl makes no graph:\n  cycle: a → b → a (In[6], In[3])"


def test_a_list_made_elsewhere_and_appended_to(nb: Kernel) -> None:
    nb.ok("1", "out = []")
    nb.ok("2", dag("for i in (1, 2):\n    out.append(load(i))"))
    nb.ok("2", dag("for i in (1, 2):\n    out.append(load(i))"))
    assert nb.notes == ["out still holds handles of an earlier run of this cell; start it anew here (out = [])."]
    error = nb.run("2", dag("out.append(load(1))\nm = merge(out)"))
    assert str(error) == (
        "out[0] is left over from an earlier run of this cell "
        "(something still holds it, such as a list that is appended to).\n"
        "  Cell In[5], line 3: m = merge(out)\n"
        "  Make the list new in this cell, for instance parts = [] before the loop."
    )


def test_two_cells_append_to_one_list(nb: Kernel) -> None:
    """Names stay unique whatever the order in which lists are started anew."""
    nb.ok("0", "out = []")
    nb.ok("2", dag("out.append(load(2))"))
    nb.ok("0", "out = []")
    nb.ok("1", dag("out.append(load(1))"))
    assert sorted(nb.names) == ["load", "out[0]"]


def test_functions_are_followed_by_cell_and_name(nb: Kernel) -> None:
    def value() -> Any:
        calls = nb.etl.graph().calls
        assert calls is not None
        return calls.functions[0](1)

    nb.ok("f", "@task\ndef fit(x): return 1")
    nb.ok("1", dag("m = fit(1)"))
    assert value() == 1
    nb.ok("f", "@task\ndef fit(x): return 2")
    assert value() == 2
    nb.ok("g", "@task\ndef fit(x): return 3")  # another cell: another function, as in Python
    assert value() == 2
    nb.ok("f", "pass")  # its own cell gives it no more: the newest of that name
    assert value() == 3
    nb.ok("1", dag("m = fit(1)"))
    assert nb.notes == ["fit() is now the one of In[5] (was In[6])"]


def test_new_options_of_a_redefined_function(nb: Kernel) -> None:
    nb.ok("f", "@task(est=1)\ndef fit(x): return 1")
    nb.ok("1", dag("m = fit(1)\nn = fit.options(out_size=5)(2)"))
    nb.ok("f", "@task(est=2)\ndef fit(x): return 2")
    graph = nb.etl.graph()
    assert graph.duration.tolist() == [2, 2]
    assert graph.size[1] == 5
    assert graph is nb.etl.graph()


def test_closures_and_twins_of_one_execution_stay_themselves(nb: Kernel) -> None:
    made = "def make(k):\n    @task\n    def f(x): return x + k\n    return f\nfs = [make(1), make(2)]"
    loop = "for k in (1, 2):\n    @task\n    def h(x, k=k): return x + 10 * k\n    fs.append(h)"
    nb.ok("1", f"{made}\n{loop}")
    nb.ok("2", dag("r = [f(1) for f in fs]"))
    calls = nb.etl.graph().calls
    assert calls is not None
    assert [calls.functions[i](0) for i in calls.function] == [1, 2, 10, 20]


def test_bound_methods_are_never_merged(nb: Kernel) -> None:
    nb.ok("0", "class Model:\n    def __init__(self, k): self.k = k\n    def fit(self): return self.k")
    nb.ok("1", "one = task(Model(1).fit)")
    nb.ok("2", "two = task(Model(2).fit)")
    nb.ok("3", dag("a = one()\nb = two()"))
    calls = nb.etl.graph().calls
    assert calls is not None
    assert [calls.functions[i]() for i in calls.function] == [1, 2]


def test_signature_changed_after_the_wiring(nb: Kernel) -> None:
    nb.ok("f", "@task\ndef fit(x, y): return 1")
    nb.ok("1", dag("m = fit(1, 2)"))
    nb.ok("f", "@task\ndef fit(x, y, alpha): return 1")
    assert nb.etl.problems == ("m (In[3], line 2) passes 2 arguments; fit now needs alpha (In[4]). Run In[3] again.",)
    nb.ok("f", "@task\ndef fit(x): return 1")
    assert nb.etl.problems == (
        "m (In[3], line 2) passes 2 arguments; fit now says: too many positional arguments (In[5]). Run In[3] again.",
    )


def test_ordinary_values_under_a_name_come_back(nb: Kernel) -> None:
    nb.ok("1", "x = 5")
    for told in ["x was a int here; it is now a handle of etl"], [], []:
        nb.ok("2", dag("x = load(x)"))
        assert nb.etl.graph().calls.args == ((5,),)  # type: ignore[union-attr]
        assert nb.notes == told
    nb.ok("3", "x = 6")  # the variable holds data again: later cells read that
    nb.ok("4", dag("y = load(x)"))
    assert nb.edges == set()
    assert "x" in nb.names


def test_data_assigned_over_a_node_is_what_the_next_cell_sees(nb: Kernel) -> None:
    nb.ok("1", dag("x = load(1)"))
    nb.ok("2", "x = 7")
    for _ in range(2):
        nb.ok("3", dag("x = clean(x)"))
        assert ("clean", ((7,), None)) in [(c[1], (tuple(c[3]), c[4])) for c in nb.content[0]]
    nb.ok("1", dag("x = load(1)"))
    nb.ok("3", dag("x = clean(x)"))  # now the node is newer than the data
    assert nb.edges == {"load>x"}


def test_data_where_a_node_was_is_told(nb: Kernel) -> None:
    nb.ok("1", dag("x = load(1)"))
    nb.ok("2", dag("y = clean(x)"))
    nb.ok("3", "x = 7")
    nb.ok("2", dag("y = clean(x)"))
    assert nb.notes == ["x is a int here now; it was the one of In[2]"]


def test_large_values_under_a_name_are_not_kept(nb: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "HEAVY", 1_000_000)
    nb.ok("1", "x = bytes(2_000_000)")
    nb.ok("2", dag("x = load(x)"))
    assert nb.notes[0] == "x was a bytes here; it is now a handle of etl"
    assert nb.notes[1].endswith("which is not kept: make it again before this cell")
    assert isinstance(nb.run("2", dag("x = load(x)")), NameError)


def test_without_ids_every_execution_is_a_cell(nb: Kernel) -> None:
    nb.ok(None, dag("x = load(1)"))
    nb.ok(None, dag("x = clean(x)"))
    nb.ok(None, dag("x = clean(x)"))
    assert nb.edges == {"load>clean", "clean>x"}
    nb.ok(None, dag("x = load(2)"))
    assert nb.names == ("x",)


def test_a_place_that_changes_from_output_to_node(nb: Kernel) -> None:
    """Edges mean places: what was half of a call may become a call of its own."""
    nb.ok("f", "@task(outs=2)\ndef split(x): return x, x")
    nb.ok("1", dag("tr, te = split(1)"))
    nb.ok("2", dag("m = clean(te)\nn = save(te['col'])"))
    nb.ok("1", dag("tr = load(1)\nte = load(2)"))
    graph = nb.etl.graph()
    assert graph.keys == ("tr", "te", "m", "n")
    assert graph.calls is not None
    assert graph.calls.args[2:] == ((TaskRef(1),), (TaskRef(1, ("col",)),))


def test_numbers_do_not_depend_on_the_order_of_running(nb: Kernel) -> None:
    cells = [("1", "b = load(1)\nsave(b)"), ("2", "a = load(2)\nsave(a)"), ("3", "save(a, b)")]
    for cell, body in cells:
        nb.ok(cell, dag(body))
    want = nb.content
    other = Kernel(BASICS)
    for cell, body in [cells[1], cells[0], cells[2]]:
        other.ok(cell, dag(body))
    assert other.content == want


# ---- two DAGs, blocks, threads --------------------------------------------------------------------------------------


def test_two_dags(nb: Kernel) -> None:
    nb.ok("1", dag("a = load(1)"))
    nb.ok("2", "%%dag other\nz = load(2)")
    assert str(nb.run("2", "%%dag other\nz = clean(a)")) == (
        "a belongs to the DAG etl, but this cell builds other.\n"
        "  Cell In[4], line 2: z = clean(a)\n"
        "  Pass its value (a.result()), or build both in one DAG."
    )
    error = nb.run("3", "with dag('etl'):\n    with dag('other'):\n        pass")
    assert str(error) == (
        "already building etl; a DAG inside a DAG is not recorded.\n"
        "  Cell In[5], line 2: with dag('other'):\n"
        "  End the first block, or write a @dagnb.dag function (a sub-DAG)."
    )


def test_two_dags_with_a_variable_of_one_name(nb: Kernel) -> None:
    """In a body the DAG's own nodes come before the notebook's variables; outside the variable is the last one."""
    nb.ok("1", dag("x = load(1)"))
    nb.ok("2", "%%dag other\nx = load(2)")
    nb.ok("3", dag("y = clean(x)"))
    assert nb.edges == {"x>y"}
    assert nb.ns["x"]._rec.builder.name == "other"
    nb.ok("1", dag("x = load(1)"))
    assert nb.edges == {"x>y"}
    assert nb.ns["x"]._rec.builder is nb.etl


def test_a_node_cannot_have_the_name_of_its_dag(nb: Kernel) -> None:
    error = nb.run("1", dag("a = load(1)\netl = clean(a)"))
    assert str(error).startswith("etl is the name of this DAG; a node cannot have it too.")
    assert nb.names == ()
    assert "a" not in nb.ns


def test_two_blocks_in_one_cell_are_one_recording(nb: Kernel) -> None:
    source = "for i in (1, 2):\n    with dag('etl'):\n        x = load(i)\nwith dag('etl'):\n    y = clean(x)"
    for _ in range(3):
        nb.ok("1", source)
        assert nb.edges == {"x>y"}
        assert len(nb.names) == 3


FAILING = """
with dag('etl'):
    a = load(1)
lost = []
try:
    with dag('etl'):
        lost.append(clean(a))
        b = clean(a)
        1/0
except ZeroDivisionError:
    pass
with dag('etl'):
    c = save(a)
"""


def test_a_later_block_that_raises_leaves_the_first(nb: Kernel) -> None:
    nb.ok("1", FAILING)
    assert nb.names == ("a", "c")
    assert "b" not in nb.ns
    error = nb.run("2", dag("m = merge(lost)"))
    assert "that failed" in str(error)  # not whatever has its number now


def test_a_failed_block_does_not_count_as_a_user(nb: Kernel) -> None:
    first = "with dag('etl'):\n    _a = load(1)\n"
    nb.ok(
        "1", first + "try:\n    with dag('etl'):\n        clean(_a)\n        1/0\nexcept ZeroDivisionError:\n    pass"
    )
    assert nb.names == ("load",)


def test_blocks_in_a_function_called_twice(nb: Kernel) -> None:
    nb.ok("1", "def build(k):\n    with dag('etl'):\n        x = load(k)\n        y = clean(x)\nbuild(1)\nbuild(2)")
    assert nb.names == ("load", "clean", "x", "y")


def test_with_in_a_function_and_an_exit_stack(nb: Kernel) -> None:
    body = "        parts = [load(i) for i in (1, 2)]\n        t = merge(parts)"
    nb.ok("1", f"def build():\n    with dag('etl', new=True):\n{body}\nbuild()")
    assert " ".join(nb.names) == "parts[0] parts[1] t"
    enter = "stack.enter_context(dag('etl', new=True))"
    nb.ok("2", f"from contextlib import ExitStack\nwith ExitStack() as stack:\n    {enter}\n    q = load(1)")
    assert " ".join(nb.names) == "q"


def test_threads(nb: Kernel) -> None:
    seen: list[Any] = []
    plain = task(lambda x: x + 1, name="plain")
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(10)
        try:
            seen.append(plain(1))
        except BuildError as error:
            seen.append(error)
        done.set()

    older = threading.Thread(target=work)
    older.start()
    builder = GraphBuilder("thr")
    rec = builder.begin({}, __file__, hide=False)
    go.set()
    assert done.wait(10)
    younger = threading.Thread(target=work)
    younger.start()
    younger.join(10)
    handle: Any = plain(1)
    builder.commit(rec)
    older.join(10)
    assert seen[0] == 2  # a thread that was there before is outside of the DAG: it runs now
    assert type(handle) is Handle
    assert str(seen[1]).startswith(
        "plain() was called from a thread that the body of a DAG started; it would run now, not in the DAG."
    )
    assert str(seen[1]).endswith(
        "Call plain() in the body itself: calls only record, they are already parallel in the run."
    )
    assert plain(1) == 2


def test_asyncio(nb: Kernel) -> None:
    plain = task(lambda x: x + 1, name="plain")
    builder = GraphBuilder("aio")

    async def later(ended: asyncio.Event) -> Any:
        await ended.wait()
        return plain(1)

    async def thread() -> Any:
        return await asyncio.to_thread(plain, 1)

    async def main() -> Any:
        ended = asyncio.Event()
        early = asyncio.create_task(later(ended))
        rec = builder.begin({}, __file__, hide=False)
        late, elsewhere = asyncio.create_task(later(ended)), asyncio.create_task(thread())
        await asyncio.wait([elsewhere])
        plain(2)
        builder.commit(rec)
        ended.set()
        return await asyncio.gather(early, late, elsewhere, return_exceptions=True)

    early, late, elsewhere = asyncio.run(main())
    assert early == 2
    assert str(late).startswith(
        "plain() was called after the body of aio had ended (a callback or an asyncio task started in it?)."
    )
    assert "from a thread that the body of a DAG started" in str(elsewhere)
    assert len(builder.graph()) == 1


# ---- asking the builder ---------------------------------------------------------------------------------------------


def test_looking_up(nb: Kernel) -> None:
    nb.ok("1", dag("parts = [clean(load(i)) for i in (0, 1)]\nreport = merge(parts)"))
    etl = nb.etl
    assert etl["report"].name == "report"
    assert etl["load_2"].key == "load_2"
    assert [h.key for h in etl["parts"]] == ["parts[0]", "parts[1]"]
    assert [h.key for h in etl["clean"]] == ["parts[0]", "parts[1]"]
    assert etl["load"].key == "load"  # a node of that name before all of that kind
    assert "report" in etl
    assert "load_2" in etl
    assert "other" not in etl
    assert len(etl) == 5
    with pytest.raises(UnknownNameError) as error:
        etl["reprot"]
    assert str(error.value) == "etl has no node reprot.\n  did you mean report or parts?"
    assert isinstance(error.value, KeyError)


def test_locate_follows_redefinition(nb: Kernel) -> None:
    nb.ok("1", dag("a = load(1)\nb = clean(a)"))
    old = nb.ns["b"]
    assert nb.etl.locate(old) == TaskRef(1)
    nb.ok("1", dag("z = load(0)\na = load(1)\nb = clean(a, z)"))
    assert nb.etl.locate(old) == TaskRef(2)
    nb.ok("1", dag("a = load(1)"))
    with pytest.raises(NotRunError) as error:
        nb.etl.locate(old)
    assert str(error.value) == (
        "etl has no longer b, which no cell defines any more (last in In[4]).\n  Run In[4] again, or define it."
    )


def test_the_graph_is_made_once(nb: Kernel) -> None:
    nb.ok("1", dag("a = load(1)"))
    graph = nb.etl.graph()
    nb.ok("2", "y = 1")
    assert nb.etl.graph() is graph
    nb.ok("1", dag("a = load(1)"))
    assert nb.etl.graph() is not graph
    assert nb.etl.graph().fingerprint == graph.fingerprint


def test_an_empty_dag_is_a_graph(nb: Kernel) -> None:
    nb.ok("1", dag("x = 1"))
    assert len(nb.etl.graph()) == 0
