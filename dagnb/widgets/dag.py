"""The one widget: a graph and its plan, live while it runs. Same stem as js/dag.ts.

Traitlets hold only what is small and worth saving with the notebook; everything else goes by messages (feed.py). Words
from the browser are put on a queue at once, because they may come on any thread, also while a cell blocks; one daemon
thread answers them.
"""

from __future__ import annotations

import json
import logging
import math
import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anywidget
import traitlets

from dagnb.trace.events import EventSource, TaskState

from .feed import Feed
from .snapshot import Picture

if TYPE_CHECKING:
    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

BUNDLE = Path(__file__).parent / "bundle" / "dag.js"

#: Characters of a log that are shown; the tail, since that is where things go wrong.
TAIL = 20_000

log = logging.getLogger("dagnb.widgets")


class LiveRun(EventSource, Protocol):
    """What the widget needs of a run. `dagnb.runtime.run.Run` has this shape, and so may a replay."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def graph(self) -> TaskGraph:
        """What it runs."""

    @property
    def state(self) -> str:
        """running, done, failed or cancelled."""

    def on_end(self, callback: Callable[..., None], /) -> object:
        """Call `callback` when the run is over, at once if it is."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What the buttons do; a button without an action is not shown.

    run      start a run in the background; raise to refuse
    cancel   cancel the run that is shown
    detail   further facts for the drawer, by key of the task: `resources` (a mapping), `where`, `error`, `traceback`,
             `stdout`, `stderr`, `note`
    """

    run: Callable[[], object] | None = None
    cancel: Callable[[], object] | None = None
    detail: Callable[[str], Mapping[str, Any]] | None = None

    def named(self) -> list[str]:
        """The names of the buttons that do something."""
        return [name for name in ("run", "cancel") if getattr(self, name) is not None]


class DagWidget(anywidget.AnyWidget):
    """A task graph with its plan, in a cell.

    `show_plan` puts another plan (or graph) into the picture, `follow` a run; both may be called from any thread.
    `widget_id` is what a still picture of the same DAG carries in `data-dagnb`, so that the live one can hide it.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    mode = traitlets.Enum(("graph", "plan"), "graph").tag(sync=True)
    selection = traitlets.Int(-1).tag(sync=True)
    header = traitlets.Dict().tag(sync=True)
    summary = traitlets.Dict().tag(sync=True)
    widget_id = traitlets.Unicode().tag(sync=True)

    def __init__(self, graph: TaskGraph, plan: Plan | None = None, *, actions: Actions | None = None) -> None:
        self.actions = actions or Actions()
        self._run: LiveRun | None = None
        self._ended: list[Callable[[LiveRun], None]] = []
        self._picture = Picture(graph, plan)
        super().__init__(_esm=bundle(), widget_id=uuid.uuid4().hex[:12], header=_header(graph, plan, self.actions))
        self.feed = Feed(self.send, self._picture)
        self.on_msg(self._hear)
        _reply_to_the_sender(self)

    @property
    def graph(self) -> TaskGraph:
        """What is shown."""
        return self._picture.graph

    @property
    def plan(self) -> Plan | None:
        """The plan that is shown."""
        return self._picture.plan

    # --- what it shows ---

    def show_plan(self, plan: Plan | None, graph: TaskGraph | None = None) -> None:
        """Show a plan before its run. `graph` when that has changed too."""
        self._run = None
        self._paint(graph or self.graph, plan)
        self.summary = {}
        self.feed.show(self._picture)

    def follow(self, run: LiveRun, plan: Plan | None = None) -> None:
        """Let the picture follow a run, from its first event on; `plan` defaults to the run's own."""
        self._run = run
        self._paint(run.graph, plan or getattr(run, "plan", None) or self.plan)
        self.summary = {"run": run.id, "state": "running"}
        self.feed.follow(self._picture, run, run.id, lambda: str(run.state))
        run.on_end(lambda *_: self._end(run))

    def _paint(self, graph: TaskGraph, plan: Plan | None) -> None:
        self._picture = Picture(graph, plan, self._picture)
        self.header = _header(graph, plan, self.actions)

    def on_end(self, callback: Callable[[LiveRun], None]) -> None:
        """Call `callback` with a run that was followed, from its thread, after its end has been noted."""
        self._ended.append(callback)

    def close(self) -> None:
        """Let go of the run, and of the browser."""
        self.feed.close()
        self._run = None
        super().close()

    def _end(self, run: LiveRun) -> None:
        if run is not self._run:
            return
        makespan = getattr(run, "makespan", None)
        self.summary = {
            "run": run.id,
            "state": str(run.state),
            "makespan": float(makespan) if makespan is not None and math.isfinite(makespan) else 0.0,
            "counts": {
                TaskState(s).name.lower(): int(n) for s, n in (getattr(run, "progress", None) or {}).items() if n
            },
        }
        self.feed.touch()
        for callback in tuple(self._ended):
            callback(run)

    # --- what the browser says ---

    def _hear(self, _: object, content: object, __: object) -> None:
        """A message, on whatever thread: only put it where it will be looked at."""
        if isinstance(content, dict):
            DESK.put(lambda: self._answer(content))

    def _answer(self, message: dict[str, Any]) -> None:
        match message.get("kind"):
            case "get-detail":
                self._tell(message.get("task"))
            case "action":
                self._act(str(message.get("name")))
            case "ready" | "resync" | "ack" | "bye":
                self.feed.hear(message)
            case other:
                log.warning("a widget said %r, which is not known", other)

    def _tell(self, task: object) -> None:
        if not isinstance(task, int) or not 0 <= task < len(self.graph):
            return
        try:
            detail = self._detail(task)
        except Exception as error:  # noqa: BLE001  logs may be anywhere, their store gone: the drawer says so
            detail = {"note": f"could not be read: {error}"}
        self.send({"kind": "detail", "task": task, "detail": detail})

    def _detail(self, task: int) -> dict[str, Any]:
        graph, run = self.graph, self._run
        key = graph.keys[task]
        found: dict[str, Any] = {"where": graph.where[task] if task < len(graph.where) else ""}
        logs = getattr(run, "logs", None)
        if logs is not None and self.feed.timeline.state[task] > TaskState.READY:
            told = logs(key)
            found |= {name: getattr(told, name, "") for name in ("stdout", "stderr", "traceback")}
        if self.actions.detail is not None:
            found |= self.actions.detail(key)
        return {name: _plain(value) for name, value in found.items() if value}

    def _act(self, name: str) -> None:
        action = getattr(self.actions, name, None) if name in self.actions.named() else None
        if action is None:
            self.send({"kind": "said", "action": name, "ok": False, "text": f"There is no {name!r} here."})
            return
        try:
            answer = action()
        except Exception as error:  # noqa: BLE001  whatever refuses, the reader of the widget has to see why
            text = str(error).strip().splitlines() or [type(error).__name__]
            self.send({"kind": "said", "action": name, "ok": False, "text": text[0]})
        else:
            self.send({"kind": "said", "action": name, "ok": True, "text": answer if isinstance(answer, str) else ""})


def _header(graph: TaskGraph, plan: Plan | None, actions: Actions) -> dict[str, Any]:
    """The facts of the header line; js/toolbar.ts words them."""
    told = plan is not None and plan.has_seconds and plan.makespan is not None
    return {
        "name": graph.name,
        "tasks": len(graph),
        "planner": plan.planner if plan is not None else "",
        "workers": len(plan.workers) if plan is not None else 0,
        "forecast": plan.makespan if plan is not None and told else None,
        "lower_bound": plan.lower_bound if plan is not None and told else None,
        "has_seconds": told,
        "declared": told,  # until there is history, every second of a forecast was declared
        "actions": actions.named(),
    }


def _plain(value: object) -> Any:
    """As JSON can carry it: the tail of a text, mappings of short values."""
    if isinstance(value, str):
        return value if len(value) <= TAIL else "…\n" + value[-TAIL:]
    if isinstance(value, Mapping):
        return {str(k): v if isinstance(v, int | float) else str(v) for k, v in value.items()}
    return json.loads(json.dumps(value, default=str))


@cache
def bundle() -> str:
    """The built ES module. Raises FileNotFoundError with what to do when it was never built."""
    try:
        return BUNDLE.read_text("utf-8")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"the widget's JavaScript is missing: {BUNDLE}\n  build it with `make js`, or reinstall dagnb"
        ) from error


def _reply_to_the_sender(widget: DagWidget) -> None:
    """Let answers to the front end go by the shell that asked.

    ipykernel 7.4 sends them to the shell of whoever wrote to the comm last, which for us is a thread of our own: a
    click during a long cell would wait for that cell. The hook is private, so it is used only where it is.
    """
    comm = getattr(widget, "comm", None)
    if comm is not None and hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001


class Desk:
    """One daemon thread that answers browsers, in order; it ends after a while without work."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, job: Callable[[], None]) -> None:
        """Have `job` done soon, on the desk's thread."""
        self._queue.put(job)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="dagnb-desk", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                job = self._queue.get(timeout=30)
            except queue.Empty:
                with self._lock:
                    if self._queue.empty():
                        self._thread = None
                        return
                continue
            try:
                job()
            except Exception:
                log.exception("could not answer a widget")


DESK = Desk()
