"""How often, after how long, after what: the law of the pauses, and what travels to the workers."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagnb import task
from dagnb.errors import OptionError
from dagnb.graph.care import JITTER, LONGEST, Care, bare, care_of, careful
from dagnb.graph.fingerprint import fingerprint
from dagnb.graph.iterators import unwrapped

delays = st.floats(0.001, 1e5)


@given(delays, st.integers(1, 254), st.text(max_size=10))
def test_a_pause_doubles_up_to_a_limit_and_varies_by_a_quarter(delay, tried, seed):
    care = Care(retries=254, delay=delay)
    plain = min(delay * 2.0 ** (tried - 1), max(delay, LONGEST))
    pause = care.pause(tried, seed)
    assert plain * (1 - JITTER) <= pause <= plain * (1 + JITTER)
    assert care.pause(tried, seed) == pause


@given(delays, st.integers(1, 253))
def test_a_later_pause_is_longer_whatever_the_chance_until_it_is_as_long_as_any(delay, tried):
    care = Care(retries=254, delay=delay)
    if delay * 2.0**tried <= LONGEST:
        assert care.pause(tried, "a") < care.pause(tried + 1, "b")
    else:
        assert care.pause(tried + 1, "b") <= max(delay, LONGEST) * (1 + JITTER)


def test_tasks_that_failed_together_do_not_come_back_together():
    assert len({Care(retries=1).pause(1, f"run {task} 1") for task in range(100)}) == 100


@given(st.integers(0, 10), st.integers(1, 20))
def test_there_are_as_many_tries_as_were_asked(retries, tried):
    care = Care(retries=retries)
    assert care.again(ValueError(), tried) == (tried <= retries) == (tried < care.tries)


@pytest.mark.parametrize(
    ("on", "error", "again"),
    [
        ((Exception,), ValueError(), True),
        ((Exception,), SystemExit(), False),
        ((Exception,), KeyboardInterrupt(), False),
        ((SystemExit,), SystemExit(), True),
        ((OSError,), FileNotFoundError(), True),
        ((OSError,), ValueError(), False),
        ((KeyError, OSError), TimeoutError(), True),
    ],
)
def test_what_is_tried_again(on, error, again):
    assert Care(retries=1, on=on).again(error, 1) is again


def plain(x: int) -> int:
    return x


def test_the_options_reach_the_workers_and_travel_with_the_function():
    made = task(retries=3, retry_delay="2s", retry_on=[OSError, KeyError], timeout="1m")(plain)
    want = Care(3, 2.0, (OSError, KeyError), 60.0)
    assert made.given.care == want
    travelled = pickle.loads(pickle.dumps(made.runs))
    assert care_of(travelled) == want
    assert bare(travelled) is unwrapped(travelled) is plain
    assert made(7) == made.runs(7) == 7
    assert task(plain).runs is plain
    assert careful(Care(), plain) is plain


def test_options_that_differ_only_in_care_are_one_function_each():
    made = task(plain)
    assert made.options(retries=2).runs is made.options(retries=2).runs
    assert made.options(retries=2).runs is not made.options(retries=3).runs
    assert made.options(retries=2).options(retries=0).runs is plain
    again = made.options(timeout=3).options(retries=1)
    assert again.given.care == Care(1, 1.0, (Exception,), 3.0)


def test_measurements_are_of_the_function_however_often_it_is_tried():
    assert fingerprint(bare(task(retries=2)(plain).runs)).digest == fingerprint(plain).digest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retries": -1}, "retries=-1 is not how often"),
        ({"retries": 255}, "from 0 to 254"),
        ({"retries": True}, "retries=True is not"),
        ({"retries": 1.5}, "retries=1.5 is not"),
        ({"retry_delay": "soon"}, "retry_delay='soon' is not a duration"),
        ({"retry_delay": float("nan")}, "retry_delay=nan is not a duration"),
        ({"retry_on": "OSError"}, "retry_on='OSError' does not say"),
        ({"retry_on": ()}, r"retry_on=\(\) does not say"),
        ({"retry_on": (OSError, int)}, "does not say after which exceptions"),
        ({"timeout": 0}, "timeout=0: no task is that quick"),
        ({"timeout": "-3s"}, "timeout='-3s' is not a duration"),
    ],
)
def test_wrong_options_are_refused_by_name(options, words):
    with pytest.raises(OptionError, match=words):
        task(**options)
