"""Plans: what fits, what is refused and in which words, and the way through JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnb.errors import PlanError
from dagnb.graph.graph import TaskGraph
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates
from dagnb.planning.plan import Annotations, Assignment, Assignments, Plan
from dagnb.planning.simulator import complete

GRAPH = TaskGraph.build("etl", [[], [0], [0], [1, 2]], keys=["raw", "left", "right", "report"])
CLUSTER = Cluster.local(2)
W0, W1 = WorkerId("w0"), WorkerId("w1")
GOOD = (Assignment(W0, 0), Assignment(W0, 1), Assignment(W1, 0), Assignment(None, 0, 1.5))


def test_a_plan_that_fits_is_let_through():
    Plan(GOOD).validate(GRAPH, CLUSTER)
    Plan(GOOD, graph_fingerprint=GRAPH.fingerprint).validate(GRAPH, CLUSTER)
    Plan(()).validate(TaskGraph.build("empty", []), CLUSTER)


@pytest.mark.parametrize(
    ("task", "assignment", "text"),
    [
        (1, Assignment(WorkerId("w9"), 1), "'left' goes to 'w9', which is not among w0, w1"),
        (1, Assignment(W0, 0), "2 tasks share position 0 on worker w0"),
        (1, Assignment(W0, -1), "'left' has position -1"),
        (1, Assignment(W0, 1.5), "'left' has position 1.5"),
        (1, Assignment(W0, 1, math.nan), "'left' has priority nan"),
        (1, Assignment(W0, 1, -math.inf), "'left' has priority -inf"),
        (1, Assignment(W0, 1, "high"), "'left' has priority 'high'"),
        (1, Assignment(["w0"], 1), r"'left' goes to \['w0'\]"),
        (1, "w0", "'left' has a str in place of an Assignment"),
        (1, None, "'left' has a NoneType in place of an Assignment"),
        (1, Assignment(W0, 1, 0.0, Annotations(preload=(3,))), "'left' preloads task 3, which it does not need"),
        (1, Assignment(W0, 1, 0.0, Annotations(duplicate=(W0,))), "'left' is to be duplicated on 'w0'"),
        (1, Assignment(W0, 1, 0.0, Annotations(duplicate=(WorkerId("x"),))), "'left' is to be duplicated on 'x'"),
        (1, Assignment(W0, 1, 0.0, Annotations(prewarm=-1.0)), "'left' prewarms at -1.0 seconds"),
        (1, Assignment(W0, 1, 0.0, Annotations(prewarm=math.nan)), "'left' prewarms at nan seconds"),
        (1, Assignment(W0, 1, 0.0, Annotations(stream=(3,))), "'left' streams task 3, which it does not need"),
        (1, Assignment(W0, 1, 0.0, Annotations(group=-1)), "'left' is in group -1, which is not 0, 1, 2"),
        (1, Assignment(W0, 1, 0.0, Annotations(group="a")), "'left' is in group 'a', which is not 0, 1, 2"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_by_name(task, assignment, text):
    assignments = (*GOOD[:task], assignment, *GOOD[task + 1 :])
    with pytest.raises(PlanError, match=text) as raised:
        Plan(assignments, planner="mine").validate(GRAPH, CLUSTER)
    assert "'mine' does not fit 'etl' on 2 workers" in str(raised.value)
    assert "mend the planner" in str(raised.value)


def test_a_plan_for_another_graph_is_refused():
    other = TaskGraph.build("etl", [[], [0], [0], [1]], keys=GRAPH.keys)
    with pytest.raises(PlanError, match="made for another graph"):
        Plan(GOOD, graph_fingerprint=GRAPH.fingerprint).validate(other, CLUSTER)
    with pytest.raises(PlanError, match="places 3 tasks, the graph has 4"):
        Plan(GOOD[:3]).validate(GRAPH, CLUSTER)
    with pytest.raises(PlanError, match="places 5 tasks, the graph has 4"):
        Plan((*GOOD, GOOD[3])).validate(GRAPH, CLUSTER)


def test_all_problems_are_told_at_once_and_many_of_a_sort_are_counted():
    graph = TaskGraph.build("bag", [[] for _ in range(50)])
    bad = Plan(tuple(Assignment(WorkerId("w7"), i, math.nan) for i in range(50)))
    with pytest.raises(PlanError) as raised:
        bad.validate(graph, CLUSTER)
    text = str(raised.value)
    assert text.count("goes to 'w7'") == 5
    assert text.count("priority nan") == 5
    assert text.count("and 45 more of this sort") == 2


def test_build_numbers_the_tasks_of_each_worker():
    estimates = Estimates.of(np.ones(4))
    plan = Plan.build(GRAPH, CLUSTER, estimates, worker=[0, 1, -1, 0], sequence=[0, 2, 1, 3], planner="p", seed=3)
    assert [(a.worker, a.order, a.priority) for a in plan.assignments] == [
        (W0, 0, 0.0), (W1, 0, 2.0), (None, 0, 1.0), (W0, 1, 3.0),
    ]  # fmt: skip
    assert (plan.planner, plan.seed, plan.workers) == ("p", 3, (W0, W1))
    assert plan.graph_fingerprint == GRAPH.fingerprint
    plan.validate(GRAPH, CLUSTER)


names = st.sampled_from([None, W0, W1])
notes = st.none() | st.builds(
    Annotations,
    preload=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    keep_local=st.booleans(),
    duplicate=st.lists(st.sampled_from([W0, W1]), max_size=2).map(tuple),
    prewarm=st.none() | st.floats(0, 1e9),
    group=st.none() | st.integers(0, 9),
    stream=st.lists(st.integers(0, 5), max_size=3).map(tuple),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
assignments = st.builds(Assignment, names, st.integers(0, 10**9), finite, notes)
plans = st.builds(
    Plan,
    st.lists(assignments, max_size=6).map(tuple),
    planner=st.text(max_size=8),
    parameters=st.dictionaries(st.text(max_size=4), finite | st.text(max_size=4) | st.none(), max_size=3),
    seed=st.none() | st.integers(),
    workers=st.just((W0, W1)),
    has_seconds=st.booleans(),
    makespan=st.none() | finite,
    interval=st.none() | st.tuples(finite, finite),
    cold_starts=st.none() | st.integers(0, 9),
)


@settings(max_examples=150)
@given(plans)
def test_a_plan_survives_json(plan):
    assert Plan.from_json(plan.to_json()) == plan


@settings(max_examples=150)
@given(plans)
def test_a_plan_survives_packed_json(plan):
    assert Plan.from_json(plan.to_json(packed=True)) == plan


def test_packed_columns_that_were_cut_or_lead_nowhere_are_refused():
    document = json.loads(Plan(GOOD).to_json(packed=True))
    kind, data = document["order"]
    wrong = (
        {"order": [kind, data[:-4]]},
        {"order": ["|O", data]},
        {"order": [kind, data[:4]]},
        {"worker": ["|i1", "BwcHBw=="]},
        {"ids": None},
    )
    for change in wrong:
        with pytest.raises(PlanError, match="this is not a plan"):
            Plan.from_json(json.dumps(document | change))


def test_a_packed_plan_refuses_numbers_that_are_not_finite():
    with pytest.raises(PlanError, match="must be finite"):
        Plan((Assignment(W0, 0, float("inf")),)).to_json(packed=True)


def test_a_completed_plan_keeps_its_timeline_and_figures_in_json():
    cluster = Cluster.local(2, bandwidth=100.0, latency=0.1, startup=0.5)
    estimates = Estimates.of(np.array([1.0, 2.0, 0.0, 1.0]), np.array([50.0, 0.0, 10.0, 0.0]))
    plan = complete(Plan(GOOD), GRAPH, cluster, estimates)
    read = Plan.from_json(plan.to_json())
    assert read == plan
    assert read.timeline.same_as(plan.timeline)
    assert read.planning_time == plan.planning_time
    assert None not in (plan.makespan, plan.lower_bound, plan.gb_seconds, plan.bytes_moved, plan.cold_starts)


def test_a_document_from_before_a_figure_was_known_is_read():
    plan = complete(Plan(GOOD), GRAPH, CLUSTER, Estimates.of(np.ones(4)))
    assert plan.worker_seconds == 3.0 + 2.0
    assert plan.span == plan.makespan == 3.0
    document = json.loads(plan.to_json())
    del document["worker_seconds"]
    read = Plan.from_json(json.dumps(document))
    assert read == replace(plan, worker_seconds=None)
    del document["makespan"]
    with pytest.raises(PlanError, match="this is not a plan"):
        Plan.from_json(json.dumps(document))


def test_what_is_wrong_with_annotations_is_found_in_columns_too():
    good = Assignments.placed(
        (W0, W1), [0, 0, 1, -1], [0, 1, 2, 3], {1: Annotations(preload=(0,), stream=(0,), group=2)}
    )
    Plan(good).validate(GRAPH, CLUSTER)
    with pytest.raises(PlanError, match="'report' streams task 0, which it does not need"):
        Plan(replace(good, notes={3: Annotations(stream=(0, 1))})).validate(GRAPH, CLUSTER)
    with pytest.raises(PlanError, match="'right' is to be duplicated on 'w1'"):
        Plan(replace(good, notes={2: Annotations(duplicate=(W1,))})).validate(GRAPH, CLUSTER)


@pytest.mark.parametrize(
    "plan", [Plan((Assignment(W0, 0, math.nan),)), Plan((), makespan=math.inf), Plan((), parameters={"f": print})]
)
def test_a_plan_that_json_cannot_hold_says_so(plan):
    with pytest.raises(PlanError, match="cannot be written"):
        plan.to_json()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"format": 1}', '{"format": "1"}', "not json", '{"format": 1, "annotations": 3}'],
)
def test_what_is_not_a_plan_is_refused(text):
    with pytest.raises(PlanError, match="this is not a plan"):
        Plan.from_json(text)


def test_a_plan_with_a_torn_timeline_is_refused():
    plan = complete(Plan(GOOD), GRAPH, CLUSTER, Estimates.of(np.ones(4)))
    document = json.loads(plan.to_json())
    for torn in (document["timeline"][:-8], "", "****", 7, document["timeline"] * 2):
        with pytest.raises(PlanError, match="this is not a plan"):
            Plan.from_json(json.dumps(document | {"timeline": torn}))
    shorter = document | {name: document[name][:2] for name in ("worker", "order", "priority")}
    with pytest.raises(PlanError, match="this is not a plan"):
        Plan.from_json(json.dumps(shorter))


def test_a_plan_of_a_newer_version_is_refused_by_version():
    newer = json.loads(Plan(GOOD).to_json()) | {"format": 3}
    with pytest.raises(PlanError, match=r"version 3.*\n.*upgrade"):
        Plan.from_json(json.dumps(newer))


def test_plans_differ_by_what_they_say_and_not_by_how_long_they_took():
    assert replace(Plan(GOOD), planning_time=1.0) == replace(Plan(GOOD), planning_time=2.0)
    assert Plan(GOOD) != Plan(GOOD[::-1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"bandwidth": 0.0},
        {"bandwidth": math.nan},
        {"latency": -1.0},
        {"overhead": math.inf},
        {"startup": math.nan},
        {"publish": 0.0},
        {"publish": math.nan},
        {"keep": 0.0},
        {"keep": math.nan},
        {"keep_alive": -1.0},
        {"keep_alive": math.nan},
        {"warm": math.inf},
    ],
)
def test_a_cluster_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="a cluster needs a bandwidth above 0"):
        Cluster.local(2, **wrong)


@pytest.mark.parametrize(
    "wrong", [{"speed": 0.0}, {"memory": math.inf}, {"cpus": -1.0}, {"threads": 0}, {"price": -1.0}]
)
def test_a_worker_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="worker 'w'"):
        WorkerSpec(WorkerId("w"), **wrong)


def test_a_cluster_has_workers_with_names_of_their_own():
    with pytest.raises(ValueError, match="at least one worker"):
        Cluster.local(0)
    with pytest.raises(ValueError, match="share an id"):
        Cluster((WorkerSpec(W0), WorkerSpec(W0)))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 30))
def test_columns_say_what_the_objects_say(seed, n):
    chance = np.random.default_rng(seed)
    worker, sequence = chance.integers(-1, 3, n), chance.permutation(n)
    notes = {int(i): Annotations(keep_local=True) for i in np.flatnonzero(chance.random(n) < 0.2)}
    ids = (W0, W1, WorkerId("w2"))
    columns = Assignments.placed(ids, worker, sequence, notes)
    objects = tuple(columns)
    assert columns == objects == tuple(Assignments.of(objects)) == tuple(columns[i] for i in range(n))
    assert objects == columns
    assert columns[1:3] == objects[1:3]
    assert Plan(columns) == Plan(objects)
    for i, a in enumerate(objects):
        assert a.worker == (None if worker[i] < 0 else ids[worker[i]])
        assert a.priority == list(sequence).index(i)
        assert a.order == sum(worker[j] == worker[i] for j in sequence[: list(sequence).index(i)])
    if n:
        assert columns != objects[:-1]
        assert columns[-1] == objects[-1]
        with pytest.raises(IndexError):
            columns[n]


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": np.array([0, 0])},
        {"order": np.array([10**12, 10**12])},
        {"order": np.array([-1, 0])},
        {"priority": np.array([math.nan, 0.0])},
    ],
)
def test_what_is_wrong_in_columns_is_found_too(wrong):
    graph = TaskGraph.build("two", [[], []])
    good = Assignments.placed((W0, W1), [0, 0], [0, 1])
    Plan(good).validate(graph, CLUSTER)
    Plan(replace(good, order=np.array([10**12, 0]))).validate(graph, CLUSTER)  # far apart, and each its own
    with pytest.raises(PlanError, match=r"position|priority nan"):
        Plan(replace(good, **wrong)).validate(graph, CLUSTER)
    with pytest.raises(PlanError, match="goes to 'x'"):
        Plan(replace(good, ids=(WorkerId("x"),))).validate(graph, CLUSTER)
