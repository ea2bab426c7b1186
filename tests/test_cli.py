"""The command line, in processes of its own."""

import json
import re
import subprocess
import sys

import nbformat
import pytest

from tests.browser.lab import write_notebook

DAGNB = [sys.executable, "-m", "dagnb"]

CELLS = [
    "%load_ext dagnb\nfrom dagnb import task\nn = 3",
    "@task\ndef square(x):\n    return x * x\n\n@task\ndef add(values):\n    return sum(values)",
    "%%dag sums\ntotal = add([square(i) for i in range(n)])",
    "%dag run sums",
    "print('total', total.result())",
]


def dagnb(*arguments: object, cwd=None, check: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `python -m dagnb …`; the exit code must be `check`."""
    command = [*DAGNB, *map(str, arguments)]
    out = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)
    assert out.returncode == check, f"{out.returncode}\n{out.stdout}\n{out.stderr}"
    return out


def printed(path) -> str:
    """What the code cells of an executed notebook wrote to standard output."""
    notebook = nbformat.read(path, as_version=4)
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def test_version_and_help():
    assert re.match(r"dagnb \d+\.\d+", dagnb("--version").stdout)
    text = dagnb("--help").stdout
    assert all(command in text for command in ("run", "doctor", "clean", "demo"))


def test_unknown_command_is_refused():
    assert "No such command" in dagnb("frobnicate", check=2).stderr


def test_doctor_finds_this_machine_fit():
    checks = json.loads(dagnb("doctor", "--json").stdout)
    assert all(set(check) == {"name", "ok", "detail", "advice"} for check in checks)
    assert any("Redis" in check["name"] for check in checks)
    assert all(check["name"] in dagnb("doctor").stdout for check in checks)


def test_run_executes_a_notebook(tmp_path):
    write_notebook(tmp_path / "sums.ipynb", CELLS)
    dagnb("run", "sums.ipynb", "-o", "out.ipynb", "-w", 2, cwd=tmp_path)
    assert "total 5\n" in printed(tmp_path / "out.ipynb")
    assert nbformat.read(tmp_path / "sums.ipynb", as_version=4).cells[-1].outputs == []


def test_run_says_where_a_notebook_failed(tmp_path):
    write_notebook(tmp_path / "bad.ipynb", [*CELLS[:2], "%%dag sums\ntotal = add(square(int('x')))", "print('after')"])
    out = dagnb("run", "bad.ipynb", "-o", "out.ipynb", cwd=tmp_path, check=1)
    assert "invalid literal" in out.stdout + out.stderr
    assert "after" not in printed(tmp_path / "out.ipynb")


def test_run_of_a_missing_notebook():
    assert "does not exist" in dagnb("run", "nowhere.ipynb", check=2).stderr


@pytest.mark.slow
def test_demo(tmp_path):
    out = dagnb("demo", cwd=tmp_path).stdout
    assert "equal to plain Python" in out
    assert "build/demo/01-first-dag.ipynb" in out
    assert "equal to plain Python" in printed(tmp_path / "build" / "demo" / "01-first-dag.ipynb")
    page = (tmp_path / "build" / "demo" / "01-first-dag.html").read_text()
    assert "data:image/svg+xml" in page or "<svg" in page
    assert not re.findall(r"""(?:src|href)=["']?https?://|@import|import\(["']https?:""", page)
