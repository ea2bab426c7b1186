"""`%dag compare` in a shell: words, tables, completion, and what is shown."""

import pytest

from dagnb.notebook import options
from dagnb.notebook.completion import complete

ETL = "%%dag etl --quiet\nparts = [load(i) for i in range(4)]\ntotal = add(*parts)"


@pytest.fixture
def etl(nb):
    nb.ok(ETL)
    return nb


def test_planners_and_workers_between_commas(etl):
    text = etl.ok("%dag compare etl -P heft,simple -w 2,4")
    assert text.startswith("etl · 5 tasks\n")
    lines = [line.replace("★", " ").split() for line in text.splitlines()[2:6]]
    assert [line[:2] for line in lines] == [["heft", "2"], ["simple", "2"], ["heft", "4"], ["simple", "4"]]
    assert text.count("★") == 1
    assert "task units" in text


def test_the_name_and_the_planners_may_be_left_out(etl):
    text = etl.ok("%dag compare")
    assert "heft" in text
    assert "simple" in text


def test_a_planner_of_the_notebook_is_one_of_them(etl):
    etl.ok(
        "class Mine:\n"
        "    name = 'mine'\n"
        "    def plan(self, graph, cluster, estimates):\n"
        "        from dagnb.planning.planner import find_planner\n"
        "        from dataclasses import replace\n"
        "        return replace(find_planner('heft').plan(graph, cluster, estimates), planner='mine')"
    )
    assert "mine" in etl.ok("%dag compare etl -P heft,Mine -w 2")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-P hefft", "did you mean heft"),
        ("-w 0", "takes whole numbers from 1 on"),
        ("-w 4,x", "takes whole numbers from 1 on"),
        ("-P ,", "takes names such as heft,dask"),
        ("-P", "-P needs a value"),
    ],
)
def test_wrong_words_are_refused(etl, line, text):
    assert text in etl.fails(f"%dag compare etl {line}")


def test_each_word_once():
    assert options.names("heft, dask,,heft") == ("heft", "dask")
    assert options.counts("4,8,4") == (4, 8)


def test_completion_goes_on_after_a_comma(etl):
    found = complete("%dag compare etl -P heft,si")
    assert found == ("heft,si", ["heft,simple"])
    assert "heft,heft" not in complete("%dag compare etl -P heft,")[1]
    assert "--planner" in complete("%dag compare etl --p")[1]
    assert complete("%dag plan etl -P heft,si")[1] == []


def test_a_comparison_as_the_last_value(etl):
    text = etl.ok("etl.compare(['heft', 'simple'], workers=[2, 4])")
    assert text.count("heft") == 2
    assert text.count("etl · 5 tasks") == 1
    etl.ok("%%dag two --quiet\nx = load(1)")
    text = etl.ok("dagnb.compare({'etl': etl, 'two': two}, ['heft', 'simple'], workers=2)")
    assert "2 DAGs" in text
    assert "geometric mean" in text


def test_help_lists_it(etl):
    assert "%dag compare" in etl.ok("%dag help")
