"""The kernel is killed while a run goes on, and started again: what the cells of the next one show."""

import os
import signal
import time

import pytest

from dagnb.runtime.hub import Hub
from dagnb.session import engine
from tests.notebook.kernel import SETUP, VIEW, kernel

GATE = """\
@task
def held(i, gate):
    from pathlib import Path
    while not Path(gate).exists():
        time.sleep(.01)
    return i"""
ETL = "%%dag etl\nparts = [held(i, {gate!r}) for i in range(100)]\ntotal = add(*parts)"


class Orphan:
    """A run that goes on until `free` is called, the cell that it is of, and what stands above that."""

    def __init__(self, gate):
        self.gate = gate
        self.cell, self.setup = ETL.format(gate=str(gate)), f"{SETUP}\n{GATE}"

    def free(self):
        self.gate.touch()


@pytest.fixture
def orphan(tmp_path):
    """A run of `etl` whose kernel was killed."""
    made = Orphan(tmp_path / "gate")
    store = Hub.of(engine.connect()).store
    for run in store.live_runs():
        store.cancel(run)
    with kernel() as first:
        assert first.run(made.setup).status == "ok"
        assert first.run(made.cell, "B").status == "ok"
        assert first.run("%dag run etl -b -w 2", "C").status == "ok"
        made.id = first.run("print(etl.last.id)").text.strip()
        os.kill(first.manager.provisioner.pid, signal.SIGKILL)
        time.sleep(0.2)
    yield made
    made.free()
    for run in store.live_runs():
        store.cancel(run)


def test_restart_and_run_all_joins_the_run(orphan):
    with kernel() as second:
        loaded = second.run(orphan.setup)
        assert "etl · 101 tasks · goes on since" in loaded.text
        shown = second.run(orphan.cell, "B")
        assert "a run of etl is under way since" in shown.text
        assert "started by a kernel that is gone: attached" in shown.text
        assert any(VIEW in content["data"] for content in shown.of("display_data"))
        orphan.free()
        found = second.run("%dag run etl", "C")
        assert found.status == "ok", found.error
        assert "etl is under way: joined" in found.text
        assert "101 done in" in found.pictures[-1]["text/plain"]
        assert second.run("print(total.result(), etl.last.id)").text.split() == ["4950", orphan.id]
        assert orphan.id[:6] in second.run("%dag runs").text
        assert len(second.run("%dag runs").text.splitlines()) == 1 + len(
            Hub.of(engine.connect()).store.remembered()[:20]
        )


def test_attach_needs_no_id_and_no_cells(orphan):
    with kernel() as second:
        assert second.run(orphan.setup).status == "ok"
        shown = second.run("%dag attach")
        assert shown.status == "ok", shown.error
        assert f"run {orphan.id[:6]} of etl, under way since" in shown.text
        assert any(VIEW in content["data"] for content in shown.of("display_data"))
        orphan.free()
        assert second.run("%dag wait etl").status == "ok"
        assert second.run("%dag result etl.total").text == "4950"
        assert second.run("print(dagnb.attach('etl') is etl.last)").text == "True\n"
        # the cells that come later take the run over, and record as ever
        assert second.run(orphan.cell, "B").status == "ok"
        assert second.run("total.result()").text == "4950"
        assert "attached" in second.run("%dag attach etl").text


def test_a_changed_cell_runs_on_its_own(orphan):
    with kernel() as second:
        assert second.run(orphan.setup).status == "ok"
        assert "attached" not in second.run(orphan.cell.replace("range(100)", "range(1, 101)"), "B").text
        found = second.run("%dag run etl -b", "C")
        assert "another run of etl goes on since" in found.text
        assert f"%dag attach {orphan.id[:6]} shows it" in found.text
        assert set(Hub.of(engine.connect()).store.live_runs()) > {orphan.id}
