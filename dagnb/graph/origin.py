"""Whose code it is: the user's, which counts by what it says, or a library's, which counts by name and version."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from functools import cache, lru_cache

from dagnb.errors import HERE


@cache
def _roots() -> tuple[str, ...]:
    """Folders under which libraries lie."""
    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*getattr(site, "getsitepackages", list)(), site.getusersitepackages(), HERE]
    return tuple({os.path.realpath(path) + os.sep for path in found if path})


@lru_cache(maxsize=4096)
def is_library(module: str, file: str | None) -> bool:
    """Whether code is of Python, an installed package or dagnb: by its file, by its module where it has none."""
    if module == "__main__":
        return False
    if file is None or file.startswith("<frozen"):
        return module.partition(".")[0] in sys.stdlib_module_names
    if file.startswith("<"):
        return False  # made by exec: a cell, a method of a dataclass
    return os.path.realpath(file).startswith(_roots())


@cache
def top_version(module: str) -> str:
    """The version of the package that a module belongs to; "" where nobody says."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "__main__":
        return ""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(top)
    except (PackageNotFoundError, ValueError):
        return str(getattr(sys.modules.get(top), "__version__", ""))
