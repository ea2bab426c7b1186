"""TaskGraph: what to compute, frozen, in arrays.

Tasks are numbered 0 … n-1 in a topological order: every dependency has a smaller number than its dependents, so that
no reader ever needs to sort. Dependencies are kept as CSR arrays (`dep_start`, `deps`); dependents are derived.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .calls import PackedCalls

Ints = NDArray[np.int32]
Offsets = NDArray[np.int64]
Floats = NDArray[np.float64]


class TaskRef(NamedTuple):
    """The value of a task inside the arguments of another: task number, and the keys to select from the value."""

    task: int
    select: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Calls:
    """What the tasks call. A graph read from a trace has none.

    functions   distinct plain functions (what `@task` wrapped)
    function    [n] which of them task i calls
    args        [n] positional arguments; containers copied, every handle replaced by a `TaskRef`
    kwargs      [n] keyword arguments likewise, or None
    packed      the same arguments in columns, where the graph was recorded: whoever handles all of them reads these
    """

    functions: tuple[Callable[..., Any], ...]
    function: Ints
    args: Sequence[tuple[Any, ...]]
    kwargs: Sequence[Mapping[str, Any] | None]
    packed: PackedCalls | None = None


@dataclass(frozen=True, eq=False)
class TaskGraph:
    """A DAG of tasks.

    name        of the DAG
    keys        [n] unique names of the tasks (`raw`, `parts[0]`, `clean_2`)
    kinds       distinct kinds: the names of the functions
    kind        [n] index into `kinds`
    dep_start   [n+1] and `deps` [m]: task i needs deps[dep_start[i]:dep_start[i+1]], each once, all smaller than i
    calls       functions and arguments, or None for a trace
    duration    [n] declared guesses in seconds (`est=`), NaN where none
    size        [n] declared sizes of outputs in bytes (`out_size=`), NaN where none
    cpus        [n] processors that a task needs (`cpus=`), NaN where it is content with any
    memory      [n] bytes that a task needs (`memory=`), likewise
    where       [n] where the call stands: "Cell In[3], line 2", or ()
    aliases     every name a user may say → the value it means (`parts[0]`, `report`, outputs of an unpacked call)
    kept        tasks whose values outlive a run: sinks and those bound to a plain variable
    """

    name: str
    keys: tuple[str, ...]
    kinds: tuple[str, ...]
    kind: Ints
    dep_start: Offsets
    deps: Ints
    calls: Calls | None = None
    duration: Floats = field(default_factory=lambda: np.zeros(0))
    size: Floats = field(default_factory=lambda: np.zeros(0))
    where: Sequence[str] = ()
    aliases: Mapping[str, TaskRef] = field(default_factory=dict)
    kept: frozenset[int] = frozenset()
    cpus: Floats = field(default_factory=lambda: np.zeros(0))
    memory: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(self.keys)
        for name in ("duration", "size", "cpus", "memory"):
            if len(getattr(self, name)) != n:
                object.__setattr__(self, name, np.full(n, np.nan))
        if len(self.dep_start) != n + 1 or len(self.kind) != n:
            msg = f"{self.name}: the arrays do not fit {n} tasks"
            raise ValueError(msg)
        owner = np.repeat(np.arange(n), np.diff(self.dep_start))
        if (self.deps >= owner).any() or (len(self.deps) and self.deps.min() < 0):
            msg = f"{self.name}: tasks are not in topological order"
            raise ValueError(msg)

    @classmethod
    def build(
        cls,
        name: str,
        deps: Sequence[Sequence[int]],
        *,
        keys: Sequence[str] | None = None,
        kind: Sequence[str] | None = None,
        **columns: Any,
    ) -> TaskGraph:
        """A graph from plain lists, for tests, samples and readers of traces: `deps[i]` are the tasks that i needs."""
        n = len(deps)
        names = list(dict.fromkeys(kind)) if kind else ["task"] * bool(n)
        index = {k: i for i, k in enumerate(names)}
        starts = np.zeros(n + 1, np.int64)
        np.cumsum([len(d) for d in deps], out=starts[1:])
        flat = np.fromiter((d for ds in deps for d in ds), np.int32, int(starts[-1]))
        return cls(
            name,
            tuple(keys) if keys is not None else tuple(f"t{i}" for i in range(n)),
            tuple(names),
            np.array([index[k] for k in kind] if kind else [0] * n, np.int32),
            starts,
            flat,
            **columns,
        )

    def __len__(self) -> int:
        return len(self.keys)

    def dependencies(self, task: int) -> list[int]:
        """The tasks that `task` needs, in the order of first use."""
        found: list[int] = self.deps[self.dep_start[task] : self.dep_start[task + 1]].tolist()
        return found

    def dependents(self, task: int) -> list[int]:
        """The tasks that need `task`, ascending."""
        start, users = self.children
        found: list[int] = users[start[task] : start[task + 1]].tolist()
        return found

    @cached_property
    def children(self) -> tuple[Offsets, Ints]:
        """Dependents as CSR arrays (start [n+1], tasks [m]), ascending inside a task."""
        n = len(self)
        start = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(self.deps, minlength=n), out=start[1:])
        owner = np.repeat(np.arange(n, dtype=np.int32), np.diff(self.dep_start))
        return start, owner[np.argsort(self.deps, kind="stable")]

    @cached_property
    def roots(self) -> Ints:
        """Tasks without dependencies, ascending."""
        return np.flatnonzero(np.diff(self.dep_start) == 0).astype(np.int32)

    @cached_property
    def sinks(self) -> Ints:
        """Tasks without dependents, ascending."""
        return np.flatnonzero(np.diff(self.children[0]) == 0).astype(np.int32)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Key → number."""
        return {key: i for i, key in enumerate(self.keys)}

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over names, kinds and edges: which graph a plan was made for."""
        words = (*self.kinds, *self.keys)
        data = "\n".join(words).encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(data)
        digest.update(_lengths(words, data).tobytes())  # a name may hold a line break
        for column in (self.kind, self.dep_start, self.deps):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()[:16]


def _lengths(words: tuple[str, ...], joined: bytes) -> Ints:
    """Characters of each word. Nearly always the line breaks between them tell: counted at once, not word by word."""
    letters = np.frombuffer(joined, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    if len(ends) == len(words) - 1 and joined.isascii():
        return (np.diff(ends, prepend=-1, append=len(joined)) - 1).astype(np.int32)
    return np.fromiter(map(len, words), np.int32, len(words))
