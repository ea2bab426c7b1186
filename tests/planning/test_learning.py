"""What past runs say of a graph: durations, sizes, memory, and how often an interval holds."""

from __future__ import annotations

import numpy as np
import pytest

from dagnb.graph.fingerprint import codes
from dagnb.graph.graph import Calls, TaskGraph
from dagnb.planning.cluster import Cluster, WorkerId, WorkerSpec
from dagnb.planning.estimator import Estimates, estimate
from dagnb.planning.learned import memory_law, moved
from dagnb.planning.machine import measured, model_error, suited
from dagnb.planning.planner import find_planner, run_planner
from dagnb.planning.simulator import complete
from dagnb.planning.spread import Noise, Spread
from dagnb.trace.history import History
from dagnb.trace.readable import TaskFinished
from dagnb.trace.samples import PAIR, SAMPLE, Resources, Taught
from dagnb.trace.timeline import Timeline

NAN = float("nan")


def load():
    return 1


def work(x):
    return x


def join(*xs):
    return xs


FUNCTIONS = (load, work, join)
ON = Resources()


def graph(width=8, **columns):
    """`width` loads, each worked on, then joined."""
    deps = [[] for _ in range(width)] + [[i] for i in range(width)] + [list(range(width, 2 * width))]
    function = np.array([0] * width + [1] * width + [2], np.int32)
    n = len(deps)
    calls = Calls(FUNCTIONS, function, ((),) * n, (None,) * n)
    return TaskGraph.build("g", deps, calls=calls, **columns)


def loads(n):
    """`n` calls of `load` and nothing else."""
    calls = Calls((load,), np.zeros(n, np.int32), ((),) * n, (None,) * n)
    return TaskGraph.build("g", [[]] * n, calls=calls)


CODES = dict(zip(FUNCTIONS, codes(graph()), strict=True))


def rows(run, seconds, taken=0.0, given=8.0):
    found = np.zeros(np.size(seconds), SAMPLE)
    found["run"], found["seconds"], found["taken"], found["given"] = run, seconds, taken, given
    return found


def teach(history, run, on=ON, **calls):
    history.add(Taught(run, {(CODES[f], on): calls[f.__name__] for f in FUNCTIONS if f.__name__ in calls}))


def taught(**calls):
    history = History()
    for run in (1, 2, 3):
        teach(history, run, **{name: rows(run, seconds) for name, seconds in calls.items()})
    return history


# ---- where numbers come from ----------------------------------------------------------------------------------------
def test_the_past_goes_before_what_was_declared():
    g = graph(2, duration=np.array([9.0, 9.0, 9.0, 9.0, 5.0]), size=np.array([NAN, NAN, NAN, NAN, 3.0]))
    found = estimate(g, taught(load=[1.0, 3.0], work=[4.0]))
    assert found.mean.tolist() == [2.0, 2.0, 4.0, 4.0, 5.0]
    assert found.source == ("past",) * 4 + ("declared",)
    assert found.size.tolist() == [8.0] * 4 + [3.0]
    assert found.has_seconds
    assert found.origin(0) == "past: mean of 6 calls"
    assert found.origin(4) == "declared"
    assert (found.p90 >= found.p50).all()
    assert found.p90[0] > found.p50[0]
    assert found.p90[4] == found.p50[4] == 5.0  # what was declared is taken as it is


def test_one_unknown_task_makes_units():
    found = estimate(graph(2), taught(load=[1.0], work=[3.0]))
    assert not found.has_seconds
    assert found.mean.tolist() == [0.5, 0.5, 1.5, 1.5, 1.0]
    assert found.origin(4) == "neutral"


def test_without_history_nothing_changes():
    g = graph(2)
    assert estimate(g, History()).fingerprint == estimate(g).fingerprint
    assert estimate(g, History()).spread is None
    trace = TaskGraph.build("t", [[]])
    assert estimate(trace, taught(load=[1.0])).source == ("neutral",)


def test_sizes_travel_through_the_graph():
    """load gives 1 MB, work gives half of what it takes and needs 1 µs a byte, join gives what it takes."""
    history = History()
    sizes = np.geomspace(1e4, 4e6, 16)
    for run in (1, 2, 3):
        teach(
            history, run, load=rows(run, np.full(16, 0.1), 0, 1e6), work=rows(run, sizes * 1e-6, sizes, sizes / 2),
            join=rows(run, sizes * 1e-7, sizes, sizes),
        )  # fmt: skip
    found = estimate(graph(4), history)
    assert found.size[:4] == pytest.approx(1e6)
    assert found.size[4:8] == pytest.approx(5e5, rel=0.01)
    assert found.size[8] == pytest.approx(2e6, rel=0.01)
    assert found.mean[4:8] == pytest.approx(1.0, rel=0.01)
    assert found.mean[8] == pytest.approx(0.2, rel=0.01)
    assert found.origin(4) == "past: by size of input, 48 calls"


def test_unsure_sizes_make_durations_unsure():
    """What load gives is anybody's guess between 0.2 and 1.8 MB, and work needs 1 µs a byte, exactly."""
    history, sizes = History(), np.linspace(2e5, 1.8e6, 20)
    for run in (1, 2, 3):
        teach(
            history, run, load=rows(run, np.full(20, 0.1), 0, sizes), work=rows(run, sizes * 1e-6, sizes, 8.0),
            join=rows(run, [0.1], 160.0, 8.0),
        )  # fmt: skip
    found = estimate(graph(4), history)
    assert found.mean[4] == pytest.approx(1.0, rel=0.02)
    drawn = np.array([found.draw(np.random.default_rng(s))[4] for s in range(300)])
    assert drawn.std() == pytest.approx(0.5, rel=0.3)
    assert found.p90[4] == pytest.approx(np.quantile(drawn, 0.9), rel=0.2)
    assert found.p90[0] < 0.12


def test_a_large_run_weighs_no_more_than_others():
    """Each run of 16 calls or more counts alike in the mean: machines differ from day to day."""
    history = History()
    teach(history, 1, load=rows(1, np.full(16, 1.0)))
    teach(history, 2, load=rows(2, np.full(5000, 3.0)))
    assert estimate(loads(8), history).mean[0] == pytest.approx(2.0)


def test_old_runs_are_forgotten():
    history = History()
    for run in range(20):
        teach(history, run, load=rows(run, np.full(10, 1.0 if run < 10 else 5.0)))
    assert estimate(loads(8), history).mean[0] == pytest.approx(5.0)


# ---- memory ---------------------------------------------------------------------------------------------------------
def several(*sizes):
    return Cluster(tuple(WorkerSpec(WorkerId(f"w{i}"), memory=size) for i, size in enumerate(sizes)))


@pytest.mark.parametrize(("share", "exponent"), [(1.0, 0.3), (0.5, 1.0), (0.0, 0.3), (0.8, 2.0)])
def test_a_law_of_memory_is_found_again(share, exponent):
    sizes = np.array([1e9, 2e9, 4e9, 8e9])
    means = 3.0 * (1 - share + share * (8e9 / sizes) ** exponent)
    found = memory_law(sizes, means, [5.0] * 4)
    assert found is not None
    assert found[0] == pytest.approx(share, abs=1e-6)
    assert found[1] == exponent or share == 0
    s, e = moved(found, 8e9, 2e9)
    assert means / means[1] == pytest.approx(1 - s + s * (2e9 / sizes) ** e)
    assert memory_law([1e9], [2.0], [1.0]) is None
    assert memory_law([1e9, 1e9], [2.0, 1.0], [1.0, 1.0]) is None


def test_several_sizes_were_seen():
    history = History()
    for run, (size, seconds) in enumerate([(1e9, 4.0), (2e9, 2.0), (4e9, 1.0)] * 2):
        teach(history, run, Resources(1.0, size), load=rows(run, np.full(4, seconds)))
    cluster = several(2e9, 2e9, 1e9)
    found = estimate(loads(8), history, cluster)
    assert found.reference == 2e9
    assert [found.on(spec)[0] for spec in cluster.workers] == pytest.approx([2.0, 2.0, 4.0])
    assert found.on(WorkerSpec(WorkerId("w"), memory=4e9))[0] == pytest.approx(1.0)


def test_one_size_was_seen_and_several_are_there():
    history = taught(load=[2.0, 2.0], work=[1.0], join=[1.0])
    same, mixed = estimate(graph(), history, several(2e9, 2e9)), estimate(graph(), history, several(2e9, 2e9, 1e9))
    assert same.on(WorkerSpec(WorkerId("w"), memory=1e9))[0] == 2.0
    assert mixed.on(WorkerSpec(WorkerId("w"), memory=1e9))[0] == pytest.approx(2.0 * 2**0.3)
    assert mixed.p90[0] - mixed.p50[0] > same.p90[0] - same.p50[0]  # nobody knows how much memory does


def test_what_is_not_known_of_mean_sizes_does_not_average_away():
    """join takes 50 outputs of which only six were ever seen: their mean is off for all of them alike."""
    history, sizes = History(), np.linspace(2e5, 1.8e6, 6)
    taken = np.linspace(1e7, 9e7, 20)
    teach(
        history, 1, load=rows(1, np.full(6, 0.1), 0, 8.0), work=rows(1, np.full(6, 0.1), 8.0, sizes),
        join=rows(1, taken * 1e-7, taken, 8.0),
    )  # fmt: skip
    found = estimate(graph(50), history)
    assert found.mean[100] == pytest.approx(5.0, rel=0.05)
    drawn = np.array([found.draw(np.random.default_rng(s))[100] for s in range(400)])
    own, common = sizes.std() / np.sqrt(50) / 1e6, sizes.std() / np.sqrt(6) / 1e6
    assert found.spread.inputs[100] == pytest.approx(own, rel=0.1)
    assert found.spread.learnt[100] == pytest.approx(common, rel=0.1)
    assert drawn.std() / drawn.mean() > 0.9 * np.hypot(own, common) > 2 * own
    assert found.p90[100] == pytest.approx(np.quantile(drawn, 0.9), rel=0.1)


# ---- the machine ----------------------------------------------------------------------------------------------------
def test_facts_of_the_machine():
    def pairs(x, y):
        found = np.zeros(5, PAIR)
        found["x"], found["y"] = x, y
        return found

    history = History()
    assert measured(history) == {}
    history.add(
        Taught(1, machine={"overhead": np.concatenate([pairs(0.05, 4e-4), pairs(1e-5, 2e-6)])}),
        Taught(2, machine={"transfer": np.concatenate([pairs(100.0, 9e-4), pairs(1e6, 7.9e-3)])}),
        Taught(3, machine={"publish": pairs(1e6, 2e-3), "keep": pairs(1e6, 1e-2)}),
    )
    found = measured(history)
    assert found == {
        "overhead": 4e-4,
        "latency": 5e-4,
        "publish": 5e8,
        "keep": 1e8,
        "bandwidth": pytest.approx(1e6 / 5e-3, rel=0.05),
    }
    cluster = Cluster.local(2, **found)
    g = graph(2)
    long, short = (estimate(g, taught(load=[s], work=[s], join=[s])) for s in (0.1, 1e-5))
    assert suited(cluster, history, long).overhead == 4e-4
    assert suited(cluster, history, short).overhead == 2e-6
    assert suited(cluster, history, long).publish == float("inf")  # nothing large is written


def test_a_run_begins_when_runs_of_its_size_began():
    def begun(run, tasks, seconds):
        return Taught(run, machine={"begin": np.array([(run, tasks, seconds)], PAIR)})

    few, cluster = estimate(loads(8), taught(load=[0.1])), Cluster.local(2)
    history = History()
    history.add(begun(1, 8, 0.004), begun(2, 8, 0.006))
    assert suited(cluster, history, few).warm == 0.0, "two runs are not enough"
    history.add(begun(3, 9, 0.005), *[begun(4 + i, 10_000, 0.028) for i in range(5)])
    assert suited(cluster, history, few).warm == 0.005
    many = estimate(loads(20_000), taught(load=[0.1]))
    assert suited(cluster, history, many).warm == 0.028
    plan = run_planner(find_planner("free"), loads(8), suited(cluster, history, few), estimate(loads(8), history))
    assert plan.cold_starts == 0
    sure = Estimates.of(np.full(8, 0.1))
    forecast = complete(plan, loads(8), suited(cluster, history, few), sure)
    assert forecast.timeline.start.min() == pytest.approx(0.005)
    assert (forecast.makespan, forecast.lower_bound) == pytest.approx((0.405, 0.405))


def test_what_the_simulator_is_off_widens_intervals():
    def p90(*errors):
        history = taught(load=np.ones(20))
        pairs = np.zeros(len(errors), PAIR)
        pairs["y"] = errors
        history.add(Taught(9, machine={"model": pairs}))
        return estimate(loads(8), history).p90[0]

    assert p90(0.2, -0.2, 0.2) > 1.1 > p90(0.01, -0.01, 0.9) > 1.0  # one bad run says little


def test_model_error_is_what_simulating_measured_durations_leaves():
    g, cluster = loads(4), Cluster.local(2)
    plan = run_planner(find_planner("heft"), g, cluster, estimate(g))
    events = [TaskFinished(i, i % 2, at=1.0 + i // 2 * 1.5, start=i // 2 * 1.5) for i in range(4)]
    (found,) = model_error(History(), g, plan, cluster, Timeline.of(4, events), 7)
    assert found["y"] == pytest.approx(np.log(2.5 / 2.0))


# ---- how far a run may be from its estimates ------------------------------------------------------------------------
def test_a_spread_draws_what_it_says():
    n = 4000
    spread = Spread(np.zeros(n, np.int32), (Noise(np.array([0.5, 1.5]), 0.0, 0.0, 3.0),))
    drawn = spread.draw(np.random.default_rng(1))
    assert set(drawn.tolist()) == {0.5, 1.5}
    assert drawn.mean() == pytest.approx(1.0, abs=0.05)
    shared = Spread(np.zeros(n, np.int32), (Noise(np.ones(1), 0.0, 0.1, 3.0),))
    runs = [shared.draw(np.random.default_rng(seed)) for seed in range(400)]
    assert all(np.ptp(run) < 1e-12 for run in runs)  # all tasks of a run together
    assert np.std(np.log([run[0] for run in runs])) > 0.08
    none = Spread(np.full(n, -1, np.int32), shared.noises)
    assert none.draw(np.random.default_rng(1)).tolist() == [1.0] * n


def test_quantiles_are_those_of_the_draws():
    noise = Noise(np.random.default_rng(1).lognormal(-0.125, 0.5, 64), 0.05, 0.1, 30.0)
    one = Spread(np.zeros(1, np.int32), (noise,))
    drawn = np.array([one.draw(np.random.default_rng(seed))[0] for seed in range(4000)])
    for level in (0.5, 0.9):
        assert noise.quantile(level) == pytest.approx(np.quantile(drawn, level), rel=0.06)


def test_few_runs_and_few_calls_widen():
    def width(runs, calls):
        history, chance = History(), np.random.default_rng(4)
        for run in range(runs):
            teach(history, run, load=rows(run, chance.lognormal(0, 0.1, calls) * chance.lognormal(0, 0.05)))
        estimates = estimate(loads(8), history)
        return np.ptp(np.quantile([estimates.draw(np.random.default_rng(s)).sum() for s in range(400)], [0.1, 0.9]))

    assert width(3, 3) > width(8, 20)


#: Kinds of noise: (run, chance) → seconds of `n` calls; the second is what a whole run has in common.
KINDS = {
    "constant": lambda chance, n: np.full(n, 1.0),
    "10 %": lambda chance, n: chance.uniform(0.9, 1.1, n),
    "log-normal 0.5": lambda chance, n: chance.lognormal(0, 0.5, n),
    "two modes": lambda chance, n: np.where(chance.random(n) < 0.2, 4.0, 1.0),
    "busy days": lambda chance, n: chance.uniform(0.95, 1.05, n) * chance.lognormal(0, 0.1),
}


def held(kind, calls, cases=30):
    """In which part of the cases the sum of the calls of a run is within the 80 % interval learnt from three runs."""
    hits = 0
    for case in range(cases):
        chance = np.random.default_rng(case)
        history = History()
        for run in range(3):
            teach(history, run, load=rows(run, KINDS[kind](chance, calls)))
        estimates = estimate(loads(calls), history)
        sums = [estimates.draw(np.random.default_rng(1000 * case + s)).sum() for s in range(60)]
        low, high = np.quantile(sums, [0.1, 0.9])
        hits += low <= KINDS[kind](chance, calls).sum() <= high
        history.close()
    return hits / cases


def test_an_interval_holds_as_often_as_it_says():
    """Four of five, within what 30 cases can tell of each kind; and together."""
    found = {(kind, calls): held(kind, calls) for kind in KINDS if kind != "constant" for calls in (1, 20)}
    print({f"{kind} × {calls}": round(share, 2) for (kind, calls), share in found.items()})
    assert all(share >= 0.5 for share in found.values())
    assert 0.7 <= np.mean(list(found.values())) <= 0.9


def test_what_never_varies_gets_a_narrow_interval():
    history = taught(load=np.ones(20))
    estimates = estimate(loads(20), history)
    sums = [estimates.draw(np.random.default_rng(s)).sum() for s in range(400)]
    low, high = np.quantile(sums, [0.1, 0.9])
    assert low <= 20.0 <= high
    assert high - low < 0.1 * 20
