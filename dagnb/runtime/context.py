"""The context of a worker: what must be equal for a task to mean the same there as in the notebook.

Working directory, `sys.path` and environment variables travel signed over the private socket, never in a command line.
Contexts never share a process; the size of a worker is part of its context.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass, replace

from dagnb.runtime.resources import PLAIN, Resources

#: Variables that differ from process to process and mean nothing to a task: two kernels share workers without them.
NOISE = frozenset(
    (
        *("_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "PS1", "WINDOWID", "TMUX", "TMUX_PANE", "STY"),
        *("TERM", "COLORTERM", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "NO_COLOR", "PAGER", "GIT_PAGER"),
        *("SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "INVOCATION_ID", "JOURNAL_STREAM", "PYDEVD_USE_FRAME_EVAL"),
        *("DAGNB_READY", "DAGNB_SYS_PATH", "DAGNB_LAUNCHED", "DAGNB_MEMORY", "DAGNB_KEEP_ALIVE"),
        "DAGNB_REDIS",  # may hold a password; workers read the address from the runtime directory
    )
)
NOISY_PREFIXES = ("JPY_", "JUPYTER", "KERNEL_", "VSCODE_", "TERM_", "VTE_", "XDG_SESSION", "COV_CORE_", "PYTEST_")

#: Libraries that would each start a thread per processor in every worker: a worker is one processor, unless told.
THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

#: How `sys.path` reaches a worker: the one separator that no sane entry contains.
PATH_VARIABLE, PATH_SEPARATOR = "DAGNB_SYS_PATH", "\n"


def folder() -> str:
    """The working directory; empty where it was removed."""
    try:
        return os.getcwd()  # noqa: PTH109  hot path
    except FileNotFoundError:
        return ""


@dataclass(frozen=True, slots=True)
class Context:
    """Where tasks of one notebook run."""

    cwd: str
    path: tuple[str, ...]
    environ: dict[str, str]
    requirements: str | None = None
    resources: Resources = PLAIN

    @classmethod
    def here(cls) -> Context:
        """The context of this process, now. Raises FileNotFoundError when its working directory was removed."""
        environ = {k: v for k, v in os.environ.items() if k not in NOISE and not k.startswith(NOISY_PREFIXES)}
        return cls(os.getcwd(), tuple(map(str, sys.path)), environ)  # noqa: PTH109  hot path

    @property
    def key(self) -> str:
        """Twelve hex digits that name this context."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """What `from_json` reads."""
        own = {"cwd": self.cwd, "path": self.path, "environ": self.environ, "requirements": self.requirements}
        size = {} if self.resources == PLAIN else {"resources": self.resources.to_dict()}
        return json.dumps(own | size, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Context:
        """What `to_json` wrote. Raises KeyError or ValueError for anything else."""
        found = json.loads(text)
        size = Resources.from_dict(found["resources"]) if "resources" in found else PLAIN
        return cls(found["cwd"], tuple(found["path"]), found["environ"], found["requirements"], size)

    def sized(self, resources: Resources) -> Context:
        """The same place for a worker of this size."""
        return replace(self, resources=resources)

    def worker_environ(self) -> dict[str, str]:
        """The environment variables of a worker process in this context."""
        size = self.resources
        environ = dict.fromkeys(THREAD_COUNTS, "1") | self.environ
        if size.cpus is not None:
            environ |= dict.fromkeys(THREAD_COUNTS, str(size.cpus))  # a size that was asked for comes before a habit
        if size.memory is not None:
            environ["DAGNB_MEMORY"] = str(size.memory)
        if size.keep_alive is not None:
            environ["DAGNB_KEEP_ALIVE"] = str(size.keep_alive)
        if environ.get("MPLBACKEND", "").startswith("module://"):  # the notebook's backend needs the notebook's kernel
            environ["MPLBACKEND"] = "agg"
        environ[PATH_VARIABLE] = PATH_SEPARATOR.join(self.path)
        return environ
