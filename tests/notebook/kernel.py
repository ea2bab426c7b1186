"""A real kernel, spoken to as JupyterLab does: the id of the cell and the deleted ones in each execute request."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.manager import KernelManager

VIEW = "application/vnd.jupyter.widget-view+json"

SETUP = """\
%load_ext dagnb
import time, dagnb
from dagnb import task
@task
def nap(x, seconds=0):
    time.sleep(seconds)
    return x
@task
def add(*xs): return sum(xs)"""


@dataclass
class Executed:
    """What one execution sent back."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    status: str = ""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The contents of the messages of one type."""
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    @property
    def text(self) -> str:
        """All that was printed, and the text of the value."""
        streams = "".join(c["text"] for c in self.of("stream"))
        return streams + "".join(c["data"].get("text/plain", "") for c in self.of("execute_result"))

    @property
    def error(self) -> str:
        """What the cell shows in red, without colours."""
        return "\n".join(plain("\n".join(c["traceback"])) for c in self.of("error"))

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """Displays that can be updated, and their updates, in order."""
        kinds = {"display_data", "update_display_data"}
        found = [m for m in self.messages if m["msg_type"] in kinds and m["content"]["transient"].get("display_id")]
        return [
            {"kind": m["msg_type"], "id": m["content"]["transient"]["display_id"], **m["content"]["data"]}
            for m in found
        ]


def plain(text: str) -> str:
    """Text without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Kernel:
    """One kernel and a client of it."""

    def __init__(self, **env: str) -> None:
        self.manager = KernelManager()
        self.manager.start_kernel(env={**os.environ, **env}, extra_arguments=["--log-level=ERROR"])
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def submit(self, code: str, cell: str | None = None, deleted: Iterable[str] = ()) -> str:
        """Send a cell without waiting; the id of the request."""
        session = self.client.session
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        metadata = {"deletedCells": list(deleted), "recordTiming": False} | ({"cellId": cell} if cell else {})
        message = session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def gather(self, request: str, timeout: float = 60.0) -> Executed:
        """Everything the request brings until the kernel is idle again."""
        found, end = Executed(), time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            if message["parent_header"].get("msg_id") != request:
                continue
            found.messages.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            if reply["parent_header"].get("msg_id") == request:
                found.status = reply["content"]["status"]
                return found

    def run(self, code: str, cell: str | None = None, deleted: Iterable[str] = ()) -> Executed:
        """Execute a cell as JupyterLab would."""
        return self.gather(self.submit(code, cell, deleted))

    def stop(self) -> None:
        """End it."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@contextmanager
def kernel(**env: str) -> Iterator[Kernel]:
    """A kernel for a while."""
    running = Kernel(**env)
    try:
        yield running
    finally:
        running.stop()
