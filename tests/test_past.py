"""What runs teach the next plans, through the session and real workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

import dagnb
from dagnb import task
from dagnb.errors import OptionError
from dagnb.planning.simulator import complete
from dagnb.session import past, plans


@pytest.fixture(autouse=True)
def remembering(monkeypatch, tmp_path):
    """History on, in a folder of this test's own."""
    past.flush()
    past._taught_at.clear()  # what the functions of another test have taught, they have taught another history
    monkeypatch.setenv("DAGNB_HISTORY", "1")
    monkeypatch.setenv("DAGNB_DATA_DIR", str(tmp_path / "data"))
    yield tmp_path / "data"
    past._pending.clear()
    for path in [p for p in past._histories if tmp_path in p.parents]:
        past._histories.pop(path).close()


def etl(seconds=0.03, n=4):
    @task
    def load(i):
        time.sleep(seconds)
        return i

    @task
    def add(*xs):
        return sum(xs)

    with dagnb.dag("etl", new=True) as dag:
        total = add(*[load(i) for i in range(n)])
    del total
    return dag


def test_a_run_teaches_the_next_plan():
    dag = etl()
    before = dag.plan("heft", workers=2)
    assert not before.has_seconds
    run = dag.run(workers=2)
    after = dag.plan("heft", workers=2)
    assert after.has_seconds
    assert after.makespan == pytest.approx(run.makespan, rel=0.9)
    assert after.interval is not None
    assert after.interval[0] <= after.interval[1]
    estimates = plans.estimates_of(dag.graph, after)
    assert estimates.origin(0) == "past: mean of 4 calls"
    assert estimates.mean[0] >= 0.03


def test_the_same_code_in_another_dag_and_another_process(remembering):
    etl().run(workers=2)
    assert etl(n=3).plan(workers=2).has_seconds
    past.flush()
    program = """
import time
import dagnb
from dagnb import task
def make(seconds):
    @task
    def load(i):
        time.sleep(seconds)
        return i
    return load
load = make(0.03)
with dagnb.dag("other") as other:
    x = load(1)
print(other.plan(workers=2).has_seconds)
"""
    env = {**os.environ, "DAGNB_DATA_DIR": str(remembering)}
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True)
    assert out.stdout.strip() == "True"


def test_other_code_starts_anew():
    etl(0.03).run(workers=2)
    assert not etl(0.04).plan(workers=2).has_seconds


def test_a_run_in_the_background_teaches_too():
    dag = etl()
    run = dag.run(workers=2, wait=False)
    run.wait()
    assert dag.plan(workers=2).has_seconds


def test_nobody_waits_and_it_teaches_all_the_same():
    dag = etl()
    dag.run(workers=2, wait=False)
    end = time.monotonic() + 10
    while not dag.plan(workers=2).has_seconds and time.monotonic() < end:
        time.sleep(0.1)
    assert dag.plan(workers=2).has_seconds


def test_an_acted_run_teaches_nothing(remembering):
    @task(est=0.02)
    def load(i):
        return i

    with dagnb.dag("acted", new=True) as dag:
        x = load(1)
    del x
    dag.run(mode="sleep", workers=2)
    past.flush()
    assert len(past.history()) == 0


def test_history_can_be_off(monkeypatch, remembering):
    monkeypatch.setenv("DAGNB_HISTORY", "0")
    dag = etl()
    dag.run(workers=2)
    assert not dag.plan(workers=2).has_seconds
    assert not remembering.exists()


def test_a_run_keeps_what_its_plan_was_made_with():
    dag = etl(seconds=0.08)  # no tiny run: those are planned without the past
    dag.run(workers=2)
    run = dag.run(workers=2)
    dag.run(workers=2)  # teaches more
    assert run.estimates.has_seconds
    assert run.plan.estimates_fingerprint == run.estimates.fingerprint
    again = complete(run.plan, run.graph, run.cluster, run.estimates)
    assert again.makespan == run.plan.makespan
    assert len(run.cluster) == 2


def test_the_same_question_has_the_same_answer_until_something_is_learnt():
    dag = etl()
    one = dag.plan(workers=2)
    assert dag.plan(workers=2) is one
    dag.run(workers=2)
    assert dag.plan(workers=2) is not one


def test_a_tiny_run_keeps_its_plan(monkeypatch):
    monkeypatch.setattr(past, "TINY", 30.0)  # whatever else the machine does
    dag = etl(0.0)
    dag.run(workers=2)
    kept = next(iter(plans._made[dag.graph].values())).plan
    for _ in range(5):
        dag.run(workers=2)
    assert next(iter(plans._made[dag.graph].values())).plan is kept


def test_what_is_broken_is_told_in_the_log_only(remembering, caplog):
    remembering.mkdir()
    (remembering / "history.sqlite").write_bytes(b"nonsense" * 1000)
    dag = etl()
    dag.run(workers=2)
    assert dag.plan(workers=2).has_seconds
    assert "set aside" in caplog.text


def test_a_budget_goes_to_who_has_a_use_for_it():
    class Searching:
        def __init__(self, budget=1.0, seed=0):
            self.budget, self.seed = budget, seed

        def plan(self, graph, cluster, estimates):
            from dagnb.planning.plan import Plan

            n = len(graph)
            facts = {"parameters": {"budget": self.budget}, "seed": self.seed}
            return Plan.build(graph, cluster, estimates, worker=[0] * n, sequence=range(n), **facts)

    dag = etl()
    assert dag.plan(Searching, budget=5, seed=3).parameters == {"budget": 5}
    assert dag.plan("heft", budget=5).planner == "heft"
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="budget is a number of seconds"):
            dag.plan(budget=wrong)


def test_a_wrong_declaration_names_its_task():
    import numpy as np

    from dagnb.graph.graph import TaskGraph

    graph = TaskGraph.build("g", [[], []], keys=["good", "bad"], duration=np.array([1.0, -1.0]))
    with pytest.raises(OptionError, match=r"a duration of -1\.0 for 'bad'"):
        past.estimates(graph)
