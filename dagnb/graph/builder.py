"""GraphBuilder: a DAG is a pure function of the recordings of its cells.

    cell body ──record──▶ Recording ──commit──▶ cells[cell] ──graph()──▶ TaskGraph

Replacing is one assignment, aborting is not assigning, deleting is popping. Owners of names, order, nodes, edges and
problems are derived (`ownership`, `assemble`), never stored. Here is only what must happen when a body begins and ends.
"""

# ruff: noqa: SLF001  (the slots of a handle belong to this room; they are private for its users)

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from contextvars import Token
from types import FrameType
from typing import TYPE_CHECKING, Any

from dagnb.errors import NotRunError, PlanError, UnknownNameError, near, refusal

from . import hints, moved, scope
from .active import ACTIVE, OPEN, Recorder
from .cells import CELLS, Execution
from .handle import Handle, HandleOwner
from .naming import Text, places, ranked, root_of, text_of_frame
from .ownership import owners, resolve
from .recording import MISSING, Block, Recording
from .task import CHANGES, Task, newest

if TYPE_CHECKING:
    from .assemble import Assembly
    from .graph import TaskGraph, TaskRef
    from .recording import Select


class GraphBuilder:
    """The cells of one DAG.

    name   of the DAG; no node may have it
    owner  who knows about its runs (the session's Dag); handles ask it for results
    cells  cell → its recording: the whole state
    recorded  whether there are functions to run
    notes  what the last cell moved, a line each
    """

    recorded = True

    def __init__(self, name: str, owner: HandleOwner | None = None) -> None:
        self.name, self.owner = name, owner
        self.cells: dict[str, Recording] = {}
        self.notes: list[str] = []
        self._made: Assembly | None = None
        self._looked = (0, 0)
        self._open: list[tuple[Recording, FrameType]] = []
        self._tokens: dict[Recording, Token[Recorder | None]] = {}

    # ---- a body begins and ends ---------------------------------------------------------------------------------
    def begin(
        self,
        ns: MutableMapping[str, Any],
        file: str,
        text: Text | None = None,
        *,
        hide: bool = True,
        execution: Execution | None = None,
    ) -> Recording:
        """Start recording calls from the code of `file`, whose variables are `ns`; ends with `commit` or `abort`.

        text  what the source says about names, where it is known beforehand
        hide  take away the variables that the cell must not see (not where `ns` is only a copy of a function's)

        Raises BuildError inside another body.
        """
        active = ACTIVE.get()
        if active is not None and not active.closed:
            raise refusal(
                f"already building {active.builder.name}; a DAG inside a DAG is not recorded.",
                "End the first block, or write a @dagnb.dag function (a sub-DAG).",
            )
        execution = execution or CELLS.now()
        rec = self.cells.get(execution.cell)
        before = dict(ns)
        if rec is not None and rec.execution is execution:  # a second block in the same execution extends the first
            rec.closed, rec.file, rec.thread, hide = False, file, threading.get_ident(), False
        else:
            rec = Recording(self, execution, file)
        rec.block = Block(ns, text, len(rec.calls), before, scope.hide(rec, self.cells, ns) if hide else {})
        OPEN[id(rec)] = set(threading.enumerate())
        self._tokens[rec] = ACTIVE.set(rec)
        return rec

    def commit(self, rec: Recording, text: Text | None = None) -> None:
        """The body ran to its end: its recording replaces the cell's. Raises BuildError for a name that cannot be."""
        block = self._stop(rec)
        text = text or block.text or Text()
        cell = rec.execution.cell
        old = self.cells.get(cell)
        extended = old is rec
        before = owners(self.cells)
        stale = self._name(rec, block, text)
        if self.name in rec.roots:
            error = refusal(
                f"{self.name} is the name of this DAG; a node cannot have it too.", "Give the variable another name."
            )
            self._undo(rec, block, extended=extended)
            raise error
        rec.digest = text.digest
        rec.note_reads()
        rec.shadowed = self._shadowed(rec, block)
        rec.close()
        self.cells[cell], self._made = rec, None
        older = None if extended else old
        lost = set(older.roots) if older is not None else set()
        scope.unhide(block, {n for n in lost if block.before.get(n) is (older and older.roots[n])})
        self.notes = [*stale, *moved.notes(rec, older, self.cells, before, block)]

    def abort(self, rec: Recording, error: BaseException | None = None) -> None:
        """The body raised: the DAG is as it was, and so is every variable that would hold one of its handles."""
        if error is not None:
            hints.explain(error, rec)
        self._undo(rec, self._stop(rec), extended=self.cells.get(rec.execution.cell) is rec)

    def _stop(self, rec: Recording) -> Block:
        token, block = self._tokens.pop(rec, None), rec.block
        if block is None:
            msg = f"{self.name}: this recording is not going on"
            raise RuntimeError(msg)
        try:
            if token is not None:
                ACTIVE.reset(token)
        except ValueError:  # ended in another context than it began, as a generator can
            ACTIVE.set(None)
        return block

    def _undo(self, rec: Recording, block: Block, *, extended: bool) -> None:
        if extended:
            rec.void.update(range(block.start, len(rec.calls)))
            rec.names += [None] * (len(rec.calls) - len(rec.names))
        else:
            rec.failed = True
        scope.undo(rec, block)
        scope.unhide(block, set())
        rec.close()
        if extended:
            self._made = None

    # ---- names --------------------------------------------------------------------------------------------------
    def _name(self, rec: Recording, block: Block, text: Text) -> list[str]:
        """Fill in `bound`, `places`, `roots`, `names`; lines about variables with handles of an earlier run."""
        order = ranked(block.ns, block.before, text)
        was = self._unseen(rec, block, set(order))
        rec.bound, rec.places, rec.roots = {}, {}, {}
        stale: dict[str, None] = {}
        for root in order:
            value = block.ns[root]
            for path, handle in places(value, root):
                if handle._rec is rec and handle._index not in rec.void:
                    rec.bound[path] = (handle._index, handle._select)
                    rec.places[root] = rec.places.get(root, 0) + 1
                elif handle._rec is not rec and path != root and self._is_earlier(handle, rec):
                    stale[
                        f"{root} still holds handles of an earlier run of this cell; start it anew here ({root} = [])."
                    ] = None
            assigned = type(value) is Handle or root in text.stored or block.before.get(root) is not value
            if assigned and root in rec.places:
                rec.roots[root] = value
        for root, (bound, values) in was.items():
            rec.bound.update(bound)
            rec.places[root] = len(bound)
            rec.roots.update(values)
        rec.names = [None] * len(rec.calls)
        for path, (index, select) in rec.bound.items():
            if not select and rec.names[index] is None:
                rec.names[index] = path
        return list(stale)

    @staticmethod
    def _unseen(rec: Recording, block: Block, seen: set[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """Variables of an earlier block of this execution that this block neither looks into nor deletes."""
        kept: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        for path, target in rec.bound.items():
            root = root_of(path)
            if root not in seen and (root in block.ns or root not in block.before):
                values = {root: rec.roots[root]} if root in rec.roots else {}
                kept.setdefault(root, ({}, values))[0][path] = target
        return kept

    def _is_earlier(self, handle: Handle[Any], rec: Recording) -> bool:
        other = handle._rec
        return other.builder is self and other.execution.cell == rec.execution.cell

    def _shadowed(self, rec: Recording, block: Block) -> dict[str, Any]:
        """The ordinary values under the variables of this cell: put back when it runs again."""
        found = {name: scope.below(block, self.cells, name) for name in rec.roots}
        found = {name: (v, direct) for name, (v, direct) in found.items() if v is not MISSING and not scope.is_heavy(v)}
        rec.over = {name for name, (_, direct) in found.items() if direct}
        return {name: v for name, (v, _) in found.items()}

    # ---- the with form ------------------------------------------------------------------------------------------
    def enter(self, frame: FrameType) -> None:
        """A `with` block begins in `frame` (see `calling_frame`); its names are that frame's variables."""
        execution = CELLS.block(frame)
        rec = self.begin(_variables(frame), frame.f_code.co_filename, hide=_is_module(frame), execution=execution)
        self._open.append((rec, frame))

    def exit(self, error: BaseException | None = None) -> None:
        """The block that was entered last has ended; with an error it leaves everything as it was."""
        rec, frame = self._open.pop()
        if rec.block is not None and not _is_module(frame):
            rec.block.ns = _variables(frame)
        if error is not None:
            self.abort(rec, error)
        else:
            self.commit(rec, text_of_frame(frame))

    # ---- what it makes ------------------------------------------------------------------------------------------
    def graph(self) -> TaskGraph:
        """The graph now; the same object while cells and definitions stay. Raises PlanError with all problems."""
        made = self._assembly()
        if made.graph is None:
            raise PlanError(f"{self.name} makes no graph:\n  " + "\n  ".join(made.problems))
        return made.graph

    @property
    def problems(self) -> tuple[str, ...]:
        """Why there is no graph: what, where, what to do; empty where there is one."""
        return self._assembly().problems

    @property
    def warnings(self) -> list[str]:
        """What stays doubtful: names that independent cells give."""
        return moved.standing(self.cells)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes, even where there are problems."""
        return self._assembly().names

    def __len__(self) -> int:
        return len(self._assembly().names)

    def __getitem__(self, place: str) -> Any:
        """The handle of a place or a node; else the handles of all places of a variable, or of all nodes of a kind.

        Raises UnknownNameError, with near names.
        """
        made = self._assembly()
        found = self._at(place)
        if found is not None:
            return found
        who = owners(self.cells).get(place)
        if who is not None:
            rec = self.cells[who]
            return [Handle(rec, i, select) for path, (i, select) in rec.bound.items() if root_of(path) == place]
        kind = [handle for handle in map(self._handle, range(len(made.names))) if handle.kind == place]
        if kind:
            return kind
        words = dict.fromkeys((*made.names, *owners(self.cells)))
        raise UnknownNameError(
            f"{self.name} has no node {place}.\n  {near(place, words) or 'It has ' + _some(made.names)}"
        )

    def __contains__(self, place: object) -> bool:
        return isinstance(place, str) and (self._at(place) is not None or place in owners(self.cells))

    def _at(self, place: str) -> Handle[Any] | None:
        made = self._assembly()
        for cell in (owners(self.cells).get(root_of(place)), *self.cells):
            if cell is not None and place in self.cells[cell].bound:
                index, select = self.cells[cell].bound[place]
                return Handle(self.cells[cell], index, select)
        return self._handle(made.names.index(place)) if place in made.names else None

    def _handle(self, number: int) -> Handle[Any]:
        return Handle(*self._assembly().call(number))

    def handle(self, number: int) -> Handle[Any]:
        """The handle of task `number` of the present graph."""
        return self._handle(number)

    def locate(self, handle: Handle[Any]) -> TaskRef:
        """The value that a handle means now, in the present graph. Raises NotRunError if it is not in it any more."""
        from .graph import TaskRef  # late, like `assemble` below: numpy comes with it

        rec = handle._rec
        if not rec.closed:
            raise refusal(
                f"{handle.name} is being recorded: it has no value yet.", f"End the body, then run {self.name}."
            )
        if rec.failed or handle._index in rec.void:
            what = f"this handle was made by a run of {rec.execution.label} that failed"
            raise NotRunError(f"{what}.\n  Run that cell again.")
        found: tuple[Recording, int, Select] | str = rec, handle._index, handle._select
        if self.cells.get(rec.execution.cell) is not rec:  # else it means what it meant: nobody's owners are asked for
            found = resolve(handle, self.cells, owners(self.cells))
        label = CELLS.labels.get(rec.execution.cell, rec.execution.label)
        if isinstance(found, str):
            raise NotRunError(f"{self.name} has no longer {found}.\n  Run {label} again, or define it.")
        number = self._assembly().node(found[0], found[1])
        if number < 0:
            what = f"{handle.name} is not in {self.name} any more: nothing uses it, and its name was taken over"
            raise NotRunError(f"{what}.\n  Run {label} again.")
        return TaskRef(number, found[2])

    def key(self, handle: Handle[Any]) -> str:
        """The name of a handle's task in the present graph. Raises NotRunError as `locate` does."""
        return self._assembly().names[self.locate(handle).task]

    def drop_cell(self, cell: str) -> None:
        """The cell was deleted (JupyterLab says so in the metadata of the next execute request)."""
        if self.cells.pop(cell, None) is not None:
            self._made = None

    def _assembly(self) -> Assembly:
        made, state = self._made, (CELLS.number, CHANGES[0])
        if made is not None and state != self._looked:  # definitions may have changed since
            made = made if all(_same(newest(task), used) for task, used in made.current.items()) else None
        if made is None:
            from .assemble import assemble

            made = assemble(self.name, self.cells)
        self._made, self._looked = made, state
        return made


def _same(a: Task[..., Any], b: Task[..., Any]) -> bool:
    return a is b or (a.fn is b.fn and a.given == b.given)


def _is_module(frame: FrameType) -> bool:
    return frame.f_locals is frame.f_globals


def _variables(frame: FrameType) -> MutableMapping[str, Any]:
    """The variables themselves at the top of a module or cell; a copy of those of a function."""
    return frame.f_globals if _is_module(frame) else dict(frame.f_locals)


def _some(names: tuple[str, ...]) -> str:
    if not names:
        return "no nodes yet: record some in a %%dag cell."
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") + "."
