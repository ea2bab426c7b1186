"""A notebook run without a front end, as `dagnb run` and the demo do it."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from dagnb.errors import OptionError, RunError
from dagnb.notebook.headless import run_notebook

SETUP = """\
%load_ext dagnb
import time
from dagnb import task
@task
def double(x, seconds=0):
    time.sleep(seconds)
    return 2 * x
n = 3"""


@pytest.fixture
def write(tmp_path):
    """Write a notebook of the given code cells."""

    def make(*cells, tags=None):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
        notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
        if tags is not None:
            notebook.cells[tags + 1].metadata["tags"] = ["parameters"]
        nbformat.write(notebook, tmp_path / "nb.ipynb")
        return tmp_path / "nb.ipynb"

    return make


def output(cell):
    return "".join(o.get("text", "") for o in cell.get("outputs", []))


def test_executed_notebook_reads_well_without_a_kernel(write, tmp_path, capfd):
    path = write(
        SETUP,
        "%%dag d -w 2\nxs = [double(i) for i in range(n)]\nlast = double(xs[2])",
        "%dag run d",
        "print(last.result())",
    )
    done = run_notebook(path, tmp_path / "out.ipynb")
    kept = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    nbformat.validate(kept)
    for notebook in (done, kept):
        assert output(notebook.cells[4]) == "8\n"
        (still,) = notebook.cells[2].outputs
        assert "4 done in" in still.data["text/plain"]
        assert still.data["image/svg+xml"].startswith("<svg")
    assert "widgets" not in kept.metadata
    assert output(nbformat.read(path, as_version=4).cells[4]) == ""  # the original is as it was
    shown = capfd.readouterr().err
    assert [line[:5] for line in shown.splitlines() if line.startswith("✓")] == ["✓ 1/4", "✓ 2/4", "✓ 3/4", "✓ 4/4"]
    assert "4 done in" in shown


def test_without_an_output_the_notebook_is_rewritten(write):
    path = write("print(1 + 1)")
    run_notebook(path)
    assert output(nbformat.read(path, as_version=4).cells[1]) == "2\n"


def test_parameters_and_workers(write):
    path = write(SETUP, "print(n, name)", "import dagnb\nprint(dagnb.workers())")
    found = run_notebook(path, params=["n=[5, 6]", "name=some text"], workers=3)
    assert output(found.cells[3]) == "[5, 6] some text\n"
    assert output(found.cells[4]) == "3\n"


def test_parameters_follow_the_tagged_cell(write):
    path = write("n = 1", "n = 2", "print(n)", tags=1)
    assert output(run_notebook(path, params=["n=7"]).cells[4]) == "7\n"


@pytest.mark.parametrize("text", ["n", "=3", "1n=3", "class=3", ""])
def test_bad_parameters_are_refused(write, text):
    with pytest.raises(OptionError, match="sets no variable"):
        run_notebook(write("1"), params=[text])


@pytest.mark.parametrize("content", [None, "not a notebook", b"\xff\xfe"])
def test_what_is_no_notebook(tmp_path, content):
    path = tmp_path / "nb.ipynb"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(OptionError, match="is no notebook that can be read"):
        run_notebook(path)


def test_a_failing_cell_ends_it_and_loses_nothing(write, tmp_path):
    path = write(SETUP, "print('kept')", "%%dag d\nx = doble(1)", "print('not run')")
    with pytest.raises(RunError, match=r"cell 3 of 4 failed(.|\n)*NameError(.|\n)*Cell In\[3\], line 2"):
        run_notebook(path, tmp_path / "out.ipynb")
    found = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert output(found.cells[2]) == "kept\n"
    assert found.cells[3].outputs[-1].ename == "NameError"
    assert found.cells[4].outputs == []


def test_a_kernel_that_dies_is_named(write):
    with pytest.raises(RunError, match="the kernel died"):
        run_notebook(write("import os\nos._exit(1)"))


@pytest.mark.slow
def test_ctrl_c_is_the_stop_button(write, tmp_path):
    path = write(SETUP, "%%dag d -r\nx = double(1, 60)")
    code = "import sys, pathlib, dagnb.notebook.headless as h; h.run_notebook(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr
        next(line for line in process.stderr if line.startswith("✓ 1/2"))
        time.sleep(3)
        began = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 1
    assert time.monotonic() - began < 10
    assert "cell 2 of 2 failed: d was cancelled: 0 of 1 tasks are done." in rest
