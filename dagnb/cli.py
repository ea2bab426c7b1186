"""The command line: `dagnb run`, `dagnb doctor`, `dagnb clean`, `dagnb demo`. `python -m dagnb` is the same.

What a command needs is imported when it runs: `dagnb --version` touches neither Redis nor Jupyter.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from dagnb.errors import DagnbError

#: A file that exists, as a Path.
NOTEBOOK = click.Path(exists=True, dir_okay=False, path_type=Path)

#: A file to be written.
OUTPUT = click.Path(dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dagnb", message="%(prog)s %(version)s")
def cli() -> None:
    """Plan, draw and run DAGs of Python functions in Jupyter. These commands need no front end."""


@cli.command()
@click.argument("notebook", type=NOTEBOOK)
@click.option("-o", "--output", type=OUTPUT, help="Where the executed notebook goes; else NOTEBOOK is rewritten.")
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a variable after the first cell."
)
@click.option("-w", "--workers", type=click.IntRange(min=1), help="Worker processes.")
def run(notebook: Path, output: Path | None, params: tuple[str, ...], workers: int | None) -> None:
    """Execute NOTEBOOK in a fresh kernel, with progress in the terminal."""
    from dagnb.notebook.headless import run_notebook

    run_notebook(notebook, output, params=params, workers=workers)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool) -> None:  # noqa: FBT001  click passes by name
    """What dagnb needs, and whether it is here. Ends with 1 if something is missing."""
    from dagnb.runtime.doctor import doctor as examine

    checks = examine()
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            click.echo(
                f"{click.style('✓', 'green') if check.ok else click.style('✗', 'red')} {check.name}: {check.detail}"
            )
            if not check.ok:
                click.echo(f"  {check.advice}")
    sys.exit(0 if all(check.ok for check in checks) else 1)


@cli.command()
@click.option(
    "-o", "--output", type=OUTPUT, default=Path("build/demo"), show_default=True, help="Where the results go."
)
def demo(output: Path) -> None:
    """Run the first example notebook here in the terminal, and say where its results lie."""
    from dagnb.notebook.demo import run_demo

    run_demo(output)


@cli.command()
@click.option("-n", "--dry-run", "dry", is_flag=True, help="Only say what would be done.")
@click.option(
    "--all", "everything", is_flag=True, help="Also unfinished runs of stopped servers, and what runs taught."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def clean(dry: bool, everything: bool, as_json: bool) -> None:  # noqa: FBT001  click passes by name
    """Remove what stopped servers left behind. What runs now is never touched."""
    from dagnb.runtime.clean import clean as remove
    from dagnb.settings import Settings

    found = remove(Settings.load(), dry=dry, everything=everything)
    if as_json:
        click.echo(json.dumps([asdict(remains) for remains in found], indent=2))
        return
    for remains in found:
        click.echo(remains.said("would be removed" if dry else "removed"))
    if not found:
        click.echo("nothing was left behind")


def main() -> int:
    """Entry point of `dagnb` and of `python -m dagnb`: an error of ours is its text and a 1, not a traceback."""
    try:
        cli(prog_name="dagnb")
    except DagnbError as error:
        from dagnb.settings import Settings

        if Settings.load().debug:
            raise
        click.secho(str(error), fg="red", err=True)
        return 1
    return 0
