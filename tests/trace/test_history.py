"""History: what runs teach, kept within bounds, by several at once, whatever happens to the file."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagnb.graph.graph import Calls, TaskGraph
from dagnb.trace.history import DEEP, PAIRS, RUNS, SAMPLES, History, thinned
from dagnb.trace.readable import TaskFailed, TaskFinished, WorkerStarted
from dagnb.trace.samples import PAIR, SAMPLE, Resources, Taught, taught
from dagnb.trace.timeline import Timeline

ON = Resources()


def lesson(run, seconds, code="a", on=ON, taken=0.0, given=8.0):
    rows = np.zeros(len(seconds), SAMPLE)
    rows["run"], rows["seconds"], rows["taken"], rows["given"] = run, seconds, taken, given
    return Taught(run, {(code, on): rows})


def graph(deps, function=None):
    n = len(deps)
    functions = (abs, len, sum)
    calls = Calls(functions, np.array(function or [0] * n, np.int32), ((),) * n, (None,) * n)
    return TaskGraph.build("g", deps, calls=calls)


# ---- what a run teaches ---------------------------------------------------------------------------------------------
def test_a_run_teaches_what_its_calls_took():
    events = [
        TaskFinished(0, 0, at=2.0, start=1.0, fetch=0.25, size=100.0),
        TaskFinished(1, 1, at=3.0, start=1.0, size=50.0),
        TaskFinished(2, 0, at=6.0, start=3.0, size=8.0),
        TaskFinished(3, 0, at=9.0, start=6.0, size=8.0, attempt=2),
        TaskFailed(4, 0, at=9.5, start=9.0),
    ]
    big = Resources(2.0, 4e9)
    g = graph([[], [], [0, 1], [], []], [0, 0, 1, 0, 0])
    found = taught(g, Timeline.of(5, events), ["a", "b", "c"], [ON, big], 7)
    assert set(found.calls) == {("a", ON), ("a", big), ("b", ON)}
    assert found.calls["a", ON].tolist() == [(7, 0.75, 0.0, 100.0)]
    assert found.calls["a", big].tolist() == [(7, 2.0, 0.0, 50.0)]
    assert found.calls["b", ON].tolist() == [(7, 3.0, 150.0, 8.0)]


def test_what_the_machine_costs():
    n = 8
    small = [TaskFinished(i, 0, at=i + 1.0, start=i + 0.01 if i else 0.0, size=8.0) for i in range(n)]
    events = [*small, WorkerStarted(0, at=0.5, start=0.1, cold=True), WorkerStarted(1, at=0.2, start=0.1, cold=False)]
    found = taught(graph([[]] * n), Timeline.of(n, events), ["a", None, None], [ON], 1).machine
    assert found["overhead"]["y"].tolist() == pytest.approx([0.01])
    assert [(x, pytest.approx(y)) for _, x, y in found["launch"].tolist()] == [(1.0, 0.4), (0.0, 0.1)]
    assert "transfer" not in found
    assert "begin" not in found, "a worker had to be started"


def test_when_a_run_begins():
    events = [TaskFinished(i, 0, at=i + 1.0, start=i + 0.01, size=8.0) for i in range(3)]
    found = taught(graph([[]] * 3), Timeline.of(3, events), ["a", None, None], [ON], 1).machine
    assert [(x, pytest.approx(y)) for _, x, y in found["begin"].tolist()] == [(3.0, 0.01)]


def test_transfers_and_publishing():
    """Worker 0 makes 2 MB and writes it in 0.2 s; worker 1, which was idle, has it 0.5 s after it was made."""
    events = [
        TaskFinished(0, 0, at=1.0, start=0.0, upload=0.2, size=2e6),
        TaskFinished(1, 0, at=2.2, start=1.2, size=8.0),
        TaskFinished(2, 1, at=3.0, start=1.3, fetch=0.2, size=8.0),
    ]
    found = taught(graph([[], [], [0]]), Timeline.of(3, events), ["a", None, None], [ON, ON], 1).machine
    assert found["transfer"][["x", "y"]].tolist() == [(2e6, pytest.approx(0.5))]
    assert found["publish"][["x", "y"]].tolist() == [(2e6, pytest.approx(0.2))]


def test_what_the_user_keeps_is_measured_apart():
    """Task 0 is for task 1, task 1 for the user alone, task 2 for both: nobody knows how long each part took."""
    events = [
        TaskFinished(0, 0, at=1.0, start=0.0, upload=0.2, size=2e6),
        TaskFinished(1, 0, at=2.5, start=1.5, upload=0.7, size=2e6),
        TaskFinished(2, 0, at=4.5, start=3.5, upload=0.9, size=2e6),
        TaskFinished(3, 0, at=7.5, start=6.5, size=8.0),
    ]
    made = replace(graph([[], [0], [], [2]]), kept=frozenset({1, 2, 3}))
    found = taught(made, Timeline.of(4, events), ["a", None, None, None], [ON], 1).machine
    assert found["publish"][["x", "y"]].tolist() == [(2e6, pytest.approx(0.2))]
    assert found["keep"][["x", "y"]].tolist() == [(2e6, pytest.approx(0.7))]


def test_uploads_are_no_overhead():
    """Between two tasks lie 0.3 s of upload and 0.1 s that every task costs."""
    events = [TaskFinished(i, 0, at=1.0 + 1.4 * i, start=1.4 * i, upload=0.3, size=2e6) for i in range(6)]
    found = taught(graph([[]] * 6), Timeline.of(6, events), ["a"] * 6, [ON] * 6, 1).machine
    assert found["overhead"][["x", "y"]].tolist() == [(pytest.approx(1.0), pytest.approx(0.1))]


def test_a_graph_from_a_trace_teaches_nothing_of_code():
    found = taught(TaskGraph.build("g", [[]]), Timeline.of(1, [TaskFinished(0, 0, 1.0, 0.0)]), [], [ON], 1)
    assert not found.calls


# ---- keeping --------------------------------------------------------------------------------------------------------
@pytest.fixture(params=["file", "memory"])
def history(request, tmp_path):
    found = History.open(tmp_path / "deep" / "er") if request.param == "file" else History()
    yield found
    found.close()


def test_records_come_back(history):
    big = Resources(1.0, 4e9)
    history.add(lesson(1, [1.0, 3.0]), lesson(2, [5.0], on=big))
    history.add(lesson(3, [2.0]))
    one, other = history.records("a")
    assert (one.resources, other.resources) == (ON, big)
    assert one.runs.tolist() == [(1, 2.0, 2.0, 1.0), (3, 1.0, 2.0, 0.0)]
    assert one.samples["seconds"].tolist() == [1.0, 3.0, 2.0]
    assert history.records("b") == []
    assert len(history) == 2


def test_it_outlives_the_process_and_knows_its_machine(tmp_path):
    first = History.open(tmp_path, "slow")
    first.add(lesson(1, [1.0]), Taught(1, machine={"overhead": np.array([(1, 0.1, 0.2)], PAIR)}))
    first.close()
    assert len(History.open(tmp_path, "slow").records("a")) == 1
    assert History.open(tmp_path, "fast").records("a") == []
    assert History.open(tmp_path, "slow").pairs("overhead").tolist() == [(1, 0.1, 0.2)]
    assert len(History.open(tmp_path, "fast").pairs("overhead")) == 0


def test_storage_is_bounded(history, monkeypatch):
    monkeypatch.setattr("dagnb.trace.history.RECORDS", 10)
    for run in range(1, 60):
        pairs = np.array([(run, 0.0, float(i)) for i in range(9)], PAIR)
        history.add(lesson(run, np.ones(40)), Taught(run, machine={"transfer": pairs}))
    (record,) = history.records("a")
    assert len(record.runs) == RUNS
    assert record.runs["run"][-1] == 59
    assert len(record.samples) == SAMPLES
    assert len(np.unique(record.samples["run"])) == DEEP
    assert len(history.pairs("transfer")) == PAIRS
    for k in range(30):
        history.add(lesson(100 + k, [1.0], code=f"c{k}"), lesson(100 + k, [1.0]))
    assert len(history) == 10
    assert history.records("a")  # the one in use stays
    assert not history.records("c0")
    assert history.records("c29")


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12))
def test_thinning_keeps_the_newest_runs_about_equally(counts):
    rows = np.zeros(sum(counts), SAMPLE)
    rows["run"] = np.repeat(np.arange(len(counts)), counts)
    rows["seconds"] = np.arange(len(rows))
    kept = thinned(rows)
    assert len(kept) <= SAMPLES
    assert kept["seconds"].tolist() == sorted(kept["seconds"].tolist())
    newest = counts[-DEEP:]
    assert len(kept) == min(SAMPLES, sum(newest))
    got = np.bincount(kept["run"], minlength=len(counts))[-DEEP:]
    assert all(g >= min(c, SAMPLES // len(newest)) for g, c in zip(got, newest, strict=True))


def test_a_version_changes_with_what_others_add(tmp_path):
    mine, other = History.open(tmp_path), History.open(tmp_path)
    before = mine.version
    assert mine.version == before
    other.add(lesson(1, [1.0]))
    assert mine.version != before
    before = mine.version
    mine.add(lesson(2, [1.0]))
    assert mine.version != before


def _write(directory, name):
    history = History.open(directory, "m")
    for run in range(20):
        history.add(lesson(run, [1.0], code=name), lesson(run, [1.0], code="both"))


def test_several_kernels_write_at_once(tmp_path):
    call = "import sys; from pathlib import Path; from tests.trace.test_history import _write; _write(Path({!r}), {!r})"
    processes = [subprocess.Popen([sys.executable, "-c", call.format(str(tmp_path), f"c{i}")]) for i in range(3)]
    assert [process.wait(60) for process in processes] == [0] * 3
    history = History.open(tmp_path, "m")
    assert [len(history.records(f"c{i}")[0].runs) for i in range(3)] == [20] * 3
    assert len(history.records("both")[0].runs) == RUNS  # 60 of them, none lost before the bound


def test_several_threads_use_one(history):
    def work(name):
        for run in range(20):
            history.add(lesson(run, [1.0], code=name))
            assert history.records(name)

    threads = [threading.Thread(target=work, args=(f"c{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(history.records(f"c{i}")[0].runs) == 20 for i in range(4))


# ---- what may happen to the file ------------------------------------------------------------------------------------
@pytest.mark.parametrize("content", [b"this is no database, but long enough to be one" * 50, b"\0" * 5000])
def test_a_broken_file_is_set_aside(tmp_path, caplog, content):
    (tmp_path / "history.sqlite").write_bytes(content)
    with caplog.at_level(logging.WARNING, "dagnb"):
        history = History.open(tmp_path)
        history.add(lesson(1, [1.0]))
    assert history.records("a")
    assert "set aside" in caplog.text
    (aside,) = tmp_path.glob("history.sqlite.broken-*")
    assert aside.read_bytes() == content
    assert History.open(tmp_path).records("a")


def test_a_file_that_breaks_while_it_is_used(tmp_path, caplog):
    history = History.open(tmp_path)
    history.add(lesson(1, [1.0]))
    with sqlite3.connect(tmp_path / "history.sqlite") as db:
        db.execute("UPDATE calls SET runs = x'010203'")
    with caplog.at_level(logging.WARNING, "dagnb"):
        assert history.records("a") == []
    assert "set aside" in caplog.text
    history.add(lesson(2, [1.0]))
    assert len(history.records("a")) == 1


def test_another_layout_is_set_aside(tmp_path, caplog):
    with sqlite3.connect(tmp_path / "history.sqlite") as db:
        db.execute("PRAGMA user_version=99")
    with caplog.at_level(logging.WARNING, "dagnb"):
        assert History.open(tmp_path).records("a") == []
    assert "layout 99" in caplog.text


def test_where_no_file_can_be_there_is_memory(tmp_path, caplog):
    (tmp_path / "data").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING, "dagnb"):
        history = History.open(tmp_path / "data")
    assert "in memory only" in caplog.text
    history.add(lesson(1, [1.0]))
    assert history.records("a")


def test_one_that_another_holds_is_left_alone(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("dagnb.trace.history.PATIENCE", 0.05)
    history = History.open(tmp_path)
    other = sqlite3.connect(tmp_path / "history.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING, "dagnb"):
        history.add(lesson(1, [1.0]))
    assert "locked" in caplog.text
    assert history.records("a") == []
    other.execute("ROLLBACK")
    other.close()
    history.add(lesson(1, [1.0]))
    assert history.records("a")


def test_a_closed_one_answers_nothing_and_breaks_nothing(tmp_path):
    history = History.open(tmp_path)
    history.add(lesson(1, [1.0]))
    history.close()
    assert history.records("a") == []
    history.add(lesson(2, [1.0]))
    assert [path.name for path in tmp_path.glob("*broken*")] == []
    assert History.open(tmp_path).records("a")
