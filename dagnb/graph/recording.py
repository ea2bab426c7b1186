"""Recording: what one execution of one cell adds to a DAG, in columns; no object for each call but its handle.

`record` is the hot path: less than a microsecond a call. The types of the arguments lead to the form of the call; what
is left are its needs and its constants (`calls`). Names and reads are filled in once, when the body has ended.
"""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import cached_property
from threading import get_ident
from types import FrameType
from typing import TYPE_CHECKING, Any

from dagnb.errors import CELL_LABELS, place, refusal, user_frame

from .active import OPEN, thread_refusal
from .arguments import ATOM, HANDLE, kind_of, rebuild
from .calls import CONSTANT, GATHERED, SPECIAL, CallLog, Form
from .handle import Builder, Handle
from .naming import root_of

if TYPE_CHECKING:
    from .cells import Execution
    from .naming import Text
    from .task import Task

#: keys that lead from the value of a call to a part of it
Select = tuple[Any, ...]

#: says that a variable has no value
MISSING: Any = object()

#: How a form is recorded: constants only; whole values only; both; each call for itself.
_CONSTANTS, _VALUES, _BOTH, _SPECIAL = range(4)


@dataclass(eq=False)
class Block:
    """One `%%dag` cell or `with` block while its body runs.

    ns      the variables of the body
    text    what the source says about names, where it is known beforehand
    start   first call of this block in its recording
    before  the variables when the body began
    hidden  variables that the cell must not see → what was put in their place
    """

    ns: MutableMapping[str, Any]
    text: Text | None
    start: int
    before: dict[str, Any]
    hidden: dict[str, Any]


class Recording:
    """One execution of one cell.

    calls     a column each for forms, needs, constants and lines of the calls
    foreign   handles of other recordings that calls were given
    names     first place of each call, or None
    bound     place → (call, select)
    places    variable → how many places it has in `bound`
    roots     variables that this cell assigned → their value
    shadowed  ordinary values that lay under those variables before
    over      those of them that the cell found itself, with no other cell between
    reads     other cell → its variables that were used
    shapes    (other cell, variable) → how many places it had when it was used
    void      calls of a later block that raised: they never came to be
    arrays    what `columns_of` made of it
    """

    def __init__(self, builder: Builder, execution: Execution, file: str) -> None:
        self.builder, self.execution, self.file = builder, execution, file
        self.thread = get_ident()
        self.calls = CallLog()
        self.foreign: list[Handle[Any]] = []
        self._numbers: dict[tuple[Any, ...], tuple[int, int]] = {}  # task, types → number of the form, how to record it
        self.names: list[str | None] = []
        self.bound: dict[str, tuple[int, Select]] = {}
        self.places: dict[str, int] = {}
        self.roots: dict[str, Any] = {}
        self.shadowed: dict[str, Any] = {}
        self.over: set[str] = set()
        self.reads: dict[str, dict[str, None]] = {}
        self.shapes: dict[tuple[str, str], int] = {}
        self.void: set[int] = set()
        self.closed = self.failed = False
        self.digest = ""
        self.block: Block | None = None
        self.arrays: object = None

    # ---- the hot path -------------------------------------------------------------------------------------------
    def record(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
    ) -> Handle[Any]:
        """A new node; its handle. Raises BuildError for arguments that cannot be, or after the body has ended."""
        if self.closed or get_ident() != self.thread:
            self._refuse_call(task.name)
        values = args
        if kwargs:
            values = (*args, *kwargs.values())
            key = (task, *map(type, args), *kwargs, *map(type, kwargs.values()))
        else:
            key = (task, *map(type, args))
        number, way = self._numbers.get(key) or self._new_form(task, args, kwargs, key)
        calls = self.calls
        if way == _CONSTANTS:
            calls.constants += values
        elif way == _SPECIAL or self.void or not self._took(values, way):
            number = self._special(task, args, kwargs)
        handle: Handle[Any] = Handle(self, len(calls.form))
        calls.form.append(number)
        calls.lines.append(frame.f_lineno if frame.f_code.co_filename == self.file else self._line(frame))
        return handle

    def _took(self, values: tuple[Any, ...], way: int) -> bool:
        """Record needs and constants of a call that has no other arguments; False if a value is not that plain."""
        found: list[int] = []
        for value in values:
            if type(value) is Handle:
                if value._rec is not self or value._select:
                    return False
                found.append(value._index)
        if len(found) > 1 and len(set(found)) < len(found):
            return False
        self.calls.needs.extend(found)
        if way == _BOTH:
            self.calls.constants += [value for value in values if type(value) is not Handle]
        return True

    def _new_form(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], key: tuple[Any, ...]
    ) -> tuple[int, int]:
        """The form of a call whose task and types are seen for the first time, and how it is recorded."""
        shape: Any = (len(args), *kwargs) if kwargs else len(args)
        if shape not in task.shapes:
            task.check(args, kwargs)
        types = [type(value) for value in (*args, *kwargs.values())]
        kinds = {kind_of(cls) for cls in types}
        if not kinds <= {ATOM, HANDLE}:
            self._numbers[key] = found = (-1, _SPECIAL)
            return found
        needs, items = 0, []
        for cls in types:
            items.append(needs if cls is Handle else CONSTANT)
            needs += cls is Handle
        constants = tuple(cls for cls in types if cls is not Handle)
        way = _CONSTANTS if not needs else _BOTH if constants else _VALUES
        self._numbers[key] = found = (self._form(Form(task, tuple(items), tuple(kwargs), needs, constants)), way)
        return found

    def _form(self, form: Form) -> int:
        self.calls.forms.append(form)
        return len(self.calls.forms) - 1

    def _special(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Record a call that is not plain, and give the number of its form; one list of values is nearly plain."""
        whole = self._gathered(args) if not kwargs and len(args) == 1 and type(args[0]) is list else None
        key: tuple[Any, ...] = (task,)
        if whole is None:
            args, kwargs, handles = _snapshot(args, kwargs)
            for handle in handles:
                if handle._rec is not self or self.void:
                    self._check(handle)
            self.foreign += [handle for handle in handles if handle._rec is not self]
            self.calls.special[len(self.calls)] = ((args, kwargs or None), handles)
            key, form = (task, SPECIAL), Form(task, (SPECIAL,), (), 0, ())
        else:
            self.calls.needs.extend(whole)
            key, form = (task, GATHERED, len(whole)), Form(task, (GATHERED,), (), len(whole), ())
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = (self._form(form), _SPECIAL)
        return known[0]

    def _gathered(self, args: tuple[Any, ...]) -> list[int] | None:
        """The calls behind a list of whole values of this recording, each once; None if the list is another."""
        values = args[0]
        if not values or self.void or set(map(type, values)) != {Handle}:
            return None
        found = [value._index for value in values if value._rec is self and not value._select]
        return found if len(set(found)) == len(values) else None

    def _line(self, frame: FrameType | None) -> int:
        """The line of the body from which a function of another file made this call."""
        while frame is not None and frame.f_code.co_filename != self.file:
            frame = frame.f_back
        return frame.f_lineno if frame is not None else 0

    def _refuse_call(self, name: str) -> None:
        if self.closed:
            raise refusal(
                f"{name}() was called after the body of {self.builder.name} had ended "
                "(a callback or an asyncio task started in it?).",
                "Wait for it inside the body, or call the function outside any DAG.",
            )
        raise thread_refusal(name)

    def _check(self, handle: Handle[Any]) -> None:
        """Raise BuildError if a handle of another recording, or of a block that failed, cannot be an argument here."""
        other, name = handle._rec, handle.name
        if other.builder is not self.builder:
            raise refusal(
                f"{name} belongs to the DAG {other.builder.name}, but this cell builds {self.builder.name}.",
                f"Pass its value ({name}.result()), or build both in one DAG.",
            )
        if other.failed or handle._index in other.void:
            raise refusal(
                f"this handle was made by a run of {other.execution.label} that failed.", "Run that cell again."
            )
        if other is not self and other.execution.cell == self.execution.cell:
            raise refusal(
                f"{name} is left over from an earlier run of this cell "
                "(something still holds it, such as a list that is appended to).",
                "Make the list new in this cell, for instance parts = [] before the loop.",
            )

    # ---- what people call it ------------------------------------------------------------------------------------
    @property
    def where(self) -> str:
        """`Cell In[7]`, or `File flow.py` outside of cells."""
        return CELL_LABELS.get(self.file) or place(self.file, 0).partition(",")[0]

    def text(self, handle: Handle[Any]) -> str:
        """What the notebook calls the value of a handle."""
        for cut in range(len(handle._select), -1, -1):
            own = self.aliases.get((handle._index, handle._select[:cut])) if self.closed else None
            if own:
                return own[0] + _brackets(handle._select[cut:])
        name = self._variable(handle) if not self.closed else None
        return (name or f"{self.calls.task(handle._index).name}(…)") + _brackets(handle._select)

    def _variable(self, handle: Handle[Any]) -> str | None:
        """While the body runs: the variable that holds the handle now. Only error texts ask."""
        frame = user_frame(sys._getframe(1))
        variables = {**self.block.ns, **frame.f_locals} if self.block and frame else {}
        for name, value in variables.items():
            if (
                type(value) is Handle
                and value._rec is self
                and value._index == handle._index
                and not value._select
                and name[0] != "_"
            ):
                return name
        return None

    @cached_property
    def aliases(self) -> dict[tuple[int, Select], list[str]]:
        """(call, select) → all its places, the naming one first."""
        found: dict[tuple[int, Select], list[str]] = {}
        for path, target in self.bound.items():
            found.setdefault(target, []).append(path)
        return found

    def paths(self, handle: Handle[Any]) -> tuple[list[str], Select]:
        """Places of the handle's value, or of the nearest value around it and the keys that lead on from there."""
        select = handle._select
        for cut in range(len(select), -1, -1):
            paths = self.aliases.get((handle._index, select[:cut]))
            if paths:
                return paths, select[cut:]
        return [], select

    def signature(self, most: int | None = None) -> tuple[tuple[str, str | None], ...]:
        """The sequence of its calls, or the first of them: without a place, a handle holds while all are the same."""
        words = [form.task.name for form in self.calls.forms]
        kinds = [words[number] for number in self.calls.form[:most]]
        return tuple(zip(kinds, self.names[:most], strict=True))

    def close(self) -> None:
        """The body has ended; what is derived is derived anew."""
        self.closed = True
        self.block = self.arrays = None
        OPEN.pop(id(self), None)
        self._numbers = {}
        self.__dict__.pop("aliases", None)

    def note_reads(self) -> None:
        """Remember which variables of which other cells were used, and how many places those had."""
        self.reads, self.shapes = {}, {}
        for handle in self.foreign:
            self._note_read(handle)

    def _note_read(self, handle: Handle[Any]) -> None:
        other = handle._rec
        cell = other.execution.cell
        roots = self.reads.setdefault(cell, {})
        for path in other.paths(handle)[0]:
            root = root_of(path)
            if root not in roots:
                roots[root] = None
                self.shapes[cell, root] = other.places[root]


def _brackets(select: Select) -> str:
    return "".join(f"[{key!r}]" for key in select)


def _snapshot(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], list[Handle[Any]]]:
    """Arguments with their containers copied, and every handle in them."""
    found: list[Handle[Any]] = []

    def keep(handle: Handle[Any]) -> Handle[Any]:
        found.append(handle)
        return handle

    return tuple([rebuild(a, keep) for a in args]), {k: rebuild(v, keep) for k, v in kwargs.items()}, found
