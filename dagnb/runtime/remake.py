"""Makes a value again that was committed and is not there any more, from inputs that are, or that are made likewise.

That happens when Redis goes back in time over the last reader of a value, when the machine was restarted, and for
values that stayed with a worker that died (`dagnb.runtime.copies`). Nothing is told or committed: the task has run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .fetch import stored
from .serialize import ATOMS
from .values import Gone, copy_of, land

if TYPE_CHECKING:
    from .loop import Loop


def remake(loop: Loop, task: int) -> Any:
    """The value of a task. Iterative: all of its ancestors may be gone. Raises what the tasks raise."""
    made: dict[int, Any] = {}
    todo = [task]
    while todo:
        each = todo[-1]
        if each not in made:
            needs = loop.graph.needs(each)
            made |= _found(loop, [d for d in needs if d not in made])
            absent = [d for d in needs if d not in made]
            if absent:
                todo += absent
                continue
            made[each] = _again(loop, each, made)
        todo.pop()
    return made[task]


def _found(loop: Loop, tasks: list[int]) -> dict[int, Any]:
    """The values of these tasks as far as they are here, in Redis or in files."""
    found = {d: loop.values[d] for d in tasks if type(loop.values[d]) is not Gone}
    found |= stored(loop, [d for d in tasks if d not in found])
    opened = {d: loop.inputs.opened(held) for d, held in found.items()}
    return {d: value for d, value in opened.items() if type(value) is not Gone}


def _again(loop: Loop, task: int, made: dict[int, Any]) -> Any:
    starts = loop.graph.cstarts
    inputs = []
    for d in loop.graph.needs(task):
        held = made[d]
        alone = starts[d + 1] - starts[d] == 1
        inputs.append(held if type(held) in ATOMS else copy_of(held, alone=alone, last=False))
    return land(loop.call(task, loop.graph.function_of[task], inputs))
