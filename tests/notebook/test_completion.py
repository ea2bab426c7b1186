import pytest
from IPython.core.completer import provisionalcompleter

from dagnb.notebook.completion import complete


@pytest.fixture
def etl(nb):
    nb.ok("%%dag etl\nraw = load(1)\nreport = add(raw)")
    return nb


def words(line, **more):
    found = complete(line, **more)
    return None if found is None else found[1]


def test_sub_commands(etl):
    assert words("%dag r") == ["run", "result", "runs"]
    assert "status" in words("%dag ")


def test_names_of_dags_and_nodes(etl):
    assert words("%dag run e") == ["etl"]
    assert words("%dag result ") == ["raw", "report", "etl.raw", "etl.report"]
    assert words("%dag logs etl.re") == ["etl.report"]


def test_names_of_planners(etl):
    assert {"heft", "simple"} <= set(words("%dag plan etl -P "))
    assert words("%%dag etl -P he") == ["heft"]


def test_options(etl):
    assert words("%dag run --w") == ["--workers"]
    assert words("%%dag etl --n") == ["--new"]
    assert "--fresh" not in words("%dag run -")


@pytest.mark.parametrize("line", ["x = %dag", "%matplotlib in", "%dag", "load(", "%dagger r"])
def test_not_ours(etl, line):
    assert words(line) is None


def test_a_cell_magic_stands_in_the_first_line_only(etl):
    assert words("%%dag e", first=False) is None
    assert "etl" in words("%%dag e", first=True)


def test_tab_in_the_shell(etl):
    with provisionalcompleter():
        for line, wanted in (("%dag result re", "report"), ("%dag wa", "wait"), ("%%dag e", "etl")):
            assert wanted in [c.text for c in etl.ip.Completer.completions(line, len(line))]


def test_an_unloaded_extension_completes_nothing(etl):
    etl.ip.run_line_magic("unload_ext", "dagnb")
    assert not etl.ip.Completer.custom_matchers
    etl.ip.run_line_magic("load_ext", "dagnb")
