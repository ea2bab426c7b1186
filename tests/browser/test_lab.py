"""The whole house in a real JupyterLab: what a reader of the notebook sees, clicks and keeps."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.lab import open_lab

SETUP = """\
%load_ext dagnb
import time
from dagnb import task

@task
def nap(i):
    print("napping", i)
    time.sleep(0.15)
    return i

@task
def add(values):
    return sum(values)"""

ETL = """\
%%dag etl -w 2
parts = [nap(i) for i in range(40)]
total = add(parts)"""

RUN = "%dag run etl"
RESULT = "print(total.result(), etl.last.state.value)"
COMPARE = "%dag compare etl -P simple,heft -w 1,2"
BUSY = "began = time.time()\nwhile time.time() < began + 9: time.sleep(0.05)"
AFTER = "print(etl.last.state.value, len(etl))"

#: Numbers of the cells above.
CELLS = [SETUP, ETL, RUN, RESULT, COMPARE, BUSY, AFTER]
DRAWN, RUNNING, READ, COMPARING, BLOCKING, LAST = 1, 2, 3, 4, 5, 6

#: How many pixels of the canvas differ from its corner; the widget draws nothing into its first pixel.
INK = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let ink = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] !== data[0] || data[i + 1] !== data[1] || data[i + 2] !== data[2]) ink++;
  }
  return ink;
}"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_dag_lives_in_its_cell(tmp_path, chromium, screens):
    with open_lab(tmp_path, chromium, CELLS) as lab:
        page = lab.page
        widget = lab.cell(DRAWN).locator(".dagnb").first
        static = lab.cell(DRAWN).locator(".dagnb-static").first
        canvas = lab.cell(DRAWN).locator("canvas.dagnb-canvas").first

        # The cell draws the graph and its plan; the static twin hides behind the widget.
        lab.run(0)
        lab.run(DRAWN)
        expect(widget.locator(".dagnb-head")).to_contain_text("etl · 41 tasks")
        expect(static).to_be_hidden()
        page.wait_for_function(f"canvas => ({INK})(canvas) > 500", arg=canvas.element_handle())

        # The same picture fills in while the cell runs.
        lab.start(RUNNING)
        seen = watch_progress(lab, widget)
        assert len(seen) >= 5, f"too few pictures while the cell ran: {seen}\n{lab.text(RUNNING)}"
        assert lab.run(READ).strip() == f"{sum(range(40))} done"
        expect(widget.locator(".dagnb-head")).to_contain_text("done in")
        page.screenshot(path=screens / "lab-done.png")

        # A task, asked for with the keyboard: what it is, where it ran, what it printed.
        canvas.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        drawer = widget.locator(".dagnb-drawer")
        expect(drawer).to_contain_text("parts[0]")
        expect(drawer).to_contain_text("napping 0")
        page.screenshot(path=screens / "lab-drawer.png")
        page.keyboard.press("Escape")

        # The plan under the actual run, and the dark theme.
        widget.get_by_role("tab", name="Plan").click()
        page.wait_for_function(f"canvas => ({INK})(canvas) > 500", arg=canvas.element_handle())
        page.evaluate("void window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
        page.wait_for_timeout(500)
        page.screenshot(path=screens / "lab-plan-dark.png")
        widget.get_by_role("tab", name="Graph").click()

        # Plans side by side: one is picked and run, and a slider asks what might be.
        lab.run(COMPARING)
        plans = lab.cell(COMPARING).locator(".dagnb").first
        expect(plans.locator(".dagnb-compare tbody tr")).to_have_count(4)
        expect(lab.cell(COMPARING).locator(".dagnb-static").first).to_be_hidden()
        plans.locator(".dagnb-compare tbody tr").nth(2).click()
        expect(plans.get_by_role("button", name="Run", exact=True)).to_have_text("▶ Run simple on 2")
        page.screenshot(path=screens / "lab-compare.png")
        plans.get_by_role("button", name="Run", exact=True).click()
        expect(plans.locator(".dagnb-head")).to_contain_text("done in", timeout=30_000)
        plans.locator(".dagnb-knobs input").first.fill("7")
        expect(plans.locator(".dagnb-title")).to_contain_text("on 7 workers")
        plans.get_by_role("button", name="Reset").click()
        expect(plans.locator(".dagnb-title")).to_contain_text("on 2 workers")
        expect(plans.locator(".dagnb-head")).to_contain_text("done in")

        # ▶ and ■ work while another cell keeps the kernel busy.
        lab.start(BLOCKING)
        widget.get_by_role("button", name="Run", exact=True).click()
        expect(widget.locator(".dagnb-head")).to_contain_text("running", timeout=5000)
        assert lab.running(BLOCKING)
        widget.get_by_role("button", name="Cancel the run").click()
        expect(widget.locator(".dagnb-head")).to_contain_text("cancelled", timeout=5000)
        assert lab.running(BLOCKING)
        assert lab.run(LAST).strip() == "cancelled 41"

        assert lab.outside == []
        assert lab.complaints == []

        # Saved, the kernel gone, opened again: the picture is still there.
        lab.command("docmanager:save", wait=True)
        lab.kill_kernel()
        page.reload()
        lab.wait_for_cells(len(CELLS))
        picture = static.get_by_role("img", name="etl · 41 tasks")
        expect(picture).to_be_visible()
        assert picture.bounding_box()["height"] > 100
        picture.scroll_into_view_if_needed()
        page.screenshot(path=screens / "lab-reopened.png")
        assert lab.outside == []


def watch_progress(lab, widget, patience: float = 60.0) -> list[str]:
    """The different titles of the widget seen while the cell was at work."""
    seen: list[str] = []
    end = time.monotonic() + patience
    while not re.fullmatch(r"\[\d+\]:", lab.prompt(RUNNING)) and time.monotonic() < end:
        title = widget.locator(".dagnb-head").inner_text()
        if "running" in title and title not in seen and lab.running(RUNNING):
            seen.append(title)
        lab.page.wait_for_timeout(40)
    return seen
