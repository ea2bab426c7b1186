"""WfFormat → TaskGraph: the traces of workflow systems (https://wfcommons.org/format), versions 1.3 to 1.6.

    1.3, 1.4    workflow.tasks[], each with its files inline; parents are named
    1.5, 1.6    workflow.specification {tasks[], files[]}; workflow.execution {tasks[]} with the runtimes

What traces of different systems have in common is less than the schema promises; the docstrings say what is made of it.
"""

from __future__ import annotations

import heapq
import math
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from dagnb.errors import near
from dagnb.graph.graph import TaskGraph

from .checked import Part, load

INLINE = ("1.3", "1.4")
SPLIT = ("1.5", "1.6")

#: A program that names what the task is; everything else is a script, or a path with arguments.
_PLAIN = re.compile(r"\w[\w.+-]{1,59}")
#: Programs that run another one: they say nothing about the task.
_INTERPRETERS = frozenset({"bash", "env", "java", "perl", "python", "python2", "python3", "Rscript", "sh"})
_NUMBER = re.compile(r"(_ID\d+|_\d+)$")


@dataclass(slots=True)
class Entry:
    """A task as its document has it."""

    part: Part
    name: str
    category: str = ""
    program: str = ""
    duration: float = math.nan
    inputs: set[str] = field(default_factory=set)
    outputs: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What sort of task: the stated category, else the program if it tells, else the name without its number."""
        program = PurePosixPath(self.program).name
        if self.category:
            return self.category
        if _PLAIN.fullmatch(program) and program not in _INTERPRETERS:
            return program
        return _NUMBER.sub("", self.name) or self.name


def read(source: str | Path, name: str | None = None) -> TaskGraph:
    """The graph of a WfFormat document: a path (`.json`, `.json.gz`) or the text itself.

    name       of the graph; default: the document's own
    keys       the tasks' names where all differ, else their ids
    kinds      stated category, else the program if it is a plain word, else the name without `_ID0000042` or `_42`
    duration   seconds that the task ran, 0 included; NaN where the document does not say
    size       bytes of its output, whole; NaN where the document does not say

    A task has one output here, and every task that needs it needs all of it. So the output counts as many bytes as
    those who need the task read of it *on average*: the bytes over all edges are right together, while a task that
    reads one of two files is charged their mean. (All files that somebody reads would charge it both: on traces of
    ten workflow systems that moves 36 % too many or too few bytes, the mean 9 %.) What no task needs has the size of
    all its files.

    Lost are files that come from outside (no task makes them; reading them is part of the measured runtime), cores (a
    task occupies one worker as long as it ran, whatever it used there), memory, machines, dates and the makespan, which
    includes time in queues. Edges are what `parents` and `children` say together; a document that names neither
    anywhere has those of its files. What only the execution part knows (staging, cleaning up) was no task of the
    workflow; of repeated executions the last counts.

    Raises FormatError: what is wrong, where in the document, what to do.
    """
    document = load(source)
    workflow, version = _workflow(document)
    entries, sizes = _inline(workflow) if version in INLINE else _split(workflow)
    if not entries:
        raise workflow.wrong("there are no tasks.", "A workflow has at least one.")
    ids = list(entries)
    deps = _dependencies(entries, named=version in INLINE)
    order = _order(deps, ids, workflow)
    number = {old: new for new, old in enumerate(order)}
    found = [entries[ids[i]] for i in order]
    names = [entry.name for entry in found]
    needed = [[number[d] for d in deps[i]] for i in order]
    return TaskGraph.build(
        name if name is not None else document.need("name").text(),
        needed,
        keys=names if len(set(names)) == len(names) else [ids[i] for i in order],
        kind=[entry.kind for entry in found],
        duration=np.array([entry.duration for entry in found]),
        size=_output_sizes(found, needed, sizes),
    )


def _workflow(document: Part) -> tuple[Part, str]:
    stated = document.need("schemaVersion")
    version = str(stated.value)
    if version not in (*INLINE, *SPLIT):
        raise stated.wrong(
            f"WfFormat {version:.20} is not read here.",
            f"Versions {INLINE[0]} to {SPLIT[-1]} are; WfCommons has a tool that migrates others.",
        )
    return document.need("workflow"), version


# --- the two forms ----------------------------------------------------------------------------------------------------
def _split(workflow: Part) -> tuple[dict[str, Entry], dict[str, float]]:
    """Versions 1.5 and later: entries by id, and sizes of files."""
    specification = workflow.need("specification")
    sizes: dict[str, float] = {}
    for file in specification.parts("files"):
        _note_size(sizes, file.need("id").text(), file.get("sizeInBytes"))
    entries: dict[str, Entry] = {}
    specification.need("tasks")
    for task in specification.parts("tasks"):
        entry = _entry(task, task)
        entry.inputs.update(task.texts("inputFiles"))
        entry.outputs += dict.fromkeys(task.texts("outputFiles"))
        _put(entries, task.need("id").text(), entry)
    execution = workflow.get("execution")
    for task in execution.parts("tasks") if execution is not None else ():
        known = entries.get(task.need("id").text())
        if known is not None:
            known.program = _program(task)
            known.duration = _runtime(task)
    return entries, sizes


def _inline(workflow: Part) -> tuple[dict[str, Entry], dict[str, float]]:
    """Versions 1.3 and 1.4: everything stands in the task; sizes are not repeated wherever a file is."""
    sizes: dict[str, float] = {}
    entries: dict[str, Entry] = {}
    workflow.need("tasks")
    for task in workflow.parts("tasks"):
        entry = _entry(task, task)
        entry.program, entry.duration = _program(task), _runtime(task)
        for file in task.parts("files"):
            path = file.get("path")
            name = (path.text() if path is not None else "") + file.need("name").text()
            _note_size(sizes, name, file.get("sizeInBytes") or file.get("size"))
            if file.need("link").text().lower() == "input":
                entry.inputs.add(name)
            elif name not in entry.outputs:
                entry.outputs.append(name)
        given = task.get("id")
        identity = given.text() if given is not None else ""
        _put(entries, entry.name if identity in entry.name else f"{entry.name}_{identity}", entry)
    return entries, sizes


def _entry(task: Part, stated: Part) -> Entry:
    category = stated.get("category")
    return Entry(task, task.need("name").text(), category.text() if category is not None else "")


def _put(entries: dict[str, Entry], identity: str, entry: Entry) -> None:
    if identity in entries:
        first = entries[identity].part.path
        raise entry.part.wrong(f"the task {identity!r} is there twice, first at {first}.", "Ids must be unique.")
    entries[identity] = entry


def _program(task: Part) -> str:
    command = task.get("command")
    program = command.get("program") if command is not None else None
    return program.value if program is not None and isinstance(program.value, str) else ""


def _runtime(task: Part) -> float:
    stated = task.get("runtimeInSeconds") or task.get("runtime")
    return stated.amount("seconds") if stated is not None else math.nan


def _note_size(sizes: dict[str, float], file: str, stated: Part | None) -> None:
    if stated is not None:
        sizes[file] = max(sizes.get(file, 0.0), stated.amount("bytes"))


# --- edges ------------------------------------------------------------------------------------------------------------
def _dependencies(entries: dict[str, Entry], *, named: bool) -> list[list[int]]:
    """[n] what each task needs, in the order of the document, each once."""
    number = {identity: i for i, identity in enumerate(entries)}
    words = number | _other_words(entries) if named else number
    deps: list[dict[int, None]] = [{} for _ in entries]
    tasks = list(enumerate(entry.part for entry in entries.values()))
    for i, task in tasks:
        for at, parent in enumerate(task.texts("parents")):
            deps[i][_known(words, parent, task, f"parents[{at}]")] = None
    for i, task in tasks:
        for at, child in enumerate(task.texts("children")):
            deps[_known(words, child, task, f"children[{at}]")][i] = None
    return [list(found) for found in deps] if any(deps) else _by_files(entries)


def _other_words(entries: dict[str, Entry]) -> dict[str, int]:
    """What older documents may call a task by, beside its identity: its name or its id, where only one has it."""
    words: dict[str, list[int]] = {}
    for i, entry in enumerate(entries.values()):
        given = entry.part.get("id")
        for word in {entry.name, given.text() if given is not None else entry.name} - entries.keys():
            words.setdefault(word, []).append(i)
    return {word: tasks[0] for word, tasks in words.items() if len(tasks) == 1}


def _known(words: dict[str, int], word: str, task: Part, place: str) -> int:
    found = words.get(word)
    if found is None:
        advice = near(word, words) or "Every parent and child must be a task of the document."
        raise Part(word, f"{task.path}.{place}", task.file).wrong(f"there is no task {word!r}.", advice)
    return found


def _by_files(entries: dict[str, Entry]) -> list[list[int]]:
    """Who reads a file needs who makes it."""
    maker = {file: i for i, entry in enumerate(entries.values()) for file in entry.outputs}
    needed = [{maker[f]: None for f in sorted(entry.inputs) if f in maker} for entry in entries.values()]
    return [[d for d in found if d != i] for i, found in enumerate(needed)]


def _order(deps: list[list[int]], ids: list[str], workflow: Part) -> list[int]:
    """The tasks in a topological order that is the document's own where that is one."""
    waiting = [len(needed) for needed in deps]
    users: list[list[int]] = [[] for _ in deps]
    for i, needed in enumerate(deps):
        for d in needed:
            users[d].append(i)
    ready = [i for i, count in enumerate(waiting) if not count]
    order: list[int] = []
    while ready:
        task = heapq.heappop(ready)
        order.append(task)
        for user in users[task]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, user)
    if len(order) < len(deps):
        circle = " → ".join(ids[i] for i in _circle(deps, waiting))
        raise workflow.wrong(f"tasks need one another in a circle: {circle}", "Mend their parents and children.")
    return order


def _circle(deps: list[list[int]], waiting: list[int]) -> list[int]:
    """One circle among the tasks that still wait, closed by its first task; its middle is left out if it is long."""
    at = next(i for i, count in enumerate(waiting) if count)
    way: dict[int, None] = {}
    while at not in way:
        way[at] = None
        at = next(d for d in deps[at] if waiting[d])
    circle = list(way)[list(way).index(at) :]
    circle = [*circle[::-1][-1:], *circle[:0:-1], circle[0]]  # what is needed first stands first
    return circle if len(circle) <= 8 else [*circle[:4], *circle[-3:]]


# --- sizes ------------------------------------------------------------------------------------------------------------
def _output_sizes(entries: list[Entry], deps: list[list[int]], sizes: dict[str, float]) -> np.ndarray:
    """[n] bytes, see `read`."""
    read_by: list[list[float]] = [[] for _ in entries]
    makes = [frozenset(entry.outputs) for entry in entries]
    for i, needed in enumerate(deps):
        for d in needed:
            read_by[d].append(_bytes_of(makes[d] & entries[i].inputs, sizes) if makes[d] else math.nan)
    whole = [_bytes_of(made, sizes) if made else math.nan for made in makes]
    return np.array([_mean(parts) if parts else own for parts, own in zip(read_by, whole, strict=True)])


def _bytes_of(files: frozenset[str], sizes: dict[str, float]) -> float:
    """Bytes of the files together, as far as they are known; NaN where there are some and none is known."""
    known = [sizes[file] for file in files if file in sizes]
    return sum(known) if known or not files else math.nan


def _mean(parts: list[float]) -> float:
    known = [part for part in parts if not math.isnan(part)]
    return float(round(sum(known) / len(known))) if known else math.nan
