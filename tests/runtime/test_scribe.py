"""Outlines of large runs: a while after the submission, at the latest at the end of the process."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

import dagnb
from dagnb.runtime import outline, scribe
from dagnb.runtime.directory import is_taken
from dagnb.runtime.hub import Hub
from dagnb.runtime.run import SMALL
from dagnb.session import engine
from tests.session.kernels import ROOT, etl, kernel

LARGE = SMALL + 100


def told(run):
    return Hub.of(engine.connect()).store.outline(run)


def until(there, seconds=10.0):
    end = time.monotonic() + seconds
    while not there() and time.monotonic() < end:
        time.sleep(0.01)
    return there()


def test_the_processors_are_the_workers_first():
    run = etl(LARGE, 0.0).run(workers=2)
    early = time.perf_counter_ns() - run.submitted < scribe.DELAY * 0.5e9
    assert told(run.id) is None or not early
    assert until(lambda: told(run.id))
    assert outline.read(told(run.id)).graph.fingerprint == run.graph.fingerprint
    assert not scribe._due


def test_a_small_run_has_it_from_the_beginning():
    run = etl(3, 0.0).run(workers=2, wait=False)
    assert told(run.id)
    run.wait()


def test_several_runs_are_written_one_after_the_other():
    runs = [etl(LARGE + i, 0.0, name=f"etl{i}").run(workers=2) for i in range(3)]
    assert until(lambda: all(told(run.id) for run in runs))
    assert [len(outline.read(told(run.id)).graph) for run in runs] == [LARGE + i + 1 for i in range(3)]


def test_a_process_that_ends_at_once_has_written_it():
    engine.connect()
    with kernel(LARGE, 0.01, then="sys.exit()") as (process, begun):
        process.wait(20)
        assert process.returncode == 0
    run = dagnb.attach(begun)
    assert len(run.graph) == LARGE + 1
    assert str(run.wait(20).state) == "done"


def test_a_graph_that_cannot_be_outlined_leaves_the_others_theirs(monkeypatch):
    bad, whole = etl(LARGE, 0.0, name="bad"), scribe.outline_of

    def some(run, package):
        if run.graph.name == "bad":
            raise ZeroDivisionError
        return whole(run, package)

    monkeypatch.setattr(scribe, "outline_of", some)
    first, second = bad.run(workers=2), etl(LARGE, 0.0).run(workers=2)
    assert until(lambda: told(second.id))
    assert told(first.id) is None


STOPS = """
from dagnb.session import engine
from tests.session.kernels import etl
etl({n}, 0.0).run(workers=1)
engine.connect().stop()
"""


STOPS_MEANWHILE = """
import time
from dagnb.runtime import scribe
from dagnb.session import engine
from tests.session.kernels import etl
whole = scribe.outline_of
def stopping(run, package):
    engine.connect().stop()
    return whole(run, package)
scribe.outline_of = stopping
etl({n}, 0.0).run(workers=1)
time.sleep(2 * scribe.DELAY)
"""


@pytest.mark.parametrize("program", [STOPS, STOPS_MEANWHILE], ids=["before", "while it is made"])
def test_background_processes_that_were_stopped_are_not_started_for_it(directory, program):
    env = os.environ | {"DAGNB_RUNTIME_DIR": str(directory.path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program.format(n=LARGE)], env=env, check=True, timeout=30, cwd=ROOT)
    assert not is_taken(directory.lock)
