"""A real widget in this process, and a page that talks with it: the same messages as over a comm, by HTTP.

The page is js/demo.html; its `bridge()` asks for /traits, posts what the widget shall hear to /say, and waits at /hear
for what it says. Python answers on threads of its own, as in a kernel.
"""

from __future__ import annotations

import base64
import http.server
import json
import queue
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagnb.widgets.dag import DagWidget

ROOT = Path(__file__).parents[2]
TRAITS = ("mode", "selection", "header", "summary", "compared", "widget_id")


class Bridge:
    """The server; `address` is where it listens, `widget` who answers (None: pages that need none)."""

    def __init__(self) -> None:
        self.widget: DagWidget | None = None
        self.heard: list[dict[str, Any]] = []
        self.said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        handler = partial(_Handler, self)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def show(self, widget: DagWidget) -> None:
        """Let this widget answer from now on."""
        self.widget, self.heard, self.said = widget, [], queue.SimpleQueue()
        widget.feed._send = widget.send = self._send  # type: ignore[method-assign]  # its own door, without a comm
        widget.observe(self._changed, names=list(TRAITS))

    def close(self) -> None:
        self.widget = None
        self.server.shutdown()
        self.server.server_close()

    def _send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.said.put({"content": content, "buffers": [base64.b64encode(b).decode() for b in buffers or []]})

    def _changed(self, change: Any) -> None:
        self.said.put({"trait": change["name"], "value": change["new"]})

    def hear(self, message: dict[str, Any]) -> None:
        """A word from the page."""
        self.heard.append(message)
        if self.widget is not None:
            self.widget._handle_custom_msg(message, [])

    def take(self, timeout: float = 5.0) -> list[dict[str, Any]]:
        """What was said since the last time; waits for the first."""
        try:
            found = [self.said.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self.said.empty():
            found.append(self.said.get())
        return found


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, bridge: Bridge, *args: Any) -> None:
        self.bridge = bridge
        super().__init__(*args, directory=str(ROOT))

    def do_GET(self) -> None:  # the name is http.server's
        if self.path == "/traits":
            widget = self.bridge.widget
            self._json({name: getattr(widget, name) for name in TRAITS})
        elif self.path == "/hear":
            self._json(self.bridge.take())
        else:
            super().do_GET()

    def do_POST(self) -> None:  # the name is http.server's
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.bridge.hear(json.loads(data))
        self._json({})

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):  # the page is gone
            pass

    def log_message(self, *_: Any) -> None:
        pass
