"""The analysis of a run in a real JupyterLab: words, Bokeh plots that fill in, nothing that leaves the machine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.lab import open_lab

SETUP = """\
%load_ext dagnb
import time
from pathlib import Path
from dagnb import task

@task(est=0.2, out_size=100_000)
def load(i):
    time.sleep(0.2)
    return bytes(200_000)

@task(est=0.25, out_size=8)
def fit(data):
    time.sleep(len(data) * 2.5e-6)
    return 0.5

@task(est=0.1)
def hold(i, gate):
    while i > 3 and not gate.exists():
        time.sleep(0.02)
    return i"""

HELD = """\
%%dag held -w 2 --quiet
values = [hold(i, Path("gate").absolute()) for i in range(12)]"""

LIVE = "held.run(wait=False, planner='heft', workers=2, quiet=True).analysis()"
ETL = """\
%%dag etl -w 2 --quiet
scores = [fit(load(i)) for i in range(6)]"""

ENDED = "etl.run(planner='heft', workers=2, quiet=True).analysis()"

CELLS = [SETUP, HELD, LIVE, ETL, ENDED]
FOLLOWED, DONE_WITH = 2, 4

#: Pixels of all Bokeh canvases inside of an element that pass a test. They stand in nested shadow roots.
COUNT = """root => {
  const found = [];
  const walk = (node) => {
    if (node instanceof HTMLCanvasElement && node.width > 0 && node.height > 0) found.push(node);
    if (node.shadowRoot) walk(node.shadowRoot);
    for (const child of node.children ?? []) walk(child);
  };
  walk(root);
  let ink = 0;
  for (const canvas of found) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) ink += TEST;
  }
  return ink;
}"""
#: Anything that is drawn.
INK = COUNT.replace("TEST", "data[i + 3] > 0")
#: Green: curves of what has happened, and the areas below them.
DONE = COUNT.replace(
    "TEST", "data[i + 3] > 0 && Math.abs(data[i] - 0) + Math.abs(data[i + 1] - 158) + Math.abs(data[i + 2] - 115) < 40"
)
#: The light grey of words on a dark page.
DARK = COUNT.replace("TEST", "data[i + 3] > 200 && Math.abs(data[i] - 230) + Math.abs(data[i + 1] - 234) < 30")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_plots_fill_in_while_a_run_goes_on(tmp_path, chromium, screens):
    with open_lab(tmp_path, chromium, CELLS) as lab:
        page = lab.page
        for number in range(FOLLOWED + 1):
            lab.run(number)

        # Live: tasks wait at a gate; the picture is drawn, and fills in when it is opened.
        pane = lab.cell(FOLLOWED).locator(".dagnb-metrics").first
        node = pane.element_handle()
        page.wait_for_function(f"node => ({INK})(node) > 3000", arg=node)
        done = [pane.evaluate(DONE)]
        (tmp_path / "root" / "gate").touch()
        page.wait_for_function(f"([node, done]) => Math.abs(({DONE})(node) - done) > 200", arg=[node, *done])
        pane.scroll_into_view_if_needed()
        page.screenshot(path=screens / "metrics-live.png")

        # Ended: the words name the cause, the table and all plots stand below.
        lab.run(3)
        words = lab.run(DONE_WITH)
        assert "fit takes 2" in words
        assert "because its inputs doubled" in words
        plots = lab.cell(DONE_WITH).locator(".dagnb-metrics").first
        page.wait_for_function(f"node => ({INK})(node) > 6000", arg=plots.element_handle())
        still = lab.cell(DONE_WITH).locator(".dagnb-static").first
        expect(still).to_be_hidden()
        plots.scroll_into_view_if_needed()
        lab.cell(DONE_WITH).screenshot(path=screens / "metrics-done.png")

        # The theme is changed under them.
        page.evaluate("void window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
        page.wait_for_function(f"node => ({DARK})(node) > 1000", arg=plots.element_handle())
        lab.cell(DONE_WITH).screenshot(path=screens / "metrics-dark.png")
        assert page.evaluate("globalThis[Symbol.for('dagnb.bokeh')].size") == 1, "BokehJS comes once per page"

        assert lab.outside == []
        assert lab.complaints == []

        # Saved, the kernel gone, opened again: words and the still picture are there.
        lab.command("docmanager:save", wait=True)
        lab.kill_kernel()
        page.reload()
        lab.wait_for_cells(len(CELLS))
        expect(lab.cell(DONE_WITH)).to_contain_text("because its inputs doubled")
        expect(still.get_by_role("img")).to_be_visible()
        still.scroll_into_view_if_needed()
        lab.cell(DONE_WITH).screenshot(path=screens / "metrics-still.png")
