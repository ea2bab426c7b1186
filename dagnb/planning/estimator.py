"""The estimator: what can be said of a graph before it runs.

Three sources, the nearest first: past runs of the same code (`dagnb.trace.history`), what the user declared (`est=`,
`out_size=`), else a neutral guess that invents no seconds. Bytes that a task takes are what its dependencies are
expected to give, so that sizes are carried through the graph from its roots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dagnb.graph.fingerprint import codes
from dagnb.trace.samples import input_bytes, record_from

from .estimates import DECLARED, NEUTRAL, PAST, Z90, Estimates, refuse
from .learned import PRIOR_DOUBT, PRIOR_EXPONENT, Learned, factor, learn
from .machine import doubt
from .spread import Noise, Spread

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.trace.history import History

    from .cluster import Cluster

__all__ = ["DECLARED", "NEUTRAL", "PAST", "Estimates", "estimate"]

Floats = NDArray[np.float64]

#: Bytes of memory at which durations hold where no cluster says otherwise.
MEMORY = 2e9


def estimate(graph: TaskGraph, history: History | None = None, cluster: Cluster | None = None) -> Estimates:
    """What can be said of `graph` today.

    history    measurements of past runs; None: only what was declared counts
    cluster    the workers that it is asked for: durations hold for its most common size of memory

    Where every task has seconds, measured or declared, times are seconds. Else they are task units: a task nobody knows
    is 1, and the others are measured in their mean, so that proportions stay. What was declared is taken as certain: it
    has no spread, and a forecast of it no interval. Raises OptionError, naming the task, for a declared number that is
    negative or infinite.
    """
    given = np.asarray(graph.duration, np.float64)
    said = ~np.isnan(given)
    refuse("duration", np.where(said, given, 0.0), graph.keys)
    size = np.nan_to_num(np.asarray(graph.size, np.float64), nan=0.0, posinf=np.inf)
    refuse("size", size, graph.keys)
    draft = _Draft.of(graph, given, size, said, cluster)
    if history is not None and graph.calls is not None:
        draft.remember(graph, history)
    return draft.finished()


@dataclass(eq=False, slots=True)
class _Draft:
    """Estimates in the making.

    code    [n] 0 neutral, 1 declared, 2 + k: learnt, the k-th of `methods`
    """

    mean: Floats
    size: Floats
    code: NDArray[np.int32]
    reference: float
    cpus: float
    several: bool
    p50: Floats
    p90: Floats
    share: Floats
    exponent: Floats
    group: NDArray[np.int32]
    inputs: Floats
    learnt: Floats
    doubt: float
    methods: list[str]
    noises: list[Noise]

    @classmethod
    def of(
        cls, graph: TaskGraph, given: Floats, size: Floats, said: NDArray[np.bool_], cluster: Cluster | None
    ) -> _Draft:
        n, (reference, several, cpus) = len(graph), _sizes(cluster)
        mean = np.where(said, given, 1.0)
        prior = 1.0 if several else 0.0
        return cls(
            mean, size, said.astype(np.int32), reference, cpus, several, mean.copy(), mean.copy(), np.full(n, prior),
            np.full(n, PRIOR_EXPONENT * prior), np.full(n, -1, np.int32), np.zeros(n), np.zeros(n), 0.0,
            [NEUTRAL, DECLARED], [],
        )  # fmt: skip

    def remember(self, graph: TaskGraph, history: History) -> None:
        """Put in what past runs say, function by function."""
        assert graph.calls is not None
        function = graph.calls.function
        known = [
            _learned(tuple(r.packed for r in history.records(code)), self.reference, self.cpus) if code else None
            for code in codes(graph)
        ]
        if not any(known):
            return
        self.size = _outputs(graph, function, known, self.size)
        taken = input_bytes(graph, self.size)
        unsure = _unsure_inputs(graph, function, known, self.size, taken)
        self.doubt = doubt(history)
        for number, learned in enumerate(known):
            if learned is not None:
                self._put(np.flatnonzero(function == number), learned, taken, unsure)

    def _put(self, tasks: NDArray[np.intp], learned: Learned, taken: Floats, unsure: tuple[Floats, Floats]) -> None:
        """The tasks that call one function."""
        unknown = self.doubt
        mean = learned.seconds.many(taken[tasks])
        if learned.share > 0:
            self.share[tasks], self.exponent[tasks] = learned.share, learned.exponent
        elif self.several:
            mean = mean * factor(1.0, PRIOR_EXPONENT, learned.memory, self.reference)
            unknown = float(np.hypot(unknown, PRIOR_DOUBT / 2))  # for workers of half or twice the memory, about
        noise = learned.noise(taken[tasks], unknown)
        self.mean[tasks] = mean
        middle, high = noise.quantile(0.5), noise.quantile(0.9)
        width: Floats = np.full(len(tasks), np.log(high / middle) if middle > 0 else 0.0)
        if learned.seconds.by_size:
            steep = learned.seconds.elasticity(taken[tasks])
            self.inputs[tasks], self.learnt[tasks] = steep * unsure[0][tasks], steep * unsure[1][tasks]
            width = np.hypot(width, Z90 * np.hypot(self.inputs[tasks], self.learnt[tasks]))
        self.p50[tasks], self.p90[tasks] = mean * middle, mean * middle * np.exp(width)
        self.group[tasks], self.code[tasks] = len(self.noises), len(self.methods)
        self.noises.append(noise)
        self.methods.append(_words(learned))

    def finished(self) -> Estimates:
        """The estimates; in task units where a task is neutral."""
        neutral = self.code == 0
        has_seconds = not neutral.any() and len(neutral) > 0
        if not has_seconds and not neutral.all():
            unit = float(self.mean[~neutral].mean())
            for column in (self.mean, self.p50, self.p90):
                column[~neutral] = column[~neutral] / unit if unit > 0 else 0.0
        for column in (self.mean, self.p50, self.p90, self.size, self.share, self.exponent):
            column.flags.writeable = False
        found = Estimates(
            self.mean, self.p50, self.p90, self.size, self._sources(), has_seconds,
            self.reference, methods=tuple(self.methods), how=self.code,
        )  # fmt: skip
        if self.noises:
            inputs, learnt = (column if column.any() else None for column in (self.inputs, self.learnt))
            found = replace(found, spread=Spread(self.group, tuple(self.noises), inputs, learnt))
        return replace(found, share=self.share, exponent=self.exponent) if self.share.any() else found

    def _sources(self) -> tuple[str, ...]:
        """[n] where each number came from; at once where nobody knows anything, as before any first run."""
        if not self.code.any():
            return (NEUTRAL,) * len(self.code)
        names = [NEUTRAL, DECLARED] + [PAST] * (len(self.methods) - 2)
        return tuple([names[c] for c in self.code.tolist()])


def _sizes(cluster: Cluster | None) -> tuple[float, bool, float]:
    """The most common size of memory, the larger at a tie; whether there are several; the most common cpus."""
    if cluster is None:
        return MEMORY, False, 1.0
    memory = Counter(w.memory for w in cluster.workers)
    common = max(memory, key=lambda size: (memory[size], size))
    return common, len(memory) > 1, Counter(w.cpus for w in cluster.workers).most_common(1)[0][0]


@lru_cache(maxsize=512)
def _learned(packed: tuple[tuple[float, float, bytes, bytes], ...], reference: float, cpus: float) -> Learned | None:
    """What records say; kept, because choosing a law takes a millisecond."""
    return learn([record_from(*p) for p in packed], reference, cpus)


def _outputs(
    graph: TaskGraph, function: NDArray[np.int32], known: Sequence[Learned | None], declared: Floats
) -> Floats:
    """[n] bytes that each task gives: learnt, else declared; carried from the roots on where inputs matter."""
    size = declared.copy()
    for number, learned in enumerate(known):
        if learned is not None:
            size[function == number] = learned.output.a
    laws = [learned.output if learned is not None and learned.output.by_size else None for learned in known]
    if not any(laws):
        return size
    values, starts, deps = size.tolist(), graph.dep_start.tolist(), graph.deps.tolist()
    for task, number in enumerate(function.tolist()):
        law = laws[number]
        if law is not None:
            values[task] = law(sum(values[d] for d in deps[starts[task] : starts[task + 1]]))
    return np.array(values, np.float64)


def _unsure_inputs(
    graph: TaskGraph, function: NDArray[np.int32], known: Sequence[Learned | None], size: Floats, taken: Floats
) -> tuple[Floats, Floats]:
    """Two standard deviations ÷ mean [n] of the bytes that each task takes.

    Outputs vary, each for itself; and what was learnt of their mean is wrong, for all of a function alike.
    """
    varies = np.array([float(learned.output.ratios.std()) if learned is not None else 0.0 for learned in known])
    if not varies.any():
        return np.zeros(len(graph)), np.zeros(len(graph))
    wrong = varies / np.sqrt([max(learned.output.samples, 1) if learned is not None else 1 for learned in known])
    variance = input_bytes(graph, (size * varies[function]) ** 2)
    total = np.maximum(taken, 1.0)
    return np.sqrt(variance) / total, input_bytes(graph, size * wrong[function]) / total


def _words(learned: Learned) -> str:
    """How it was estimated, for people."""
    calls = f"{learned.samples:,} call{'s' * (learned.samples != 1)}"
    by = {"power": "by size of input, ", "line": "by size of input, "}.get(learned.seconds.method)
    return f"{by}{calls}" if by else f"{learned.seconds.method} of {calls}"
