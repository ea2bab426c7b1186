"""What importing dagnb costs, and which room may import which."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Modules that cost tens to hundreds of milliseconds: the rooms that use them load them when they do.
HEAVY = {"numpy", "pandas", "bokeh", "dask", "distributed", "IPython", "ipywidgets", "anywidget", "redis", "psutil"}

#: What a worker must not load before its first task (what plans and draws is nothing to it).
NOT_FOR_WORKERS = {"numpy", "bokeh", "dask", "distributed", "IPython", "ipywidgets", "anywidget", "pandas", "click"}


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(out.stdout.splitlines()[-1]))


def test_import_dagnb_loads_nothing_heavy():
    assert not loaded_by("import dagnb") & HEAVY


def test_recording_loads_nothing_heavy():
    """So the background processes of a first run begin while the kernel reads numpy."""
    code = "import dagnb, dagnb.runtime.pool; t = dagnb.task(abs)\nwith dagnb.dag() as d: x = [t(-1), t(-2)]; y = t(x)"
    assert not loaded_by(code) & HEAVY


def test_dir_of_dagnb_loads_nothing_heavy():
    assert not loaded_by("import dagnb; dir(dagnb)") & HEAVY


@pytest.mark.parametrize("module", ["dagnb.__main__", "dagnb.runtime.worker", "dagnb.runtime.execute"])
def test_a_worker_starts_light(module):
    assert not loaded_by(f"import {module}") & NOT_FOR_WORKERS


def test_command_line_loads_neither_jupyter_nor_numpy():
    assert not loaded_by("import dagnb.cli") & HEAVY


def test_import_is_fast():
    """`import dagnb` takes milliseconds; the bound is wide, as the machine may be busy: best of five."""
    code = "import time; t = time.perf_counter(); import dagnb; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    assert min(float(run.stdout) for run in runs) < 0.2


def test_load_ext_is_fast():
    """`%load_ext dagnb` starts nothing and takes under 0.8 s, IPython itself not counted: best of three."""
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); import time;"
        "t = time.perf_counter(); s.run_line_magic('load_ext', 'dagnb'); print(time.perf_counter() - t)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout.splitlines()[-1]) for run in runs) < 0.8


@pytest.mark.parametrize("config", ["pyproject.toml", ".ci/acyclic.toml"])
def test_import_contract(config):
    """Imports point down only; no cycles inside a room: as `make check` has it."""
    tool = Path(sysconfig.get_path("scripts")) / "lint-imports"
    command = [tool, "--no-cache", "--no-logo", "--config", config]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout
