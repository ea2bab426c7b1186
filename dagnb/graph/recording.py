"""Recording: what one execution of one cell adds to a DAG, in columns; no object for each call but its handle.

`record` is the hot path: about a microsecond a call. Names and reads are filled in once, when the body has ended.
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
from .arguments import ATOM, HANDLE, KINDS, kind_of, rebuild
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

_NONE: tuple[()] = ()


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

    fns, args, kwargs, deps, lines   a column each for the calls; deps: (), one handle, or a list of handles
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
        self.fns: list[Task[..., Any]] = []
        self.args: list[tuple[Any, ...]] = []
        self.kwargs: list[dict[str, Any] | None] = []
        self.deps: list[Any] = []
        self.lines: list[int] = []
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
    def record(  # noqa: C901, PLR0912  (inlined: a hundred thousand calls in a fraction of a second)
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
    ) -> Handle[Any]:
        """A new node; its handle. Raises BuildError for arguments that cannot be, or after the body has ended."""
        if self.closed or get_ident() != self.thread:
            self._refuse_call(task.name)
        shape: Any = (len(args), *kwargs) if kwargs else len(args)
        if shape not in task.shapes:
            task.check(args, kwargs)
        deps: Any = _NONE
        kinds = KINDS
        for value in (*args, *kwargs.values()) if kwargs else args:
            kind = kinds.get(type(value))
            if kind == ATOM:
                continue
            if kind == HANDLE:
                if deps is _NONE:
                    deps = value
                elif type(deps) is list:
                    deps.append(value)
                else:
                    deps = [deps, value]
            elif kind is not None or kind_of(type(value)) != ATOM:
                args, kwargs, deps = _snapshot(args, kwargs)
                break
        if type(deps) is Handle:
            if deps._rec is not self or self.void:
                self._check(deps)
        else:
            for handle in deps:
                if handle._rec is not self or self.void:
                    self._check(handle)
        lines = self.lines
        handle = Handle(self, len(lines))
        self.fns.append(task)
        self.args.append(args)
        self.kwargs.append(kwargs or None)
        self.deps.append(deps)
        lines.append(frame.f_lineno if frame.f_code.co_filename == self.file else self._line(frame))
        return handle

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
        return (name or f"{self.fns[handle._index].name}(…)") + _brackets(handle._select)

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

    @cached_property
    def signature(self) -> tuple[tuple[str, str | None], ...]:
        """The sequence of its calls: a handle without a place holds only while this is the same."""
        return tuple(zip((f.name for f in self.fns), self.names, strict=True))

    def close(self) -> None:
        """The body has ended; what is derived is derived anew."""
        self.closed = True
        self.block = self.arrays = None
        OPEN.pop(id(self), None)
        for derived in ("aliases", "signature"):
            self.__dict__.pop(derived, None)

    def note_reads(self) -> None:
        """Remember which variables of which other cells were used, and how many places those had."""
        self.reads, self.shapes = {}, {}
        for deps in self.deps:
            for handle in (deps,) if type(deps) is Handle else deps:
                if handle._rec is not self:
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
