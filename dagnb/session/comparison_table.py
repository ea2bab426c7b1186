"""A comparison as text: what stands in the output of a cell that nobody draws, and what `print` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dagnb.planning.words import byte_count, digits, seconds
from dagnb.widgets.wording import clean

if TYPE_CHECKING:
    from .compare import Comparison, Row


def table(comparison: Comparison) -> str:
    """A line per row; with several DAGs a line per DAG, a column per planner, and the geometric means last."""
    return _kinds(comparison) if len(comparison.graphs) > 1 else _rows(comparison)


def _rows(comparison: Comparison) -> str:
    dag = next(iter(comparison.graphs), "")
    best = comparison.best_of(dag)
    units = any(row.plan is not None and not row.plan.has_seconds for row in comparison)
    lines: list[tuple[str, ...]] = [_HEAD]
    lines += [_line(row, best=i == best) for i, row in enumerate(comparison.rows)]
    kept = [c for c in range(len(_HEAD)) if c < 3 or any(line[c] for line in lines[1:])]
    text = _aligned([[line[c] for c in kept] for line in lines])
    notes = ["times are in task units: nothing is known in seconds yet"] * units + _failures(comparison)
    return "\n".join([f"{dag} · {len(comparison.graphs.get(dag, ()))} tasks", text, *notes])


_HEAD = (
    "", "planner", "workers", "makespan", "interval", "best possible", "gap", "GB-seconds", "worker-seconds", "moved",
    "cold starts", "locality",
)  # fmt: skip


def _line(row: Row, *, best: bool) -> tuple[str, ...]:
    if row.plan is None or row.makespan is None:
        return ("", row.planner, row.label, "failed", *[""] * (len(_HEAD) - 4))
    say = seconds if row.plan.has_seconds else digits
    return (
        "★" if best else "",
        row.planner,
        row.label,
        say(row.makespan),
        f"{say(row.interval[0])} – {say(row.interval[1])}" if row.interval else "",
        say(row.lower_bound) if row.lower_bound is not None else "",
        f"{row.gap:.1%}" if row.gap is not None else "",
        f"{row.gb_seconds:.3g}" if row.gb_seconds is not None and row.plan.has_seconds else "",
        f"{row.worker_seconds:.3g}" if row.worker_seconds is not None and row.plan.has_seconds else "",
        byte_count(row.bytes_moved) if row.bytes_moved else "",
        str(row.cold_starts) if row.cold_starts else "",
        f"{row.locality:.0%}" if row.locality is not None else "",
    )


def _kinds(comparison: Comparison) -> str:
    """DAGs × planners: the shortest makespan of each DAG, and what the others take as a multiple of it."""
    ratios, means = comparison.ratios(), comparison.geomeans()
    keys, heads = list(comparison.heads()), list(comparison.heads().values())
    lines: list[Sequence[str]] = [("", "tasks", "shortest", *heads)]
    for dag, graph in comparison.graphs.items():
        spans = [r for r in comparison if r.dag == dag and r.makespan is not None and r.plan is not None]
        least = min(spans, key=lambda r: r.makespan or 0.0, default=None)
        lines.append((clean(dag, 40), f"{len(graph):,}", _say(least), *(_ratio(ratios[dag].get(key)) for key in keys)))
    lines.append(("geometric mean", "", "", *(_ratio(means.get(key)) for key in keys)))
    count = len(comparison.graphs)
    head = f"{count} DAGs: makespan as a multiple of the shortest of each" + _on(comparison)
    return "\n".join([head, _aligned(lines), *_failures(comparison)])


def _failures(comparison: Comparison) -> list[str]:
    """Why planners failed, each reason once."""
    found = Counter((row.planner, clean(row.error, 160)) for row in comparison if row.plan is None)
    return [f"{planner}: {error}" + (f" ({n} times)" if n > 1 else "") for (planner, error), n in found.items()]


def _on(comparison: Comparison) -> str:
    labels = {row.label for row in comparison}
    return f", on {labels.pop()} workers" if len(labels) == 1 else ""


def _say(row: Row | None) -> str:
    if row is None or row.plan is None or row.makespan is None:
        return ""
    return seconds(row.makespan) if row.plan.has_seconds else f"{digits(row.makespan)} units"


def _ratio(value: float | None) -> str:
    return "failed" if value is None else f"{value:.3f}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; words to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    words = {c for c in range(len(widths)) if c == 0 or lines[0][c] == "planner"}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if c in words else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
