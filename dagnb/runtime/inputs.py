"""What a task gets: its inputs, from wherever they lie, in a form that it may do anything with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .arena import Shared, assemble
from .remake import remake
from .serialize import ATOMS, dumps
from .values import GONE, Encoded, Gone, Remote, copy_of, is_array

if TYPE_CHECKING:
    from .loop import Loop

#: What stands for a value that is not in this process.
ABSENT = frozenset({Gone, Remote, Shared})


class Inputs:
    """The inputs of the tasks of one loop."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def gather(self, inputs: list[Any], low: int) -> None:
        """Replace what is held by what this consumer may have; `low` is where its dependencies begin."""
        loop = self.loop
        graph, heavy, values = loop.graph, loop.heavy, loop.values
        for k, held in enumerate(inputs):
            if type(held) in ATOMS:
                continue
            d = graph.deps[low + k]
            value = self._arrived(d, held) if type(held) in ABSENT else held
            if values[d] is value:  # else it came for this consumer alone
                alone = graph.cstarts[d + 1] - graph.cstarts[d] == 1
                if loop.tries is not None and type(value) is not Encoded and self._tried(alone, value):
                    value = Encoded(dumps(value))
                value = copy_of(value, alone=alone, last=heavy.get(d, 0) == 1)
            inputs[k] = value

    def _tried(self, alone: bool, value: Any) -> bool:  # noqa: FBT001
        """Whether the running task could change a held value that another try of it would need as it is."""
        loop = self.loop
        return loop.graph.function_of[loop.desk.mark[0]] in loop.graph.cares and (alone or not is_array(value))

    def _arrived(self, d: int, held: Any) -> Any:
        """The value of a dependency that is not in this process; held here where other consumers may want it too.

        One that is not there any more is made again: Redis went back in time, or a predecessor took it with it.
        """
        loop = self.loop
        value = self.opened(held)
        if type(value) is Gone:
            if loop.copies is not None and loop.copies.restore(d):
                return loop.values[d]
            value = remake(loop, d)
        elif type(held) is Shared and held.private and loop.heavy.get(d, 0) > 1 and type(value) not in ATOMS:
            return value
        loop.values[d] = value
        return value

    def opened(self, held: Any) -> Any:
        """A value or its bytes, from where it lies; GONE when it is not there any more."""
        if type(held) not in (Shared, Remote):
            return held
        loop = self.loop
        ahead = loop.preloader.take(held.key) if loop.preloader is not None else None
        if type(held) is Shared:
            view = ahead if ahead is not None else loop.desk.arena.view(held)
            return GONE if view is None else assemble(held, view)
        data = ahead if ahead is not None else loop.desk.shelf.get(held)
        return GONE if data is None else Encoded(data)
