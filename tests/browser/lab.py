"""A JupyterLab of its own for one test, and a headless Chromium that looks at it.

Everything lies in one temporary directory, the server listens on 127.0.0.1 alone, and what the page asks of any other
address, or writes to its console as an error, is kept for the test to judge.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

#: No GPU, no sandbox (containers), no call home.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)

#: No news, no update check; all cells in the page at once, else a test finds only those in sight.
OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}

TOKEN = "token-of-the-test"

#: The kernel as the front end sees it; the idle light in the corner is lit before there is one.
KERNEL = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel"


def write_notebook(path: Path, cells: list[str]) -> None:
    """A notebook of code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def jupyterlab(directory: Path) -> Iterator[str]:
    """A JupyterLab server over `directory`/root; gives its address. Ends with its kernels when the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = directory / "config" / "labconfig"
    settings.mkdir(parents=True)
    (settings / "default_setting_overrides.json").write_text(json.dumps(OVERRIDES))
    environment = dict(
        os.environ,
        JUPYTER_CONFIG_DIR=str(directory / "config"),
        JUPYTER_DATA_DIR=str(directory / "data"),
        JUPYTER_RUNTIME_DIR=str(directory / "runtime"),
        IPYTHONDIR=str(directory / "ipython"),
    )
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={directory / 'root'}"]
    command += ["--ServerApp.port_retries=0", "--LabApp.expose_app_in_browser=True"]
    log = directory / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until_up(url, server, log)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path, patience: float = 60.0) -> None:
    """Return when the server answers; fail with its log when it ends or stays silent."""
    end = time.monotonic() + patience
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/api?token={TOKEN}", timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


class Lab:
    """One notebook, open in a page.

    outside     addresses other than 127.0.0.1 that the page asked for
    complaints  console errors and uncaught exceptions
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.outside: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(30_000)
        page.on("request", self._on_request)
        page.on("console", lambda m: self.complaints.append(f"{m.text} ({m.location})") if m.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _on_request(self, request: object) -> None:
        url = request.url  # type: ignore[attr-defined]  # playwright's Request
        if not url.startswith((self.url, self.url.replace("http", "ws", 1), "data:", "blob:", "about:")):
            self.outside.append(url)

    def open(self, name: str, cells: int) -> None:
        """Open a notebook; returns when its cells are there and its kernel is idle."""
        self.page.goto(f"{self.url}/lab/tree/{name}?token={TOKEN}")
        self.wait_for_cells(cells)
        self.page.wait_for_function(f"{KERNEL}?.connectionStatus === 'connected' && {KERNEL}.status === 'idle'")

    def wait_for_cells(self, cells: int) -> None:
        """Cells appear one after the other."""
        script = f"document.querySelectorAll('.jp-Notebook .jp-Cell').length >= {cells}"
        self.page.wait_for_function(script, timeout=90_000)

    def command(self, name: str, *, wait: bool = False) -> None:
        """Run a command of JupyterLab. Most promises end only with the cell, so they are not waited for."""
        call = f"window.jupyterapp.commands.execute('{name}')"
        self.page.evaluate(f"(async () => {{ await {call} }})()" if wait else f"void {call}")

    def cell(self, number: int) -> Locator:
        """A cell, from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def output(self, number: int) -> Locator:
        """The output area of a cell."""
        return self.cell(number).locator(".jp-OutputArea-output")

    def prompt(self, number: int) -> str:
        """`[*]:` while the cell runs or waits, `[3]:` when it has run."""
        return self.cell(number).locator(".jp-InputPrompt").inner_text().strip()

    def start(self, number: int) -> None:
        """Run a cell, without waiting for it."""
        self.cell(number).locator(".jp-InputPrompt").click()
        self.command("notebook:run-cell")

    def run(self, number: int, patience: float = 60.0) -> str:
        """Run a cell to its end; gives the text of its outputs."""
        before = self.prompt(number)
        self.start(number)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            now = self.prompt(number)
            if now != before and re.fullmatch(r"\[\d+\]:", now):
                return self.text(number)
            self.page.wait_for_timeout(30)
        raise AssertionError(f"cell {number} did not end within {patience} s: {self.prompt(number)}")

    def text(self, number: int) -> str:
        """What a reader sees under a cell."""
        return "\n".join(self.output(number).all_inner_texts())

    def running(self, number: int) -> bool:
        """Whether the cell is at work right now."""
        return "*" in self.prompt(number)

    def kill_kernel(self) -> None:
        """Shut the kernel down and leave the page as it is."""
        self.page.evaluate("(async () => window.jupyterapp.shell.currentWidget.sessionContext.shutdown())()")


@contextmanager
def open_lab(directory: Path, chromium: str, cells: list[str], *, dark: bool = False) -> Iterator[Lab]:
    """JupyterLab with a notebook of these cells, open in a headless Chromium."""
    from playwright.sync_api import sync_playwright

    (directory / "root").mkdir(parents=True)
    write_notebook(directory / "root" / "test.ipynb", cells)
    with jupyterlab(directory) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(CHROMIUM_FLAGS))
        try:
            scheme = "dark" if dark else "light"
            page = browser.new_page(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
            lab = Lab(page, url)
            lab.open("test.ipynb", len(cells))
            yield lab
        finally:
            browser.close()
