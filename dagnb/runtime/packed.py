"""The package and the text of the last plan of each graph, so that a run that is repeated does not make them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from dagnb.graph.calls import GATHERED

from .pack import Package, pack, pickled_functions
from .serialize import ATOMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagnb.graph.calls import Form
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

#: Tasks up to which a package is remembered: a larger one takes memory, and runs for long enough.
LARGEST = 1000
#: Tasks up to which a plan is written in lists: writing it is a part of every run that is new.
LISTED = 50


@dataclass(eq=False, slots=True)
class _Packed:
    """A package and what it was made of."""

    plan: Plan
    sources: dict[str, str]
    kept: frozenset[int]
    single: bool
    package: Package


_packed: WeakKeyDictionary[TaskGraph, _Packed] = WeakKeyDictionary()
#: Whether all arguments of a graph are tasks and atoms: what else there is can have changed since.
_fixed: WeakKeyDictionary[TaskGraph, bool] = WeakKeyDictionary()


def packed(
    graph: TaskGraph, plan: Plan, sources: Mapping[str, str], *, kept: frozenset[int], single: bool = False
) -> Package:
    """What `pack` makes, or has made of the same graph and plan.

    Functions are pickled in any case: a global variable that they use may have another value by now.

    Raises PickleError.
    """
    if len(graph) > LARGEST or not _is_fixed(graph):
        return pack(graph, plan, sources, kept=kept, single=single)
    known = _packed.get(graph)
    if (
        known is not None
        and known.plan is plan
        and (known.kept, known.single, known.sources) == (kept, single, sources)
        and known.package.functions == pickled_functions(graph)
    ):
        return known.package
    package = pack(graph, plan, sources, kept=kept, single=single)
    _packed[graph] = _Packed(plan, dict(sources), kept, single, package)
    return package


def _is_fixed(graph: TaskGraph) -> bool:
    found = _fixed.get(graph)
    if found is None:
        known = graph.calls.packed if graph.calls is not None else None
        found = _fixed[graph] = known is not None and all(map(_is_plain, known.forms))
    return found


def _is_plain(form: Form) -> bool:
    """Whether calls of a form have only tasks, or one list of them, and atoms."""
    return form.items == (GATHERED,) or not (form.special or not ATOMS.issuperset(form.types))


def plan_text(plan: Plan) -> str:
    """The JSON of a plan, that of a small one written once: a plan never changes."""
    text: str | None = plan.__dict__.get("_text")
    if text is None:
        text = plan.to_json(packed=len(plan) > LISTED)
        if len(plan) <= LARGEST:
            object.__setattr__(plan, "_text", text)
    return text
