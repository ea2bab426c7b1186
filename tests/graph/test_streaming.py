"""Which arguments come piece by piece, and what is said when none can."""

from __future__ import annotations

import collections.abc
import typing
from functools import partial

import pytest

import dagnb
from dagnb.errors import OptionError
from dagnb.graph.iterators import streaming
from dagnb.graph.streaming import streams_of


@dagnb.task
def count(n: int) -> typing.Iterator[int]:
    yield from range(n)


@dagnb.task
def plain(n: int) -> list[int]:
    return list(range(n))


@dagnb.task(stream=True)
def add(chunks: typing.Iterator[int], more: int = 0) -> int:
    return sum(chunks) + more


def live(*, build) -> dict[int, tuple[int, ...]]:
    with dagnb.dag("streams", new=True) as dag:
        build()
    return streams_of(dag.graph)


def test_outside_of_a_dag_both_stay_ordinary_python() -> None:
    chunks = count(3)
    assert isinstance(chunks, collections.abc.Iterator)
    assert add(chunks, 1) == 4
    assert add(iter([1, 2])) == 3


def test_a_whole_generator_where_an_iterator_is_wanted_can_stream() -> None:
    assert live(build=lambda: add(count(3))) == {1: (0,)}
    assert live(build=lambda: add(chunks=count(3))) == {1: (0,)}


def test_what_cannot_stream_is_an_input_like_any_other() -> None:
    assert live(build=lambda: add(plain(3))) == {}
    assert live(build=lambda: add([count(3), count(4)])) == {}
    assert live(build=lambda: add(iter([1]), more=plain(2)[1])) == {}
    assert live(build=lambda: plain(count(3)[0])) == {}


def test_a_generator_that_is_used_twice_in_a_call_does_not_stream() -> None:
    def build() -> None:
        chunks = count(3)
        add(chunks, chunks)

    assert live(build=build) == {}


def test_options_of_one_call() -> None:
    quiet = add.options(stream=False)
    assert live(build=lambda: quiet(count(3))) == {}
    loud = quiet.options(stream=True)
    assert live(build=lambda: loud(count(3))) == {1: (0,)}


def no_iterator(chunks: list[int]) -> int:
    return sum(chunks)


def many(*chunks: typing.Iterator[int]) -> int:
    return len(chunks)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda: dagnb.task(stream=True)(no_iterator), "no_iterator has no argument that could come piece by piece"),
        (lambda: dagnb.task(no_iterator).options(stream=True), "Annotate it: def no_iterator(chunks: Iterator[int])"),
        (lambda: dagnb.task(stream=True)(len), "len has no argument"),
        (lambda: dagnb.task(stream=True)(many), "nobody knows how many"),
        (lambda: dagnb.task(stream="yes")(no_iterator), "stream='yes' is not True or False"),
    ],
)
def test_bad_use_is_refused_where_it_is_said(bad, said: str) -> None:
    with pytest.raises(OptionError) as error:
        bad()
    assert said in str(error.value)
    assert "test_streaming.py, line" in str(error.value)


def test_annotations_of_every_spelling() -> None:
    def each(a: collections.abc.Iterator[int], /, b: typing.Iterator, c: int, *, d: typing.Iterator[str]) -> None: ...

    at, names = streaming(each, "each").args[:2]
    assert (at, names) == ((0, 1), ("b", "d"))
    each.__annotations__ = {"a": collections.abc.Iterator[int], "b": typing.Iterator, "c": int, "d": typing.Iterator}
    assert streaming(each, "each").args[:2] == (at, names)


def test_a_partial_function_streams_too() -> None:
    taker = dagnb.task(stream=True)(partial(add.fn, more=2))
    maker = dagnb.task(partial(count.fn, 4))
    assert live(build=lambda: taker(maker())) == {1: (0,)}
