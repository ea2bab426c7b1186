"""Every registered planner × every sample graph: the suite that authors of planners subclass too."""

from __future__ import annotations

from dagnb.planning.planner import planner_names
from dagnb.testing import PlannerConformance

for _name in planner_names():
    _title = f"Test{_name.title().replace('_', '')}"
    globals()[_title] = type(_title, (PlannerConformance,), {"planner": _name, "__module__": __name__})


def test_every_registered_planner_is_put_through_the_suite():
    suites = {suite.planner for suite in PlannerConformance.__subclasses__() if suite.__module__ == __name__}
    assert suites == set(planner_names()) >= {"simple", "heft", "free", "auto", "dask", "wukong"}
