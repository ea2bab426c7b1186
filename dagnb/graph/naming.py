"""Names of nodes, found in the variables after the body ran: the text decides the order, the variables the names."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import linecache
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import FrameType
from typing import Any

from .arguments import HANDLE, NESTED, kind_of
from .handle import Handle

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_ROOT = re.compile(r"[^\[.]*")

#: keys of dictionaries that make a place: they read back as they are written
_PLAIN_KEYS = (str, int, float, bool, tuple, type(None))


@dataclass(frozen=True)
class Text:
    """What the source of a body says about names.

    order   every name, as first mentioned
    stored  names that the body assigns
    strong  those assigned outside of loops too
    digest  the source, to tell cells apart that are alike in everything else
    """

    order: dict[str, None] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    strong: set[str] = field(default_factory=set)
    digest: str = ""

    @classmethod
    def of(cls, tree: ast.AST, digest: str = "") -> Text:
        """Read a parsed body."""
        text = cls(digest=digest)
        text._walk(tree, loop=False, inner=False)
        return text

    def _walk(self, node: ast.AST, *, loop: bool, inner: bool) -> None:
        if isinstance(node, ast.Name):
            self.order.setdefault(node.id)
            if isinstance(node.ctx, ast.Store) and not inner:
                self.stored.add(node.id)
                if not loop:
                    self.strong.add(node.id)
        comprehension = isinstance(node, _COMPREHENSIONS)
        if comprehension and not inner:  # `:=` in a comprehension does leak into the cell
            walruses = (n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
            self.stored.update(walruses)
        loop = loop or isinstance(node, _LOOPS)
        inner = inner or comprehension or isinstance(node, _SCOPES)
        for child in ast.iter_child_nodes(node):
            self._walk(child, loop=loop, inner=inner)


@lru_cache(maxsize=64)
def read(source: str) -> Text:
    """The names of a source text. Raises SyntaxError."""
    return Text.of(ast.parse(source), source)


def text_of_frame(frame: FrameType) -> Text:
    """The names of the code that a `with` block stands in; without its source the names in the bytecode, in order."""
    code = frame.f_code
    try:
        whole = code.co_name == "<module>" or code.co_name.startswith(
            "<cell line"
        )  # IPython renames the code of a cell
        lines = linecache.getlines(code.co_filename) if whole else inspect.getsourcelines(code)[0]
        if lines:
            return read(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):
        pass
    names = dict.fromkeys((*code.co_names, *code.co_varnames))
    return Text(names, set(names), set(names))


def root_of(path: str) -> str:
    """The variable of a place: `parts` of `parts[0]`."""
    match = _ROOT.match(path)
    return match[0] if match else path


def places(value: Any, root: str) -> list[tuple[str, Handle[Any]]]:
    """Every handle in a variable with its place: parts[0], models['rf'], cfg.model. Sets and objects have no places."""
    found: list[tuple[str, Handle[Any]]] = []
    _collect(value, root, found, ())
    return found


def _collect(value: Any, path: str, found: list[tuple[str, Handle[Any]]], above: tuple[int, ...]) -> None:
    kind = kind_of(type(value))
    if kind == HANDLE:
        found.append((path, value))
    elif kind == NESTED and id(value) not in above:
        above = (*above, id(value))
        if isinstance(value, (list, tuple)):
            _collect_sequence(value, path, found, above)
        elif isinstance(value, dict):
            for key, part in value.items():
                if isinstance(key, _PLAIN_KEYS):
                    _collect(part, f"{path}[{key!r}]", found, above)
        elif dataclasses.is_dataclass(value):
            for f in dataclasses.fields(value):
                _collect(getattr(value, f.name, None), f"{path}.{f.name}", found, above)


def _collect_sequence(
    value: list[Any] | tuple[Any, ...], path: str, found: list[tuple[str, Handle[Any]]], above: tuple[int, ...]
) -> None:
    fields = getattr(value, "_fields", None)
    for i, part in enumerate(value):
        kind = kind_of(type(part))
        if kind in {HANDLE, NESTED}:
            here = f"{path}.{fields[i]}" if fields else f"{path}[{i}]"
            if kind == HANDLE:
                found.append((here, part))
            else:
                _collect(part, here, found, above)


def ranked(ns: Mapping[str, Any], before: Mapping[str, Any], text: Text) -> list[str]:
    """The variables that may name, best first: plain ones, those with places inside, those assigned only in loops.

    Looked into are those the text mentions, in its order, then those that changed behind its back (exec, `global`).
    """
    named = [n for n in text.order if n in ns and n[0] != "_"]
    behind = sorted(n for n, v in ns.items() if n not in text.order and n[0] != "_" and before.get(n) is not v)
    order = named + behind
    plain = [n for n in order if type(ns[n]) is Handle]
    strong = {n for n in plain if n in text.strong or n not in text.order}
    nested = [n for n in order if type(ns[n]) is not Handle]
    return [*(n for n in plain if n in strong), *nested, *(n for n in plain if n not in strong)]
