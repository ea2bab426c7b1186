"""The Lua scripts as Redis gets them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent
#: Scripts that can end a run: what that means stands once.
_ENDING = frozenset({"sync", "end"})


@cache
def script(name: str) -> str:
    """The text of `name`.lua, with what it shares with another before it."""
    shared = (_HERE / "ended.lua").read_text() if name in _ENDING else ""
    return shared + (_HERE / f"{name}.lua").read_text()
