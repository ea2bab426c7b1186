"""Hostile names and texts in a real browser, live and saved: shown as text, and nothing of them runs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from nbconvert import HTMLExporter
from nbformat import v4
from playwright.sync_api import Page, expect

from dagnb.graph.graph import TaskGraph
from dagnb.planners.heft import Heft
from dagnb.planning.cluster import Cluster, WorkerSpec
from dagnb.planning.estimator import estimate
from dagnb.planning.planner import run_planner
from dagnb.trace.timeline import Timeline
from dagnb.widgets.static import figure_svg
from tests.browser.recording import events, record
from tests.browser.test_page import play

#: What tells on itself: any of these would call it.
TOLD = "window.__told = (window.__told || 0) + 1"
HOSTILE = [
    f"<script>{TOLD}</script>",
    f'<img src=x onerror="{TOLD}">',
    f"javascript:{TOLD}",
    f"</script></style></textarea></title><script>{TOLD}</script>",
    f'"><svg onload="{TOLD}"><animate onbegin="{TOLD}" attributeName=x dur=1s></svg>',
    f"' onmouseover='{TOLD}' x='",
    "\u202egnp.exe\u2066\u2069 \u200f\u200b",
    "nul \x00 bell \x07 delete \x7f \x85",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
    f"${{{TOLD}}} {{{{constructor.constructor('{TOLD}')()}}}} <%= {TOLD} %>",
    "lone \ud800 surrogates \udfff \uffff",
    f"]]><!--<iframe srcdoc='<script>parent.{TOLD[7:]}</script>'>--><math href=javascript:{TOLD}>\u2028\u2029",
]


def hostile_graph() -> TaskGraph:
    """A task for each string: its name, its kind; the name of the DAG is all of them."""
    deps = [[i - 1] if i else [] for i in range(len(HOSTILE))]
    keys = [f"{text} {i}" for i, text in enumerate(HOSTILE)]
    return TaskGraph.build("".join(HOSTILE), deps, keys=keys, kind=HOSTILE)


def silent(page: Page) -> None:
    """Nothing has run, and nothing of it became an element or an attribute."""
    assert page.evaluate("window.__told") is None
    made = "script:not([src]):not([type=module]), img, iframe, math, animate, [onload], [onerror], [onmouseover]"
    assert page.evaluate(f"[...document.querySelectorAll('#host {made.replace(', ', ', #host ')}')].length") == 0
    links = "[...document.querySelectorAll('[href], [src]')].filter((e) => /^\\s*javascript:/i.test(e.href || e.src))"
    assert page.evaluate(f"{links}.length") == 0


@pytest.fixture
def guarded(page):
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    yield page
    page.wait_for_timeout(300)  # onerror and onload come later than the markup
    silent(page)
    assert dialogs == []


def test_names_and_texts_of_the_user_are_only_text(guarded):
    graph = hostile_graph()
    for fail in (-1, 3):
        recording = record(graph, until=1, fail=fail)
        recording["details"] = {str(i): details(text) for i, text in enumerate(HOSTILE)}
        play(guarded, json.loads(json.dumps(recording)))
        guarded.locator("canvas.dagnb-canvas").focus()
        for _ in HOSTILE:
            guarded.keyboard.press("ArrowRight")
            guarded.keyboard.press("Enter")
            expect(guarded.locator(".dagnb-drawer")).to_be_visible()
            guarded.wait_for_timeout(20)
        sweep(guarded)
        guarded.get_by_role("tab", name="Plan").click()
        sweep(guarded)
        silent(guarded)


def details(text: str) -> dict[str, Any]:
    """Everything that a drawer shows."""
    return {
        "stdout": text, "stderr": text, "traceback": text, "where": text, "resources": {text: text}, "worker": text,
        "error": text,
    }  # fmt: skip


def sweep(page: Page) -> None:
    """Tips come up under the pointer."""
    box = page.locator("canvas.dagnb-canvas").bounding_box()
    assert box is not None
    for k in range(1, 20):
        page.mouse.move(box["x"] + box["width"] * k / 20, box["y"] + box["height"] * (0.3 + 0.02 * k))


def test_words_that_the_search_is_given_are_only_text(guarded):
    play(guarded, record(hostile_graph(), until=0.5))
    guarded.locator("canvas.dagnb-canvas").focus()
    guarded.keyboard.press("/")
    for text in HOSTILE[:6]:
        guarded.keyboard.insert_text(text)
    silent(guarded)


def still_pictures() -> list[str]:
    """What is saved with a notebook, of workers and planners with hostile names, too."""
    graph = hostile_graph()
    cluster = Cluster([WorkerSpec(text) for text in HOSTILE])
    plan = run_planner(Heft(), graph, cluster, estimate(graph))
    plan = replace(plan, planner=HOSTILE[0])
    lived = Timeline.of(len(graph), events(graph, plan, cluster, fail=3))
    return [figure_svg(graph, plan), figure_svg(graph, plan, lived)]


def test_what_is_saved_with_a_notebook_is_only_text(guarded, bridge):
    for svg in still_pictures():
        page_with(guarded, svg)
        assert guarded.locator("#host svg").count() >= 1
        silent(guarded)


def test_a_notebook_made_a_web_page_is_only_text(guarded):
    """What nbconvert makes of all that a cell shows: picture, table, text, traceback."""
    texts = [v4.new_output("stream", name="stdout", text=text) for text in HOSTILE]
    pictures = [v4.new_output("display_data", {"text/html": svg, "text/plain": "picture"}) for svg in still_pictures()]
    notebook = v4.new_notebook(cells=[v4.new_code_cell("1", outputs=[*texts, *pictures])])
    document, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    page_with(guarded, document)
    silent(guarded)


def page_with(page: Page, markup: str) -> None:
    """Put markup on a page as a parser does it: scripts in it would run."""
    page.evaluate(
        "(markup) => { const host = document.querySelector('#host'); host.replaceChildren();"
        "host.append(document.createRange().createContextualFragment(markup)); }",
        markup,
    )
    page.wait_for_timeout(200)
