"""Says in one line what is wrong with this Python, if it cannot carry dagnb. Runs on any Python 3."""

import sys


def complaint():
    """What to do, or an empty string."""
    have = "%d.%d" % sys.version_info[:2]
    if sys.version_info < (3, 11):
        return "dagnb needs Python 3.11 or later, this is %s. Name another: make PYTHON=python3.12 ..." % have
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return "Python %s has no module %s: apt-get install python%s-venv (Debian, Ubuntu), then make again." % (
            have,
            error.name,
            have,
        )
    return ""


if __name__ == "__main__":
    sys.exit(complaint() or 0)
