"""An Analysis as the last value of a cell: text in a terminal, words and a picture in a notebook, nothing of markup."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from dagnb.graph.graph import TaskGraph
from dagnb.notebook.analyses import analysis_bundle
from dagnb.planners.heft import Heft
from dagnb.planning.analysis import analyse
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.planner import run_planner
from dagnb.planning.simulator import forecast


def analysed(keys=("a", "b"), kinds=("load", "fit"), slower=(1.0, 3.0)):
    graph = TaskGraph.build("etl", [[], [0]], keys=keys, kind=kinds, duration=np.ones(2))
    cluster, estimates = Cluster.local(2), estimate(graph)
    plan = run_planner(Heft(), graph, cluster, estimates)
    return analyse(
        graph, plan, cluster, estimates, forecast(graph, plan, cluster, Estimates.of(np.array(slower))).timeline
    )


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_a_terminal_gets_text(nb):
    nb.ns["found"] = analysed()
    text = nb.ok("found")
    assert "etl · 2 tasks · took 4 s, planned 2 s (+100 %)" in text
    assert "fit takes 3× what was planned" in text


def test_a_notebook_gets_words_a_table_and_a_picture():
    bundle = analysis_bundle(analysed(), "dagnb-7")
    assert bundle["text/plain"] == str(analysed())
    read = Tags(bundle["text/html"])
    assert any("fit takes 3× what was planned" in words for words in read.words)
    assert ("div", {"class": "dagnb-static", "data-dagnb": "dagnb-7"}) in read.tags
    picture = next(attributes for tag, attributes in read.tags if tag == "img")
    assert picture["src"].startswith("data:image/svg+xml,")
    assert "fit" in read.words
    assert "load" in read.words


def test_names_of_users_are_only_ever_text():
    hostile = "<script>alert(1)</script>"
    html = analysis_bundle(analysed(keys=("x", hostile), kinds=("load", hostile)), "m")["text/html"]
    read = Tags(html)
    assert {tag for tag, _ in read.tags} == {
        "div",
        "p",
        "b",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "img",
    }
    assert any(hostile in words for words in read.words)


def test_it_goes_with_the_extension(nb):
    formatter = nb.ip.display_formatter.ipython_display_formatter
    assert ("dagnb.planning.analysis", "Analysis") in formatter.deferred_printers
    nb.ok("%unload_ext dagnb")
    assert ("dagnb.planning.analysis", "Analysis") not in formatter.deferred_printers
