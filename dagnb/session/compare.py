"""Comparison: several planners, numbers of workers and DAGs side by side, each a plan with its simulated figures.

    etl.compare(["heft", "dask"], workers=[4, 8])       one DAG: planners × workers
    dagnb.compare({"bag": bag, "chain": chain})         several kinds of workflow: DAGs × planners

A planner that cannot plan is a row with its error: one that fails hides none of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from dagnb.errors import OptionError, PlanError, UnknownNameError, near
from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster

from . import engine
from .comparison_table import table

if TYPE_CHECKING:
    from dagnb.planning.plan import Plan

    from .dag import Dag

#: Makespans this close to the shortest are taken for equal: the fewer workers then win, and the cheaper plan.
TIE = 1e-3

#: Registered planners that nobody names are all compared, but for these: `free` is what `auto` falls back on.
LEFT_OUT = frozenset({"free"})


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """One plan of a comparison.

    dag        name of the DAG
    planner    name of the planner
    workers    how many; `label` tells clusters of equal size apart
    asked      the number of workers, or the Cluster
    plan       with its figures; None where the planner failed, and then
    error      says why
    locality   share of the needed bytes that did not have to move (of the inputs, where sizes are not known); 0 … 1
    """

    dag: str
    planner: str
    label: str
    asked: int | Cluster
    plan: Plan | None = None
    error: str = ""
    locality: float | None = None

    @property
    def workers(self) -> int:
        """How many workers it was planned for."""
        return self.asked if isinstance(self.asked, int) else len(self.asked)

    @property
    def makespan(self) -> float | None:
        """Seconds from submission to the last end, or task units; None for a planner that failed."""
        return None if self.plan is None else self.plan.makespan

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the makespan is to be expected."""
        return None if self.plan is None else self.plan.interval

    @property
    def gb_seconds(self) -> float | None:
        """Memory of the workers × the time in which tasks occupied it."""
        return None if self.plan is None else self.plan.gb_seconds

    @property
    def worker_seconds(self) -> float | None:
        """Seconds for which workers were held."""
        return None if self.plan is None else self.plan.worker_seconds

    @property
    def bytes_moved(self) -> float | None:
        """Bytes that travel between workers."""
        return None if self.plan is None else self.plan.bytes_moved

    @property
    def cold_starts(self) -> int | None:
        """Workers that have to be started."""
        return None if self.plan is None else self.plan.cold_starts

    @property
    def lower_bound(self) -> float | None:
        """Seconds below which no plan on this cluster can come."""
        return None if self.plan is None else self.plan.lower_bound

    @property
    def gap(self) -> float | None:
        """By how much the makespan is above the lower bound: 0.02 is two per cent."""
        if not self.makespan or not self.lower_bound:
            return None if self.makespan is None else 0.0
        return self.makespan / self.lower_bound - 1


class Comparison(Sequence[Row]):
    """Rows in the order in which they were asked for: DAGs, then workers, then planners.

    `comparison["heft", 8]` is one row (`["etl", "heft", 8]` of several DAGs; what is the same for all may be left
    out), `comparison[0]` the first. `etl.run(plan=comparison.best.plan)` runs the best one.
    """

    def __init__(self, rows: Iterable[Row], graphs: Mapping[str, TaskGraph]) -> None:
        self.rows = tuple(rows)
        self.graphs = dict(graphs)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, which: int | str | tuple[Any, ...]) -> Row: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[Row]: ...
    def __getitem__(self, which: int | slice | str | tuple[Any, ...]) -> Row | Sequence[Row]:
        """The row by its place, or by planner and workers. Raises UnknownNameError, listing what there is."""
        if isinstance(which, int | slice):
            return self.rows[which]
        asked = which if isinstance(which, tuple) else (which,)
        found = [row for row in self.rows if all(_is(row, part) for part in asked)]
        if len(found) == 1:
            return found[0]
        raise self._unknown(asked, found)

    def _unknown(self, asked: tuple[Any, ...], found: Sequence[Row]) -> UnknownNameError:
        named = [repr(part) for part in asked]
        if found:
            told = "; ".join(f"{row.dag}, {row.planner}, {row.label}" for row in found[:4])
            return UnknownNameError(f"{len(found)} rows are meant by {', '.join(named)}: {told}\n  Say which.")
        words = {word for row in self.rows for word in (row.dag, row.planner, row.label)}
        advice = next((hint for part in asked if str(part) not in words and (hint := near(str(part), words))), "")
        there = "; ".join(f"{row.planner} on {row.label}" for row in self.rows[:8])
        return UnknownNameError(f"no row is {', '.join(named)}.\n  {advice or f'There are: {there}.'}")

    @property
    def best(self) -> Row:
        """The row of the shortest makespan; where several are as short, the one of fewest workers and least cost.

        Raises PlanError when no planner has made a plan, OptionError with several DAGs (`of("etl").best` is one's).
        """
        if len(self.graphs) > 1:
            names = ", ".join(self.graphs)
            raise OptionError(
                f"which DAG? There are {names}.\n  Write comparison.of({next(iter(self.graphs))!r}).best."
            )
        at = self.best_of(next(iter(self.graphs), ""))
        if at < 0:
            raise PlanError("no planner has made a plan.\n  comparison.table() tells why.")
        return self.rows[at]

    def best_of(self, dag: str) -> int:
        """Place of the best row of one DAG; -1 where none has a plan."""
        made = [(i, row) for i, row in enumerate(self.rows) if row.dag == dag and row.makespan is not None]
        least = min((row.makespan or 0.0 for _, row in made), default=0.0)
        near_least = [(i, row) for i, row in made if (row.makespan or 0.0) <= least * (1 + TIE)]
        return (
            min(near_least, key=lambda found: (found[1].workers, found[1].gb_seconds or 0.0, found[0]))[0]
            if made
            else -1
        )

    def of(self, dag: str) -> Comparison:
        """The rows of one DAG. Raises UnknownNameError."""
        if dag not in self.graphs:
            advice = near(dag, self.graphs) or f"There are: {', '.join(self.graphs)}."
            raise UnknownNameError(f"no DAG {dag!r} was compared.\n  {advice}")
        return Comparison((row for row in self.rows if row.dag == dag), {dag: self.graphs[dag]})

    def ratios(self) -> dict[str, dict[tuple[str, str], float]]:
        """DAG → (planner, workers) → makespan ÷ the shortest of that DAG; planners that failed are left out."""
        found: dict[str, dict[tuple[str, str], float]] = {}
        for dag in self.graphs:
            mine = {(r.planner, r.label): r.makespan for r in self.rows if r.dag == dag and r.makespan is not None}
            least = min(mine.values(), default=0.0)
            found[dag] = {key: span / least if least > 0 else 1.0 for key, span in mine.items()}
        return found

    def geomeans(self) -> dict[tuple[str, str], float]:
        """(planner, workers) → geometric mean of its ratios over the DAGs that it has a plan for."""
        logs: dict[tuple[str, str], list[float]] = {}
        for ratios in self.ratios().values():
            for key, ratio in ratios.items():
                logs.setdefault(key, []).append(float(np.log(ratio)))
        return {key: float(np.exp(np.mean(found))) for key, found in logs.items()}

    def heads(self) -> dict[tuple[str, str], str]:
        """(planner, workers) → what stands above its column where there are several DAGs."""
        keys = dict.fromkeys((row.planner, row.label) for row in self.rows)
        several = len({label for _, label in keys}) > 1
        return {key: f"{key[0]} ×{key[1]}" if several else key[0] for key in keys}

    def table(self) -> str:
        """The comparison as text: a line per row, or with several DAGs a line per DAG and a column per planner."""
        return table(self)

    def __repr__(self) -> str:
        return self.table()


def compare(
    dags: Mapping[str, Dag | TaskGraph] | Iterable[Dag],
    planners: object = None,
    /,
    *,
    workers: int | Cluster | Iterable[int | Cluster] | None = None,
    seed: int = 0,
) -> Comparison:
    """Several DAGs under several planners: `dagnb.compare({"bag": bag, "chain": chain}, ["heft", "dask"])`.

    dags       name → Dag or TaskGraph, or DAGs alone
    planners   names, classes or instances; default: all that are registered
    workers    how many, or a Cluster, or several of those; default: `%dag workers`, else the setting

    Nothing is started. Raises UnknownPlannerError for a name that nobody has registered, OptionError for a bad number
    of workers or nothing to compare; a planner that fails later becomes a row with its error.
    """
    named = dict(dags) if isinstance(dags, Mapping) else {dag.name: dag for dag in dags}
    if not named:
        raise OptionError('there is no DAG to compare.\n  Write dagnb.compare({"etl": etl}).')
    graphs = {name: dag if isinstance(dag, TaskGraph) else dag.graph for name, dag in named.items()}
    contenders, sizes = _contenders(planners), _sizes(workers)
    rows = (
        _row(name, graph, planner, spec, label, asked, seed)
        for name, graph in graphs.items()
        for label, asked in sizes
        for planner, spec in contenders
    )
    return Comparison(rows, graphs)


def _contenders(planners: object) -> list[tuple[str, object]]:
    """Names and what `find_planner` takes. Raises what it raises, at once, for one that is none."""
    from dagnb.planning.planner import find_planner, planner_names

    if planners is None:
        return [(name, name) for name in planner_names() if name not in LEFT_OUT]
    alone = isinstance(planners, str) or callable(getattr(planners, "plan", None))
    specs = [planners] if alone or not isinstance(planners, Iterable) else list(planners)
    if not specs:
        raise OptionError('no planner to compare.\n  Write etl.compare(["heft", "dask"]), or leave it out for all.')
    named = [(_name(spec), spec) for spec in specs]
    for name, spec in named:
        try:
            find_planner(spec)  # type: ignore[arg-type]  # it refuses what is none
        except PlanError as error:
            if not isinstance(spec, str) or name not in planner_names():
                raise
            del error  # registered, but broken: its row says so
    return list(dict(named).items())


def _name(spec: object) -> str:
    if isinstance(spec, str):
        return spec
    said = getattr(spec, "name", None)
    return said if isinstance(said, str) else spec.__name__ if isinstance(spec, type) else type(spec).__name__


def _sizes(workers: int | Cluster | Iterable[int | Cluster] | None) -> list[tuple[str, int | Cluster]]:
    """Labels, and numbers of workers or Clusters, each once. Raises OptionError."""
    several = workers if isinstance(workers, Iterable) and not isinstance(workers, Cluster | str) else [workers]
    asked = list(dict.fromkeys(one if isinstance(one, Cluster) else engine.worker_count(one) for one in several))
    if not asked:
        raise OptionError("no number of workers to compare.\n  Write workers=[4, 8], or leave it out.")
    counts = [one if isinstance(one, int) else len(one) for one in asked]
    labels = [str(n) if counts.count(n) == 1 else f"{n} #{counts[: i + 1].count(n)}" for i, n in enumerate(counts)]
    return list(zip(labels, asked, strict=True))


def _row(dag: str, graph: TaskGraph, planner: str, spec: object, label: str, asked: int | Cluster, seed: int) -> Row:
    from .plans import make_plan

    try:
        plan = make_plan(graph, asked, spec, seed=seed)
    except Exception as error:  # noqa: BLE001 -- anybody's planner: whatever it raises is its row's
        told = (str(error).strip().splitlines() or [""])[0]
        kind = "" if isinstance(error, PlanError) else f"{type(error).__name__}: "
        return Row(dag, planner, label, asked, error=(kind + told).rstrip(": ") or type(error).__name__)
    return Row(dag, planner, label, asked, plan, locality=locality(graph, plan))


def locality(graph: TaskGraph, plan: Plan) -> float | None:
    """Share of the bytes that tasks need as inputs that were there already, or had come for a task before.

    Where no size is known every input counts the same. 1 where nothing is needed.
    """
    if plan.timeline is None:
        return None
    where = plan.timeline.worker.astype(np.int64)
    needs = np.repeat(np.arange(len(graph)), np.diff(graph.dep_start))
    deps = np.asarray(graph.deps, np.int64)
    size = np.asarray(plan.timeline.size, np.float64)
    weight = size if size.any() else np.ones(len(graph))
    needed = float(weight[deps].sum())
    crossing = where[deps] != where[needs]
    trips = np.unique(deps[crossing] * (int(where.max(initial=0)) + 2) + where[needs][crossing], return_index=True)[1]
    moved = float(weight[deps[crossing][trips]].sum())
    return 1.0 - moved / needed if needed > 0 else 1.0


def _is(row: Row, part: object) -> bool:
    """Whether a part of a key names something of this row."""
    if isinstance(part, bool):
        return False
    if isinstance(part, int):
        return row.workers == part
    if isinstance(part, Cluster):
        return row.asked == part
    return part in (row.dag, row.planner, row.label)
