"""`@task`: a function that becomes a node when called while a DAG records, and just runs otherwise."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from dagnb.errors import refusal

from .active import ACTIVE, OPEN, refuse_new_thread
from .arguments import first_handle
from .care import Care, careful
from .cells import CELLS
from .handle import Handle
from .iterators import streaming
from .options import Options, TaskOptions, not_yet, option_error, parse

P = ParamSpec("P")
R = TypeVar("R")

#: (cell or module, qualified name) → its newest definition
DEFINITIONS: dict[tuple[str, str], Task[..., Any]] = {}

#: how many definitions there were; as long as it stays, a graph need not look whether a newer one took over
CHANGES = [0]

_recording = ACTIVE.get


class Task(Generic[P, R]):
    """A function and what was said about it.

    fn      what was decorated
    given   its options
    key     where the definition stands: (cell or module, qualified name)
    run     number of the execution that defined it
    follow  whether a newer definition at the same place takes over at the next plan; lambdas, functions made in
            functions and two definitions of one name in one execution stay what they are
    base    the task of which this is `.options(…)`
    shapes  call shapes (number of arguments, keywords) that fit the signature
    runs    what workers call
    forms   that for each (stream, care) asked so far, shared with its `.options(…)`: functions are told apart by it
    """

    def __init__(self, fn: Callable[P, R], options: Options, creator: str = "__main__") -> None:
        self.fn = fn
        self.given = options
        self.base: Task[P, R] | None = None
        self.overrides: TaskOptions = {}
        self.shapes: set[Any] = set()
        self.runs: Callable[..., Any] = fn
        self.forms: dict[tuple[bool, Care], Callable[..., Any]] = {}
        for word in ("__doc__", "__module__", "__qualname__", "__name__"):
            if hasattr(fn, word):
                setattr(self, word, getattr(fn, word))
        self.__wrapped__ = fn
        self._plumb()
        module, qualname = str(getattr(fn, "__module__", "")), str(getattr(fn, "__qualname__", ""))
        execution = CELLS.now()
        in_module = module == creator and module != "__main__"
        self.key = (module if in_module else execution.cell, qualname)
        self.run = execution.number
        self.follow = isinstance(fn, FunctionType) and "<" not in qualname and self._register()

    def _plumb(self) -> None:
        """What workers call: iterators where the arguments stream, care where it is asked. Raises OptionError."""
        form = (self.given.stream, self.given.care)
        if form not in self.forms:
            plain = streaming(self.fn, self.name) if self.given.stream else self.fn
            self.forms[form] = careful(self.given.care, plain)
        self.runs = self.forms[form]

    def _register(self) -> bool:
        CHANGES[0] += 1
        older = DEFINITIONS.get(self.key)
        again = older is not None and older.run == self.run
        if older is not None and again and (older.fn is not self.fn or older.given != self.given):
            older.follow = False
            DEFINITIONS[self.key] = self
            return False
        DEFINITIONS[self.key] = self
        return True

    @property
    def name(self) -> str:
        """The kind of its nodes."""
        if self.given.name is not None:
            return self.given.name
        fn: Any = self.fn
        while isinstance(fn, functools.partial):
            fn = fn.func
        name = str(getattr(fn, "__name__", type(fn).__name__))
        return "lambda" if name == "<lambda>" else name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Record a node and give its handle while a DAG is built; else run the function."""
        __tracebackhide__ = True
        recording = _recording()
        if recording is None:
            if OPEN:
                refuse_new_thread(self.name)
            if (handle := first_handle((*args, *kwargs.values()))) is not None:
                self._refuse_outside(handle)
            return self.fn(*args, **kwargs)
        return recording.record(self, args, kwargs, sys._getframe(1))  # type: ignore[return-value]  # its handle stands for R

    def options(self, **options: Unpack[TaskOptions]) -> Task[P, R]:
        """The same task with other options for one call: `fit.options(est="5m")(X)`. Raises OptionError."""
        new: Task[P, R] = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.base = self.base or self
        new.overrides = {**self.overrides, **options}
        new.given = parse(options, self.given)
        new._plumb()
        return new

    @property
    def map(self) -> Any:
        """One task for each element. Not built yet."""
        raise not_yet(f"{self.name}.map")

    @property
    def product(self) -> Any:
        """One task for each combination of arguments. Not built yet."""
        raise not_yet(f"{self.name}.product")

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise BuildError if the call does not fit the signature. Each shape of call is looked at once."""
        problem = self.misfit(args, kwargs)
        if problem:
            raise refusal(
                f"{self.name}{inspect.signature(self.fn)}: {problem}.", "The call must fit the signature of the task."
            )
        self.shapes.add((len(args), *kwargs) if kwargs else len(args))

    def misfit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Why a call does not fit the signature, or an empty string."""
        try:
            signature = inspect.signature(self.fn)
        except ValueError:
            return ""  # built-in functions that do not tell
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            return str(error)
        return ""

    def place(self) -> str:
        """Where it is defined, for the end of a sentence: ` (In[2])`."""
        label = CELLS.labels.get(self.key[0])
        return f" ({label})" if label else ""

    def _refuse_outside(self, handle: Handle[Any]) -> None:
        name = handle.name
        raise refusal(
            f"{self.name}() got the handle {name} outside of any DAG: it would run here, now, without the value.",
            f"Call it in a %%dag cell or in a `with dagnb.dag(…)` block, or pass the value: {name}.result().",
        )

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A method of the user's class: the instance becomes the first argument."""
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def __reduce__(self) -> Any:
        module = sys.modules.get(getattr(self, "__module__", ""))
        qualname = getattr(self, "__qualname__", "")
        if module is not None and module.__name__ != "__main__" and getattr(module, qualname, None) is self:
            return qualname  # by reference, as a function of a module is
        state = {k: v for k, v in self.__dict__.items() if k not in {"base", "overrides", "shapes", "forms"}}
        return _blank, (), state | {"base": None, "overrides": {}, "shapes": set(), "forms": {}}


def _blank() -> Task[..., Any]:
    """A task without its state, for unpickling: its function may refer to the task itself."""
    return object.__new__(Task)


def newest(task: Task[..., Any]) -> Task[..., Any]:
    """The definition to plan with: the one its own cell gives now; if it gives none, the newest of that name."""
    if task.base is not None:
        base = newest(task.base)
        return task if base is task.base else base.options(**task.overrides)
    if not task.follow:
        return task
    here = DEFINITIONS.get(task.key, task)
    if not here.follow:
        return task
    if _is_given(task.key, here):
        return here
    others = [d for k, d in DEFINITIONS.items() if k[1] == task.key[1] and d.follow and _is_given(k, d)]
    return max(others, key=lambda d: d.run, default=here)


def _is_given(key: tuple[str, str], definition: Task[..., Any]) -> bool:
    """Whether the last execution of its cell made this definition; a module never loses one."""
    return CELLS.last.get(key[0], definition.run) == definition.run


class _Decorator(Protocol):
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(fn: Callable[P, R], /, **options: Unpack[TaskOptions]) -> Task[P, R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> _Decorator: ...
def task(fn: Any = None, /, **options: Any) -> Any:
    """Make a function a task: `@task`, `@task(outs=2, est="30s")`, `task(pd.concat)(parts)`.

    name      what its nodes are called where no variable names them, and their kind; default: the function's name
    outs      number or names of the values it returns, so that `a, b = split(df)` unpacks
    est       a first guess of its duration for the planner: 30, "30s", "5m", "2h"
    out_size  a first guess of the size of its result: 4096, "200MB", "4GB"
    stream    arguments annotated `Iterator[T]` are iterators; over what a generator yields while it still runs on
              another worker, if it can be. The value of a generator is the list of what it yields
    retries   how often a call that fails is made again, on whichever worker is free; `retry_delay` before the first
              time, doubled each time (at most 5 minutes, ±25 %); only after an exception of `retry_on`, which is any
              Exception where nothing is said
    timeout   how long one try may take, from the moment when its inputs are there: "30s". It then fails with
              TaskTimeoutError, which is a TimeoutError, also in the middle of C code

    Outside of a DAG the task is the function. Raises OptionError for an option that is unknown, wrong or not built yet.
    """
    creator = str(sys._getframe(1).f_globals.get("__name__", "__main__"))
    checked = parse(options)
    if fn is None:
        return lambda f: _make(f, checked, options, creator)
    return _make(fn, checked, options, creator)


def _make(fn: Any, checked: Options, options: Any, creator: str) -> Task[..., Any]:
    if isinstance(fn, Task):
        return fn.options(**options) if options else fn
    if type(fn) is Handle:
        raise refusal(f"{fn.name} is a handle, not a function.", f"Call a task with it: some_task({fn.name}).")
    if not callable(fn):
        raise option_error(
            f"@task needs a function, not a {type(fn).__name__}.", "Write @task above a def, or task(function)(…)."
        )
    return Task(fn, checked, creator)
