"""`%dag`, `%%dag` and `%%task`: parse the line, call the session, show what comes back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from dagnb.errors import DagnbError, OptionError
from dagnb.session import joining, observers, registry
from dagnb.session.dag import Dag, builder_of
from dagnb.session.later import not_yet
from dagnb.session.twins import orphan_line

from . import completion, display, tracebacks
from . import options as opt
from .body import run_body
from .cells import CellWatch
from .commands import call, planner_of, run_dag


@magics_class
class DagMagics(Magics):
    """The magics of one shell, with the panels that they show."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.variables: dict[str, Any] = shell.user_ns
        self.view = display.View(shell)

    @no_var_expand  # the body keeps its {braces} and $signs
    @cell_magic("dag")  # type: ignore[arg-type]  # IPython types only the form without a name
    def dag_cell(self, line: str, cell: str) -> None:
        """Record this cell into a DAG: every call of a @task becomes a node.

            %%dag etl
            parts  = [clean(load(f)) for f in files]
            report = summarise(merge(parts))

        %%dag etl -r            run it at once, and wait
        %%dag etl -b            run it in the background
        %%dag etl -r -w 4       on four workers
        %%dag etl -P heft       planned by heft
        %%dag etl --new         forget the etl that was there
        %%dag etl --quiet       show nothing

        The body is ordinary Python, run once, now. Another %%dag etl cell extends the DAG and sees its nodes as
        variables; running a cell again replaces what that cell gave. `report.result()` is the value.
        """
        parsed = opt.parse(line, opt.CELL_OPTIONS, where="%%dag", words=1)
        dag = self._named(parsed)
        notes = self._bind(dag, lambda: run_body(self.shell, dag, line, cell))
        if not builder_of(dag).problems:
            joining.recorded(dag)
        if not parsed["quiet"]:
            for note in notes:
                print(note)  # noqa: T201 -- the output of the user's own cell
            self.view.show(dag, planner=planner_of(self.view, parsed), workers=parsed["workers"])
        if parsed["run"] or parsed["bg"]:
            run_dag(self.view, dag, parsed, background=parsed["bg"])

    @no_var_expand
    @line_magic("dag")  # type: ignore[arg-type]  # see dag_cell
    def dag_line(self, line: str) -> Any:
        """%dag run etl          run it, wait, show it live
        %dag run etl -b -w 4     in the background, on four workers
        %dag result etl.report   the value of a node
        %dag                     DAGs here, last runs, workers, store
        %dag show etl            the picture
        %dag plan etl -P heft -w 16
        %dag compare etl -P heft,dask,wukong -w 4,8,16
        %dag wait etl            %dag cancel etl
        %dag logs etl.report     stdout, stderr, traceback
        %dag pull etl            variables become values
        %dag attach              after a restart of the kernel: the run that goes on
        %dag workers 8           %dag drop etl        %dag doctor        %dag help

        With one DAG its name may be left out. Each has a Python twin: etl.run(), report.result(), dagnb.status(), …
        """  # noqa: D205 -- examples first
        return call(self.view, line)

    @no_var_expand
    @cell_magic("task")  # type: ignore[arg-type]  # see dag_cell
    def task_cell(self, line: str, cell: str) -> None:  # noqa: ARG002 -- the signature is IPython's
        """A cell as a task. Not available in this version yet: write a function with @task above it."""
        not_yet("%%task", "Write a function with @task above it, and call it in a %%dag cell.")

    def _named(self, parsed: opt.Parsed) -> Dag:
        """The DAG that the line names; not yet known to anybody if it is new and its body may still raise."""
        if not parsed.words:
            raise OptionError("%%dag needs a name.\n  Write %%dag etl.")
        known = registry.dags().get(parsed.words[0])
        if known is None or known.attached or parsed["new"]:
            return registry.unregistered(parsed.words[0])
        return known

    def _bind(self, dag: Dag, body: Any) -> list[str]:
        """Run the body, then make the DAG known by its name; what there is to say of it."""
        before = self.variables.get(dag.name)
        body()
        registry.register(dag)
        self.variables[dag.name] = dag
        covered = before is not None and not isinstance(before, Dag)
        notes = [f"{dag.name} was a {type(before).__name__} here; it is now the DAG {dag.name}"] if covered else []
        return notes + list(builder_of(dag).notes)


#: What one shell was given; taken back by `unload`.
_loaded: dict[int, tuple[DagMagics, CellWatch]] = {}


def load(shell: Any) -> None:
    """Define the magics in `shell`. Starts nothing; loading twice is loading once."""
    if id(shell) in _loaded:
        return
    magics = DagMagics(shell)
    watch = CellWatch(shell, _deleted)
    watch.start()
    shell.register_magics(magics)
    observers.OBSERVERS.append(magics.view)
    display.register(shell, magics.view)
    tracebacks.install(shell)
    completion.install(shell)
    with suppress(DagnbError):  # a wrong setting is told when it is used
        for orphan in joining.orphans():
            print(orphan_line(orphan))  # noqa: T201 -- the output of the user's own cell
    _loaded[id(shell)] = (magics, watch)


def unload(shell: Any) -> None:
    """Take back what `load` did; DAGs and runs stay."""
    magics, watch = _loaded.pop(id(shell), (None, None))
    if magics is None or watch is None:
        return
    for kind, names in (("line", ("dag",)), ("cell", ("dag", "task"))):
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    observers.OBSERVERS.remove(magics.view)
    display.unregister(shell)
    completion.uninstall(shell)
    tracebacks.uninstall()
    magics.view.close()
    watch.stop()


def _deleted(cell: str) -> None:
    """The front end says that a cell is gone: what it gave is gone from every DAG."""
    for dag in registry.dags().values():
        builder_of(dag).drop_cell(cell)
