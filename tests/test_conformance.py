"""Every planner × every sample graph: the suite that authors of planners subclass too."""

from __future__ import annotations

import pytest

from dagnb.planning.planner import planner_names
from dagnb.testing import PlannerConformance


class TestSimple(PlannerConformance):
    planner = "simple"


class TestFree(PlannerConformance):
    planner = "free"


class TestHeft(PlannerConformance):
    planner = "heft"


class TestAuto(PlannerConformance):
    planner = "auto"


@pytest.mark.parametrize("name", planner_names())
def test_every_registered_planner_is_put_through_the_suite(name):
    assert name in {suite.planner for suite in PlannerConformance.__subclasses__()}
