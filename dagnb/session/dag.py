"""Dag: what the user holds. It records into a GraphBuilder, plans, runs, and answers for its handles."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from dagnb.errors import NotRunError, OptionError, PickleError, near
from dagnb.graph.builder import GraphBuilder
from dagnb.graph.cells import calling_frame
from dagnb.graph.fixed import FixedGraph

from . import answers, lives, values
from .acting import scale_of
from .later import not_yet
from .names import forget
from .observers import OBSERVERS, tell

if TYPE_CHECKING:
    from pathlib import Path

    from dagnb.graph.graph import TaskGraph, TaskRef
    from dagnb.graph.handle import Handle
    from dagnb.planning.cluster import Cluster
    from dagnb.planning.plan import Plan
    from dagnb.runtime.run import Run

    from .compare import Comparison


class Dag:
    """A DAG of this notebook or script.

    name    as written after `%%dag`
    last    its last run, or None
    real    its last run that was not acted out, or None: handles have their values from there
    graph   the frozen TaskGraph of what is written now; raises PlanError when the cells together make none

    Made with a graph (`dagnb.from_wfformat`), that is what it has for good: nothing can be recorded into it. One that
    is `attached` was made of a run that another kernel began; a cell that records a DAG of its name takes its place.
    """

    def __init__(self, name: str, graph: TaskGraph | None = None, *, attached: bool = False) -> None:
        self.name = name
        self.attached = attached
        self.last: Run | None = None
        self.real: Run | None = None
        self._builder = GraphBuilder(name, self) if graph is None else FixedGraph(graph, self)

    # ---- recording --------------------------------------------------------------------------------------------------
    def __enter__(self) -> Self:
        self._builder.enter(calling_frame(sys._getframe(1)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._builder.exit(error)
        if error is None:
            tell("recorded", self)

    # ---- looking ----------------------------------------------------------------------------------------------------
    @property
    def graph(self) -> TaskGraph:
        """What is written now, frozen. Raises PlanError, listing what does not fit together."""
        return self._builder.graph()

    def __iter__(self) -> Iterator[str]:
        return iter(self._builder.names)

    def __len__(self) -> int:
        return len(self._builder)

    def __contains__(self, name: object) -> bool:
        return name in self._builder

    def __getitem__(self, name: str) -> Any:
        """The node of that name (its handle), else the list of all nodes of that variable or kind.

        Raises UnknownNameError, with near names.
        """
        return self._builder[name]

    def __bool__(self) -> bool:
        """Always true: an empty DAG is a DAG."""
        return True

    def __repr__(self) -> str:
        problems = self._builder.problems
        if problems:
            return f"<dag {self.name}: {problems[0]}>"
        n = len(self)
        state = f", last run {self.last.state.value}" if self.last is not None else ""
        return f"<dag {self.name}: {n} task{'s' * (n != 1)}{state}>"

    def __reduce__(self) -> NoReturn:
        raise PickleError(
            f"{self.name} is a DAG, which cannot travel to a worker.\n"
            "  A task that uses it as a variable takes it along: pass the task the values that it needs."
        )

    # ---- planning and running ---------------------------------------------------------------------------------------
    def plan(
        self,
        planner: object = None,
        /,
        *,
        workers: int | Cluster | None = None,
        budget: float | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Plan:
        """Who would run what and when, with simulated figures; nothing is started.

        planner   a name, a Planner class or instance; default: the setting `planner`
        workers   how many, or a Cluster; default: `%dag workers`, else the setting
        budget    seconds that a planner which searches may take, like `auto`
        seed      for planners that draw lots
        options   of the planner

        Raises PlanError, UnknownPlannerError, OptionError.
        """
        from .plans import make_plan

        if budget is not None and not 0 < budget < float("inf"):
            raise OptionError(
                f"budget is a number of seconds above 0, not {budget!r}.\n  Write budget=5, or leave it out."
            )
        return make_plan(self.graph, workers, planner, seed=seed, budget=budget, options=options)

    def compare(
        self,
        planners: object = None,
        /,
        *,
        workers: int | Cluster | Iterable[int | Cluster] | None = None,
        seed: int = 0,
    ) -> Comparison:
        """Several planners side by side, each with its simulated figures; nothing is started.

        planners   names, classes or instances; default: all that are registered
        workers    how many, or a Cluster, or several of those; default: `%dag workers`, else the setting

        `run(plan=etl.compare().best.plan)` runs the best. A planner that fails is a row with its error. Raises
        PlanError when the cells make no graph, UnknownPlannerError, OptionError.
        """
        from .compare import compare

        return compare({self.name: self}, planners, workers=workers, seed=seed)

    def run(  # noqa: PLR0913 -- each says another thing about a run, by name only
        self,
        *,
        workers: int | Cluster | None = None,
        planner: object = None,
        plan: Plan | None = None,
        wait: bool = True,
        fresh: bool = False,
        only: str | None = None,
        keep: str | Collection[str] = (),
        on: str | None = None,
        mode: str = "real",
        scale: float = 1.0,
        params: dict[str, Any] | None = None,
        quiet: bool = False,
        **more_params: Any,
    ) -> Run:
        """Run it on background workers; Redis and the workers start at the first run.

        workers, planner   as in `plan`
        plan               run exactly this one
        wait               False returns at once; the first `result()` waits, and raises what failed
        keep               names of intermediate nodes whose values should outlive the run
        quiet              show nothing
        mode               "sleep" acts it out on the same workers: every task sleeps `scale` times the duration that is
                           expected of it and returns `scale` times the bytes (at most 16 MB), so that plan and actual
                           can be compared in seconds; no function is called, no value or history comes of it
        scale              of an acted run

        Independent branches finish; then the first failure is raised as a class that is both TaskError and the
        original type (`error.run`, `error.failures`). An interrupt cancels. Raises PlanError, RunError while another
        run of this DAG is live, PickleError for an argument that cannot travel, StoreError, OptionError.
        """
        if fresh or more_params or only is not None or on is not None or params is not None:
            _refuse_unbuilt(fresh=fresh, only=only, on=on, params=params, **more_params)
        acting = scale_of(mode, scale)
        if (self._builder.recorded or acting is not None) and (plan is None or (planner is None and workers is None)):
            lives.ahead(workers, plan)
        run = lives.begin(self, workers=workers, planner=planner, plan=plan, keep=keep, quiet=quiet, scale=acting)
        if wait:
            lives.finish(self, run)
        elif OBSERVERS:  # a run that nobody watches costs the kernel nothing
            run.on_end(lambda *_: tell("ended", self, run))
        return run

    async def run_async(self, **options: Any) -> Run:
        """`run`, without blocking the event loop while it waits: `await etl.run_async()`."""
        run = self.run(**{**options, "wait": False})
        await lives.ended(run)
        lives.raise_failure(self, run)
        return run

    def pull(self, *names: str) -> dict[str, Any]:
        """Variable → value, of all variables of this DAG or of those named.

        At the top of a notebook or a module the variables themselves become the values. Without names, what has no
        value stays as it is; what is named raises what `result()` raises.
        """
        frame = calling_frame(sys._getframe(1))
        return values.pull(self, frame.f_globals if frame.f_locals is frame.f_globals else dict(frame.f_locals), names)

    def export(self, path: str | Path) -> Path:
        """Write it to a file, and return the path: the end of the name says as what.

        `.json`, `.json.gz`   WfFormat 1.5 for other workflow systems: tasks, edges, durations and sizes; measured ones
                              where the DAG has been run as it is now, with dates and workers, else those declared

        Others are not available yet. Raises OptionError, PlanError when the cells make no graph, FormatError, OSError.
        """
        from .export import export

        return export(self, path)

    def drop(self) -> None:
        """Forget this DAG: its name, its cells and the values of its last run."""
        forget(self)
        runs = {id(run): run for run in (self.last, self.real) if run is not None}
        self.last = self.real = None
        for run in runs.values():
            lives.release(run)

    # ---- not built yet ----------------------------------------------------------------------------------------------
    def history(self, n: int = 20) -> Any:  # noqa: ARG002 -- the signature is the one to come
        """The last runs. Not available yet."""
        not_yet(f"{self.name}.history()", f"{self.name}.last is the last run.")

    def sweep(self, **lists: Any) -> Any:  # noqa: ARG002 -- the signature is the one to come
        """One run for each combination of parameters. Not available yet."""
        not_yet(f"{self.name}.sweep()", "Write the fan-out in the cell: [fit(a) for a in alphas].")

    def to_dask(self) -> Any:
        """The same graph for Dask. Not available yet."""
        not_yet(f"{self.name}.to_dask()")

    # ---- HandleOwner ------------------------------------------------------------------------------------------------
    def handle_result(self, handle: Handle[Any], timeout: float | None, /) -> Any:
        """The value of `handle` from the last run, waited for. Raises NotRunError, TaskError, SkippedError, …"""
        run, ref = self._in_run(handle)
        return values.value(self, run, ref, timeout)

    async def handle_async(self, handle: Handle[Any], /) -> Any:
        """The same, while the event loop goes on."""
        run, ref = self._in_run(handle)
        return await lives.later(lambda: values.value(self, run, ref, None))

    def handle_done(self, handle: Handle[Any], /) -> bool:
        """Whether the last run has an answer for this handle."""
        run, ref = self._in_run(handle)
        return values.settled(run, ref)

    def handle_logs(self, handle: Handle[Any], /) -> Any:
        """What the task printed in the last run, and its traceback."""
        run, ref = self._in_run(handle)
        return run.logs(run.graph.keys[ref.task])

    def handle_why(self, handle: Handle[Any], /) -> Any:
        """Why it ran. Not available yet."""
        not_yet(f"{handle.name}.why()", "Every run computes everything in this version.")

    def _in_run(self, handle: Handle[Any]) -> tuple[Run, TaskRef]:
        graph = self.graph
        if graph.calls is None and not self.attached:
            raise NotRunError(f"{self.name} was read from a document: {handle.name} never has a value here.")
        ref = answers.in_run(self.real, graph, self._builder.locate(handle), handle)
        assert self.real is not None
        return self.real, ref


#: options of `run` → the value that means "not said"
_UNSAID = {"fresh": False, "only": None, "on": None, "params": None}


def _refuse_unbuilt(**options: Any) -> None:
    """Raise OptionError for an option whose room is not built yet, and for a parameter, of which no DAG has any yet."""
    for name, value in options.items():
        if name not in _UNSAID:
            advice = near(name, ("workers", "planner", "plan", "wait", "keep", "quiet", "mode", "scale", *_UNSAID))
            raise OptionError(
                f"run() has no option {name!r}, and this DAG has no parameter of that name.\n  {advice}".rstrip()
            )
        if value is not _UNSAID[name] and value != _UNSAID[name]:
            not_yet(f"run({name}={value!r})", "Leave it out.")


def builder_of(dag: Dag) -> GraphBuilder:
    """What records a DAG; for the magics, which record without a `with` statement."""
    return dag._builder  # noqa: SLF001 -- kept out of the user's completion, not out of ours
