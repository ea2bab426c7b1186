"""Fingerprints of functions: what makes another one, and what does not."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagnb
from dagnb.graph.fingerprint import codes, fingerprint

_cells = itertools.count()


def made(source, name="f", **space):
    """`name` as the cell `source` defines it in a notebook with these globals."""
    found = {"__name__": "__main__", **space}
    exec(compile(source, f"/tmp/ipykernel_1/{next(_cells)}.py", "exec"), found)
    return found[name]


def digest(function, **options):
    return fingerprint(function, **options).digest


ADD = "def f(x):\n    return x + K"
CALLS = "def f(x):\n    return h(x) + 1"
HELPER = "def h(x):\n    return x + {}"
MAKER = "def make(n):\n    def f(x):\n        return x + n\n    return f\nf = make({})"
WITH_CLASS = "class C:\n    def go(self, x):\n        return x * {}\n    limit = {}\ndef f(x):\n    return C().go(x)"
NESTED = (
    "def f(xs):\n    def g(x):\n        {}\n        return x {} 1\n    return [g(x) for x in xs if x in {{'a', 'b'}}]"
)
LOOP = "def f(n):\n    return 1 if n < 1 else n * f(n - {})"
TWO = "def f(n):\n    return g(n)\ndef g(n):\n    return f(n - {}) if n else 0"

#: what was done: before, after, whether it is still the same function
CHANGES = {
    "the cell run again": ((ADD, {"K": 1}), (ADD, {"K": 1}), True),
    "moved down in its cell": ((ADD, {"K": 1}), ("\n\n\n" + ADD, {"K": 1}), True),
    "a comment, blank lines, spaces": ((ADD, {"K": 1}), ("def f(x):\n    # note\n\n    return x+K", {"K": 1}), True),
    "a docstring": ((ADD, {"K": 1}), ("def f(x):\n    'adds'\n    return x + K", {"K": 1}), True),
    "another docstring": (("def f(x):\n    'a'\n    return x", {}), ("def f(x):\n    'b'\n    return x", {}), True),
    "a docstring inside": ((NESTED.format("'a'", "+"), {}), (NESTED.format("'b'", "+"), {}), True),
    "its name": ((ADD, {"K": 1}), (ADD.replace("f(", "g(") + "\nf = g", {"K": 1}), True),
    "a global it does not read": ((ADD, {"K": 1, "Z": 1}), (ADD, {"K": 1, "Z": 2}), True),
    "a variable of the notebook renamed": ((ADD, {"K": 1, "report": 3}), (ADD, {"K": 1, "summary": 3}), True),
    "a local's type": (("def f():\n    y = 1\n    return y", {}), ("def f():\n    y: int = 1\n    return y", {}), 1),
    "a future import of its cell": ((ADD, {"K": 1}), ("from __future__ import annotations\n" + ADD, {"K": 1}), True),
    "a generator of it": (("def f():\n    return 1", {}), ("def f():\n    yield 1", {}), False),
    "the body": ((ADD, {"K": 1}), (ADD.replace("+", "-"), {"K": 1}), False),
    "a constant": (("def f(x):\n    return x + 1", {}), ("def f(x):\n    return x + 2", {}), False),
    "1 into 1.0": (("def f(x):\n    return x + 1", {}), ("def f(x):\n    return x + 1.0", {}), False),
    "0.0 into -0.0": (("def f():\n    return 0.0", {}), ("def f():\n    return -0.0", {}), False),
    "a global value": ((ADD, {"K": 1}), (ADD, {"K": 2}), False),
    "a global 1 into True": ((ADD, {"K": 1}), (ADD, {"K": True}), False),
    "a global list": ((ADD, {"K": [1, [2]]}), (ADD, {"K": [1, [3]]}), False),
    "a global dict, its order": ((ADD, {"K": {"a": 1, "b": 2}}), (ADD, {"K": {"b": 2, "a": 1}}), True),
    "a global array": ((ADD, {"K": np.arange(3)}), (ADD, {"K": np.arange(3) + 1}), False),
    "a global array's type": ((ADD, {"K": np.arange(3)}), (ADD, {"K": np.arange(3.0)}), False),
    "a global array's order in memory": ((ADD, {"K": np.eye(3)}), (ADD, {"K": np.asfortranarray(np.eye(3))}), True),
    "a default": (("def f(x, n=1):\n    return x", {}), ("def f(x, n=2):\n    return x", {}), False),
    "a keyword default": (("def f(*, n=1):\n    return n", {}), ("def f(*, n=2):\n    return n", {}), False),
    "the name of an argument": (("def f(x):\n    return 1", {}), ("def f(y):\n    return 1", {}), False),
    "a closure": ((MAKER.format(1), {}), (MAKER.format(2), {}), False),
    "the same closure": ((MAKER.format(1), {}), (MAKER.format(1), {}), True),
    "a helper": ((CALLS + "\n" + HELPER.format(1), {}), (CALLS + "\n" + HELPER.format(2), {}), False),
    "a helper's comment": ((CALLS + "\n" + HELPER.format(1), {}), (CALLS + "\n" + HELPER.format("1  # one"), {}), True),
    "a helper that appears": ((CALLS, {}), (CALLS + "\n" + HELPER.format(1), {}), False),
    "a method of a class": ((WITH_CLASS.format(2, 1), {}), (WITH_CLASS.format(3, 1), {}), False),
    "a value in a class": ((WITH_CLASS.format(2, 1), {}), (WITH_CLASS.format(2, 9), {}), False),
    "nothing in a class": ((WITH_CLASS.format(2, 1), {}), ("\n\n" + WITH_CLASS.format(2, 1), {}), True),
    "a function inside": ((NESTED.format("0", "+"), {}), (NESTED.format("0", "-"), {}), False),
    "a recursion": ((LOOP.format(1), {}), (LOOP.format(2), {}), False),
    "no recursion": ((LOOP.format(1), {}), (LOOP.format(1), {}), True),
    "one of two that call each other": ((TWO.format(1), {}), (TWO.format(2), {}), False),
    "an exception that is caught": (
        ("def f():\n    try:\n        g()\n    except OSError:\n        pass", {}),
        ("def f():\n    try:\n        g()\n    except ValueError:\n        pass", {}),
        False,
    ),
    "a module it takes something else of": (
        ("import math\ndef f(x):\n    return math.sin(x)", {}),
        ("import math\ndef f(x):\n    return math.cos(x)", {}),
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_makes_another_function(what):
    (before, old), (after, new), same = CHANGES[what]
    one, other = fingerprint(made(before, **old)), fingerprint(made(after, **new))
    assert (one.digest == other.digest) == same
    assert one.exact
    assert other.exact


def plain(x, n=1):
    return x + n


class Model:
    def __init__(self, rate):
        self.rate = rate

    def fit(self, x):
        return x * self.rate

    def __call__(self, x):
        return self.fit(x)

    @staticmethod
    def still(x):
        return (x,)


@functools.cache
def cached(x):
    return plain(x)


@functools.wraps(plain)
def wrapping(*args):
    return plain(*args) + 1


#: Callables of every sort, all different from one another.
SORTS = {
    "function": plain,
    "lambda": lambda x: x,
    "another lambda": lambda x: -x,
    "partial": functools.partial(plain, n=2),
    "another partial": functools.partial(plain, n=3),
    "method": Model(1).fit,
    "method of another object": Model(2).fit,
    "object": Model(1),
    "another object": Model(2),
    "static method": Model.still,
    "class": Model,
    "built-in": len,
    "built-in method": [3, 1].index,
    "type": int,
    "method of a type": str.upper,
    "ufunc": np.sin,
    "another ufunc": np.cos,
    "function of a library": np.median,
    "cached": cached,
    "wrapped": wrapping,
}


def test_all_sorts_of_callables():
    found = {name: fingerprint(function) for name, function in SORTS.items()}
    assert all(f.exact for f in found.values())
    assert len({f.digest for f in found.values()}) == len(SORTS)
    assert {name: fingerprint(function) for name, function in SORTS.items()} == found


def test_a_task_is_its_function():
    assert digest(made("@task\ndef h(x):\n    return x\ndef f(x):\n    return h(x)", task=dagnb.task)) == digest(
        made("@task(est=3)\ndef h(x):\n    return x\ndef f(x):\n    return h(x)", task=dagnb.task)
    )
    assert digest(dagnb.task(plain)) != digest(dagnb.task(wrapping))


def test_modules_of_the_user_count_by_what_is_taken_of_them(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def module(text):
        found = types.ModuleType("my_helpers")
        found.__file__ = str(tmp_path / "my_helpers.py")
        (tmp_path / "my_helpers.py").write_text(text)
        exec(compile(text, found.__file__, "exec"), found.__dict__)
        monkeypatch.setitem(sys.modules, "my_helpers", found)
        return found

    def outside(text):
        return digest(made("def f(x):\n    return my_helpers.clean(x)", my_helpers=module(text)))

    def inside(text):
        module(text)
        return digest(made("def f(x):\n    import my_helpers\n    return my_helpers.clean(x)"))

    first = "def clean(x):\n    return x\ndef other(x):\n    return 1\n"
    assert outside(first) == outside(first.replace("return 1", "return 2"))
    assert outside(first) != outside(first.replace("return x", "return -x"))
    assert inside(first) != inside(first.replace("return x", "return -x"))
    monkeypatch.delitem(sys.modules, "my_helpers")  # not imported yet: found by its name
    named = digest(made("def f(x):\n    import my_helpers\n    return my_helpers.clean(x)"))
    (tmp_path / "my_helpers.py").write_text("def clean(x):\n    return 0\n")
    assert named != digest(made("def f(x):\n    import my_helpers\n    return my_helpers.clean(x)"))


def test_what_cannot_be_compared_is_named():
    source = "def f(x):\n    return L"
    lock = fingerprint(made(source, L=threading.Lock()))
    assert not lock.exact
    assert lock.unknown == ("L (lock)",)
    assert lock.digest == digest(made(source, L=threading.Lock()))
    large = fingerprint(made(source, L=np.zeros(1000)), limit=1000)
    assert large.unknown == ("L (ndarray of 8,000 bytes)",)
    assert large.digest == digest(made(source, L=np.ones(1000)), limit=1000)
    assert large.digest != digest(made(source, L=np.ones(1001)), limit=1000)
    assert fingerprint(made(source, L=list(range(10**6)))).unknown == ("L (list of 1,000,000)",)
    with dagnb.dag("d", new=True):
        handle = dagnb.task(plain)(1)
    assert fingerprint(made(source, L=handle)).unknown == ("L (a handle)",)


def test_cycles_and_depth_end():
    ring = []
    ring.append(ring)
    assert fingerprint(made("def f():\n    return L", L=ring)).exact
    deep = []
    for _ in range(100_000):
        deep = [deep]
    found = fingerprint(made("def f():\n    return L", L=deep))
    assert not found.exact
    del deep


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=4)
    ),
)


@given(values, values)
def test_values_are_told_apart_as_python_tells_them(one, other):
    def of(value):
        return digest(made("def f():\n    return V", V=value))

    assert of(one) == of(one)
    if repr(one) != repr(other) and one != other:
        assert of(one) != of(other)


PROGRAM = """
from dagnb.graph.fingerprint import fingerprint
S, D = {"w", "xx", "yyy", "zzzz"}, {"k": {"w", "xx", "yyy"}, ("a", 1): frozenset({"u", "v"})}
class C:
    names = {"r", "s", "t"}
def f(x):
    return x in {"a", "b", "cc"} and sorted(S) and D and C.names
print(fingerprint(f).digest)
"""


def test_the_same_in_every_kernel():
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(digests) == 1


def test_codes_of_a_graph():
    with dagnb.dag("d", new=True) as dag:
        dagnb.task(plain)(dagnb.task(wrapping)(1))
    graph = dag.graph
    assert codes(graph) == [digest(f) for f in graph.calls.functions]
