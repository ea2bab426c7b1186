"""One Chromium and one server of the demo page for each file of tests; a page for each test."""

from __future__ import annotations

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.bridge import Bridge
from tests.browser.lab import CHROMIUM_FLAGS


@pytest.fixture(scope="module")
def bridge():
    one = Bridge()
    yield one
    one.close()


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        yield one
        one.close()


@pytest.fixture
def page(browser, bridge):
    """The demo page. A test fails on any error of the page, and on any request that leaves this machine."""
    context = browser.new_context(viewport={"width": 1060, "height": 680})
    one = context.new_page()
    faults: list[str] = []
    one.on("pageerror", lambda error: faults.append(str(error)))
    one.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    one.on("request", lambda request: None if request.url.startswith(bridge.address) else faults.append(request.url))
    one.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    one.goto(f"{bridge.address}/js/demo.html")
    one.wait_for_function("window.loaded")
    yield one
    context.close()
    assert faults == []
