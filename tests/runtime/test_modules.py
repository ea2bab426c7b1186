"""Modules of the notebook's folder: changed ones are read anew, and nobody sees those of another folder."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dagnb.runtime.modules import TICK, Modules
from dagnb.runtime.pool import LocalPool
from tests.runtime import dags
from tests.runtime.life import ROOT, settings

if TYPE_CHECKING:
    from dagnb.runtime.directory import RuntimeDir

NAME = "helper_of_a_test"


def helped(_: int = 0) -> object:
    """What the module of the folder says, and which process says it."""
    import helper_of_a_test

    return helper_of_a_test.WORD, os.getpid()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop(NAME, None)


def write(folder: Path, word: str) -> None:
    (folder / f"{NAME}.py").write_text(f"WORD = {word!r}\ndef word(_=0):\n    return {word!r}\n")


def everywhere(pool: LocalPool, function=helped, tasks: int = 4) -> set[object]:
    sketch = dags.Sketch()
    for i in range(tasks):
        sketch(function, i)
    done = dags.run(sketch.graph(), pool)
    assert not done.errors()
    return {done.result(key) for key in done.graph.keys}


def test_a_changed_module_is_used_in_the_next_run(pool, folder):
    """Of the same length, so that only its time tells; and what was imported is imported once."""
    pids = []
    for word in ("one", "two", "six"):
        write(folder, word)
        time.sleep(0.03)  # a file that is changed while it is read for the first time costs another start
        first, again = everywhere(pool), everywhere(pool)
        assert {said for said, _ in first | again} == {word}
        pids.append({pid for _, pid in first})
    assert not pids[0] & pids[1]
    assert all(not worker.broken for worker in pool.status().workers)


def test_a_function_that_is_named_by_its_module_does_not_stay_old(pool, folder):
    write(folder, "one")
    function = importlib.import_module(NAME).word
    time.sleep(0.03)
    assert everywhere(pool, function) == {"one"}
    write(folder, "two")
    assert everywhere(pool, function) == {"two"}


def test_a_module_that_is_written_after_a_failure_is_found(pool, folder):
    sketch = dags.Sketch()
    sketch(helped)
    assert "ModuleNotFoundError" in dags.run(sketch.graph(), pool).errors()[0].type
    write(folder, "late")
    assert {said for said, _ in everywhere(pool)} == {"late"}


def test_a_worker_stays_where_nothing_has_changed(pool, folder):
    write(folder, "one")
    time.sleep(0.03)
    everywhere(pool)
    seen = {pid for _ in range(5) for _, pid in everywhere(pool)}
    before = pool.status()
    assert seen <= {worker.pid for worker in before.workers}
    everywhere(pool)
    assert pool.status().deaths == before.deaths


def test_what_was_changed_about_when_it_was_imported_is_not_trusted(folder):
    modules = Modules()
    write(folder, "one")
    importlib.import_module(NAME)
    assert modules.stale() == [str(folder / f"{NAME}.py")]


def test_stamps_tell_a_file_of_the_same_length_and_time(folder):
    write(folder, "one")
    time.sleep(TICK * 1e-9 * 3)
    modules = Modules()
    importlib.import_module(NAME)
    assert modules.stale() == []
    file = folder / f"{NAME}.py"
    old = file.stat()
    time.sleep(TICK * 1e-9)
    write(folder, "two")
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert modules.stale() == [str(file)]


def test_modules_that_were_installed_are_not_watched():
    modules = Modules()
    before = set(modules._stamps)
    sys.modules.pop("plistlib", None)
    importlib.import_module("plistlib")
    assert modules.stale() == []
    assert set(modules._stamps) == before


def test_a_new_package_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path)])
    modules = Modules()
    assert modules.stale() == []
    (tmp_path / "some-1.2.dist-info").mkdir()
    assert modules.stale() == [str(tmp_path)]


KERNEL = """
import sys, os
sys.path.insert(0, os.getcwd())
os.environ["COLOUR"] = sys.argv[1]
import dagnb
@dagnb.task
def look(i):
    import time, helper_of_a_test
    time.sleep(0.01)
    return helper_of_a_test.WORD, os.environ["COLOUR"], os.getcwd()
for _ in range(5):
    with dagnb.dag("d", new=True) as dag:
        found = [look(i) for i in range(10)]
    dag.run()
    told = {handle.result() for handle in found}
    assert told == {(sys.argv[1], sys.argv[1], os.getcwd())}, told
print("right")
"""


def test_notebooks_of_two_folders_do_not_see_each_others_module_or_environment(directory: RuntimeDir, tmp_path):
    kernels = []
    for word in ("red", "blue"):
        folder = tmp_path / word
        folder.mkdir()
        write(folder, word)
        environ = os.environ | {"DAGNB_RUNTIME_DIR": str(directory.path), "PYTHONPATH": ROOT}
        kernels.append(
            subprocess.Popen(
                [sys.executable, "-c", KERNEL, word], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True
            )
        )
    try:
        assert [kernel.communicate(timeout=40)[0] for kernel in kernels] == ["right\n", "right\n"]
    finally:
        LocalPool.connect(settings(directory)).stop()
