"""The body of a `%%dag` cell: compiled as the cell's own code, run once, recorded."""

from __future__ import annotations

import ast
import sys
from types import CodeType
from typing import TYPE_CHECKING, Any

from dagnb.errors import BuildError, place
from dagnb.graph.cells import CELLS
from dagnb.graph.handle import Handle
from dagnb.graph.naming import Text
from dagnb.session.dag import builder_of

from .tracebacks import begin_at

if TYPE_CHECKING:
    from dagnb.session.dag import Dag

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)


def run_body(shell: Any, dag: Dag, line: str, cell: str) -> None:
    """Record `cell` into `dag`, with the notebook's variables as its own.

    Lines count from `%%dag` = 1, and the code has the file name of the cell, so tracebacks and `inspect` find it. An
    error leaves the DAG and the variables as they were. Raises BuildError, and whatever the body raises.
    """
    blank = len(cell) - len(cell.lstrip())  # IPython takes away empty lines at the beginning: they count all the same
    source = "\n" * (1 + cell.count("\n", 0, blank)) + shell.transform_cell(cell)  # and one for `%%dag …`
    file = shell.compile.cache(source, _number(), raw_code=f"%%dag {line}\n{cell}")
    tree = _parse(shell, source, file)
    codes = _compile(shell, tree, file)
    builder = builder_of(dag)
    recording = builder.begin(shell.user_ns, file, Text.of(tree, cell))
    try:
        _execute(codes, shell.user_ns)
    except BaseException as error:
        builder.abort(recording, error)
        begin_at(error, _execute.__code__, shell)
        raise
    builder.commit(recording)


def _execute(codes: tuple[CodeType, CodeType | None], ns: dict[str, Any]) -> None:
    """Run the statements; show the value of a last expression, as in any cell, unless it is a handle."""
    statements, last = codes
    exec(statements, ns)  # noqa: S102 -- the user's own cell
    if last is not None:
        value = eval(last, ns)  # noqa: S307 -- the user's own cell
        if type(value) is not Handle:
            sys.displayhook(value)


def _number() -> int:
    """The n of `In[n]` of this cell; 0 where there is none."""
    digits = CELLS.now().label.removeprefix("In[").removesuffix("]")
    return int(digits) if digits.isdecimal() else 0


def _parse(shell: Any, source: str, file: str) -> ast.Module:
    try:
        tree: ast.Module = shell.transform_ast(shell.compile.ast_parse(source, filename=file))
    except SyntaxError as error:
        raise _syntax(_worded(source, file) or error, file) from None
    if (node := _top_level_await(tree)) is not None:
        raise BuildError(
            "await is not possible in a %%dag cell: a magic is synchronous.\n"
            f"  {place(file, node.lineno)}\n"
            '  await works in a with block: with dagnb.dag("etl"):'
        )
    return tree


def _compile(shell: Any, tree: ast.Module, file: str) -> tuple[CodeType, CodeType | None]:
    """The statements, and the last one alone if it is an expression."""
    body, last = list(tree.body), None
    try:
        if body and isinstance(body[-1], ast.Expr):
            last = shell.compile(ast.Expression(body.pop().value), file, "eval")  # type: ignore[attr-defined]
        return shell.compile(ast.Module(body, []), file, "exec"), last
    except SyntaxError as error:  # what only the compiler sees: `return` outside of a function
        raise _syntax(error, file) from None


def _worded(source: str, file: str) -> SyntaxError | None:
    """The error as Python words it: IPython's compiler calls many of them "incomplete input"."""
    try:
        ast.parse(source, file)
    except SyntaxError as error:
        return error
    return None


def _syntax(error: SyntaxError, file: str) -> BuildError:
    """What Python says of a text that is no Python, where it stands, and a mark under the place."""
    line = error.lineno or 1
    where = place(file, line)
    text = (error.text or "").rstrip("\n")
    mark = ""
    if text.strip() and error.offset:
        indent = len(text) - len(text.lstrip())
        column = where.rfind(text.strip())
        mark = "  " + " " * (max(column, 0) + max(error.offset - 1 - indent, 0)) + "^" if column >= 0 else ""
    return BuildError("\n".join(part for part in (f"this is not Python: {error.msg}", f"  {where}", mark) if part))


def _top_level_await(tree: ast.AST) -> Any:
    """The first `await`, `async for` or `async with` outside of any function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _SCOPES):
            continue
        if isinstance(node, _AWAITS):
            return node
        if (found := _top_level_await(node)) is not None:
            return found
    return None
