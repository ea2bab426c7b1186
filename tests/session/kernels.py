"""A DAG that two processes write alike, and a process that begins it and can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import dagnb
from dagnb import task

ROOT = Path(__file__).resolve().parents[2]

KERNEL = """
import sys, time
from tests.session.kernels import {function}
dag = {function}({arguments})
run = dag.run(wait=False, workers=2)
print(run.id, flush=True)
{then}
time.sleep(600)
"""


@task
def grow(x, factor, seconds):
    time.sleep(seconds)
    return x * factor


@task
def total(xs, names):
    print("adding", len(xs))
    return {names[0]: sum(xs)}


@task
def fail(x):
    print("about to fail")
    raise ValueError(f"bad {x}")


def etl(n=60, seconds=0.02, factor=3, name="etl", *, bad=False):
    """`n` short tasks and their sum; with `bad` a task that fails."""
    with dagnb.dag(name, new=True) as dag:
        parts = [grow(i, factor, seconds) for i in range(n)]
        report = total(parts, ["all"])  # noqa: F841 -- its name is that of the node
        if bad:
            wrong = fail(parts[0])  # noqa: F841
    return dag


def expected(n=60, factor=3):
    """The value of `report`."""
    return {"all": sum(range(n)) * factor}


@contextmanager
def kernel(*arguments, function="etl", then="", cwd=ROOT, **named):
    """A process that has begun the run of `etl(*arguments, **named)`: (it, the id of the run)."""
    words = ", ".join([*map(repr, arguments), *(f"{key}={value!r}" for key, value in named.items())])
    code = KERNEL.format(function=function, arguments=words, then=then)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "7"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=cwd, env=env, text=True)
    try:
        run = process.stdout.readline().strip()
        assert run
        yield process, run
    finally:
        kill(process)


def kill(process):
    """As a restart of the kernel does it, at its worst."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def orphan(*arguments, after=0.3, **named):
    """The id of a run that goes on although its kernel was killed, `after` seconds after its submission."""
    with kernel(*arguments, **named) as (process, run):
        time.sleep(after)
        kill(process)
        return run
