"""The metric plots as Bokeh figures: each has its data in named sources, which alone change while a run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagnb.planning.phases import Phases
from dagnb.planning.words import plural

from .metrics_data import PARTS, Curves, bars, dots, kinds_shown, reach
from .theme import FONT, THEMES, Theme
from .wording import clean, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bokeh.model import Model

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.trace.timeline import Timeline

#: Data source → column → values.
Sources = dict[str, dict[str, list[Any]]]

#: Height of a plot in pixels; the width follows the page.
HEIGHT = 200
#: Colours of the parts of a task, light and dark, told apart by colour-blind readers.
PART_COLOURS = {
    "light": ("#c9d1da", "#e69f00", "#0067a8", "#cc79a7"),
    "dark": ("#586474", "#e6a93c", "#3d9be0", "#dd88bb"),
}


@dataclass(frozen=True, eq=False, slots=True)
class Metrics:
    """What the plots are of. A plan in task units has no seconds: then only what happened is drawn."""

    graph: TaskGraph
    plan: Plan | None = None
    overhead: float = 0.0

    @property
    def planned(self) -> Timeline | None:
        """The forecast, where it has seconds."""
        return self.plan.timeline if self.plan is not None and self.plan.has_seconds else None

    @property
    def kinds(self) -> list[int]:
        """Numbers of the kinds that have bars."""
        return kinds_shown(self.graph, self.planned)

    @property
    def labels(self) -> list[str]:
        """Their names, short and each once."""
        names = [shorten(self.graph.kinds[kind], 84, 10) for kind in self.kinds]
        return [name if names.index(name) == i else f"{name} {i}" for i, name in enumerate(names)]

    def sources(self, timeline: Timeline | None, now: float | None = None) -> Sources:
        """The data of all plots. `now` is how far a live run has come; None: it has ended, or has not begun."""
        graph, planned = self.graph, self.planned
        ended = reach(timeline)
        last = max(reach(planned), ended, now or 0.0)
        before = Phases.of(graph, planned, overhead=self.overhead) if planned is not None else None
        after = Phases.of(graph, timeline) if timeline is not None else None
        found: Sources = {"planned": _curves(graph, planned, last, last)}
        found["actual"] = _curves(graph, timeline if ended > 0 or now else None, last, now or last)
        found["dots"] = self._dots(before, after)
        ends = [*found["dots"]["planned"], *found["dots"]["actual"]]
        found["diagonal"] = {"at": [min(ends) / 1.5, max(ends) * 1.5] if ends else []}
        found["parts"] = self._parts(before, after)
        return found

    def _dots(self, before: Phases | None, after: Phases | None) -> dict[str, list[Any]]:
        tasks = dots(before, after)
        if before is None or after is None:
            return {name: [] for name in ("planned", "actual", "task", "kind", "number")}
        return {
            "planned": before.execute[tasks].tolist(),
            "actual": after.execute[tasks].tolist(),
            "task": [clean(self.graph.keys[i], 60) for i in tasks.tolist()],
            "kind": [clean(self.graph.kinds[k], 60) for k in self.graph.kind[tasks].tolist()],
            "number": [str(k % 8) for k in self.graph.kind[tasks].tolist()],
        }

    def _parts(self, before: Phases | None, after: Phases | None) -> dict[str, list[Any]]:
        """Two rows for each kind: as planned, and as it was."""
        found: dict[str, list[Any]] = {"row": []}
        sides = [("planned", before), ("actual", after)]
        heights = [bars(self.graph, phases, self.kinds) for _, phases in sides]
        for part in PARTS:
            found[part] = [heights[side][part][k] for k in range(len(self.kinds)) for side in (0, 1)]
        found["row"] = [[label, side] for label in self.labels for side, _ in sides]
        return found


def _curves(graph: TaskGraph, timeline: Timeline | None, last: float, now: float) -> dict[str, list[Any]]:
    if timeline is None or last <= 0:
        return {name: [] for name in ("at", "busy", "rate", "moved", "held")}
    return Curves.of(graph, timeline, last, now).columns()


def figures(
    metrics: Metrics, timeline: Timeline | None = None, *, now: float | None = None, theme: str = "light"
) -> Model:
    """The plots as one Bokeh model, with a source of that name for each of `Metrics.sources`.

    utilisation, throughput, bytes moved, bytes held over time, planned and actual; execution planned × actual of every
    task; what the tasks of each kind spend their time on.
    """
    from bokeh.models import Column, ColumnDataSource

    data = metrics.sources(timeline, now)
    sources = {name: ColumnDataSource(data=columns, name=name) for name, columns in data.items()}
    look = THEMES[theme]
    plots = [
        _over_time("Workers at work", "busy", "0.[0]", sources, look),
        _over_time("Tasks per second", "rate", "0.[0]a", sources, look),
        _over_time("Bytes moved between workers", "moved", "0.[0] d", sources, look),
        _over_time("Bytes held for tasks to come", "held", "0.[0] d", sources, look),
        _scatter(metrics, sources, look),
        _stacked(metrics, sources, look, PART_COLOURS[theme]),
    ]
    grid = ":host { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 8px; }"
    return Column(children=plots, sizing_mode="stretch_width", stylesheets=[grid])


def _figure(title: str, look: Theme, **options: Any) -> Any:
    from bokeh.plotting import figure

    plot: Any = figure(
        title=title,
        height=HEIGHT,
        min_width=260,
        sizing_mode="stretch_width",
        tools="xbox_zoom,reset",
        toolbar_location="above",
        output_backend="canvas",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border=4,
        **options,
    )
    plot.toolbar.logo, plot.toolbar.autohide = None, True
    plot.title.text_color, plot.title.text_font, plot.title.text_font_size = look.text, FONT, "12px"
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.major_label_text_color = axis.axis_label_text_color = look.quiet
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "10px"
        axis.axis_label_text_font_style = "normal"
        axis.axis_line_color = axis.major_tick_line_color = look.border
        axis.minor_tick_line_color = None
    for grid in (*plot.xgrid, *plot.ygrid):
        grid.grid_line_color, grid.grid_line_alpha = look.border, 0.5
    return plot


def _over_time(title: str, column: str, unit: str, sources: Mapping[str, Any], look: Theme) -> Any:
    from bokeh.models import DataRange1d, HoverTool, NumeralTickFormatter

    plot = _figure(title, look, x_range=DataRange1d(start=0, range_padding=0.0), y_range=DataRange1d(start=0))
    planned = plot.line("at", column, source=sources["planned"], color=look.quiet, line_dash="dashed", line_width=1.5)
    area = plot.varea("at", 0, column, source=sources["actual"], color=look.strong[3], alpha=0.25)
    line = plot.line("at", column, source=sources["actual"], color=look.strong[3], line_width=1.5)
    plot.yaxis[0].formatter = NumeralTickFormatter(format=unit)
    plot.xaxis[0].axis_label = "seconds since submission"
    plot.add_tools(
        HoverTool(renderers=[line], tooltips=[("actual", f"@{column}{{{unit}}}"), ("at", "@at{0.00} s")], mode="vline"),
        HoverTool(renderers=[planned], tooltips=[("planned", f"@{column}{{{unit}}}")], mode="vline"),
    )
    _legend(plot, look, [("planned", [planned]), ("actual", [area, line])])
    return plot


def _scatter(metrics: Metrics, sources: Mapping[str, Any], look: Theme) -> Any:
    """Every task: planned across, actual up; on the diagonal it took what was planned."""
    from bokeh.models import HoverTool
    from bokeh.transform import factor_cmap

    has = metrics.planned is not None
    title = "Execution of each task" if has else "Execution of each task: the plan has no seconds"
    plot = _figure(title, look, x_axis_type="log", y_axis_type="log")
    colour = factor_cmap("number", list(look.kinds), [str(k) for k in range(len(look.kinds))])
    found = plot.scatter("planned", "actual", source=sources["dots"], size=6, color=colour, alpha=0.75, line_color=None)
    plot.line(
        "at", "at", source=sources["diagonal"], line_color=look.quiet, line_dash="dashed"
    )  # and the range of both
    plot.xaxis[0].axis_label, plot.yaxis[0].axis_label = "planned seconds", "actual seconds"
    tips = [("task", "@task"), ("kind", "@kind"), ("planned", "@planned{0.000} s"), ("actual", "@actual{0.000} s")]
    plot.add_tools(HoverTool(renderers=[found], tooltips=tips))
    return plot


def _stacked(metrics: Metrics, sources: Mapping[str, Any], look: Theme, colours: Sequence[str]) -> Any:
    """For each kind two bars, planned and actual: what its tasks spend their time on."""
    from bokeh.models import FactorRange, HoverTool, NumeralTickFormatter

    rows = [(label, side) for label in metrics.labels for side in ("planned", "actual")]
    titled = f"A task of each kind, on average ({plural(len(metrics.graph.kinds), 'kind')})"
    places = FactorRange(factors=rows[::-1], range_padding=0.05, group_padding=0.6)
    plot = _figure(titled, look, y_range=places)
    plot.height = max(HEIGHT, 60 + 30 * len(metrics.labels))
    drawn = plot.hbar_stack(
        list(PARTS), y="row", height=0.85, source=sources["parts"], color=list(colours), line_color=look.page
    )
    plot.xaxis[0].formatter, plot.xaxis[0].axis_label = NumeralTickFormatter(format="0.[000]"), "seconds"
    plot.x_range.start, plot.x_range.range_padding = 0, 0.05
    plot.yaxis[0].group_text_color, plot.yaxis[0].group_text_font_size = look.text, "10px"
    plot.yaxis[0].separator_line_color = None
    plot.ygrid[0].grid_line_color = None
    tips = [("", "@row")] + [(part, f"@{part}{{0.0000}} s") for part in PARTS]
    plot.add_tools(HoverTool(renderers=drawn[:1], tooltips=tips, mode="hline"))
    _legend(plot, look, [(part, [bar]) for part, bar in zip(PARTS, drawn, strict=True)])
    return plot


def _legend(plot: Any, look: Theme, items: Sequence[tuple[str, list[Any]]]) -> None:
    from bokeh.models.annotations import Legend, LegendItem

    legend: Any = Legend(items=[LegendItem(label=label, renderers=glyphs) for label, glyphs in items])
    legend.orientation, legend.background_fill_alpha, legend.border_line_color = "horizontal", 0.0, None
    legend.label_text_color, legend.label_text_font, legend.label_text_font_size = look.quiet, FONT, "10px"
    legend.padding, legend.spacing, legend.margin, legend.glyph_width = 0, 10, 0, 14
    legend.label_standoff = 4
    plot.add_layout(legend, "above")
