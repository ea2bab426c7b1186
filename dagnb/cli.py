"""The command line: `dagnb run`, `dagnb doctor`, `dagnb demo`. `python -m dagnb` is the same.

Click and what a command needs are imported when a command runs; `dagnb --version` touches neither Redis nor Jupyter.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dagnb.errors import DagnbError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dagnb", message="%(prog)s %(version)s")
def cli() -> None:
    """Plan, draw and run DAGs of Python functions in Jupyter; these commands do it without a front end."""
