"""Signed bytes, and pickles that survive a notebook."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagnb.errors import PickleError, SignatureError
from dagnb.runtime.serialize import MAC, culprit, dumps, loads, seal, unseal

SECRET = b"s" * 32


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_what_is_sealed_is_unsealed(data, purpose):
    assert bytes(unseal(SECRET, purpose, seal(SECRET, purpose, data))) == data


@given(st.binary(max_size=200), st.integers(0, 10**6), st.integers(1, 255))
def test_any_changed_byte_is_refused(data, at, change):
    sealed = bytearray(seal(SECRET, b"val:run", data))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(SignatureError):
        unseal(SECRET, b"val:run", bytes(sealed))


@given(st.binary(max_size=100), st.binary(max_size=12), st.binary(max_size=12))
def test_a_payload_of_one_purpose_is_refused_for_another(data, purpose, other):
    sealed = seal(SECRET, purpose, data)
    if purpose != other:
        with pytest.raises(SignatureError):
            unseal(SECRET, other, sealed)


def test_another_secret_and_short_payloads_are_refused():
    with pytest.raises(SignatureError):
        unseal(b"t" * 32, b"x", seal(SECRET, b"x", b"data"))
    for short in (b"", b"x" * 31):
        with pytest.raises(SignatureError):
            unseal(SECRET, b"x", short)


def test_large_and_small_payloads_are_signed_alike():
    for size in (10, (1 << 16) - 1, 1 << 16, 1 << 20):
        data = bytes(size)
        assert len(unseal(SECRET, b"p", seal(SECRET, b"p", data))) == size


@pytest.mark.parametrize("size", [40, 1 << 16, 3 << 16])
def test_payloads_of_another_purpose_or_secret_or_content_are_refused(size):
    sealed = seal(SECRET, b"val:1", b"d" * size)
    for at in (0, MAC - 1, MAC, size // 2, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(SignatureError):
            unseal(SECRET, b"val:1", changed)
    for secret, purpose in ((SECRET, b"val:2"), (SECRET, b"val:1d"), (b"t" * 32, b"val:1")):
        with pytest.raises(SignatureError):
            unseal(secret, purpose, sealed)
    with pytest.raises(SignatureError):
        unseal(SECRET, b"val:1", sealed[:-1])


def test_what_is_defined_in_a_notebook_travels_by_value():
    namespace = {"__name__": "__main__"}
    exec("class Point:\n  def __init__(self): self.x = 3\np = Point()\nf = lambda: p.x", namespace)
    data = dumps(namespace["p"])
    assert b"__main__" in data
    assert loads(data).x == 3
    assert loads(dumps(namespace["f"]))() == 3


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, threading.Lock()]}, "['a'][1]"),
        ([{"model": (threading.Lock(),)}], "[0]['model'][0]"),
        (threading.Lock(), ""),
    ],
)
def test_the_part_that_cannot_travel_is_named(value, path):
    assert culprit(value)[0] == path
    with pytest.raises(PickleError, match="cannot be pickled"):
        dumps(value)
