"""The session in a script: the same DAG without magics, on real workers."""

import asyncio
import os
import signal
import threading
import time
from dataclasses import dataclass

import pytest

import dagnb
from dagnb import task
from dagnb.errors import (
    CancelledError,
    DagnbError,
    NotRunError,
    OptionError,
    PickleError,
    PlanError,
    RunError,
    SkippedError,
    TaskError,
    UnknownNameError,
    UnknownPlannerError,
)
from dagnb.planning.assignment import Assignment
from dagnb.planning.plan import Plan
from dagnb.session import registry


@task
def load(x=0):
    return x


@task
def add(*xs):
    return sum(xs)


@task
def nap(x, seconds=0.2):
    time.sleep(seconds)
    return x


@task(outs=2)
def halve(xs):
    return xs[::2], xs[1::2]


@task
def fail(x):
    print("about to fail")
    raise ValueError(f"bad {x}")


def etl(n=3):
    with dagnb.dag("etl", new=True) as dag:
        parts = [load(i) for i in range(n)]
        total = add(*parts)
    return dag, total


# ---- looking --------------------------------------------------------------------------------------------------------
def test_a_dag_is_a_namespace():
    dag, _ = etl()
    assert dag.name == "etl"
    assert list(dag) == ["parts[0]", "parts[1]", "parts[2]", "total"]
    assert len(dag) == 4
    assert "total" in dag
    assert "parts" in dag
    assert "nothing" not in dag
    assert dag["total"].kind == "add"
    assert [h.name for h in dag["load"]] == ["parts[0]", "parts[1]", "parts[2]"]
    with pytest.raises(UnknownNameError, match="did you mean total"):
        dag["totl"]
    assert repr(dag) == "<dag etl: 4 tasks>"
    with dagnb.dag("nothing", new=True) as empty:
        pass
    assert empty, "an empty DAG is a DAG"


def test_entering_the_same_block_again_replaces():
    made = []
    for n in (1, 2):
        with dagnb.dag("loop") as dag:
            parts = [load(i) for i in range(n)]
        made.append(dag)
    assert made[0] is made[1]
    assert len(dag) == len(parts) == 2


def test_another_function_starts_anew_and_so_does_new():
    def one():
        with dagnb.dag("same") as dag:
            x = load(1)
        return dag, x

    def two():
        with dagnb.dag("same") as dag:
            y = load(2)
        return dag, y

    assert one()[0] is one()[0]
    assert one()[0] is not two()[0]
    assert dagnb.dag("same", new=True) is not dagnb.dag("same", new=True)
    assert dagnb.dag() is not dagnb.dag()


@pytest.mark.parametrize("name", ["my dag", "", "1", "class"])
def test_bad_names_of_dags(name):
    with pytest.raises(OptionError, match="not a name for a DAG"):
        dagnb.dag(name)


def test_drop_forgets():
    dag, total = etl()
    dag.run()
    assert registry.find("etl") is dag
    dag.drop()
    assert registry.dags().get("etl") is not dag
    with pytest.raises(NotRunError, match="never run"):
        total.result()


# ---- planning -------------------------------------------------------------------------------------------------------
def test_a_plan_has_its_figures():
    dag, _ = etl()
    plan = dag.plan("heft", workers=3)
    assert (plan.planner, len(plan.workers), len(plan)) == ("heft", 3, 4)
    assert plan.makespan >= plan.lower_bound > 0
    assert plan.timeline is not None


class Backwards:
    """A planner as a user writes one in a cell: everything on the last worker."""

    name = "backwards"

    def plan(self, graph, cluster, estimates, /):
        return Plan.build(graph, cluster, estimates, worker=[len(cluster) - 1] * len(graph), sequence=range(len(graph)))


def test_a_planner_of_ones_own_plans_and_its_plan_is_obeyed():
    dag, total = etl()
    plan = dag.plan(Backwards, workers=2)
    assert {a.worker for a in plan.assignments} == {"w1"}
    run = dag.run(plan=plan)
    assert total.result() == 3
    assert set(run.timeline.worker.tolist()) == {1}
    assert run.plan is plan


def test_what_cannot_be_planned():
    dag, _ = etl()
    with pytest.raises(UnknownPlannerError, match="heft"):
        dag.plan("hetf")
    with pytest.raises(OptionError, match="nonsense"):
        dag.plan("heft", nonsense=1)
    with pytest.raises(OptionError, match="budget"):
        dag.plan(budget=0)
    with pytest.raises(OptionError, match="workers"):
        dag.plan(workers=0)


def test_a_plan_of_another_graph_is_refused():
    plan = etl(5)[0].plan()
    with pytest.raises(PlanError):
        etl(3)[0].run(plan=plan)


def test_a_plan_and_a_planner_at_once_are_refused():
    dag, _ = etl()
    with pytest.raises(OptionError, match="a plan already says"):
        dag.run(plan=dag.plan(), planner="heft")


# ---- running --------------------------------------------------------------------------------------------------------
def test_run_and_ask():
    dag, total = etl()
    run = dag.run(workers=2)
    assert run is dag.last
    assert run.state == "done"
    assert total.result() == run["total"] == run.result("total") == 3
    assert total.done()
    assert repr(dag) == "<dag etl: 4 tasks, last run done>"
    assert run.client_makespan >= run.makespan > 0


@dataclass
class Batch:
    xs: list
    label: str


def test_arguments_at_any_depth_and_unpacked_values():
    @task
    def flat(nested, *, by_name):
        return [nested[0][1].xs, by_name["k"]["deep"], nested[1]]

    with dagnb.dag("deep", new=True) as dag:
        even, odd = halve(list(range(6)))
        out = flat([[0, Batch([even, load(7)], "b")], (odd,)], by_name={"k": {"deep": load("x")}})
    dag.run()
    assert out.result() == [[[0, 2, 4], 7], "x", ([1, 3, 5],)]
    assert even.result() == [0, 2, 4]
    assert dag["out"].result() == out.result()
    assert out[0][1].result() == 7


def test_results_before_a_run_and_after_a_change():
    def build(n):
        with dagnb.dag("changing") as dag:
            x = load(n)
            y = add(x, 1)
        return dag, x, y

    dag, x, y = build(1)
    with pytest.raises(
        NotRunError, match=r"y has no value yet: changing was never run\.\n  File .*\n  Run it: %dag run changing"
    ):
        y.result()
    dag.run()
    assert y.result() == 2
    _, x, y = build(1)
    assert y.result() == 2, "the same code with the same arguments keeps its value"
    _, x, y = build(2)
    with pytest.raises(NotRunError, match="y was changed after the last run of changing"):
        y.result()
    dag.run()
    assert (x.result(), y.result()) == (2, 3)


def test_intermediate_values_go_unless_they_are_kept():
    dag, _ = etl()
    dag.run()
    with pytest.raises(NotRunError, match=r"keep='parts\[1\]'"):
        dag["parts[1]"].result()
    dag.run(keep="parts[1]")
    assert dag["parts[1]"].result() == 1
    with pytest.raises(OptionError, match="did you mean"):
        dag.run(keep=["part[1]"])


def test_pull_gives_values():
    dag, _ = etl()

    def build():
        with dag:
            more = load(9)
            pair = [more, {"k": more}]  # noqa: F841  a name of the DAG
        return dag.pull("more", "pair")

    with pytest.raises(NotRunError, match=r"came after the last run|never run"):
        build()
    dag.run()
    assert build() == {"more": 9, "pair": [9, {"k": 9}]}
    with pytest.raises(OptionError, match="no variable 'nothing'"):
        dag.pull("nothing")


def test_the_first_failure_is_raised_as_both_classes():
    with dagnb.dag("failing", new=True) as dag:
        good = load(5)
        bad = [fail(i) for i in range(3)]
        after = add(good, bad[0])
        apart = add(good, 1)
    with pytest.raises(ValueError, match="bad") as caught:
        dag.run(workers=1)
    error = caught.value
    assert isinstance(error, TaskError)
    assert type(error).__name__ == "ValueError"
    assert type(error.__cause__) is ValueError
    assert error.run is dag.last
    assert len(error.failures) == 3
    assert "+2 more: " in str(error)
    assert f"{error.key} (File test_session.py, line " in str(error)
    assert "in fail" in str(error)
    assert dag.last.state == "failed"
    assert apart.result() == 6, "independent branches finish"
    with pytest.raises(SkippedError, match=r"after was skipped: bad\[0\] failed: ValueError: bad 0"):
        after.result()
    with pytest.raises(ValueError, match="bad 2"):
        bad[2].result()
    assert bad[2].logs().stdout == "about to fail\n"


def test_in_the_background_the_next_result_raises():
    with dagnb.dag("later", new=True) as dag:
        bad = fail(1)
        good = nap(2)
    run = dag.run(wait=False)
    assert good.result() == 2
    with pytest.raises(ValueError, match="bad 1"):
        bad.result()
    assert run.wait().state == "failed"


def test_a_second_run_while_one_is_live_is_refused():
    with dagnb.dag("busy", new=True) as dag:
        x = nap(1, 5)
    run = dag.run(wait=False)
    with pytest.raises(RunError, match=r"busy is running already\.\n  %dag wait busy"):
        dag.run()
    assert dag.last is run
    assert not x.done()
    with pytest.raises(TimeoutError, match=r"x is not there after 0.1 s"):
        x.result(timeout=0.1)
    run.cancel()
    assert run.wait(10).state == "cancelled"
    with pytest.raises(CancelledError, match="busy was cancelled"):
        x.result()


def test_an_interrupt_cancels():
    with dagnb.dag("stopped", new=True) as dag:
        xs = [nap(i, 30) for i in range(4)]
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(CancelledError, match=r"stopped was cancelled: 0 of 4 tasks are done\."):
        dag.run()
    timer.join()
    assert dag.last.state == "cancelled"
    with pytest.raises(CancelledError):
        xs[0].result()
    assert [load(1), 2] == [1, 2], "this process goes on"


def test_await():
    dag, total = etl()

    async def story():
        run = await dag.run_async()
        return run.state, await total

    assert asyncio.run(story()) == ("done", 3)


def test_await_raises_what_failed():
    with dagnb.dag("failing", new=True) as dag:
        fail(1)

    async def story():
        await dag.run_async()

    with pytest.raises(ValueError, match="bad 1"):
        asyncio.run(story())


def test_an_argument_that_cannot_travel_is_refused_and_nothing_runs():
    with dagnb.dag("stuck", new=True) as dag:
        load(threading.Lock())
    with pytest.raises(PickleError):
        dag.run()
    assert dag.last is None


def test_a_task_that_takes_its_dag_along_is_refused():
    with dagnb.dag("stuck", new=True) as dag:
        load(dag)
    with pytest.raises(PickleError, match="stuck"):
        dag.run()


def test_an_empty_dag_runs():
    with dagnb.dag("nothing", new=True) as dag:
        pass
    assert dag.run().state == "done"


# ---- not built ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "option",
    [{"fresh": True}, {"only": "x"}, {"on": "tcp://host"}, {"params": {"a": 1}}],
)
def test_run_options_that_are_not_built_are_refused_by_name(option):
    dag, _ = etl()
    with pytest.raises(OptionError, match=f"{next(iter(option))}.* is not available in this version of dagnb yet"):
        dag.run(**option)
    assert dag.last is None


def test_an_unknown_option_names_the_near_one():
    with pytest.raises(OptionError, match=r"no option 'wokers'(.|\n)*did you mean workers"):
        etl()[0].run(wokers=3)


@pytest.mark.parametrize(
    "call",
    [
        dagnb.param,
        dagnb.when,
        dagnb.from_dask,
        dagnb.Sweep,
        dagnb.connect,
        dagnb.config,
        dagnb.cache,
        lambda: dagnb.dag(lambda: None),
        lambda: dagnb.dag("x", requirements="r.txt"),
        etl()[0].history,
        lambda: etl()[0].sweep(a=[1]),
        lambda: etl()[0].export("x.svg"),
        etl()[0].to_dask,
        etl()[1].why,
    ],
)
def test_names_that_are_not_built_say_so_with_the_line(call):
    with pytest.raises(DagnbError, match="not available in this version of dagnb yet"):
        call()


def test_assignments_are_public():
    assert dagnb.Assignment is Assignment
