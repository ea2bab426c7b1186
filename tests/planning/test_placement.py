"""One lane against a list of everything placed on it: the gaps that it keeps are the gaps that are there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.planning.placement import Lane

eighths = st.integers(0, 200).map(lambda k: k / 8)


def first_fit(busy, ready, duration):
    begin = ready
    for start, stop in sorted(busy):
        if begin + duration <= start:
            break
        begin = max(begin, stop)
    return begin


@settings(max_examples=200)
@given(st.lists(st.tuples(eighths, eighths.filter(bool)), max_size=25))
def test_a_lane_finds_the_first_gap_that_there_is(tasks):
    """Eighths of a second are exact in floating point, so equal means equal."""
    lane, busy = Lane(0, 1.0, 0.0), []
    for ready, duration in tasks:
        begin, gap = (ready, -1) if ready >= lane.free else lane.fit(ready, duration)
        assert begin == first_fit(busy, ready, duration)
        lane.fill(gap, begin, begin + duration, shortest=1 / 8)
        busy.append((begin, begin + duration))
        assert lane.begins == sorted(lane.begins)
        assert lane.ends == sorted(lane.ends)
        assert lane.free == max(stop for _, stop in busy)


def test_a_task_in_the_middle_leaves_a_gap_on_either_side():
    lane = Lane(0, 1.0, 0.0)
    lane.fill(-1, 10.0, 11.0, shortest=1.0)
    lane.fill(0, 4.0, 6.0, shortest=1.0)
    assert (lane.begins, lane.ends) == ([0.0, 6.0], [4.0, 10.0])
    assert lane.fit(0.0, 4.0) == (0.0, 0)
    assert lane.fit(1.0, 4.0) == (6.0, 1)
    assert lane.fit(0.0, 5.0) == (11.0, -1)


@pytest.mark.parametrize(("start", "end", "left"), [(0.0, 9.5, []), (0.5, 10.0, []), (0.5, 5.0, [(5.0, 10.0)])])
def test_a_gap_that_is_too_short_for_what_is_to_come_is_forgotten(start, end, left):
    lane = Lane(0, 1.0, 0.0)
    lane.fill(-1, 10.0, 11.0, shortest=1.0)
    lane.fill(0, start, end, shortest=1.0)
    assert list(zip(lane.begins, lane.ends, strict=True)) == left
