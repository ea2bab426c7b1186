"""The ES modules that `make js` builds from js/ and that travel with the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def built(name: str) -> str:
    """The code of one of them. Raises FileNotFoundError with what to do when it was never built."""
    path = Path(__file__).parent / "bundle" / name
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"JavaScript is missing: {path}\n  build it with `make js`, or reinstall dagnb"
        ) from error
