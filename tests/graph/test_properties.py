"""Random notebooks, random executions.

I    after any history, running all cells in order once more gives the graph of Restart & Run All
II   right after that, running any one cell again changes nothing, or a line says what moved
III  a cell that raises changes nothing
IV   if every name has one giver, II holds for any sequence of cells, without lines

`EXAMPLES=5000 pytest tests/graph/test_properties.py` looks further.
"""

from __future__ import annotations

import ast
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dagnb.graph.naming import Text
from tests.graph.kernel import Kernel

NAMES = ["a", "b", "c", "x"]
FNS = ["f", "g"]
PRELUDE = "@task\ndef f(*a): return 1\n@task\ndef g(*a): return 2"

EXAMPLES = int(os.environ.get("EXAMPLES", "150"))
pytestmark = pytest.mark.timeout(max(120, EXAMPLES))
LOOK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def statement(draw: Any) -> str:
    n, src, fn, k = draw(st.tuples(*(st.sampled_from(s) for s in (NAMES, NAMES, FNS, range(4)))))
    forms = [
        f"{n} = {fn}({k})",
        f"{n} = {fn}({src})",
        f"{n} = {fn}({src}, {k})",
        f"{fn}({src})",
        f"{fn}({k})",
        f"{n} = {fn}({fn}({k}))",
        f"{n} = {fn}({fn}({src}), {src})",
        f"ps = [{fn}(i) for i in range({k})]",
        f"ps = [{fn}(p) for p in ps]",
        f"{n} = {fn}(ps)",
        f"{n} = {fn}({{'k': [{src}, {k}]}})",
        f"d = {{'u': {fn}({k}), 'v': {fn}({src})}}",
        f"{n} = {fn}(d['u'])",
        f"{n} = {fn}({src}['col'])",
        f"{n}, z = h({src})",
        f"for i in range({k}):\n    {n} = {fn}(i)",
        f"{n} = z = {fn}({src})",
        f"del {n}",
        f"{n} = {k}",
        f"_t = {fn}({src})\n{n} = {fn}(_t)",
        f"if {src}: pass",
        f"{n} = {src}",
    ]
    return str(draw(st.sampled_from(forms)))


def bodies(most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(statement(), min_size=1, max_size=most).map(wiring)


@st.composite
def notebook(draw: Any, *, single: bool = False) -> list[str]:
    cells = [PRELUDE + "\n@task(outs=2)\ndef h(x): return x, x"]
    if draw(st.booleans()):  # something to build on, else most statements of short notebooks have nothing to read
        first = ["a = f(0)", "b = g(a)", "ps = [f(i) for i in range(2)]", "d = {'u': f(3), 'v': g(b)}"]
        cells.append("%%dag etl\n" + "\n".join(draw(st.lists(st.sampled_from(first), min_size=1, unique=True))))
    for i in range(draw(st.integers(2, 5))):
        kind = draw(st.integers(0, 9))
        if kind == 0 and not single:
            cells.append(f"{draw(st.sampled_from(NAMES))} = {i}")
        elif kind == 1 and not single:
            cells.append(f"@task\ndef {draw(st.sampled_from(FNS))}(*a): return {10 + i}")
        else:
            cells.append(draw(bodies()))
    return repair(cells)


def replay(cells: list[str]) -> Kernel:
    """Restart & Run All."""
    kernel = Kernel()
    for i, source in enumerate(cells):
        kernel.ok(f"c{i}", source)
    return kernel


def repair(cells: list[str]) -> list[str]:
    """Without the statements that fail in Restart & Run All: what is left is a notebook that succeeds."""
    kept: list[str] = []
    kernel = Kernel()
    for source in cells:
        cell = f"c{len(kept)}"
        if not is_wiring(source):
            if kernel.run(cell, source) is None:
                kept.append(source)
            continue
        good: list[str] = []
        for line in statements(source):
            if kernel.run(cell, wiring([*good, line])) is None:  # a failing cell changes nothing (III)
                good.append(line)
        if good:
            kept.append(wiring(good))
    return kept


def wiring(lines: list[str]) -> str:
    return "%%dag etl\n" + "\n".join(lines)


def statements(cell: str) -> list[str]:
    return [ast.unparse(s) for s in ast.parse(cell.partition("\n")[2]).body]


def data_of(cells: list[str]) -> set[str]:
    """Variables that hold ordinary data at some time."""
    nodes = [n for c in cells for n in ast.walk(ast.parse(c.partition("\n")[2] if is_wiring(c) else c))]
    plain = [
        (n.targets[0].id, n.value) for n in nodes if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
    ]
    data: set[str] = set()
    for _ in plain:  # `a = c` hands data on
        data |= {n for n, v in plain if isinstance(v, ast.Constant) or (isinstance(v, ast.Name) and v.id in data)}
    return data


def is_wiring(cell: str) -> bool:
    return cell.startswith("%%dag")


def body_of(cell: str) -> Text:
    return Text.of(ast.parse(cell.partition("\n")[2] if is_wiring(cell) else cell))


#: `a` is a number when the second cell is run once more, and a number has no ['col'], in any notebook.
OVERWRITTEN = [PRELUDE, "%%dag etl\na = f(0)", "%%dag etl\nf(a)\na = f(a['col'])", "a = 1"]


@LOOK
@given(notebook(), st.lists(st.integers(0, 5), max_size=12), st.integers(0, 9))
@example(OVERWRITTEN, [], 2)
def test_any_history_and_run_all_is_restart_and_run_all(cells: list[str], history: list[int], again: int) -> None:
    assume(len(cells) > 1)
    note("\n-----\n".join(cells))
    want = replay(cells).content
    kernel = Kernel()
    for i in history:
        kernel.run(f"c{i % len(cells)}", cells[i % len(cells)])
    for i, source in enumerate(cells):
        kernel.ok(f"c{i}", source)
    assert kernel.content == want  # I
    assert not kernel.etl.problems
    if any("del " in c for c in cells):
        return  # a deleted variable is deleted, as in any cell
    i = again % len(cells)
    error = kernel.run(f"c{i}", cells[i])
    read = data_of(cells) & set(body_of(cells[i]).order)  # data is read now, as in any cell
    assert error is None or read, repr(error)
    if kernel.content != want and is_wiring(cells[i]):  # II
        assert kernel.notes or read


def gives(lines: str) -> set[str]:
    """The names that lines give or delete."""
    tree = ast.parse(lines)
    gone = {t.id for n in ast.walk(tree) if isinstance(n, ast.Delete) for t in n.targets if isinstance(t, ast.Name)}
    return (Text.of(tree).stored | gone) - {"i", "_t"}


def one_giver(cells: list[str]) -> list[str]:
    """The notebook without the lines that give a name which an earlier cell gives."""
    seen: set[str] = set()
    own = []
    for cell in cells:
        if is_wiring(cell):
            lines = [line for line in statements(cell) if not gives(line) & seen and "del " not in line]
            seen |= gives("\n".join(lines))
            own += [wiring(lines)] if lines else []
        else:
            own.append(cell)
    return repair(own)


@LOOK
@given(notebook(single=True), st.lists(st.integers(0, 5), max_size=10))
def test_one_giver_for_each_name(cells: list[str], history: list[int]) -> None:
    cells = one_giver(cells)
    assume(len(cells) > 1)
    note("\n-----\n".join(cells))
    kernel = replay(cells)
    want = kernel.content
    for i in (step % len(cells) for step in history):
        kernel.ok(f"c{i}", cells[i])
        assert kernel.content == want  # IV
        assert not kernel.notes or not is_wiring(cells[i])


@LOOK
@given(
    st.lists(st.tuples(st.sampled_from(FNS), st.integers(0, 2), st.booleans()), min_size=2, max_size=5),
    st.lists(st.integers(0, 5), max_size=8),
    st.integers(0, 4),
)
def test_chain_of_one_name(steps: list[tuple[str, int, bool]], history: list[int], again: int) -> None:
    """df = f(df) in cell after cell: after Run All any one of them again changes nothing."""
    cells = [PRELUDE]
    for i, (fn, k, extra) in enumerate(steps):
        call = f"df = {fn}({'df, ' * bool(i)}{k})"
        cells.append(f"%%dag etl\n{call}" + f"\ng(df)\nr{i} = g(df, {i})" * extra)
    want = replay(cells).content
    kernel = Kernel()
    for i in history:
        kernel.run(f"c{i % len(cells)}", cells[i % len(cells)])
    for i, source in enumerate(cells):
        kernel.ok(f"c{i}", source)
    assert kernel.content == want
    i = again % len(cells)
    kernel.ok(f"c{i}", cells[i])
    assert kernel.content == want


class Notebook(RuleBasedStateMachine):
    """Edit, insert, delete, run, run a broken cell, and now and then Run All against a fresh kernel."""

    @initialize(cells=notebook())
    def start(self, cells: list[str]) -> None:
        self.cells = cells
        self.ids = [f"c{i}" for i in range(len(cells))]
        self.count = len(cells)
        self.kernel = Kernel()

    @precondition(lambda self: self.cells)
    @rule(i=st.integers(0, 9))
    def run(self, i: int) -> None:
        i %= len(self.cells)
        self.kernel.run(self.ids[i], self.cells[i])

    @precondition(lambda self: self.cells)
    @rule(i=st.integers(0, 9), cell=bodies())
    def edit(self, i: int, cell: str) -> None:
        i %= len(self.cells)
        if is_wiring(self.cells[i]):
            self.cells[i] = cell

    @rule(i=st.integers(0, 9), cell=bodies())
    def insert(self, i: int, cell: str) -> None:
        at = 1 + i % max(1, len(self.cells))
        self.cells.insert(at, cell)
        self.ids.insert(at, f"c{self.count}")
        self.count += 1

    @precondition(lambda self: len(self.cells) > 2)
    @rule(i=st.integers(0, 9))
    def delete(self, i: int) -> None:
        at = 1 + i % (len(self.cells) - 1)
        self.kernel.etl.drop_cell(self.ids[at])
        del self.cells[at], self.ids[at]

    @precondition(lambda self: self.cells)
    @rule(i=st.integers(0, 9))
    def broken(self, i: int) -> None:
        i %= len(self.cells)
        if is_wiring(self.cells[i]):
            before, variables = self.kernel.content, dict(self.kernel.ns)
            assert self.kernel.run(self.ids[i], self.cells[i] + "\n1/0") is not None
            assert self.kernel.content == before  # III
            handles = {n for n, v in self.kernel.ns.items() if type(v).__name__ == "Handle"}
            assert all(self.kernel.ns[n] is variables.get(n) for n in handles if n[0] != "_")

    @precondition(lambda self: self.cells)
    @rule()
    def run_all(self) -> None:
        keep: list[int] = []
        kernel = Kernel()
        for j, source in enumerate(self.cells):  # what Restart & Run All can run
            variables = dict(kernel.ns)
            if kernel.run(f"c{j}", source) is None:
                keep.append(j)
            else:  # it may have changed ordinary data before it failed
                kernel.ns.clear()
                kernel.ns.update(variables)
        for j in set(range(len(self.cells))) - set(keep):
            self.kernel.etl.drop_cell(self.ids[j])
        self.cells, self.ids = [self.cells[j] for j in keep], [self.ids[j] for j in keep]
        for cell, source in zip(self.ids, self.cells, strict=True):
            self.kernel.ok(cell, source)
        assert self.kernel.content == replay(self.cells).content
        assert not self.kernel.etl.problems


TestNotebook = Notebook.TestCase
TestNotebook.settings = settings(
    max_examples=EXAMPLES // 2, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
