"""Handle: a value that a task will make. It can be passed on, selected from and asked for its result, nothing else.

Everything else is refused with what to write instead. The refusals are deliberately not AttributeErrors, else pandas
and numpy would take a handle for a scalar; only names beginning with `_` are, because every library probes for those.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from dagnb.errors import BuildError, NotRunError, place, refusal

T_co = TypeVar("T_co", covariant=True)


class HandleOwner(Protocol):
    """Who knows about runs: the session's Dag. Each gets the handle and does what the handle's method promises."""

    def handle_result(self, handle: Handle[Any], timeout: float | None, /) -> Any:
        """The value; waits at most `timeout` seconds. Raises NotRunError, TaskError, SkippedError, CancelledError."""

    async def handle_async(self, handle: Handle[Any], /) -> Any:
        """The value, waiting without blocking the event loop."""

    def handle_done(self, handle: Handle[Any], /) -> bool:
        """Whether `handle_result` would answer at once, with a value or with the task's error."""

    def handle_logs(self, handle: Handle[Any], /) -> Any:
        """Standard output, standard error and traceback of the last attempt."""

    def handle_why(self, handle: Handle[Any], /) -> Any:
        """Why the task ran, or from which run it was reused."""


class Builder(Protocol):
    """What a handle needs of the GraphBuilder that made it."""

    name: str
    owner: HandleOwner | None

    def key(self, handle: Handle[Any], /) -> str:
        """The name of its task in the graph as it is now."""


class Handle(Generic[T_co]):
    """A value that a task will make: which recording, which call in it, and which part of its value.

    All text is looked up when it is needed: a hundred thousand handles cost three slots each.
    """

    __slots__ = ("_index", "_rec", "_select")

    # `rec` is a Recording; to name the type here would close a circle of imports
    def __init__(self, rec: Any, index: int, select: tuple[Any, ...] = ()) -> None:
        self._rec = rec
        self._index = index
        self._select = select

    # ---- what it knows ------------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        """What the notebook calls this value: `raw`, `parts[0]`, `raw['col']`. Never raises."""
        name: str = self._rec.text(self)
        return name

    @property
    def key(self) -> str:
        """The name of its task in the graph as it is now. Raises NotRunError when the task is not in it any more."""
        builder: Builder = self._rec.builder
        return builder.key(self)

    @property
    def kind(self) -> str:
        """The name of the function."""
        kind: str = self._rec.calls.task(self._index).name
        return kind

    # ---- what the run knows -------------------------------------------------------------------------------------
    def result(self, timeout: float | None = None) -> T_co:
        """The value, once the run of its DAG has it; waits at most `timeout` seconds."""
        value: T_co = self._owner().handle_result(self, timeout)
        return value

    def done(self) -> bool:
        """Whether `result()` would answer at once."""
        return self._owner().handle_done(self)

    def logs(self) -> Any:
        """What the task printed, and its traceback if it raised."""
        return self._owner().handle_logs(self)

    def why(self) -> Any:
        """Why the task ran, or from which run its value was reused."""
        return self._owner().handle_why(self)

    def __await__(self) -> Generator[Any, None, T_co]:
        return self._owner().handle_async(self).__await__()

    def _owner(self) -> HandleOwner:
        owner: HandleOwner | None = self._rec.builder.owner
        if owner is None:
            what = f"{self.name} was never run: its graph was built without a session."
            raise NotRunError(f"{what}\n  Build it in a %%dag cell, or in a dagnb.dag block.")
        return owner

    # ---- parts of it --------------------------------------------------------------------------------------------
    def __getitem__(self, key: Any) -> Handle[Any]:
        if _not_a_key(key):
            raise refusal(
                f"cannot select from {self.name} by a {type(key).__name__}: a key must be known before the run.",
                f"Put it into a task: task(lambda v, k: v[k])({self.name}, …).",
            )
        return Handle(self._rec, self._index, (*self._select, key))

    def __getattr__(self, name: str) -> Handle[Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        outs = self._rec.calls.task(self._index).given.outs
        if isinstance(outs, tuple) and name in outs and not self._select:
            return Handle(self._rec, self._index, (outs.index(name),))
        me = self.name
        raise refusal(
            f"{me}.{name} is not known before the run: {me} is a handle, not a value.",
            f"Put it into a task: task(lambda v: v.{name})({me}).",
        )

    def __iter__(self) -> Iterator[Handle[Any]]:
        task = self._rec.calls.task(self._index)
        outs = task.given.outs
        if outs != 1 and not self._select:
            return (Handle(self._rec, self._index, (i,)) for i in range(outs if isinstance(outs, int) else len(outs)))
        me, wanted = self.name, _unpacking(sys._getframe(1))
        if wanted:
            raise refusal(
                f"cannot unpack {me}: how many values it has is not known before the run.",
                f"Say so: @task(outs={wanted}) on {task.name}.",
            )
        raise refusal(
            f"cannot loop over {me}: its length is not known before the run.",
            f"One task for each element: some_task.map({me}).",
        )

    # ---- as an object -------------------------------------------------------------------------------------------
    def __repr__(self) -> str:
        return f"<{self.name}: a {self.kind}() of {self._rec.builder.name}, not computed here>"

    def __copy__(self) -> Handle[T_co]:
        return self

    def __deepcopy__(self, memo: object) -> Handle[T_co]:
        return self

    def __reduce__(self) -> NoReturn:
        lines = (
            f"{self.name} is inside something that dagnb does not look into.",
            place(self._rec.file, self._rec.calls.lines[self._index]),
            "Handles are found in list, tuple, dict, set and dataclass: pass it in one of these.",
        )
        raise BuildError("\n  ".join(lines))


def _not_a_key(key: object) -> bool:
    """Slices and lists are no keys (a selection names one part); a handle is not known yet."""
    if isinstance(key, slice) or type(key) is Handle:
        return True
    if isinstance(key, tuple):
        return any(_not_a_key(k) for k in key)
    return type(key).__hash__ is None


def _unpacking(frame: FrameType) -> int:
    """How many values the instruction that asked for an iterator wants; 0 if it is no unpacking."""
    code, at = frame.f_code.co_code, frame.f_lasti
    operation = dis.opname[code[at]]
    if operation == "UNPACK_EX":  # a, *b = raw: at least those before and after the star
        return (code[at + 1] & 0xFF) + 1
    return code[at + 1] if operation.startswith("UNPACK_") else 0


def _refuse(what: str, advice: str) -> Callable[..., NoReturn]:
    def method(self: Handle[Any], *_: object) -> NoReturn:
        raise refusal(what.format(me=self.name), advice.format(me=self.name))

    return method


_OPERATORS = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod".split()  # noqa: SIM905
_UNKNOWN = "its value is not known before the run."

#: special methods → what is said, what to do instead
_REFUSED = (
    ("bool", f"cannot test {{me}}: {_UNKNOWN}", "Write dagnb.when({me}, a, otherwise=b), or put the test into a task."),
    ("len contains", "cannot look into {me}: it is a handle, not a value.", "Put len() or `in` into a task."),
    ("eq ne lt le gt ge", f"cannot compare {{me}}: {_UNKNOWN}", "Put the comparison into a task."),
    (
        " ".join(["neg pos abs invert round trunc floor ceil", *_OPERATORS, *(f"r{o}" for o in _OPERATORS)]),
        f"cannot calculate with {{me}}: {_UNKNOWN}",
        "Put the arithmetic into a task.",
    ),
    ("call", "{me} is a handle, not a function.", "Call a task with it: some_task({me})."),
    ("setitem delitem", "cannot change {me}: it is a handle, not a value.", "Return the changed value from a task."),
    (
        "array int float index complex bytes enter exit fspath next",
        "{me} was given to a plain function, which needs its value now.",
        "Make that function a task: task(f)({me}).",
    ),
)
for _methods, _what, _advice in _REFUSED:
    for _method in _methods.split():
        setattr(Handle, f"__{_method}__", _refuse(_what, _advice))
