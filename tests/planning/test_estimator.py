"""Estimates: declared, else neutral, and never an invented second."""

from __future__ import annotations

import numpy as np
import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planning.estimator import Estimates, estimate

NAN = float("nan")


def graph(duration, size=None):
    n = len(duration)
    return TaskGraph.build("g", [[] for _ in range(n)], duration=np.array(duration), size=np.array(size or [NAN] * n))


def test_declared_durations_are_seconds():
    found = estimate(graph([2.0, 0.0, 5.0], [NAN, 1e6, 0.0]))
    assert found.has_seconds
    assert found.mean.tolist() == found.p50.tolist() == found.p90.tolist() == [2.0, 0.0, 5.0]
    assert found.size.tolist() == [0.0, 1e6, 0.0]
    assert found.source == ("declared",) * 3


def test_nothing_declared_is_one_unit_each():
    found = estimate(graph([NAN, NAN]))
    assert not found.has_seconds
    assert found.mean.tolist() == [1.0, 1.0]
    assert found.source == ("neutral",) * 2


def test_declared_among_unknown_keep_their_proportions():
    found = estimate(graph([30.0, 90.0, NAN]))
    assert not found.has_seconds
    assert found.mean.tolist() == [0.5, 1.5, 1.0]
    assert found.source == ("declared", "declared", "neutral")
    assert estimate(graph([0.0, NAN])).mean.tolist() == [0.0, 1.0]


def test_an_empty_graph_has_no_seconds():
    assert not estimate(graph([])).has_seconds
    assert len(estimate(graph([]))) == 0


@pytest.mark.parametrize("wrong", [-1.0, float("inf")])
def test_what_no_schedule_can_be_made_of_is_refused(wrong):
    with pytest.raises(ValueError, match="a duration of"):
        estimate(graph([wrong]))
    with pytest.raises(ValueError, match="a size of"):
        estimate(graph([1.0], [wrong]))
    with pytest.raises(ValueError, match="a duration of"):
        Estimates.of(np.array([wrong]))


def test_estimates_cannot_be_changed_behind_a_plan():
    mine = np.ones(2)
    found = Estimates.of(mine)
    mine[0] = 5.0
    assert found.mean[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        found.mean[0] = 2.0


def test_the_fingerprint_is_of_the_numbers():
    assert Estimates.of(np.ones(2)).fingerprint == Estimates.of(np.ones(2)).fingerprint
    assert Estimates.of(np.ones(2)).fingerprint != Estimates.of(np.ones(2), np.ones(2)).fingerprint
    assert Estimates.of(np.ones(2)).fingerprint != estimate(graph([NAN, NAN])).fingerprint
