"""Calls in columns: what a recording keeps of the calls of its body, and what a graph keeps of the calls of its tasks.

Nearly all calls are *plain*: every argument is either the whole value of an earlier call or something that nobody
looks into. Such a call is one number (its form), its needs and its constants in flat arrays; no object is kept for it.
All others are *special*: their arguments are kept with containers copied.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .graph import Ints, TaskRef
    from .handle import Handle
    from .task import Task

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

#: Items of a form that are no number of a dependency: the next constant; a list of all dependencies; not told here.
CONSTANT, GATHERED, SPECIAL = -1, -2, -3

#: Positional arguments and keyword arguments, or None.
Arguments = tuple[tuple[Any, ...], "dict[str, Any] | None"]


@dataclass(frozen=True, eq=False, slots=True)
class Form:
    """What calls of one task with arguments of the same types have in common.

    items      of all arguments: k ≥ 0 is the value of the k-th dependency, else CONSTANT; (GATHERED,) is one list of
               all dependencies; (SPECIAL,) says that the call is a special one
    keywords   names of the last arguments
    needs      number of dependencies
    types      those of the constants
    """

    task: Task[..., Any]
    items: tuple[int, ...]
    keywords: tuple[str, ...]
    needs: int
    types: tuple[type, ...]

    @property
    def special(self) -> bool:
        """Whether calls of this form are kept one by one."""
        return self.items == (SPECIAL,)


@dataclass(eq=False, slots=True)
class CallLog:
    """The calls of one recording, as they are made.

    forms       distinct forms
    form        [n] index into `forms`
    lines       [n] line of the call
    needs       of the plain calls, one after the other: calls of the same recording
    constants   of the plain calls, likewise
    special     the other calls: arguments, and every handle in them
    """

    forms: list[Form] = field(default_factory=list)
    form: array[int] = field(default_factory=lambda: array("i"))
    lines: array[int] = field(default_factory=lambda: array("i"))
    needs: array[int] = field(default_factory=lambda: array("i"))
    constants: list[Any] = field(default_factory=list)
    special: dict[int, tuple[Arguments, list[Handle[Any]]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.form)

    def task(self, call: int) -> Task[..., Any]:
        """What a call calls."""
        return self.forms[self.form[call]].task

    def shape(self, call: int) -> tuple[int, tuple[str, ...]]:
        """Number of positional arguments and the names of the others."""
        form = self.forms[self.form[call]]
        if form.special:
            args, kwargs = self.special[call][0]
            return len(args), tuple(kwargs or ())
        return len(form.items) - len(form.keywords), form.keywords


def ints(column: array[int]) -> Ints:
    """A column as an array of its own: one that is still written to must not be shared."""
    import numpy as np  # late: a recording does without, and background processes start before it is there

    return np.frombuffer(column, np.int32).copy() if column else np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False, slots=True)
class PackedCalls:
    """The calls of a graph in columns; the needs of a call are the dependencies of its task, in the same order.

    forms       distinct forms
    form        [n] index into `forms`
    constants   of the plain calls, in the order of the tasks
    special     task → arguments with a TaskRef in the place of every handle, for calls that are not plain
    """

    forms: tuple[Form, ...]
    form: Ints
    constants: Sequence[Any]
    special: Mapping[int, Arguments]

    def arguments(self, starts: NDArray[np.int64], deps: Ints, refs: Sequence[TaskRef]) -> list[Arguments]:
        """[n] arguments of every call, with TaskRefs."""
        constants, needed, first = iter(self.constants), deps.tolist(), starts.tolist()
        found: list[Arguments] = []
        for task, number in enumerate(self.form.tolist()):
            form = self.forms[number]
            if form.special:
                found.append(self.special[task])
                continue
            own = [refs[d] for d in needed[first[task] : first[task + 1]]]
            if form.items == (GATHERED,):
                found.append(((own,), None))
                continue
            values = [next(constants) if item == CONSTANT else own[item] for item in form.items]
            cut = len(values) - len(form.keywords)
            keywords = dict(zip(form.keywords, values[cut:], strict=True)) if form.keywords else None
            found.append((tuple(values[:cut]), keywords))
        return found


class Late(Sequence[T], Generic[T]):
    """A column that is made when somebody looks into it. Equal to a tuple of the same."""

    __slots__ = ("_length", "_made", "_make")

    def __init__(self, length: int, make: Callable[[], Sequence[T]]) -> None:
        self._length = length
        self._make: Callable[[], Sequence[T]] | None = make
        self._made: Sequence[T] = ()

    def _all(self) -> Sequence[T]:
        make = self._make
        if make is not None:  # two threads may both make it: they make the same
            self._made = make()
            self._make = None  # and all that it was made from
        return self._made

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...
    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        return self._all()[at]

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, tuple | Late) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to tuples, whose hash it could only have by being made

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> Any:
        return tuple, (tuple(self),)


class Coded(Late[str]):
    """A column of words of which few are different."""

    __slots__ = ("_code", "_coded")

    def __init__(self, length: int, code: Callable[[], tuple[Sequence[str], NDArray[np.integer[Any]]]]) -> None:
        super().__init__(length, self._words)
        self._code: Callable[[], tuple[Sequence[str], NDArray[np.integer[Any]]]] | None = code
        self._coded: tuple[Sequence[str], NDArray[np.integer[Any]]] | None = None

    @property
    def coded(self) -> tuple[Sequence[str], NDArray[np.integer[Any]]]:
        """The distinct words, and [n] which of them; made when somebody looks."""
        code = self._code
        if code is not None:  # see `Late`
            self._coded = code()
            self._code = None
        assert self._coded is not None
        return self._coded

    def _words(self) -> Sequence[str]:
        words, codes = self.coded
        return tuple([words[code] for code in codes.tolist()])


class LateMapping(Mapping[K, V], Generic[K, V]):
    """A mapping that is made when somebody looks into it.

    beside    makes only what a reader does not know already, where there is such a part
    """

    __slots__ = ("_made", "_make", "beside")

    def __init__(self, make: Callable[[], Mapping[K, V]], beside: Callable[[], Mapping[K, V]] | None = None) -> None:
        self._make: Callable[[], Mapping[K, V]] | None = make
        self.beside = beside
        self._made: Mapping[K, V] = {}

    def _all(self) -> Mapping[K, V]:
        make = self._make
        if make is not None:  # see `Late`
            self._made = make()
            self._make = None
        return self._made

    def __getitem__(self, key: K) -> V:
        return self._all()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, key: object) -> bool:
        return key in self._all()

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
