"""The Lua scripts as Redis gets them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent
#: What scripts have in common stands once, before each of them: the end of a run, packed columns.
_SHARED = {"sync": ("columns", "ended"), "end": ("ended",), "recover": ("columns",)}


@cache
def script(name: str) -> str:
    """The text of `name`.lua, with what it shares with others before it."""
    return "".join((_HERE / f"{part}.lua").read_text() for part in (*_SHARED.get(name, ()), name))
