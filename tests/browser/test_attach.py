"""A kernel is restarted while its run goes on: the next one shows that run live in the page, without an id."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.lab import KERNEL, open_lab
from tests.browser.test_lab import SETUP

ETL = """\
%%dag etl -w 2
parts = [nap(i) for i in range(120)]
total = add(parts)"""

BEGIN = "%dag run etl -b"
ATTACH = "%load_ext dagnb\n%dag attach"
RESULT = "%dag wait etl\nimport dagnb\nprint(dagnb.attach('etl')['total'])"

CELLS = [SETUP, ETL, BEGIN, ATTACH, RESULT]
BEGUN, ATTACHED, READ = 2, 3, 4


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_widget_of_an_attached_run_goes_on_live(tmp_path, chromium, screens):
    with open_lab(tmp_path, chromium, CELLS) as lab:
        page = lab.page
        for cell in range(BEGUN + 1):
            lab.run(cell)
        page.evaluate(f"(async () => {{ await {KERNEL}.restart(); }})()")
        page.wait_for_function(f"{KERNEL}?.connectionStatus === 'connected' && {KERNEL}.status === 'idle'")

        lab.run(ATTACHED)
        widget = lab.cell(ATTACHED).locator(".dagnb").first
        head = widget.locator(".dagnb-head")
        expect(head).to_contain_text("etl · 121 tasks")
        expect(head).to_contain_text("running")
        page.screenshot(path=screens / "lab-attached.png")
        seen = set()
        while "running" in (title := head.inner_text()):
            seen.add(title)
            page.wait_for_timeout(50)
        assert len(seen) >= 5, f"too few pictures of a run that went on: {seen}"
        expect(head).to_contain_text("done in")

        # What ran before the restart is in the picture, too: a task of the first kernel's time, in the drawer.
        widget.locator("canvas.dagnb-canvas").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(widget.locator(".dagnb-drawer")).to_contain_text("parts[0]")
        expect(widget.locator(".dagnb-drawer")).to_contain_text("done")
        page.screenshot(path=screens / "lab-attached-done.png")
        assert lab.run(READ).strip().endswith(str(sum(range(120))))
        assert lab.outside == []
        assert lab.complaints == []
