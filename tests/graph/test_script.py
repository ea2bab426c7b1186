"""Without cells a `with` block is its file, its function and its place in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAD = """
import sys
from dagnb.graph.builder import GraphBuilder
from dagnb.graph.cells import CELLS, calling_frame
from dagnb.graph.task import task

class Dag:
    def __init__(self, name="etl"):
        self.builder = GraphBuilder(name)
    def __enter__(self):
        self.builder.enter(sys._getframe(1))
        return self
    def __exit__(self, kind, error, tb):
        self.builder.exit(error)
    @property
    def names(self):
        return " ".join(self.builder.graph().keys)

@task
def load(x): return x
"""


def run(tmp_path: Path, body: str) -> tuple[str, str]:
    script = tmp_path / "flow.py"
    script.write_text(HEAD + body)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


def test_blocks_extend(tmp_path: Path) -> None:
    out, err = run(tmp_path, "etl = Dag()\nwith etl:\n    a = load(1)\nwith etl:\n    b = load(a)\nprint(etl.names)\n")
    assert (out, err) == ("a b\n", "")


def test_entering_the_same_block_again_replaces(tmp_path: Path) -> None:
    body = """
etl = Dag()
for n in (3, 1):
    with etl:
        parts = [load(i) for i in range(n)]
print(etl.names)

def build(dag, n):
    with dag:
        x = [load(i) for i in range(n)]
    with dag:
        y = load(x)
    return dag.names

other = Dag()
print(build(other, 2), "|", build(other, 1))
print(list(other.builder.cells))
"""
    out, err = run(tmp_path, body)
    file = tmp_path / "flow.py"
    assert err == ""
    assert out.splitlines() == ["parts[0]", "x[0] x[1] y | x[0] y", f"['{file}:build#0', '{file}:build#1']"]


def test_scopes(tmp_path: Path) -> None:
    body = "def one(): return CELLS.scope(sys._getframe())\nprint(one(), CELLS.scope(sys._getframe()))\n"
    body += "CELLS.begin('c')\nprint(repr(one()))\n"
    out, _ = run(tmp_path, body)
    file = tmp_path / "flow.py"
    assert out == f"{file}:one {file}:<module>\n''\n"


def test_errors_name_the_file(tmp_path: Path) -> None:
    body = "etl = Dag()\nwith etl:\n    a = load(1)\nprint(etl.builder.graph().where)\nfor x in a: pass\n"
    out, err = run(tmp_path, body)
    line = HEAD.count("\n") + 3
    assert out == f"('File flow.py, line {line}',)\n"
    assert "cannot loop over a: its length is not known before the run.\n" in err
    assert f"\n  File flow.py, line {line + 2}: for x in a: pass\n" in err


def test_a_module_function_is_followed(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text("from dagnb.graph.task import task\n@task\ndef f(x): return 1\n")
    body = """
import importlib, pathlib, steps
etl = Dag()
with etl:
    a = steps.f(1)
    quick, slow = task(len, est=1), task(len, est=2)
    q = quick([])
    s = slow([])
print(etl.builder.graph().duration.tolist()[1:])
CELLS.begin("a cell")
file = pathlib.Path(steps.__file__)
file.write_text(file.read_text().replace("return 1", "return 22"))
importlib.reload(steps)
print(etl.builder.graph().calls.functions[0](0))
"""
    out, err = run(tmp_path, body)
    assert (out, err) == ("[1.0, 2.0]\n22\n", "")
