"""P7 a warm run, P8 a cold one, R2 a run that another kernel takes up, P11 what the processes take while they wait."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import shapes
from table import Goal, Row, show

if TYPE_CHECKING:
    from peers import Peers

COLD_DAGNB = """
import sys, time
began = time.perf_counter()
import dagnb
a = dagnb.task(lambda x: x + 1)
with dagnb.dag("cold") as cold:
    last = a(a(a(0)))
cold.run(workers=2)
assert last.result() == 3
print(time.perf_counter() - began)
from dagnb.session import engine
engine.connect().stop()
"""
COLD_DASK = """
import time
if __name__ == "__main__":
    began = time.perf_counter()
    from dask.distributed import Client, LocalCluster
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    f = lambda x: x + 1
    assert client.get({"a": (f, 0), "b": (f, "a"), "c": (f, "b")}, "c") == 3
    print(time.perf_counter() - began)
    client.close(); cluster.close()
"""


def p7(peers: Peers, rounds: int) -> None:
    """A two-task DAG again and again, from `run()` to its result."""
    dag = shapes.chain(2).dagnb()
    dag.run(workers=2)
    dask = peers.other("dask")
    ours, theirs = [], []
    for _ in range(rounds * 20):
        began = time.perf_counter()
        dag.run(workers=2)
        assert dag.answer.result() == 1
        ours.append(time.perf_counter() - began)
        theirs.append(dask.run(shapes.chain(2))[0])
    show(Row("P7", "two tasks, warm", ours, theirs, "dask", Goal(15)))
    value = statistics.median(ours) * 1e3
    show(Row("P7", "the same, alone", ours, goal=Goal(1, 0.4, most=True, unit=" ms"), value=value))


def p8(_peers: Peers, rounds: int) -> None:
    """A fresh process, Redis and workers started, three tasks."""
    ours, theirs = [], []
    for _ in range(rounds):
        for program, times in ((COLD_DAGNB, ours), (COLD_DASK, theirs)):
            with tempfile.TemporaryDirectory(prefix="db", dir="/tmp") as home:
                script = Path(home) / "cold.py"
                script.write_text(program)
                env = os.environ | {"DAGNB_RUNTIME_DIR": f"{home}/r", "DAGNB_DATA_DIR": f"{home}/d"}
                env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode, as Dask has
                out = subprocess.run(
                    [sys.executable, script], capture_output=True, text=True, check=True, env=env, cwd=home
                )
                times.append(float(out.stdout.split()[-1]))
    show(Row("P8", "cold, three tasks", ours, theirs, "dask", Goal(4, 10)))


ORPHAN = """
import os, signal, sys, time
import dagnb, shapes
nap = dagnb.task(shapes.nap)
with dagnb.dag("orphan") as orphan:
    parts = [nap(i) for i in range(2000)]
run = orphan.run(workers=2, wait=False)
time.sleep(2.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def r2(_peers: Peers, rounds: int) -> None:
    """The kernel of a run of 2,000 tasks is killed; another takes it up, with all that it has done so far."""
    import dagnb
    from dagnb.session.names import DAGS

    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    subprocess.run([sys.executable, "-c", ORPHAN], env=env, check=False)
    attached, whole = [], []
    for _ in range(max(5, rounds)):
        began = time.perf_counter()
        run = dagnb.attach("orphan")
        attached.append(time.perf_counter() - began)
        assert run.progress
        whole.append(time.perf_counter() - began)
        DAGS.clear()  # the next is a new kernel, as far as it matters
    run.cancel()
    for what, times in (("attach to a run of 2,000", attached), ("… and all that it has done", whole)):
        goal = Goal(200, most=True, unit=" ms")
        show(Row("R2", what, times, goal=goal, value=statistics.median(times) * 1e3))


def p11(peers: Peers, _rounds: int) -> None:
    """Shared pages are divided among those who share them (PSS). Dask: scheduler, nannies, client and two workers."""
    from dagnb.session import engine

    peers.dagnb(shapes.fan(50))
    peers.other("dask")
    time.sleep(1.0)
    told = engine.connect().status()
    pids = [told.pid, told.redis.pid, *(worker.pid for worker in told.workers if worker.pid)]
    parts = {pid: pss(psutil.Process(pid)) for pid in pids}
    for process in (child for pid in pids for child in psutil.Process(pid).children(recursive=True)):
        parts.setdefault(process.pid, pss(process))
    ours = sum(parts.values())
    process = psutil.Process(peers.other("dask").process.pid)
    theirs = sum(map(pss, (process, *process.children(recursive=True))))
    note = (
        f"(Redis {parts[told.redis.pid] / 1e6:.0f}, supervisor {parts[told.pid] / 1e6:.0f} MB, then {len(parts) - 2})"
    )
    goal = Goal(0.5, 0.25, most=True)
    show(Row("P11", "memory while idle", [ours], [theirs], "dask", goal, "MB", ours / theirs, note))


def pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss)
