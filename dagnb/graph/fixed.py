"""A graph that was read and not recorded: its nodes can be looked at by name, and nothing can be added to it."""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from dagnb.errors import UnknownNameError, near, refusal

from .builder import GraphBuilder
from .handle import Handle, HandleOwner
from .options import Options

if TYPE_CHECKING:
    from .graph import TaskGraph, TaskRef


class FixedGraph(GraphBuilder):
    """In the place of a GraphBuilder where the graph is there already. Recording into it is refused."""

    recorded = False

    def __init__(self, graph: TaskGraph, owner: HandleOwner | None = None) -> None:
        super().__init__(graph.name, owner)
        self._fixed = graph

    def begin(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: raises BuildError."""
        raise refusal(
            f"{self.name} was read from a document: its tasks are fixed.",
            "Give the DAG of this cell another name.",
        )

    def graph(self) -> TaskGraph:
        """The graph that was read."""
        return self._fixed

    @property
    def problems(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return self._fixed.keys

    def __len__(self) -> int:
        return len(self._fixed)

    def __getitem__(self, place: str) -> Any:
        """The handle of a node, else those of all nodes of a kind. Raises UnknownNameError, with near names."""
        graph = self._fixed
        if place in graph.index:
            return self.handle(graph.index[place])
        if place in graph.kinds:
            kind = graph.kinds.index(place)
            return [self.handle(i) for i, found in enumerate(graph.kind.tolist()) if found == kind]
        advice = near(place, (*graph.kinds, *graph.keys)) or f"Its kinds are {', '.join(graph.kinds[:8])}."
        raise UnknownNameError(f"{self.name} has no node {place}.\n  {advice[0].upper()}{advice[1:]}")

    def __contains__(self, place: object) -> bool:
        return place in self._fixed.index

    def handle(self, number: int) -> Handle[Any]:
        """The handle of task `number`."""
        return Handle(self._calls, number)

    def locate(self, handle: Handle[Any]) -> TaskRef:
        """The value that a handle means."""
        from .graph import TaskRef

        return TaskRef(handle._index, handle._select)

    def key(self, handle: Handle[Any]) -> str:
        """The name of a handle's task."""
        return self._fixed.keys[handle._index]

    @cached_property
    def _calls(self) -> _Read:
        kinds = [_Kind(name, Options()) for name in self._fixed.kinds]
        numbers = self._fixed.kind.tolist()
        return _Read(self, self.name, _Calls([kinds[k] for k in numbers], [0] * len(numbers)))


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a handle asks of the task that it calls."""

    name: str
    given: Options


@dataclass(frozen=True, eq=False, slots=True)
class _Calls:
    """What a handle asks of the calls of its recording."""

    kinds: list[_Kind]
    lines: list[int]

    def task(self, call: int) -> _Kind:
        """What a call calls."""
        return self.kinds[call]


@dataclass(frozen=True, eq=False, slots=True)
class _Read:
    """What a handle asks of the recording that it stands in."""

    builder: FixedGraph
    file: str
    calls: _Calls
    closed: bool = True

    def text(self, handle: Handle[Any]) -> str:
        """The key of the task, and what is selected from its value."""
        return self.builder.key(handle) + "".join(f"[{key!r}]" for key in handle._select)
