"""A real kernel, spoken to as JupyterLab does: what a cell shows, where it lands, what stops Run All."""

import time

import pytest

from tests.notebook import kernel as kernels
from tests.notebook.kernel import VIEW, Kernel

ETL = "%%dag etl\nparts = [nap(i) for i in range(3)]\ntotal = add(*parts)"


@pytest.fixture(autouse=True)
def fresh(kernel: Kernel):
    """Each test has the kernel's DAGs to itself."""
    yield
    assert kernel.run("for one in list(dagnb.session.registry.dags().values()): one.drop()").status == "ok"


def test_a_cell_shows_the_widget_and_a_picture_that_stays(kernel):
    found = kernel.run(ETL, "B")
    assert found.status == "ok"
    assert found.text == ""
    live, still = found.of("display_data")
    assert live["data"]["text/plain"] == ""
    assert live["data"][VIEW]["model_id"]
    assert still["data"]["text/plain"].startswith("etl · 4 tasks")
    assert still["data"]["image/svg+xml"].startswith("<svg")
    mark = still["transient"]["display_id"]
    assert f'<div class="dagnb-static" data-dagnb="{mark}"><img src="data:image/svg+xml,' in still["data"]["text/html"]
    assert mark in str(found.of("comm_msg") + found.of("comm_open"))  # the widget knows which element to hide


def test_run_goes_live_and_refreshes_the_pictures(kernel):
    drawn = kernel.run(ETL, "B").pictures[0]["id"]
    found = kernel.run("%dag run etl", "C")
    assert found.status == "ok", found.error
    here = next(p["id"] for p in found.pictures if p["kind"] == "display_data")
    last = {p["id"]: p["text/plain"] for p in found.pictures}
    assert set(last) == {drawn, here}
    assert all("4 done in" in text for text in last.values())
    assert kernel.run("total.result()").text == "3"


def test_a_background_run_updates_its_own_cell_and_prints_nowhere(kernel):
    first = kernel.run("%%dag etl -b -w 1\nx = nap(7, .5)", "B")
    mark = first.pictures[0]["id"]
    assert "runs in the background" in first.text
    other = kernel.run("time.sleep(2)", "C")
    assert other.text == ""
    assert [(p["kind"], p["id"]) for p in other.pictures] == [("update_display_data", mark)]
    assert "1 done in" in other.pictures[0]["text/plain"]
    assert kernel.run("x.result()").text == "7"


def test_quiet_runs_show_nothing(kernel):
    found = kernel.run("%%dag etl --quiet -r\nx = nap(7)", "B")
    assert {m["msg_type"] for m in found.messages} == {"status", "execute_input"}
    assert kernel.run("etl.run(quiet=True).state.value").text == "'done'"


def test_running_a_cell_again_changes_nothing(kernel):
    cells = {
        "B": "%%dag etl --quiet\nraw = nap(1)",
        "C": "%%dag etl --quiet\nraw2 = add(raw)",
        "D": "%%dag etl --quiet\nend = add(raw, raw2)",
    }
    graph = "sorted(zip(etl.graph.keys, map(str, etl.graph.calls.args), etl.graph.where))"
    for cell, code in cells.items():
        assert kernel.run(code, cell).status == "ok"
    once = kernel.run(graph.replace(", etl.graph.where", "")).text
    for cell in ("B", "C", "D", "C", "B", "B"):
        again = kernel.run(cells[cell], cell)
        assert again.text == "", f"{cell}: nothing moved, so nothing is said"
    assert kernel.run(graph.replace(", etl.graph.where", "")).text == once
    assert "In[" in kernel.run(graph).text


def test_restart_and_run_all_gives_the_same(kernel):
    page = {
        "B": "%%dag etl --quiet\nraw = [nap(i) for i in range(3)]",
        "C": "%%dag etl --quiet\nout = [add(x, 1) for x in raw]",
        "D": "%%dag etl --quiet\nend = add(*out)\nend = add(end)",
    }
    kernel.run(page["B"].replace("3", "5"), "B")
    for cell in ("C", "D", "B"):
        kernel.run(page[cell].replace("3", "4"), cell)
    kernel.run("%%dag etl --quiet\nout = nap(8)", "X")
    kernel.run("0", "Y", deleted=["X"])
    facts = "etl.graph.fingerprint, etl.graph.keys, [str(a) for a in etl.graph.calls.args]"
    with kernels.kernel() as restarted:
        restarted.run(kernels.SETUP, "A")
        for one in (kernel, restarted):
            assert [one.run(code, cell).status for cell, code in page.items()] == ["ok"] * 3
        assert kernel.run(facts).text == restarted.run(facts).text != ""


def test_a_value_stays_while_its_cell_says_the_same(kernel):
    kernel.run(f"{ETL} # one", "B")
    kernel.run("%dag run --quiet", "C")
    kernel.run(f"{ETL} # two", "B")
    assert kernel.run("total.result()").text == "3"
    kernel.run(ETL.replace("range(3)", "range(5)"), "B")
    found = kernel.run("total.result()", "D")
    assert found.status == "error"
    assert "total was changed after the last run of etl." in found.error
    assert "%dag run etl" in found.error


def test_deleted_cells_are_heard_of(kernel):
    kernel.run("%%dag etl --quiet\nraw = nap(1)", "B")
    kernel.run("%%dag etl --quiet\nother = nap(2)", "C")
    assert kernel.run("list(etl)", "D", deleted=["B"]).text == "['other']"


def test_an_interrupt_cancels_with_one_line(kernel):
    kernel.run("%%dag slow --quiet\nxs = [nap(i, 30) for i in range(8)]", "B")
    request = kernel.submit("%dag run slow", "C")
    time.sleep(1.5)
    began = time.monotonic()
    kernel.manager.interrupt_kernel()
    found = kernel.gather(request)
    assert time.monotonic() - began < 5
    assert found.status == "error"  # stops Run All
    assert found.error == "slow was cancelled: 0 of 8 tasks are done. %dag run slow starts again."
    assert "8 cancelled" in found.pictures[-1]["text/plain"]
    assert kernel.run("slow.last.state.value").text == "'cancelled'"
    skipped = kernel.run("xs[0].result()")
    assert skipped.error.startswith("xs[0] was not run: the run of slow was cancelled.")


def test_an_interrupt_while_waiting_for_a_value_leaves_the_run(kernel):
    kernel.run("%%dag slow --quiet -b\nx = nap(1, 4)", "B")
    request = kernel.submit("x.result()", "C")
    time.sleep(1)
    kernel.manager.interrupt_kernel()
    found = kernel.gather(request)
    assert found.error == "stopped waiting for x; the run goes on. %dag cancel slow ends it."
    assert kernel.run("x.result()").text == "1"


FAILING = """\
def inner(v):
    return 1 // v

@task
def divide(v):
    print("dividing by", v)
    half = v / 2
    return inner(v)"""


def test_a_failed_task_shows_the_users_frames_with_cell_lines(kernel):
    kernel.run(FAILING, "F")
    kernel.run("%%dag etl --quiet\nok = divide(1)\nbad = divide(0)\nend = add(ok, bad)", "B")
    label = kernel.run("inner.__code__.co_filename in dagnb.errors.CELL_LABELS").text
    assert label == "True"
    found = kernel.run("%dag run etl", "C")
    lines = found.error.splitlines()
    assert lines[0] == "ZeroDivisionError: integer division or modulo by zero"
    assert lines[1].startswith("  bad (Cell In[")
    assert "line 3) failed on w" in lines[1]
    assert any("line 8, in divide" in line for line in lines)
    assert any("return 1 // v" in line for line in lines)  # the worker knew the source of the cell
    assert "dagnb" not in found.error
    assert kernel.run("ok.result()").text == "1"
    assert kernel.run("end.result()").error.startswith("SkippedError: end was skipped: bad failed: ZeroDivisionError")
    logs = kernel.run("%dag logs etl.bad").text
    assert logs.startswith("dividing by 0\n")
    assert "Traceback" not in logs


def test_errors_of_tasks_are_caught_by_their_own_class(kernel):
    kernel.run(FAILING, "F")
    kernel.run("%%dag etl --quiet\nbad = divide(0)", "B")
    code = """\
try:
    etl.run(quiet=True)
except ZeroDivisionError as error:
    print(isinstance(error, dagnb.TaskError), type(error.__cause__).__name__, error.run is etl.last, error.key)"""
    assert kernel.run(code).text == "True ZeroDivisionError True bad\n"


def test_every_error_stops_run_all(kernel):
    first = kernel.submit("%dag frobnicate", "B")
    second = kernel.submit("print('not to be seen')", "C")
    assert kernel.gather(first).status == "error"
    assert kernel.gather(second).status == "aborted"


def test_a_second_run_while_one_is_live_is_refused(kernel):
    kernel.run("%%dag slow --quiet -b\nx = nap(1, 3)", "B")
    found = kernel.run("%dag run slow", "C")
    assert "slow is running already." in found.error
    again = kernel.run("%%dag slow --quiet\nx = nap(1, 3)", "B")
    assert again.status == "ok"  # the cell leaves the run alone
    assert kernel.run("%dag cancel").text.startswith("slow was cancelled")


def test_await_a_run_and_a_value(kernel):
    kernel.run(f"{ETL}\n", "B")
    code = """\
import asyncio
ticks = 0
async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(.01)
ticking = asyncio.ensure_future(tick())
run = await etl.run_async(quiet=True)
ticking.cancel()
print(run.state.value, await total)"""
    assert kernel.run(code).text == "done 3\n"
    assert kernel.run("ticks > 0").text == "True"


def test_the_last_value_of_a_cell_may_be_ours(kernel):
    kernel.run(ETL, "B")
    (value,) = kernel.run("etl.plan('heft', workers=3)", "C").of("execute_result")
    assert set(value["data"]) == {"text/plain", "text/html", "image/svg+xml"}
    assert "on 3 workers" in value["data"]["text/plain"]
    shown = kernel.run("etl", "D")
    assert shown.pictures[0]["text/plain"].startswith("etl · 4 tasks")
    assert not shown.of("execute_result")
    assert kernel.run("etl.run()", "E").text.startswith("etl · done in ")
    assert "4 done in" in kernel.run("etl.last", "F").of("display_data")[0]["data"]["text/plain"]
    assert kernel.run("total", "G").text == "<total: a add() of etl, not computed here>"


def test_plain_errors_outside_of_the_body_are_left_alone(kernel):
    found = kernel.run("1/0", "B")
    assert found.error.splitlines()[1].startswith("ZeroDivisionError")
    assert "Traceback" in found.error
