"""The example notebooks do what they say: executed in a fresh kernel, results verified, committed outputs readable."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: What a saved notebook must not tell about the machine it was executed on.
MACHINE = re.compile(r"/(home|root|tmp|work|Users|opt|usr/lib|var)/|https?://127\.0\.0\.1")


def execute(path: Path, where: Path) -> nbformat.NotebookNode:
    """The notebook, executed from a directory of its own."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(notebook, timeout=110, resources={"metadata": {"path": str(where)}}).execute()
    return notebook


def printed(cell: nbformat.NotebookNode) -> str:
    """The text that a cell put on the page."""
    texts = [o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return "\n".join(texts)


def outputs_of(cell: nbformat.NotebookNode, kind: str) -> list[str]:
    """The outputs of one MIME type."""
    return [o.data[kind] for o in cell.outputs if kind in o.get("data", {})]


def cell_with(notebook: nbformat.NotebookNode, text: str) -> nbformat.NotebookNode:
    """The one code cell whose source contains a text."""
    (cell,) = [c for c in notebook.cells if c.cell_type == "code" and text in c.source]
    return cell


def test_first_dag(tmp_path):
    notebook = execute(ROOT / "notebooks" / "01-first-dag.ipynb", tmp_path)
    assert len(notebook.cells) == 10
    assert printed(notebook.cells[-1]).strip() == "equal to plain Python"
    table = printed(cell_with(notebook, "print(report.result())"))
    assert len(re.findall(r"^\w+ +\d+ +\d+ +\d+$", table, re.MULTILINE)) == 15
    drawn = cell_with(notebook, "%%dag survey")
    assert any("<svg" in svg for svg in outputs_of(drawn, "image/svg+xml"))
    assert any("32 tasks" in text for text in outputs_of(drawn, "text/plain"))


@pytest.mark.slow
def test_research_pipeline(tmp_path):
    notebook = execute(ROOT / "notebooks" / "02-research-pipeline.ipynb", tmp_path)
    assert re.match(r"78 fits; .*; equal to plain Python", printed(notebook.cells[-1]).strip())
    assert len(outputs_of(cell_with(notebook, "Image(figure"), "image/png")) == 1
    assert "support vectors" in printed(cell_with(notebook, "ranking.result().head"))


@pytest.mark.slow
def test_planners(tmp_path):
    notebook = execute(ROOT / "notebooks" / "03-planners.ipynb", tmp_path)
    last = re.fullmatch(
        r"42 tasks came back unchanged; acting took (\S+) times the plan", printed(notebook.cells[-1]).strip()
    )
    assert last, printed(notebook.cells[-1])
    assert 0.95 < float(last[1]) < 2, "a busy machine makes it late, nothing makes it early"
    overview = printed(cell_with(notebook, "planner_names()\n"))
    assert overview.count("1.000") >= 6, "some planner is best on each kind"
    for row in ("bag", "chain", "forkjoin", "diamond", "mapreduce", "mosaic", "geometric mean"):
        assert re.search(rf"^{row} ", overview, re.MULTILINE)
    assert "failed" not in overview
    assert re.search(r"^★ +\w+ +4 ", printed(cell_with(notebook, "%dag compare mapreduce")), re.MULTILINE)
    acted = cell_with(notebook, 'mode="sleep"')
    assert any("<svg" in svg for svg in outputs_of(acted, "image/svg+xml"))
    assert len(re.findall(r"planned \S+ s, acted \S+ s", printed(acted))) == 3
    assert "mProject " in printed(cell_with(notebook, ".analysis()"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_read_well(path):
    """On GitHub there is no kernel: the static picture is there, small, and says nothing about a machine."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 300_000
    assert "widgets" not in notebook.metadata
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        assert not [o for o in cell.outputs if o.output_type == "error"]
        text = "\n".join(str(o.get("text", o.get("data", ""))) for o in cell.outputs)
        assert not MACHINE.search(text), MACHINE.search(text)
        if cell.source.startswith("%%dag"):
            assert any("<svg" in svg for svg in outputs_of(cell, "image/svg+xml"))
