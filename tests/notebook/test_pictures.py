"""The output that stays: it holds whatever the user called things, in notebooks that nobody trusts."""

from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

import dagnb
from dagnb.errors import PlanError
from dagnb.graph.graph import TaskGraph
from dagnb.notebook import pictures
from dagnb.notebook.pictures import comparison_bundle, static_bundle

HOSTILE = ["a & b", "<script>alert(1)</script>", "\"quoted\" 'both'", "100% #1?", "naïve · ☃", "&lt;/svg&gt;", "]]>"]


class Images(HTMLParser):
    """The attributes of every tag, as a browser reads them."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def graph(names):
    return TaskGraph.build("etl & more", [[] if i == 0 else [i - 1] for i in range(len(names))], keys=names, kind=names)


def tags_of(bundle):
    reader = Images()
    reader.feed(bundle["text/html"])
    return reader.tags


def test_the_html_holds_the_same_picture_as_the_svg():
    bundle = static_bundle(graph(HOSTILE), None, None, "dagnb-1")
    (div, attributes), (image, picture) = tags_of(bundle)
    assert (div, attributes) == ("div", {"class": "dagnb-static", "data-dagnb": "dagnb-1"})
    assert image == "img", "JupyterLab strips inline SVG from notebooks that it does not trust"
    head, _, data = picture["src"].partition(",")
    assert head == "data:image/svg+xml"
    drawn = unquote(data)
    assert drawn.split() == bundle["image/svg+xml"].split()
    root = ET.fromstring(drawn)
    text = " ".join(root.itertext())
    assert all(name in text for name in ("a & b", "100% #1?", "naïve · ☃"))
    assert not [e for e in root.iter() if e.tag.endswith("script")]


def test_the_text_stands_in_for_the_picture():
    bundle = static_bundle(graph(["a", "b"]), None, None, "m")
    assert bundle["text/plain"].startswith("etl & more · 2 tasks")
    assert dict(tags_of(bundle))["img"]["alt"] == bundle["text/plain"].splitlines()[0]


def test_large_pictures_are_kept_once(monkeypatch):
    names = [f"task_{i}" for i in range(30)]
    assert set(static_bundle(graph(names), None, None, "m")) == {"text/plain", "text/html", "image/svg+xml"}
    assert set(static_bundle(graph(names), None, None, "m", svg=False)) == {"text/plain", "text/html"}
    monkeypatch.setattr(pictures, "TWICE", 100)
    assert set(static_bundle(graph(names), None, None, "m")) == {"text/plain", "text/html"}


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_any_size(n):
    bundle = static_bundle(graph([f"t{i}" for i in range(n)]), None, None, "m")
    assert sum(map(len, bundle.values())) < 300_000


class Refusing:
    name = '<b>"refusing" & co</b>'

    def plan(self, *_):
        raise PlanError("]]> no plan </svg><script>alert(1)</script>")


@pytest.mark.parametrize("several", [False, True])
def test_a_comparison_is_a_picture_and_a_table(several):
    dags = {"etl & more": graph(HOSTILE)} | ({"<i>two</i>": graph(["x"])} if several else {})
    comparison = dagnb.compare(dags, ["heft", Refusing()], workers=[2, 4])
    bundle = comparison_bundle(comparison, "dagnb-7")
    assert bundle["text/plain"] == comparison.table()
    (_, attributes), (_, image) = tags_of(bundle)
    assert attributes["data-dagnb"] == "dagnb-7"
    root = ET.fromstring(unquote(image["src"].partition(",")[2]))
    words = " ".join(root.itertext())
    assert "etl & more" in words
    assert '<b>"' in words
    assert not [e for e in root.iter() if e.tag.endswith(("script", "b"))]


def test_a_comparison_of_a_large_graph_stays_small():
    from tests.browser.recording import montage

    comparison = dagnb.compare({"m": montage(2000)}, ["heft", "simple"], workers=[2, 4, 6, 8, 12, 16])
    assert sum(map(len, comparison_bundle(comparison, "m").values())) < 200_000
