"""`%dag` and `%%dag` in a shell of this process; nothing here needs a worker."""

import inspect

import pytest

from dagnb.errors import BuildError, OptionError
from dagnb.session import engine, registry
from dagnb.session.dag import Dag


def test_a_cell_binds_the_dag_and_its_names(nb):
    text = nb.ok("%%dag etl\nparts = [load(i) for i in range(3)]\ntotal = add(*parts)")
    assert isinstance(nb.ns["etl"], Dag)
    assert list(nb.ns["etl"]) == ["parts[0]", "parts[1]", "parts[2]", "total"]
    assert text.startswith("etl · 4 tasks · no forecast yet on ")
    assert "3 load, 1 add" in text


def test_nothing_is_started_before_the_first_run(nb, monkeypatch):
    monkeypatch.setattr(engine, "_pool", None)
    nb.ok("%%dag etl\nx = load(1)")
    nb.ok("%dag plan\n%dag\n%dag show")
    assert engine.connected() is None


def test_quiet_shows_nothing(nb):
    assert nb.ok("%%dag etl --quiet\nx = load(1)") == ""


def test_the_last_expression_is_shown_unless_it_is_a_handle(nb):
    assert "Out[2]: 42" in nb.ok("%%dag etl\nx = load(1)\n40 + 2")
    assert "Out[" not in nb.ok("%%dag etl --quiet\nadd(x)")


def test_another_cell_extends_and_the_same_replaces(nb):
    nb.ok("%%dag etl\nraw = load(1)", "B")
    nb.ok("%%dag etl\nout = add(raw)", "C")
    assert list(nb.ns["etl"]) == ["raw", "out"]
    nb.ok("%%dag etl\nraw = load(2)\nmore = load(3)", "B")
    assert set(nb.ns["etl"]) == {"raw", "out", "more"}
    nb.ok("%%dag etl\nraw = load(2)", "B")
    assert set(nb.ns["etl"]) == {"raw", "out"}


def test_what_moved_is_said_once(nb):
    nb.ok("%%dag etl\nmodel = load(1)", "B")
    nb.ok("%%dag etl\nused = add(model)", "C")
    moved = nb.ok("%%dag etl\nmodel = load(2)", "D")
    assert "model: now defined here (was In[2]; In[3] still uses that one until it is run again)" in moved
    assert "now defined here" not in nb.ok("%%dag etl\nmodel = load(2)", "D")


def test_a_dag_over_a_variable_that_held_data_says_so_once(nb):
    nb.ok("etl = 5")
    assert "etl was a int here; it is now the DAG etl" in nb.ok("%%dag etl\nx = load(1)", "B")
    assert "was a int" not in nb.ok("%%dag etl\nx = load(1)", "B")


def test_a_deleted_cell_takes_its_nodes_along(nb):
    nb.ok("%%dag etl\nraw = load(1)", "B")
    nb.ok("%%dag etl\nother = load(2)", "C")
    nb.ok("0", "D", deleted=("B",))
    assert list(nb.ns["etl"]) == ["other"]


def test_problems_are_shown_at_once_and_refused_at_the_plan(nb):
    nb.ok("%%dag etl\nraw = load(1)", "B")
    nb.ok("%%dag etl\nout = add(raw)", "C")
    text = nb.ok("%%dag etl\nelse_ = load(1)", "B")
    assert "raw is gone; In[3] needs it" in text
    assert "out (In[3], line 2) needs raw" in text
    assert nb.fails("%dag plan").startswith("PlanError: etl makes no graph:")
    assert "cannot be planned" in nb.ok("%dag")


@pytest.mark.parametrize(
    ("cell", "error", "texts"),
    [
        (
            "%%dag etl\n\nx = = 1",
            BuildError,
            ["this is not Python: invalid syntax", "Cell In[3], line 3: x = = 1\n", " ^"],
        ),
        ("%%dag etl\nreturn 1", BuildError, ["'return' outside function", "Cell In[3], line 2: return 1"]),
        ("%%dag etl\nx = await f()", BuildError, ["await works in a with block", "Cell In[3], line 2: x = await f()"]),
        ("%%dag etl\nasync with f() as g: pass", BuildError, ["await works in a with block"]),
        (
            "%%dag etl\nfor x in load(1): pass",
            BuildError,
            ["cannot loop over", "Cell In[3], line 2: for x in load(1): pass"],
        ),
        ("%%dag etl\nx = load(1)\nif x: pass", BuildError, ["cannot test x", "Cell In[3], line 3: if x: pass"]),
        ("%%dag etl\netl = load(1)", BuildError, ["etl is the name of this DAG"]),
        ("%%dag\nx = load(1)", OptionError, ["%%dag needs a name"]),
        ("%%dag my-dag\nx = load(1)", OptionError, ["'my-dag' is not a name for a DAG"]),
        ("%%dag class\nx = load(1)", OptionError, ["'class' is not a name for a DAG"]),
        ("%%dag etl --fresh\nx = load(1)", OptionError, ["--fresh", "not available in this version"]),
        ("%%dag etl -P hetf\nx = load(1)", Exception, ["no planner is called 'hetf'", "heft"]),
        ("%%task clean\nx = 1", OptionError, ["%%task is not available in this version"]),
    ],
)
def test_refusals_are_text_alone_and_change_nothing(nb, cell, error, texts):
    nb.ok("%%dag etl\nold = load(1)", "B")
    before = dict(nb.ns)
    text = nb.fails(cell, "C")
    assert isinstance(nb.result.error_in_exec, error)
    for part in texts:
        assert part in text
    assert "Traceback" not in text
    assert "dagnb/" not in text
    if "hetf" not in cell:  # the cell ran; only its plan was refused
        assert list(nb.ns["etl"]) == ["old"]
        assert {k: v for k, v in nb.ns.items() if k[0] != "_"} == {k: v for k, v in before.items() if k[0] != "_"}


def test_the_mark_stands_under_the_mistake(nb):
    lines = nb.fails("%%dag etl\ntotal = add(1, 2\n").splitlines()
    where = next(i for i, line in enumerate(lines) if "Cell In[2], line 2" in line)
    assert lines[where + 1].index("^") == lines[where].index("(1, 2")


def test_an_error_of_the_body_begins_at_its_line(nb):
    nb.ok("def helper(v):\n    return v / 0", "H")
    text = nb.fails("%%dag etl\nx = load(1)\ny = helper(2)", "B")
    assert "ZeroDivisionError" in text
    assert "Cell In[3], line 3" in text
    assert "Cell In[2], line 2, in helper" in text
    assert "dagnb/" not in text
    assert "run_cell_magic" not in text
    assert "x" not in nb.ns
    assert "etl" not in nb.ns
    assert "etl" not in registry.dags()


def test_debug_shows_our_frames(nb, monkeypatch):
    monkeypatch.setenv("DAGNB_DEBUG", "1")
    text = nb.fails("%%dag etl\nfor x in load(1): pass")
    assert "Traceback" in text
    assert "handle.py" in text


def test_a_handle_in_a_plain_function_gets_a_note(nb):
    text = nb.fails("%%dag etl\nraw = load('a')\nupper = str.upper(raw)\n", "B")
    assert "TypeError" in text
    text = nb.fails("%%dag etl\nimport textwrap\nraw = load('a')\nx = textwrap.dedent(raw)", "B")
    assert "dedent() got the handle raw (line 4). Make it a task: task(dedent)(…)." in text


def test_line_numbers_and_source_belong_to_the_cell(nb):
    nb.ok("%%dag etl\n\ndef helper(v):\n    return v\nx = load(1)", "B")
    assert nb.ns["helper"].__code__.co_firstlineno == 3
    assert inspect.getsource(nb.ns["helper"]) == "def helper(v):\n    return v\n"
    assert nb.ns["etl"].graph.where == ("Cell In[2], line 5",)


def test_braces_dollars_and_magics_in_the_body(nb):
    nb.ok('%%dag etl\nname = "x"\nx = load(f"{name} $HOME {{}}")\n%who_ls\n')
    assert nb.ns["etl"].graph.calls.args[0] == ("x $HOME {}",)


def test_new_forgets(nb):
    nb.ok("%%dag etl\nraw = load(1)", "B")
    first = nb.ns["etl"]
    nb.ok("%%dag etl --new\nother = load(1)", "C")
    assert nb.ns["etl"] is not first
    assert list(nb.ns["etl"]) == ["other"]


def test_a_body_that_raises_does_not_forget_with_new(nb):
    nb.ok("%%dag etl\nraw = load(1)", "B")
    nb.fails("%%dag etl --new\n1/0", "C")
    assert registry.find("etl") is nb.ns["etl"]
    assert list(nb.ns["etl"]) == ["raw"]


def test_the_with_form_is_equal(nb):
    text = nb.ok("with dagnb.dag('etl') as etl:\n    raw = load(1)\n    out = add(raw)", "B")
    assert text.startswith("etl · 2 tasks")
    nb.ok("%%dag etl\nmore = add(out)", "C")
    assert list(nb.ns["etl"]) == ["raw", "out", "more"]
    assert nb.ns["etl"].graph.where[0] == "Cell In[2], line 2"


# ---- %dag -----------------------------------------------------------------------------------------------------------
def test_bare_dag_is_the_status(nb):
    assert "no DAG yet" in nb.ok("%dag")
    nb.ok("%%dag etl\nx = load(1)")
    text = nb.ok("%dag")
    assert "etl · 1 task · never run" in text
    assert "workers: " in text


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("%dag rnu", ["no sub-command 'rnu'", "Did you mean run or runs?"]),
        ("%dag frobnicate", ["There are: status, show"]),
        ("%dag etl", ["say what to do with it", "%dag run etl"]),
        ("%dag show elt", ["there is no DAG elt", "Did you mean etl?"]),
        ("%dag run --fresh", ["--fresh", "not available in this version"]),
        ("%dag run -w none", ["takes a whole number"]),
        ("%dag run etl now", ["'now' is one word too many"]),
        ("%dag result", ["which node?"]),
        ("%dag result etl", ["etl is a DAG", "etl.report"]),
        ("%dag result etl.y", ["etl has no node y", "x"]),
        ("%dag result x", ["x has no value yet: etl was never run", "Cell In[2], line 2", "%dag run etl"]),
        ("%dag logs etl.x -f", ["-f", "not available in this version"]),
        ("%dag wait", ["etl was never run"]),
        ("%dag cancel", ["etl was never run"]),
        ("%dag pull etl nothing", ["no variable 'nothing'"]),
        ("%dag workers many", ["takes a whole number from 1 on, not 'many'"]),
        ("%dag plan -P hetf", ["heft"]),
    ],
)
def test_what_cannot_be_done_is_said(nb, line, texts):
    nb.ok("%%dag etl\nx = load(1)", "B")
    text = nb.fails(line)
    for part in texts:
        assert part in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "word",
    [
        "retry",
        "why",
        "history",
        "diff",
        "replay",
        "record",
        "connect",
        "config",
        "cache",
    ],
)
def test_what_is_not_built_is_refused_by_its_name(nb, word):
    assert f"%dag {word} is not available in this version of dagnb yet" in nb.fails(f"%dag {word} etl")


def test_with_two_dags_the_name_must_be_said(nb):
    nb.ok("%%dag one\nx = load(1)\n")
    nb.ok("%%dag two\ny = load(1)\n")
    assert "which DAG? There are one, two." in nb.fails("%dag show")
    assert nb.ok("%dag show two").startswith("two · 1 task")


def test_plan_takes_planner_and_workers(nb):
    nb.ok("%%dag etl\nx = load(1)")
    assert "on 5 workers" in nb.ok("%dag plan etl -P heft -w 5")
    assert nb.ok("etl.plan('heft', workers=3).planner").endswith("'heft'\n")


def test_a_planner_of_the_notebook_by_its_name(nb):
    nb.ok(
        "class Mine:\n    def plan(self, graph, cluster, estimates, /):\n"
        "        tasks = range(len(graph))\n"
        "        return dagnb.Plan.build(graph, cluster, estimates, worker=[0 for _ in tasks], sequence=tasks)"
    )
    nb.ok("%%dag etl\nx = load(1)")
    assert "on 3 workers" in nb.ok("%dag plan -P Mine -w 3")
    nb.ok("%%dag etl -P Mine\nx = load(1)")
    nb.ok("heft = 3\n%dag plan -P heft")


def test_a_declared_forecast_has_seconds(nb):
    nb.ok("%%dag etl\nx = load.options(est='2s')(1)\ny = add.options(est=1)(x)")
    assert "declared forecast 3 s on 2 workers · best possible 3 s" in nb.ok("%dag plan -w 2")


def test_workers_for_the_next_runs(nb, monkeypatch):
    monkeypatch.setattr(engine, "_wanted", None)
    assert "3 workers for the next run" in nb.ok("%dag workers 3")
    nb.ok("%%dag etl --quiet\nx = load(1)")
    assert "on 3 workers" in nb.ok("%dag plan")
    assert nb.ok("dagnb.workers()").endswith("3\n")


def test_drop_forgets(nb):
    nb.ok("%%dag etl\nx = load(1)")
    assert "etl is forgotten" in nb.ok("%dag drop etl")
    assert not registry.dags()


def test_help_is_one_screen_examples_first(nb):
    text = nb.ok("%dag help")
    assert "%dag run etl" in text
    assert len(text.splitlines()) < 30
    for magic in (nb.ip.find_line_magic("dag"), nb.ip.find_cell_magic("dag")):
        doc = inspect.getdoc(magic)
        assert "%dag" in doc.splitlines()[0] or "%%dag etl" in doc.splitlines()[2]
        assert len(doc.splitlines()) < 24
        assert max(map(len, doc.splitlines())) <= 120


def test_doctor_tells_what_is_there(nb):
    text = nb.ok("%dag doctor")
    assert "Redis" in text
    assert "Python" in text


def test_loading_twice_is_loading_once(nb):
    nb.ok("%load_ext dagnb\n%reload_ext dagnb")
    nb.ok("%%dag etl\nx = load(1)", "B")
    assert len(nb.ns["etl"]) == 1


def test_unloading_takes_everything_back(nb):
    nb.ok("%unload_ext dagnb")
    assert nb.ip.find_line_magic("dag") is None
    assert nb.ip.find_cell_magic("dag") is None
    assert "cache" not in vars(nb.ip.compile)
    nb.ok("%load_ext dagnb")


def test_the_cell_that_loads_may_use(nb):
    nb.ok("%unload_ext dagnb")
    nb.ok("%load_ext dagnb\nwith dagnb.dag('etl') as etl:\n    x = load(1)", "L")
    assert nb.ns["etl"].graph.where == (f"Cell In[{nb.ip.execution_count - 1}], line 3",)


def test_export_writes_a_file(nb, tmp_path):
    nb.ok("%%dag etl --quiet\nx = load(1)\ny = add(x)")
    target = tmp_path / "etl.json"
    assert f"etl is written to {target}" in nb.ok(f"%dag export etl {target}")
    first = target.read_text()
    nb.ok(f"%dag export {target}")
    assert len(target.read_text()) == len(first)
    assert "export to which file?" in nb.fails("%dag export")
    assert "Did you mean etl" in nb.fails(f"%dag export etll {target}")
