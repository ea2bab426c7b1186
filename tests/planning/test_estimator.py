"""Estimates: declared, else neutral, and never an invented second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import WorkerId, WorkerSpec
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


def test_memory_and_speed_change_durations():
    estimates = replace(Estimates.of(np.array([4.0, 0.0])), reference=2e9, share=0.5, exponent=1.0)
    assert estimates.on(WorkerSpec(WorkerId("w"), memory=1e9)).tolist() == [6.0, 0.0]
    assert estimates.on(WorkerSpec(WorkerId("w"), memory=2e9, speed=2.0)).tolist() == [2.0, 0.0]
    assert Estimates.of(np.array([4.0])).on(WorkerSpec(WorkerId("w"), memory=1.0)).tolist() == [4.0]
    assert estimates.fingerprint != Estimates.of(np.array([4.0, 0.0])).fingerprint


def test_draws_go_through_median_and_quantile():
    certain = Estimates.of(np.array([4.0, 0.0]))
    assert certain.draw(np.random.default_rng(1)).tolist() == [4.0, 0.0]
    n = 4000
    wide = replace(Estimates.of(np.full(n, 2.0)), p90=np.full(n, 3.0))
    drawn = wide.draw(np.random.default_rng(1))
    assert np.median(drawn) == pytest.approx(2.0, rel=0.05)
    assert np.quantile(drawn, 0.9) == pytest.approx(3.0, rel=0.05)
    assert np.array_equal(drawn, wide.draw(np.random.default_rng(1)))
