"""The metrics pane: Bokeh plots of a plan and its run, live while it goes on. Same stem as js/metrics.ts.

BokehJS comes from the Bokeh that is installed, over the comm, once per page: no CDN, and the versions always match. The
first paint is a Bokeh document as JSON; after that only the data of its sources travels, whole, at most twice a second:
a message that is lost does no harm.

    browser                    kernel
    need-bokehjs       ──▶
                       ◀──     bokehjs [the module]         unless this page has it already
    need-doc (dark)    ──▶
                       ◀──     doc (item, number)
                       ◀──     data (sources, number)       while the run goes on
    bye                ──▶
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from dagnb.trace.timeline import Timeline

from .built import built
from .dag import _reply_to_the_sender
from .desk import Desk
from .metrics_figures import Metrics, figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan
    from dagnb.trace.events import Batch

    from .dag import LiveRun


#: Seconds between two messages of data.
PACE = 0.5

log = logging.getLogger("dagnb.widgets")

#: Paints documents: half a second of work each, which no click on another widget shall wait for.
PAINTER = Desk()


class MetricsPane(anywidget.AnyWidget):
    """Plots of one plan and one run, in a cell.

    timeline   what has happened, of a run that is over (or of none yet)
    run        a live run, which the pane then follows; nothing is asked of it before a browser looks
    widget_id  what a still picture of the same figures carries in `data-dagnb`, so that the live one can hide it
    """

    _esm = traitlets.Unicode().tag(sync=True)
    version = traitlets.Unicode().tag(sync=True)
    widget_id = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        graph: TaskGraph,
        plan: Plan | None = None,
        timeline: Timeline | None = None,
        *,
        run: LiveRun | None = None,
        overhead: float = 0.0,
    ) -> None:
        import bokeh

        self.metrics = Metrics(graph, plan, overhead)
        self._run = run
        self._live: _Live | None = None
        self._timeline = timeline
        self._number, self._watched = 0, False
        super().__init__(_esm=built("metrics.js"), version=bokeh.__version__, widget_id=uuid.uuid4().hex[:12])
        self.on_msg(self._hear)
        _reply_to_the_sender(self)

    def close(self) -> None:
        """Let go of the run, and of the browser."""
        self._leave()
        super().close()

    # --- what the browser says ---

    def _hear(self, _: object, content: object, __: object) -> None:
        """A message, on whatever thread: only put it where it will be looked at."""
        if isinstance(content, dict):
            PAINTER.put(lambda: self._answer(content))

    def _answer(self, message: dict[str, Any]) -> None:
        match message.get("kind"):
            case "need-bokehjs":
                self.send({"kind": "bokehjs"}, [bokehjs()])
            case "need-doc":
                self._paint("dark" if message.get("dark") else "light")
            case "bye":
                self._leave()
            case other:
                log.warning("a metrics pane said %r, which is not known", other)

    def _paint(self, theme: str) -> None:
        """The whole document; the run is followed from now on."""
        from bokeh.embed import json_item

        if self._run is not None and self._live is None:
            self._live = _Live(self._run, self._tell)
        live, self._number = self._live, self._number + 1
        timeline, now = (self._timeline, None) if live is None else live.state()
        item = json_item(figures(self.metrics, timeline, now=now, theme=theme))
        self.send({"kind": "doc", "number": self._number, "item": item})

    def _tell(self, timeline: Timeline, now: float | None) -> None:
        """The data of a run that goes on."""
        self.send({"kind": "data", "number": self._number, "sources": self.metrics.sources(timeline, now)})

    def _leave(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()


class _Live:
    """Follows a run and tells of it, at most every PACE seconds, from a daemon thread that ends with the run."""

    def __init__(self, run: LiveRun, tell: Callable[[Timeline, float | None], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._timeline = Timeline(len(run.graph))
        self._zero = time.perf_counter() - _moment(run)
        self._over, self._gone = threading.Event(), threading.Event()
        self._unsubscribe = run.subscribe(self._fold)
        run.on_end(lambda *_: self._over.set())
        threading.Thread(target=self._work, name="dagnb-metrics", daemon=True).start()

    def stop(self) -> None:
        """Tell nothing any more."""
        self._gone.set()
        self._over.set()
        self._unsubscribe()

    def state(self) -> tuple[Timeline, float | None]:
        """A copy of what has happened, and how far the run has come; None when it is over."""
        with self._lock:
            copy = Timeline(len(self._timeline))
            for name, column in self._timeline.columns().items():
                setattr(copy, name, column.copy())
        return copy, None if self._over.is_set() else time.perf_counter() - self._zero

    def _fold(self, batch: Batch) -> None:
        with self._lock:
            self._timeline.apply_batch(batch)

    def _work(self) -> None:
        over = False
        while not over:
            over = self._over.wait(PACE)
            if self._gone.is_set():
                return
            try:
                self._tell(*self.state())
            except Exception:
                log.exception("the metrics of a run cannot be shown any longer")
                return
        self._unsubscribe()


def _moment(run: LiveRun) -> float:
    """Seconds since the run was submitted; a replay, which has no such clock, begins now."""
    submitted = getattr(run, "submitted", None)
    return time.perf_counter() - submitted * 1e-9 if isinstance(submitted, int) else 0.0


@cache
def bokehjs() -> bytes:
    """BokehJS of the installed Bokeh as an ES module, run against a root of its own: `window.Bokeh` stays untouched."""
    import bokeh

    code = (Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js").read_text("utf-8")
    return f"const root={{}};(function(){{{code}\n}}).call(root);export default root.Bokeh;".encode()
