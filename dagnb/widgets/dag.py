"""The one widget: a graph and its plan, live while it runs. Same stem as js/dag.ts.

Traitlets hold only what is small and worth saving with the notebook; everything else goes by messages (feed.py). Words
from the browser are put on a queue at once, because they may come on any thread, also while a cell blocks; one daemon
thread answers them.
"""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import anywidget
import traitlets

from dagnb.errors import RunError
from dagnb.trace.events import EventSource, TaskState

from .actions import Actions, Knobs, header_facts
from .built import built
from .desk import DESK
from .feed import Feed
from .snapshot import Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagnb.graph.graph import TaskGraph
    from dagnb.planning.plan import Plan

    from .compared import Entry


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


class DagWidget(anywidget.AnyWidget):
    """A task graph with its plan, in a cell.

    `show_plan` puts another plan (or graph) into the picture, `show_comparison` several side by side, `follow` a run;
    all may be called from any thread.
    `widget_id` is what a still picture of the same DAG carries in `data-dagnb`, so that the live one can hide it.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    mode = traitlets.Enum(("graph", "plan", "compare"), "graph").tag(sync=True)
    selection = traitlets.Int(-1).tag(sync=True)
    header = traitlets.Dict().tag(sync=True)
    summary = traitlets.Dict().tag(sync=True)
    compared = traitlets.Dict().tag(sync=True)  # number of the comparison, its rows, the one that is chosen
    widget_id = traitlets.Unicode().tag(sync=True)

    def __init__(self, graph: TaskGraph, plan: Plan | None = None, *, actions: Actions | None = None) -> None:
        self.actions = actions or Actions()
        self._run: LiveRun | None = None
        self._ended: list[Callable[[LiveRun], None]] = []
        self._entries: Sequence[Entry] = ()
        self._best = -1
        self._asked = 0  # the newest position of the sliders that was told
        self._real: tuple[Plan, LiveRun | None] | None = None  # what is shown while no slider has been moved
        self.imagined: Knobs | None = None
        self._picture = Picture(graph, plan)
        super().__init__(
            _esm=built("dag.js"), widget_id=uuid.uuid4().hex[:12], header=header_facts(graph, plan, self.actions)
        )
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
        if graph is not None and graph is not self.graph and self._entries:
            self._entries, self.compared = (), {}
            self.mode = "plan" if self.mode == "compare" else self.mode
        self._real = self.imagined = None
        self._show(plan, graph)

    def _show(self, plan: Plan | None, graph: TaskGraph | None = None) -> None:
        self._run = None
        self._paint(graph or self.graph, plan)
        self.summary = {}
        self.feed.show(self._picture)

    def show_comparison(self, entries: Sequence[Entry], best: int) -> None:
        """Show plans of this graph side by side, and the best of them (a row, -1 for none) as the plan."""
        self._entries, self._best = entries, best
        if best >= 0:
            self.show_plan(entries[best].plan)
        number = int(self.compared.get("id", 0)) + 1
        self.compared = {"id": number, "rows": len(entries), "chosen": best}
        self.mode = "compare"

    def follow(self, run: LiveRun, plan: Plan | None = None) -> None:
        """Let the picture follow a run, from its first event on; `plan` defaults to the run's own."""
        self._real = self.imagined = None
        self._run = run
        self._paint(run.graph, plan or getattr(run, "plan", None) or self.plan)
        self.summary = {"run": run.id, "state": "running"}
        self.feed.follow(self._picture, run, run.id, lambda: str(run.state))
        run.on_end(lambda *_: self._end(run))

    def _paint(self, graph: TaskGraph, plan: Plan | None) -> None:
        self._picture = Picture(graph, plan, self._picture)
        self.header = header_facts(graph, plan, self.actions, self.imagined)

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
            if content.get("kind") == "what-if":
                self._asked = int(content.get("id", 0))
            DESK.put(lambda: self._answer(content))

    def _answer(self, message: dict[str, Any]) -> None:
        match message.get("kind"):
            case "get-detail":
                self._tell(message.get("task"))
            case "action":
                self._act(str(message.get("name")))
            case "ready" | "resync" | "ack" | "bye":
                self.feed.hear(message)
            case "get-compare":
                self._tell_comparison()
            case "pick":
                self._pick(message.get("row"))
            case "what-if":
                self._what_if(message)
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

    # --- plans side by side, and plans that might be ---

    def _tell_comparison(self) -> None:
        """The rows with their small Gantts."""
        if not self._entries:
            return
        from .compared import compare_message

        number = int(self.compared.get("id", 0))
        self.send(*compare_message(self._entries, self.graph.kind, number, self._best))

    def _pick(self, row: object) -> None:
        """A row was chosen: its plan is the one that is shown, and that ▶ runs."""
        if not isinstance(row, int) or not 0 <= row < len(self._entries):
            return
        plan = self._entries[row].plan
        if plan is None:
            return
        try:
            self._refuse_while_live()
        except RunError as error:
            self.send({"kind": "said", "action": "pick", "ok": False, "text": str(error)})
            return
        self.show_plan(plan)
        self.compared = {**self.compared, "chosen": row}

    def _what_if(self, message: Mapping[str, Any]) -> None:
        """The sliders were moved, or put back; of several positions that wait only the newest is planned."""
        number, action = int(message.get("id", 0)), self.actions.what_if
        if number < self._asked or action is None or self.plan is None:
            return
        if message.get("reset"):
            self._back()
            self.send({"kind": "planned", "id": number, "ok": True, "text": ""})
            return
        plan, run = self._real or (self.plan, self._run)
        try:
            self._refuse_while_live()
            knobs = Knobs(int(message["workers"]), float(message["memory"]), float(message["bandwidth"]))
            imagined = action(plan, knobs)
        except Exception as error:  # noqa: BLE001  whatever refuses, the reader of the widget has to see why
            text = str(error).strip().splitlines() or [type(error).__name__]
            self.send({"kind": "planned", "id": number, "ok": False, "text": text[0]})
            return
        self._real, self.imagined = (plan, run), knobs
        self._show(imagined)
        self.send({"kind": "planned", "id": number, "ok": True, "text": ""})

    def _back(self) -> None:
        """What is real again: the plan, or the run with its plan."""
        if self._real is None:
            return
        plan, run = self._real
        if run is not None:
            self.follow(run, plan)
        else:
            self.show_plan(plan)

    def _refuse_while_live(self) -> None:
        """Raise RunError while a run goes on: it is what is shown."""
        if self._run is not None and str(self._run.state) == "running":
            raise RunError("a run is going on; it is shown until its end.")

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


def _plain(value: object) -> Any:
    """As JSON can carry it: the tail of a text, mappings of short values."""
    if isinstance(value, str):
        return value if len(value) <= TAIL else "…\n" + value[-TAIL:]
    if isinstance(value, Mapping):
        return {str(k): v if isinstance(v, int | float) else str(v) for k, v in value.items()}
    return json.loads(json.dumps(value, default=str))


def _reply_to_the_sender(widget: DagWidget) -> None:
    """Let answers to the front end go by the shell that asked.

    ipykernel 7.4 sends them to the shell of whoever wrote to the comm last, which for us is a thread of our own: a
    click during a long cell would wait for that cell. The hook is private, so it is used only where it is.
    """
    comm = getattr(widget, "comm", None)
    if comm is not None and hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001
