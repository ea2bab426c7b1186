"""`python -m dagnb`: the command line; and the start of workers and supervisor, without importing the rest.

Both are also started by the path of this file, so that they need not find the package in order to be found.
"""

from __future__ import annotations

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
    """Import the worker with our own path, then take over that of the notebook, and say that we are up."""
    from dagnb.runtime.worker import main as worker

    path = os.environ.pop("DAGNB_SYS_PATH", None)
    if path is not None:
        sys.path[:] = path.split("\n")
    ready = _ready()
    if ready >= 0:
        os.write(ready, b"1")
        os.close(ready)
    return worker(arguments)


def _supervisor(arguments: list[str]) -> object:
    """Leave the one who started us, then begin: an orphan is nobody's zombie."""
    ready = _ready()
    if os.fork():
        os._exit(0)
    from dagnb.runtime.supervisor import main as supervisor

    return supervisor(arguments, ready)


def _ready() -> int:
    """The descriptor on which somebody waits for us to be up; -1: nobody."""
    return int(os.environ.pop("DAGNB_READY", "-1"))


if __name__ == "__main__":
    if __package__ in (None, ""):  # started by path
        sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120  pathlib costs start-up
    sys.exit(main())  # type: ignore[arg-type]  # click and the loops return None or an exit code
