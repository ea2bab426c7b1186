"""dagnb: write ordinary Python in a cell, see the plan before the run, watch it run live in the same cell.

    %load_ext dagnb
    from dagnb import task

Names are imported when they are first used (PEP 562): `import dagnb` costs a kernel or a worker next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagnb.errors import DagnbError, TaskError
    from dagnb.graph.graph import TaskGraph
    from dagnb.graph.handle import Handle
    from dagnb.graph.task import task
    from dagnb.planning.cluster import Cluster, WorkerSpec
    from dagnb.planning.estimator import Estimates
    from dagnb.planning.plan import Assignment, Plan
    from dagnb.planning.planner import Planner
    from dagnb.runtime.run import Run
    from dagnb.session.attach import attach
    from dagnb.session.attach import runs as runs
    from dagnb.session.compare import compare
    from dagnb.session.dag import Dag
    from dagnb.session.later import Sweep, from_dask, param, when
    from dagnb.session.later import cache as cache
    from dagnb.session.later import config as config
    from dagnb.session.later import connect as connect
    from dagnb.session.registry import dag
    from dagnb.session.registry import drop as drop
    from dagnb.session.traces import from_wfformat
    from dagnb.session.twins import doctor as doctor
    from dagnb.session.twins import help as help  # noqa: A004 -- never exported by a star
    from dagnb.session.twins import status as status
    from dagnb.session.twins import workers as workers

__all__ = [
    "Assignment",
    "Cluster",
    "Dag",
    "DagnbError",
    "Estimates",
    "Handle",
    "Plan",
    "Planner",
    "Run",
    "Sweep",
    "TaskError",
    "TaskGraph",
    "WorkerSpec",
    "attach",
    "compare",
    "dag",
    "from_dask",
    "from_wfformat",
    "param",
    "task",
    "when",
]

#: Where each name lives. Those not in `__all__` are reachable as `dagnb.x` only: `import *` must not shadow `help`.
_HOMES = {
    "dagnb.errors": ("DagnbError", "TaskError"),
    "dagnb.graph.graph": ("TaskGraph",),
    "dagnb.graph.handle": ("Handle",),
    "dagnb.graph.task": ("task",),
    "dagnb.planning.cluster": ("Cluster", "WorkerSpec"),
    "dagnb.planning.estimator": ("Estimates",),
    "dagnb.planning.plan": ("Assignment", "Plan"),
    "dagnb.planning.planner": ("Planner",),
    "dagnb.runtime.run": ("Run",),
    "dagnb.session.attach": ("attach", "runs"),
    "dagnb.session.compare": ("compare",),
    "dagnb.session.dag": ("Dag",),
    "dagnb.session.traces": ("from_wfformat",),
    "dagnb.session.registry": ("dag", "drop"),
    "dagnb.session.later": (
        *("Sweep", "from_dask", "param", "when"),
        *("cache", "config", "connect"),
    ),
    "dagnb.session.twins": ("doctor", "help", "status", "workers"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker would take it for a promise that every name exists

    def __getattr__(name: str) -> Any:
        """A public name, imported when it is first asked for."""
        if (module := _HOME_OF.get(name)) is None:
            raise AttributeError(f"module 'dagnb' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext dagnb`: defines `%dag`, `%%dag` and `%%task`; starts nothing."""
    from dagnb.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext dagnb`: the magics go; DAGs and runs stay as they are."""
    from dagnb.notebook.magics import unload

    unload(shell)
