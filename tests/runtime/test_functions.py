"""Functions that travel together: whole at the other end, whatever was there before, and nothing else is opened."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagnb.runtime.functions as room
from dagnb.errors import SignatureError
from dagnb.runtime.functions import fetched, stored
from dagnb.runtime.keys import FUNCTION

SECRET = b"s" * 32
digests = st.text("0123456789abcdef", min_size=32, max_size=32)


class Shop:
    """A store of key → bytes, with the one command that is asked of it."""

    def __init__(self, *parts: dict[str, Any]) -> None:
        self.held = {key: data for part in parts for key, data in part.items()}

    def call(self, word: str, *keys: str) -> list[bytes | None]:
        assert word == "MGET"
        return [self.held.get(key) for key in keys]


@given(st.dictionaries(digests, st.binary(max_size=80), min_size=1), st.dictionaries(digests, st.binary(max_size=80)))
def test_what_was_stored_is_fetched(first, second):
    both = first | second
    shop = Shop(stored(SECRET, first), stored(SECRET, both))
    assert fetched(shop, SECRET, list(both)) == both
    assert fetched(shop, SECRET, [*both, "f" * 31]) == both | {"f" * 31: None}


def test_alike_functions_together_take_the_room_of_one():
    functions = {f"{k:032x}": bytes(range(256)) * 4 + b"%d" % k for k in range(10)}
    together = sum(len(data) for data in stored(SECRET, functions).values())
    assert together < 1.5 * sum(len(data) for data in stored(SECRET, {"0" * 32: functions[f"{0:032x}"]}).values())


def test_large_functions_go_one_by_one(monkeypatch):
    monkeypatch.setattr(room, "LARGEST", 10)
    functions = {"a" * 32: b"x" * 8, "b" * 32: b"y" * 8}
    found = stored(SECRET, functions)
    assert set(found) == {FUNCTION + digest for digest in functions}
    assert fetched(Shop(found), SECRET, list(functions)) == functions


@pytest.mark.parametrize("change", ["cut", "swapped", "other secret"])
def test_what_is_not_signed_is_not_opened(change, monkeypatch):
    one, two = {"a" * 32: b"x", "b" * 32: b"y"}, {"c" * 32: b"z", "d" * 32: b"w"}
    first, second = stored(SECRET, one), stored(SECRET, two)
    names = [next(key for key in found if "@" in key) for found in (first, second)]
    bundle: Any = first[names[0]]
    first[names[0]] = {
        "cut": bundle[:-1],
        "swapped": second[names[1]],
        "other secret": stored(b"o" * 32, one)[names[0]],
    }[change]
    monkeypatch.setattr(room, "loads", pytest.fail)
    found = fetched(Shop(first), SECRET, list(one))
    assert all(isinstance(answer, SignatureError) for answer in found.values())


def test_a_name_that_leads_to_other_functions_gives_nothing():
    one, two = {"a" * 32: b"x", "b" * 32: b"y"}, {"c" * 32: b"z", "d" * 32: b"w"}
    shop = Shop(stored(SECRET, one), stored(SECRET, two))
    shop.held[FUNCTION + "a" * 32] = shop.held[FUNCTION + "c" * 32]
    assert fetched(shop, SECRET, ["a" * 32, "b" * 32]) == {"a" * 32: None, "b" * 32: b"y"}
