"""The one table: a row per figure, with the goals beside what was measured. A missed goal is printed, never raised."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

MS = 1e3
WIDTHS = (5, 31, 29, 36, 11, 9, 9)
HEAD = ("", "what", "dagnb", "beside", "figure", "must", "stretch")


@dataclass(frozen=True)
class Goal:
    """What GOALS asks of a figure: at least (or at most) so much."""

    must: float | None = None
    stretch: float | None = None
    most: bool = False
    unit: str = "×"

    def said(self, bound: float | None) -> str:
        return "" if bound is None else f"{'≤' if self.most else '≥'} {number(bound)}{self.unit}"

    def reached(self, value: float) -> str:
        """✓✓ the stretch goal, ✓ what must be, ✗ neither."""
        if self.must is None:
            return ""
        ok = [
            bound is not None and (value <= bound if self.most else value >= bound)
            for bound in (self.must, self.stretch)
        ]
        return "✓✓" if ok[1] else "✓" if ok[0] else "✗"


@dataclass
class Row:
    """One line. `ours` and `theirs`: what each round measured, times in seconds; ratios are per round."""

    figure: str
    what: str
    ours: list[float]
    theirs: list[float] = field(default_factory=list)
    peer: str = ""
    goal: Goal = field(default_factory=Goal)
    unit: str = "ms"
    value: float | None = None
    note: str = ""

    def measured(self) -> float:
        """The figure: given, else the median of the ratios to the peer, else the median of what is ours."""
        if self.value is not None:
            return self.value
        if self.theirs:
            return statistics.median(b / a for a, b in zip(self.ours, self.theirs, strict=True))
        return statistics.median(self.ours) if self.ours else float("nan")

    def cells(self) -> tuple[str, ...]:
        value = self.measured()
        beside = f"{self.peer} {spread(self.theirs, self.unit)}" if self.theirs else self.note
        said = f"{number(value)}{self.goal.unit} {self.goal.reached(value)}".rstrip()
        return (
            *(self.figure, self.what, spread(self.ours, self.unit) if self.ours else "", beside, said),
            *(self.goal.said(self.goal.must), self.goal.said(self.goal.stretch)),
        )


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(times: list[float], unit: str) -> str:
    """Median (least–most)."""
    scale = {"ms": 1e3, "µs": 1e6, "MB": 1e-6}.get(unit, 1.0)
    middle, low, high = (number(f * scale) for f in (statistics.median(times), min(times), max(times)))
    return f"{middle} {unit} ({low}–{high})".replace("  ", " ")


def head() -> None:
    line(HEAD)
    print("─" * (sum(WIDTHS) + 2 * len(WIDTHS)))


def line(cells: tuple[str, ...]) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip(), flush=True)


def show(row: Row) -> None:
    """Print a row as soon as it is known."""
    line(row.cells())
    if row.theirs and row.note:
        print(" " * (WIDTHS[0] + 2) + row.note, flush=True)
