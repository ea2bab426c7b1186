"""Numbers as sentences say them."""

from __future__ import annotations

import math

import pytest

from dagnb.planning import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"), (4e-8, "0.04 µs"), (3.2e-5, "32 µs"), (0.00042, "420 µs"), (0.0005, "500 µs"), (0.25, "250 ms"),
        (0.9994, "999 ms"), (0.9996, "1 s"), (1.25, "1.2 s"), (41.3, "41 s"), (99.4, "99 s"), (125, "2 min 5 s"),
        (3599.4, "59 min 59 s"), (3600, "1 h"), (12_000, "3 h 20 min"), (math.nan, "–"), (math.inf, "–"),
        (-125.0, "−2 min 5 s"),
    ],
)  # fmt: skip
def test_seconds(value, text):
    assert words.seconds(value) == text


def test_other_numbers():
    assert [words.byte_count(b) for b in (8, 1_200, 3e6, 2.5e9, math.nan)] == ["8 B", "1.2 kB", "3 MB", "2.5 GB", "–"]
    assert [words.more(s) for s in (0.4, -0.02)] == ["+400 ms", "−20 ms"]
    assert [words.percent(p) for p in (0.52, -0.03)] == ["+52 %", "−3 %"]
    assert [words.times(r) for r in (2.13, 0.481, 150)] == ["2.1×", "0.48×", "150×"]
    assert [words.grew(r) for r in (2.0, 0.5, 3.4)] == ["doubled", "halved", "are 3.4× as large"]
    assert [words.several(list("abcde")[:n]) for n in (1, 2, 3, 5)] == [
        "a",
        "a and b",
        "a, b and c",
        "a, b, c and 2 more",
    ]
    assert [words.plural(n, "task") for n in (1, 12_000)] == ["1 task", "12,000 tasks"]
