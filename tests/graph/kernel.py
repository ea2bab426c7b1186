"""A kernel without IPython: cells with ids, one namespace, the same begin and commit as `%%dag`."""

from __future__ import annotations

import ast
import linecache
import sys
from collections import Counter
from typing import Any

from dagnb.graph.builder import GraphBuilder
from dagnb.graph.cells import CELLS, calling_frame
from dagnb.graph.graph import TaskRef
from dagnb.graph.naming import Text
from dagnb.graph.task import DEFINITIONS, task

BASICS = "\n".join(f"@task\ndef {f}(*a, **k): return ('{f}', a)" for f in ("load", "clean", "merge", "save"))


class Kernel:
    """Runs cells one after the other. Definitions and counters of a process are one, so each kernel parks its own."""

    def __init__(self, prelude: str = "") -> None:
        self.ns: dict[str, Any] = {"__name__": "__main__", "task": task, "dag": self.dag}
        self.dags: dict[str, GraphBuilder] = {}
        self.parked: tuple[dict[Any, Any], dict[str, int], dict[str, str], int] = ({}, {}, {}, 0)
        if prelude:
            self.ok("prelude", prelude)

    def dag(self, name: str, *, new: bool = False) -> Any:
        if new or name not in self.dags:
            self.dags[name] = GraphBuilder(name)
        return With(self.dags[name])

    # ---- running ----
    def run(self, cell: str | None, source: str) -> BaseException | None:
        """Execute; the error, if there is one."""
        self.unpark()
        execution = CELLS.begin(cell)
        file = f"<{execution.label}>"
        CELLS.name_file(file)
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        try:
            self._execute(source, file)
        except Exception as error:  # noqa: BLE001
            return error
        finally:
            CELLS.end()
            self.park()
        return None

    def _execute(self, source: str, file: str) -> None:
        if not source.startswith("%%dag"):
            exec(compile(source, file, "exec"), self.ns)
            return
        head, _, body = source.partition("\n")
        tree = ast.parse("\n" + body)
        name = head.split()[1]
        self.dag(name)
        builder = self.dags[name]
        rec = builder.begin(self.ns, file, Text.of(tree, body))
        try:
            exec(compile(tree, file, "exec"), self.ns)
        except BaseException as error:
            builder.abort(rec, error)
            raise
        builder.commit(rec)

    def ok(self, cell: str | None, source: str) -> None:
        error = self.run(cell, source)
        assert error is None, repr(error)

    # ---- looking ----
    @property
    def etl(self) -> GraphBuilder:
        self.unpark()
        return self.dags.setdefault("etl", GraphBuilder("etl"))

    @property
    def notes(self) -> list[str]:
        return self.etl.notes

    @property
    def names(self) -> tuple[str, ...]:
        return self.etl.graph().keys

    @property
    def edges(self) -> set[str]:
        g = self.etl.graph()
        return {f"{g.keys[d]}>{g.keys[i]}" for i in range(len(g)) for d in g.dependencies(i)}

    @property
    def content(self) -> Any:
        """Everything of the graph that may not depend on the history; its problems where there is no graph."""
        builder = self.etl
        if builder.problems:
            return builder.problems
        g = builder.graph()
        calls = g.calls
        assert calls is not None
        rows = [
            (
                g.keys[i],
                g.kinds[g.kind[i]],
                code(calls.functions[calls.function[i]]),
                shown(calls.args[i], g),
                shown(calls.kwargs[i], g),
            )
            for i in range(len(g))
        ]
        return (
            tuple(rows),
            tuple(map(tuple, map(g.dependencies, range(len(g))))),
            tuple(sorted(g.aliases)),
            tuple(sorted(g.kept)),
        )

    # ---- one process, several kernels ----
    def park(self) -> None:
        self.parked = (dict(DEFINITIONS), dict(CELLS.last), dict(CELLS.labels), CELLS.number)

    def unpark(self) -> None:
        kept: tuple[dict[Any, Any], ...] = (DEFINITIONS, CELLS.last, CELLS.labels)
        for mine, theirs in zip(kept, self.parked[:3], strict=True):
            mine.clear()
            mine.update(theirs)
        CELLS.number = self.parked[3]


class With:
    """What the session's Dag does for `with dag("etl")`."""

    def __init__(self, builder: GraphBuilder) -> None:
        self.builder = builder

    def __enter__(self) -> GraphBuilder:
        self.builder.enter(calling_frame(sys._getframe(1)))
        return self.builder

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        self.builder.exit(error)


def code(fn: Any) -> Any:
    return (fn.__code__.co_code, fn.__code__.co_consts)


def shown(value: Any, graph: Any) -> Any:
    """Arguments with the names of tasks instead of their numbers."""
    if type(value) is TaskRef:
        return ("·", graph.keys[value.task], value.select)
    if isinstance(value, (list, tuple)):
        return [shown(v, graph) for v in value]
    if isinstance(value, set):
        return Counter(map(str, (shown(v, graph) for v in value)))
    if isinstance(value, dict):
        return {k: shown(v, graph) for k, v in value.items()}
    return value if isinstance(value, (int, str, float, type(None))) else type(value).__name__
