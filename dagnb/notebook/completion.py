"""Tab after `%dag` and `%%dag`: sub-commands, options, and the names of DAGs, nodes and planners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dagnb.session import registry

from .commands import COMMANDS
from .options import CELL_OPTIONS, SEVERAL_PLANNERS, Option


def install(shell: Any) -> None:
    """Add the matcher; a shell without a completer that takes one is left alone."""
    matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
    if matchers is not None and _matcher not in matchers:
        matchers.append(_tagged())


def uninstall(shell: Any) -> None:
    """Take the matcher back."""
    matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
    if matchers is not None:
        matchers[:] = [m for m in matchers if m is not _matcher]


def _tagged() -> Any:
    """The matcher with the marks by which IPython calls it with a context."""
    from IPython.core.completer import context_matcher

    return context_matcher(identifier="dagnb")(_matcher)


def _matcher(context: Any) -> Any:
    """Completions for the word before the cursor; none outside of our magics."""
    from IPython.core.completer import SimpleCompletion

    line = context.line_with_cursor[: context.cursor_position]
    found = complete(line, first=context.cursor_line == 0)
    if found is None:
        return {"completions": []}
    fragment, words = found
    completions = [SimpleCompletion(word, type="magic") for word in words]
    return {"completions": completions, "matched_fragment": fragment, "suppress": bool(completions)}


def complete(line: str, *, first: bool = True) -> tuple[str, list[str]] | None:
    """The word begun at the end of `line` and what it may become; None where the line is not ours.

    `first`: whether it is the first line of the cell, where alone a cell magic can stand.
    """
    head, _, rest = line.lstrip().partition(" ")
    if not rest and not line.endswith(" "):
        return None
    words = rest.split()
    fragment = "" if line.endswith(" ") else words.pop()
    if head == "%%dag" and first:
        choices = _after_cell(words)
    elif head == "%dag":
        choices = _after_line(words, fragment)
    else:
        return None
    return fragment, [choice for choice in choices if choice.startswith(fragment)]


def _after_cell(words: list[str]) -> Iterable[str]:
    if words and words[-1] in {"-P", "--planner"}:
        return _planners()
    return (*_flags(CELL_OPTIONS), *(() if words else registry.dags()))


def _after_line(words: list[str], fragment: str) -> Iterable[str]:
    if not words:
        return COMMANDS
    command = COMMANDS.get(words[0])
    if command is None:
        return ()
    if words[-1] in {"-P", "--planner"}:
        return _several(fragment) if SEVERAL_PLANNERS in command.options else _planners()
    if fragment.startswith("-"):
        return _flags(command.options)
    if command.words == "node":
        return _nodes()
    return registry.dags() if command.words in {"dag", "names", "file"} else ()


def _flags(options: Iterable[Option]) -> tuple[str, ...]:
    return tuple(flag for option in options if option.built for flag in option.flags)


def _planners() -> Iterable[str]:
    from dagnb.planning.planner import planner_names

    return planner_names()


def _several(fragment: str) -> Iterable[str]:
    """Planners after those that stand before the last comma."""
    before, comma, _ = fragment.rpartition(",")
    taken = before.split(",")
    return (f"{before}{comma}{name}" for name in _planners() if name not in taken)


def _nodes() -> Iterable[str]:
    """`etl.report`, and `report` where there is one DAG."""
    found = registry.dags()
    for name, dag in found.items():
        if len(found) == 1:
            yield from dag
        yield from (f"{name}.{key}" for key in dag)
