"""The sub-commands of `%dag`: each parses its words, calls the session, shows what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagnb.errors import OptionError, near
from dagnb.session import attach, lives, registry, twins, values

from . import options as opt

if TYPE_CHECKING:
    from dagnb.session.dag import Dag

    from .display import View


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command.

    run      what it does: (view, words and options) → what the cell shows as its value, or None
    words    what may follow it: "dag", "file" (a DAG and a file), "node", "names", "number", "run" or nothing
    options  of it
    help     half a line
    """

    run: Callable[[View, opt.Parsed], Any]
    words: str
    options: tuple[opt.Option, ...]
    help: str


def planner_of(view: View, parsed: opt.Parsed) -> Any:
    """The planner that `-P` names: one that is registered, else a class or object of that name in the notebook."""
    return planner_named(view, parsed["planner"])


def planner_named(view: View, name: str | None) -> Any:
    """What a name means as a planner; the name itself where only the session can tell."""
    mine = view.shell.user_ns.get(name) if name is not None else None
    if mine is None or not hasattr(mine, "plan"):
        return name
    from dagnb.planning.planner import planner_names

    return name if name in planner_names() else mine


def run_dag(view: View, dag: Dag, parsed: opt.Parsed, *, background: bool) -> None:
    """`%dag run` and `%%dag -r`: run with the planner and workers that were said, waiting unless told otherwise."""
    planner = planner_of(view, parsed)
    dag.run(workers=parsed["workers"], planner=planner, wait=not background, quiet=parsed["quiet"])
    if background and not parsed["quiet"]:
        print(f"{dag.name} runs in the background; %dag wait {dag.name} waits, %dag cancel {dag.name} ends it.")  # noqa: T201


def _dag(parsed: opt.Parsed) -> Dag:
    return registry.find(parsed.words[0] if parsed.words else None)


def _last(dag: Dag) -> Any:
    if dag.last is None:
        raise OptionError(f"{dag.name} was never run.\n  Run it: %dag run {dag.name}")
    return dag.last


def _status(_: View, __: opt.Parsed) -> Any:
    return twins.status()


def _show(view: View, parsed: opt.Parsed) -> None:
    view.show(_dag(parsed))


def _plan(view: View, parsed: opt.Parsed) -> None:
    dag = _dag(parsed)
    plan = dag.plan(planner_of(view, parsed), workers=parsed["workers"], seed=parsed["seed"] or 0)
    view.show_plan(dag, plan)


def _compare(view: View, parsed: opt.Parsed) -> None:
    dag = _dag(parsed)
    planners = parsed["planner"] and [planner_named(view, name) for name in parsed["planner"]]
    view.show_comparison(dag, dag.compare(planners, workers=parsed["workers"], seed=parsed["seed"] or 0))


def _run(view: View, parsed: opt.Parsed) -> None:
    run_dag(view, _dag(parsed), parsed, background=parsed["bg"])


def _wait(_: View, parsed: opt.Parsed) -> None:
    dag = _dag(parsed)
    lives.finish(dag, _last(dag), parsed["timeout"])
    print(f"{dag.name} · {twins.run_line(_last(dag))}")  # noqa: T201


def _cancel(_: View, parsed: opt.Parsed) -> None:
    dag = _dag(parsed)
    if lives.live(_last(dag)):
        lives.cancel(dag, _last(dag))
        print(lives.cancelled(dag, _last(dag)))  # noqa: T201
    else:
        print(f"{dag.name} is not running: {twins.run_line(_last(dag))}.")  # noqa: T201


def _node(parsed: opt.Parsed) -> tuple[Dag, str]:
    """`etl.report` or, where there is one DAG, `report`."""
    word = parsed.words[0] if parsed.words else ""
    if not word:
        raise OptionError("which node?\n  Say its DAG and its name: %dag result etl.report")
    head, dot, rest = word.partition(".")
    if dot and head in registry.dags():
        return registry.find(head), rest
    if word in registry.dags():
        raise OptionError(f"{word} is a DAG.\n  Say which of its nodes: {word}.report")
    if len(registry.dags()) != 1:
        return registry.find(head if dot else None), rest or word
    return registry.find(None), word


def _result(_: View, parsed: opt.Parsed) -> Any:
    dag, name = _node(parsed)
    found = dag[name]
    return [handle.result() for handle in found] if isinstance(found, list) else found.result()


def _logs(_: View, parsed: opt.Parsed) -> None:
    dag, name = _node(parsed)
    found = dag[name]
    several = isinstance(found, list)
    for handle in found if several else [found]:
        log = handle.logs()
        head = f"── {handle.name}\n" if several else ""
        texts = [text for text in (log.history, log.stdout, log.stderr, log.traceback) if text.strip()]
        print(head + ("\n".join(text.rstrip("\n") for text in texts) or f"{handle.name} printed nothing."))  # noqa: T201


def _pull(view: View, parsed: opt.Parsed) -> None:
    known = registry.dags()
    named = bool(parsed.words) and parsed.words[0] in known
    dag = registry.find(parsed.words[0] if named or (len(known) != 1 and parsed.words) else None)
    pulled = values.pull(dag, view.shell.user_ns, parsed.words[named:])
    print(f"values now: {', '.join(pulled)}" if pulled else f"no variable holds a node of {dag.name}.")  # noqa: T201


def _attach(view: View, parsed: opt.Parsed) -> None:
    dag, _, said = attach.take(parsed.words[0] if parsed.words else None)
    before = view.shell.user_ns.get(dag.name)
    if before is not None and before is not dag and not isinstance(before, type(dag)):
        print(f"{dag.name} was a {type(before).__name__} here; it is now the DAG {dag.name}")  # noqa: T201
    view.shell.user_ns[dag.name] = dag
    print(said)  # noqa: T201 -- the output of the user's own cell
    view.show(dag)


def _runs(_: View, __: opt.Parsed) -> Any:
    return attach.runs()


def _workers(_: View, parsed: opt.Parsed) -> Any:
    try:
        count = opt.positive(parsed.words[0]) if parsed.words else None
    except ValueError as error:
        raise OptionError(f"%dag workers {error}.\n  Write %dag workers 8.") from None
    return twins.Report(f"{twins.workers(count)} workers for the next run")


def _export(_: View, parsed: opt.Parsed) -> None:
    if not parsed.words:
        raise OptionError("export to which file?\n  Say its name: %dag export etl etl.json")
    dag = registry.find(parsed.words[0] if len(parsed.words) > 1 else None)
    print(f"{dag.name} is written to {dag.export(parsed.words[-1])}")  # noqa: T201


def _drop(_: View, parsed: opt.Parsed) -> None:
    dag = _dag(parsed)
    dag.drop()
    print(f"{dag.name} is forgotten.")  # noqa: T201


def _doctor(_: View, __: opt.Parsed) -> Any:
    return twins.doctor()


def _help(_: View, __: opt.Parsed) -> Any:
    return twins.help()


_RUNNING = (opt.WORKERS, opt.PLANNER)

COMMANDS: dict[str, Command] = {
    "status": Command(_status, "", (), "DAGs, last runs, workers, store"),
    "show": Command(_show, "dag", (), "the picture of a DAG"),
    "plan": Command(_plan, "dag", (*_RUNNING, opt.SEED), "who would run what and when"),
    "compare": Command(
        _compare,
        "dag",
        (opt.SEVERAL_PLANNERS, opt.SEVERAL_WORKERS, opt.SEED),
        "planners side by side: table and Gantts, pick one and run it",
    ),
    "run": Command(
        _run,
        "dag",
        (*_RUNNING, opt.BACKGROUND, opt.QUIET, opt.FRESH, opt.ONLY, opt.PARAM),
        "run it, wait, show it live",
    ),
    "wait": Command(_wait, "dag", (opt.TIMEOUT,), "wait for a run in the background"),
    "cancel": Command(_cancel, "dag", (), "no new tasks; running ones end within seconds"),
    "result": Command(_result, "node", (), "the value of a node"),
    "logs": Command(_logs, "node", (opt.FOLLOW,), "stdout, stderr and traceback of a node"),
    "pull": Command(_pull, "names", (), "variables become the values that they stand for"),
    "attach": Command(_attach, "run", (), "a run that another kernel began: after a restart no id is needed"),
    "runs": Command(_runs, "", (), "runs of all kernels, live and ended"),
    "workers": Command(_workers, "number", (), "how many workers the next run has"),
    "export": Command(_export, "file", (), "write a DAG to a file: WfFormat (.json)"),
    "drop": Command(_drop, "dag", (), "forget a DAG and its values"),
    "doctor": Command(_doctor, "", (), "is everything there?"),
    "help": Command(_help, "", (), "one screen"),
}

#: Sub-commands whose room is not built yet, and what does the job today.
LATER = {
    "retry": "%dag run NAME runs all of it again.",
    "why": "Every run computes everything in this version.",
    "history": "NAME.last is the last run.",
    "diff": "",
    "replay": "",
    "record": "",
    "connect": "dagnb starts a Redis of its own at the first run.",
    "config": "Set DAGNB_… environment variables before the kernel starts.",
    "cache": "Nothing is remembered across runs in this version.",
}

#: How many words each kind of argument may have.
_MOST = {"": 0, "dag": 1, "run": 1, "file": 2, "node": 1, "number": 1, "names": 1000}


def call(view: View, line: str) -> Any:
    """Run one `%dag …` line. Raises OptionError for a word that is none, naming the near ones."""
    word, _, rest = line.strip().partition(" ")
    command = COMMANDS.get(word or "status")
    if command is None:
        raise _unknown(word)
    where = f"%dag {word}".rstrip()
    if command.words == "node":  # a place such as models['rf'] keeps its quotes
        return command.run(view, _node_line(rest, command, where))
    return command.run(view, opt.parse(rest, command.options, where=where, words=_MOST[command.words]))


def _node_line(rest: str, command: Command, where: str) -> opt.Parsed:
    words = rest.split()
    flags = [word for word in words if word.startswith("-") and word != words[0]] if words else []
    if words and words[0].startswith("-"):
        flags = words[:1]
    opt.parse(" ".join(flags), command.options, where=where, words=0)
    return opt.Parsed((rest.strip(),) if rest.strip() else (), {})


def _unknown(word: str) -> OptionError:
    if word in LATER:
        return OptionError(f"%dag {word} is not available in this version of dagnb yet.\n  {LATER[word]}".rstrip())
    if word in registry.dags():
        return OptionError(f"%dag {word}: say what to do with it.\n  %dag show {word}, %dag run {word}, …")
    advice = near(word, (*COMMANDS, *LATER)) or f"There are: {', '.join(COMMANDS)}."
    return OptionError(f"%dag has no sub-command {word!r}.\n  {advice[0].upper()}{advice[1:]}")
