"""`@task` outside of a DAG is the function; its options are checked when they are given; it travels."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from dagnb.errors import OptionError
from dagnb.graph.builder import GraphBuilder
from dagnb.graph.options import seconds, size
from dagnb.graph.task import Task, task


@task
def double(x: int, *, y: int = 0) -> int:
    """Twice."""
    return 2 * x + y


@task(est="1m", outs=("train", "test"))
def halves(x: int) -> tuple[int, int]:
    return x // 2, x - x // 2


def kinds(*calls: Callable[[], Any]) -> tuple[str, ...]:
    builder = GraphBuilder("etl")
    rec = builder.begin({}, __file__)
    for call in calls:
        call()
    builder.commit(rec)
    graph = builder.graph()
    return tuple(graph.kinds[k] for k in graph.kind)


def test_outside_of_a_dag_it_is_the_function() -> None:
    assert double(2, y=1) == 5
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert str(inspect.signature(double)) == "(x: 'int', *, y: 'int' = 0) -> 'int'"
    assert repr(double) == "<task double>"
    assert double.fn.__name__ == "double"


def test_what_can_be_a_task() -> None:
    class Model:
        @task
        def fit(self, x: int) -> int:
            return x + 1

        def score(self, x: int) -> int:
            return x

    class Scale:
        def __call__(self, x: int) -> int:
            return x

    async def fetch(x: int) -> int:
        return x

    model = Model()
    assert model.fit(1) == 2
    assert asyncio.run(task(fetch)(3)) == 3
    assert task(functools.partial(max, 2))(1) == 2
    calls: list[Callable[[], Any]] = [
        lambda: model.fit(1),
        lambda: task(model.score)(1),
        lambda: task(functools.partial(max, 2))(1),
        lambda: task(len)([]),
        lambda: task(lambda x: x)(1),
        lambda: task(Scale())(1),
        lambda: task(fetch)(1),
        lambda: task(Path)("."),
    ]
    assert kinds(*calls) == ("fit", "score", "max", "len", "lambda", "Scale", "fetch", "Path")


def test_options_for_one_call() -> None:
    long = double.options(est="5m", name="twice")
    assert (long.given.est, double.given.est) == (300, None)
    assert long.name == "twice"
    assert long.options(out_size=1).given.est == 300
    assert task(double) is double
    assert task(double, est=1).given.est == 1
    assert long(3) == 6


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (30, 30),
        (0.5, 0.5),
        ("30s", 30),
        ("5m", 300),
        ("5 min", 300),
        ("2h", 7200),
        ("1.5d", 129600),
        ("250ms", 0.25),
        (".5s", 0.5),
    ],
)
def test_durations(value: object, want: float) -> None:
    assert seconds(value) == want


@pytest.mark.parametrize(
    ("value", "want"), [(4096, 4096), ("200MB", 2e8), ("4GB", 4e9), ("1 GiB", 2**30), ("10kb", 1e4), ("7B", 7)]
)
def test_sizes(value: object, want: float) -> None:
    assert size(value) == want


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"retires": 3}, "@task has no option retires.|did you mean retries"),
    ({"zzz": 3}, "@task has no option zzz.|It knows name, outs, est, out_size, cpus, memory, stream, retries,"),
    (
        {"est": "soon"},
        'est=\'soon\' is not a duration such as 30, "30s", "5m" or "2h".|Write est=30, or a text with its unit.',
    ),
    ({"est": "30"}, "est='30' is not a duration"),
    ({"est": "5 apples"}, "est='5 apples' is not a duration"),
    ({"est": -1}, "est=-1 is not a duration"),
    ({"est": float("nan")}, "est=nan is not a duration"),
    ({"est": True}, "est=True is not a duration"),
    ({"est": None}, "est=None is not a duration"),
    ({"out_size": "2s"}, 'out_size=\'2s\' is not a size such as 4096, "200MB" or "4GB".'),
    ({"out_size": "infMB"}, "out_size='infMB' is not a size"),
    ({"name": "two words"}, "name='two words' is not a name.|such as name=\"clean\"."),
    ({"name": 3}, "name=3 is not a name."),
    ({"outs": 0}, "outs=0 does not say which values there are."),
    ({"outs": True}, "outs=True does not say"),
    ({"outs": "ab"}, "outs='ab' does not say"),
    ({"outs": ("a", "a")}, "outs=('a', 'a'): a cannot be the name of an output."),
    ({"outs": ("a", "name")}, "outs=('a', 'name'): name cannot be the name of an output."),
    ({"outs": ("_a",)}, "outs=('_a',) does not say"),
]


@pytest.mark.parametrize(("options", "parts"), WRONG)
def test_wrong_options(options: dict[str, Any], parts: str) -> None:
    for attempt in (lambda: task(**options), lambda: double.options(**options)):
        with pytest.raises(OptionError) as error:
            attempt()
        assert all(part in str(error.value) for part in parts.split("|"))
        assert "File test_task.py, line " in str(error.value)
    assert isinstance(error.value, ValueError)


LATER: dict[str, Any] = {
    "cache": "7d",
    "version": "1",
    "requires": "numpy",
    "seed": 3,
    "rerun": False,
}


@pytest.mark.parametrize("word", LATER)
def test_options_that_are_not_built_are_refused_by_name(word: str) -> None:
    with pytest.raises(OptionError) as error:
        task(**{word: LATER[word]})
    assert str(error.value).startswith(
        f"the option {word}={LATER[word]!r} is not available yet in this version of dagnb."
    )


def test_options_at_their_default_are_accepted() -> None:
    chosen: Any = {
        "retries": 0,
        "retry_delay": "1s",
        "retry_on": Exception,
        "cpus": 1,
        "cache": True,
        "seed": "auto",
        "rerun": True,
    }
    assert task(**chosen)(len)([]) == 0


def test_what_a_task_needs() -> None:
    given = task(cpus=2, memory="1.5GB")(len).given
    assert (given.cpus, given.memory) == (2.0, 1.5e9)
    plain = task(memory=None)(len).given
    assert (plain.cpus, plain.memory) == (None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cpus": 0}, "cpus=0 is not a number of processors"),
        ({"cpus": "two"}, "cpus='two' is not a number of processors"),
        ({"cpus": True}, "cpus=True is not a number of processors"),
        ({"memory": 0}, "memory=0: no task works without"),
        ({"memory": "much"}, "memory='much' is not a size such as 4096"),
    ],
)
def test_needs_that_are_none(options: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        task(**options)


@pytest.mark.parametrize("word", ["map", "product"])
def test_dynamic_calls_are_refused_by_name(word: str) -> None:
    with pytest.raises(OptionError, match=rf"double\.{word} is not available yet"):
        getattr(double, word)([1])


def test_what_is_no_function() -> None:
    bad: Any = 3
    with pytest.raises(OptionError, match="@task needs a function, not a int"):
        task(bad)


def test_tasks_travel() -> None:
    """By reference out of a module, by value with their function otherwise, themselves included."""

    @task(est=3)
    def count(n: int) -> int:
        return n and 1 + count(n - 1)

    there: Task[..., int] = pickle.loads(cloudpickle.dumps(count))
    assert (there(4), there.name, there.given.est) == (4, "count", 3)
    assert isinstance(there, Task)


def test_a_task_of_a_module_travels_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helpers_of_a_user.py").write_text("from dagnb.graph.task import task\n@task\ndef f(x): return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import helpers_of_a_user  # type: ignore[import-not-found]  # written above

    assert pickle.loads(pickle.dumps(helpers_of_a_user.f)) is helpers_of_a_user.f


def test_workers_load_no_numpy_for_a_task() -> None:
    code = "import sys, dagnb.graph.task; print('numpy' in sys.modules, 'IPython' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False False"
