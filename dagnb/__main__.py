"""`python -m dagnb`: the command line; and the start of workers and supervisor, without importing the rest.

Both are also started by the path of this file, so that they need not find the package in order to be found.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> object:
    """Start what the first word names."""
    if sys.argv[1:2] == ["worker"] and "--slot" in sys.argv:
        return _worker(sys.argv[2:])
    if sys.argv[1:2] == ["supervisor"] and "--dir" in sys.argv:
        return _supervisor(sys.argv[2:])
    from dagnb.cli import main as cli

    return cli()


def _worker(arguments: list[str]) -> object:
    """Import the worker with our own path, before it takes over that of the notebook."""
    from dagnb.runtime.worker import begin

    return begin(arguments)


def _supervisor(arguments: list[str]) -> object:
    """Leave the one who started us, then begin: an orphan is nobody's zombie."""
    ready = int(os.environ.pop("DAGNB_READY", "-1"))
    if os.fork():
        os._exit(0)
    gc.disable()  # until all is imported: `dagnb.runtime.forking.preload`
    from dagnb.runtime.supervisor import main as supervisor

    return supervisor(arguments, ready)


if __name__ == "__main__":
    if __package__ in (None, ""):  # started by path
        sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120  pathlib costs start-up
    sys.exit(main())  # type: ignore[arg-type]  # click and the loops return None or an exit code
