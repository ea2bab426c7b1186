"""How planners are found, and what happens to what they return."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dagnb.errors import OptionError, PlanError, UnknownPlannerError
from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster
from dagnb.planning.estimator import estimate
from dagnb.planning.plan import Assignment, Plan
from dagnb.planning.planner import OURS, Planner, find_planner, planner_names, run_planner
from dagnb.planning.simulator import complete

GRAPH = TaskGraph.build("g", [[], [0], [0]], duration=[1.0, 2.0, 3.0])
CLUSTER = Cluster.local(2)


@dataclass
class Mine:
    """What a user writes in a cell."""

    on: int = 0
    seed: int = 7

    def plan(self, graph, cluster, estimates):
        n = len(graph)
        return Plan.build(graph, cluster, estimates, worker=[self.on] * n, sequence=range(n), seed=self.seed)


def run(planner):
    return run_planner(find_planner(planner), GRAPH, CLUSTER, estimate(GRAPH))


def test_our_planners_are_registered_and_keep_the_protocol():
    assert {"auto", "free", "heft", "simple"} <= set(planner_names())
    for name in planner_names():
        assert isinstance(find_planner(name), Planner)


def test_the_default_is_auto():
    assert run(find_planner()).planner == "auto"


def test_a_class_and_an_instance_from_a_cell_work_the_same():
    plan = run(Mine)
    assert plan == run(Mine())
    assert plan.planner == "Mine"
    assert plan.makespan == 6.0
    assert plan.lower_bound == 4.0
    assert plan.planning_time > 0


def test_options_go_to_the_class_and_defaults_only_where_they_are_known():
    planner = find_planner(Mine, defaults={"seed": 3, "budget": 9}, on=1)
    assert (planner.on, planner.seed) == (1, 3)
    assert find_planner(Mine, defaults={"seed": 3}, seed=4).seed == 4
    assert find_planner("free", defaults={"seed": 3}) == find_planner("free")
    assert find_planner("heft", preload=False).preload is False


def test_an_option_that_is_not_there_is_refused_with_the_near_one():
    with pytest.raises(OptionError, match="did you mean preload") as raised:
        find_planner("heft", preloads=True)
    assert "it takes preload" in str(raised.value)
    with pytest.raises(OptionError, match="takes no on"):
        find_planner(Mine(), on=1)
    with pytest.raises(OptionError, match="it takes ranked"):
        find_planner("free", speed=1)


def test_an_unknown_name_lists_near_ones_and_all():
    with pytest.raises(UnknownPlannerError, match="no planner is called 'hefft', did you mean heft") as raised:
        find_planner("hefft")
    assert all(name in str(raised.value) for name in planner_names())
    with pytest.raises(UnknownPlannerError, match="no planner is called ''"):
        find_planner("")


@pytest.mark.parametrize("thing", [3, object(), int, None])
def test_what_is_no_planner_is_refused(thing):
    with pytest.raises(PlanError, match="is not a planner"):
        find_planner(thing)


def test_a_planner_that_cannot_be_loaded_is_named(monkeypatch):
    from importlib.metadata import EntryPoint

    broken = EntryPoint("broken", "no_such_package:Thing", "dagnb.planners")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [broken])
    assert "broken" in planner_names()
    with pytest.raises(PlanError, match="'broken' cannot be loaded from 'no_such_package:Thing'"):
        find_planner("broken")


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (None, "planner Bad returned nothing in place of a Plan"),
        ([Assignment()], "planner Bad returned an object of type list"),
        (Plan(()), "plan of 'Bad' does not fit 'g' on 2 workers:\n  it places 0 tasks, the graph has 3"),
        (Plan((Assignment("w5"), Assignment(order=1), Assignment(order=2))), "'t0' goes to 'w5'"),
    ],
)
def test_rubbish_from_a_planner_names_the_planner(made, text):
    class Bad:
        def plan(self, graph, cluster, estimates):
            return made

    with pytest.raises(PlanError, match=text):
        run(Bad)


def test_a_bare_plan_is_told_what_it_is_for():
    class Bare:
        def plan(self, graph, cluster, estimates):
            return Plan(tuple(Assignment("w1", i) for i in range(len(graph))))

    plan = run(Bare)
    assert (plan.planner, plan.workers, plan.graph_fingerprint) == ("Bare", ("w0", "w1"), GRAPH.fingerprint)


def test_figures_can_wait_but_the_check_cannot():
    plan = run_planner(Mine(), GRAPH, CLUSTER, estimate(GRAPH), figures=False)
    assert plan.makespan is None
    assert plan.timeline is None
    assert complete(plan, GRAPH, CLUSTER, estimate(GRAPH)) == run(Mine)

    class Bad:
        def plan(self, graph, cluster, estimates):
            return Plan((Assignment("w7"),) * len(graph))

    with pytest.raises(PlanError, match="'t0' goes to 'w7'"):
        run_planner(Bad(), GRAPH, CLUSTER, estimate(GRAPH), figures=False)


def test_what_a_planner_raises_goes_through():
    class Broken:
        def plan(self, graph, cluster, estimates):
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        run(Broken)


def test_our_planners_are_found_without_looking_through_what_is_installed():
    from importlib.metadata import entry_points

    declared = {p.name: p.value for p in entry_points(group="dagnb.planners") if p.value.startswith("dagnb.")}
    assert declared == OURS
