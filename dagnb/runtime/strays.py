"""Processes that an interrupted task has started and left behind: nobody waits for them any more."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from .watch import children

_TICK = 1e9 / os.sysconf("SC_CLK_TCK")


def kill_strays(since: int) -> None:
    """Kill what this process has started since a moment, with all that this has started; ns of the monotonic clock."""
    todo = [pid for pid in children(os.getpid()) if _born(pid) >= since - _TICK]
    while todo:
        pid = todo.pop()
        todo += children(pid)
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _born(pid: int) -> float:
    """When a process was started, ns of the monotonic clock as far as the machine never slept; 0 when it is gone."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) * _TICK
    return 0.0
