"""The Planner protocol, how planners are found by name, and the one way in which a plan is made."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from dagnb.errors import OptionError, PlanError, UnknownPlannerError, near

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from dagnb.graph.graph import TaskGraph

    from .cluster import Cluster
    from .estimator import Estimates
    from .plan import Plan

#: Entry points under this name are planners: `mine = my_package:MyPlanner`.
GROUP = "dagnb.planners"

#: The planner of those who name none.
DEFAULT = "auto"

#: Our own entry points (`pyproject.toml`): looking them up among all that is installed is a tenth of a cold start.
OURS = {
    "simple": "dagnb.planners.simple:Simple",
    "heft": "dagnb.planners.heft:Heft",
    "free": "dagnb.planners.free:Free",
    "cpop": "dagnb.planners.cpop:Cpop",
    "peft": "dagnb.planners.peft:Peft",
    "min_min": "dagnb.planners.min_min:MinMin",
    "auto": "dagnb.planners.auto:Auto",
    "dask": "dagnb.planners.dask:Dask",
    "wukong": "dagnb.planners.wukong:Wukong",
    "uniform": "dagnb.planners.uniform:Uniform",
    "non_uniform": "dagnb.planners.non_uniform:NonUniform",
    "cheapest": "dagnb.planners.cheapest:Cheapest",
}


@runtime_checkable
class Planner(Protocol):
    """Makes a plan: assignment, order and annotations. Times come from the simulator, never from here."""

    def plan(self, graph: TaskGraph, cluster: Cluster, estimates: Estimates, /) -> Plan:
        """A plan for every task of `graph` on `cluster`. Raises PlanError when there is none."""
        ...


def find_planner(
    spec: str | Planner | type = DEFAULT, /, *, defaults: Mapping[str, Any] | None = None, **options: Any
) -> Planner:
    """The planner that is meant: a name, an instance, or a class (one defined in a cell, say).

    `options` go to the class, unknown ones are refused; `defaults` (a seed, a budget) go there if it has such options.
    Raises UnknownPlannerError for a name that nobody has registered, OptionError for an option that the planner does
    not have, PlanError for something that is no planner.
    """
    known: object = _class_of(spec) if isinstance(spec, str) else spec
    if not callable(getattr(known, "plan", None)):
        raise PlanError(
            f"{known!r} is not a planner\n  a planner has a method plan(graph, cluster, estimates) that returns a Plan"
        )
    if isinstance(known, type):
        known = _made(known, defaults or {}, options)
    elif options:
        raise OptionError(
            f"{_name(known)} is a planner already made, it takes no {', '.join(options)}\n"
            "  give the options when you make it, or pass its class"
        )
    return cast("Planner", known)


def planner_names() -> list[str]:
    """The names of all registered planners, sorted."""
    return sorted({*OURS, *(point.name for point in _points())})


def run_planner(
    planner: Planner, graph: TaskGraph, cluster: Cluster, estimates: Estimates, *, figures: bool = True
) -> Plan:
    """Let a planner plan, check what it made, and add the simulated figures.

    Tasks that need more than the worker that they were given are moved to a larger one (`dagnb.planning.fit`).
    `figures=False` leaves the figures out: for a run that starts at once. `complete` adds them when somebody looks.

    Raises PlanError, with the planner's name, when what comes back is not a plan or does not fit, and for a task that
    is larger than every worker; whatever the planner itself raises goes through.
    """
    from .fit import fit, fitting
    from .plan import Plan

    sized = fitting(graph, cluster) is not None
    began = time.perf_counter()
    made: object = planner.plan(graph, cluster, estimates)
    took = time.perf_counter() - began
    if not isinstance(made, Plan):
        raise PlanError(
            f"the planner {_name(planner)} returned {_kind(made)} in place of a Plan\n"
            "  end its plan method with `return Plan.build(graph, cluster, estimates, worker=…, sequence=…)`"
        )
    named = replace(
        made,
        planner=made.planner or _name(planner),
        workers=made.workers or tuple(cluster.index),
        cluster=cluster,
        graph_fingerprint=made.graph_fingerprint or graph.fingerprint,
        planning_time=took,
    )
    if sized:
        named.validate(graph, cluster)
        named = fit(named, graph, cluster, estimates)
    if figures:
        from .simulator import complete

        return complete(named, graph, cluster, estimates)
    named.validate(graph, cluster)
    return named


def _class_of(name: str) -> type:
    """The class registered under `name`."""
    if name in OURS:  # nobody can take these names
        module, _, found = OURS[name].partition(":")
        own: type = getattr(import_module(module), found)
        return own
    for point in _points():
        if point.name == name:
            return _loaded(point)
    names = planner_names()
    advice = near(name, names)
    raise UnknownPlannerError(
        f"no planner is called {name!r}" + (f", {advice}" if advice else "") + f"\n  there are {', '.join(names)}"
    )


@cache
def _loaded(point: EntryPoint) -> type:
    try:
        found: type = point.load()
    except Exception as error:
        raise PlanError(
            f"the planner {point.name!r} cannot be loaded from {point.value!r}: {error}\n"
            "  mend or uninstall the package that brings it"
        ) from error
    return found


def _points() -> Iterable[EntryPoint]:
    """All planners that installed packages have registered."""
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _made(known: type, defaults: Mapping[str, Any], options: dict[str, Any]) -> object:
    """An instance with these options; OptionError for one it does not have."""
    if not (defaults or options):
        return known()
    signature = inspect.signature(known)
    accepted = list(signature.parameters)
    wanted = {option: value for option, value in defaults.items() if option in accepted} | options
    try:
        signature.bind(**wanted)
    except TypeError as error:
        strange = [option for option in options if option not in accepted]
        advice = near(strange[0], accepted) if strange else ""
        raise OptionError(
            f"the planner {known.__name__} cannot be made: {error}{', ' * bool(advice)}{advice}\n"
            f"  it takes {', '.join(accepted) or 'no options'}"
        ) from error
    return known(**wanted)


def _name(planner: object) -> str:
    return getattr(planner, "name", None) or type(planner).__name__


def _kind(made: object) -> str:
    return "nothing" if made is None else f"an object of type {type(made).__name__}"
