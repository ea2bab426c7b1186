"""The Python twins of `%dag status`, `%dag workers`, `%dag doctor` and `%dag help`: text, made here once for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagnb.errors import DagnbError
from dagnb.planning.words import plural, seconds

from . import engine, joining, registry
from .dag import builder_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dagnb.runtime.peek import Orphan
    from dagnb.runtime.run import Run
    from dagnb.runtime.status import WorkerStatus


class Report(str):
    """A text that a notebook shows as it is: the last line of a cell may be `dagnb.status()`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def status() -> Report:
    """DAGs here, last runs, the pool."""
    found = registry.dags()
    lines = [_dag_line(name, dag) for name, dag in found.items()] or [
        "no DAG yet: write a cell that begins with %%dag etl"
    ]
    return Report("\n".join([*lines, *_orphan_lines(), *_pool_lines()]))


def _orphan_lines() -> list[str]:
    """Runs of this folder that go on without a kernel, but for those that this one has taken up."""
    held = {dag.last.id for dag in registry.dags().values() if dag.last is not None}
    return [orphan_line(orphan) for orphan in joining.orphans() if orphan.id not in held]


def orphan_line(orphan: Orphan) -> str:
    """`etl · 2,000 tasks · goes on since 12 s, its kernel is gone: %dag attach etl`"""
    size = plural(orphan.tasks, "task")
    return f"{orphan.dag} · {size} · goes on since {seconds(orphan.age)}, its kernel is gone: %dag attach {orphan.dag}"


def _dag_line(name: str, dag: Any) -> str:
    problems = builder_of(dag).problems
    if problems:
        return f"{name} · cannot be planned: {problems[0]}"
    n = len(dag.graph)
    size = f"{name} · {n} task{'s' * (n != 1)}"
    return f"{size} · {run_line(dag.last)}" if dag.last is not None else f"{size} · never run"


def run_line(run: Run) -> str:
    """`done in 1.2 s` (what the widget says too), `running: 3 of 10 tasks done`, `failed: 1 of 10 tasks`."""
    try:
        run.look()
    except DagnbError as error:  # the store is gone
        return str(error).partition("\n")[0]
    counts = {state.name.lower(): n for state, n in run.timeline.counts.items() if n}
    state, n = run.state.value, len(run.graph)
    if state == "done":
        return f"done in {seconds(run.makespan or 0.0)}{_waited(run)}"
    facts = ", ".join(f"{counts[s]} {s}" for s in ("done", "running", "failed", "skipped", "cancelled") if s in counts)
    return f"{state}: {facts or 'nothing done'} of {n}"


def _waited(run: Run) -> str:
    """`, result after 0.9 s`: where more than the work lay between submission and result, a start of workers say."""
    work, client = run.makespan or 0.0, run.client_makespan or 0.0
    return f", result after {seconds(client)}" if client - work > max(0.1 * work, 0.02) else ""


def _pool_lines() -> list[str]:
    """What runs in the background, asked of the supervisor; nothing is started for it."""
    pool = engine.connected()
    if pool is None:
        return [f"workers: {engine.worker_count()} when the first run starts them"]
    found = pool.status()
    up = [w for w in found.workers if w.state == "up"]
    busy = sum(1 for w in up if w.task is not None)
    died = f" · {found.deaths} died so far" if found.deaths else ""
    users = f"{len(found.runs)} live runs · {len(found.kernels)} kernels"
    lines = [
        f"workers: {len(up)} up, {busy} busy · {engine.worker_count()} for the next run{died}",
        f"store: Redis {found.redis.version}, {found.redis.memory / 1e6:.1f} MB · {users} · {found.directory}",
    ]
    lines += _size_lines(found.workers)
    return lines + [f"worker {w.slot} is broken: {w.broken}" for w in found.workers if w.broken]


def _size_lines(workers: Iterable[WorkerStatus]) -> list[str]:
    """`sizes: 2 × 1 cpu, 512 MB (2 up) · …`, where workers have sizes at all."""
    sizes: dict[str, list[bool]] = {}
    for worker in workers:
        if worker.size:
            sizes.setdefault(worker.size, []).append(worker.state == "up")
    told = " · ".join(f"{len(up)} × {size} ({sum(up)} up)" for size, up in sizes.items())
    return [f"sizes: {told}"] if told else []


def workers(n: int | None = None) -> int:
    """How many workers runs of this kernel use; `workers(4)` sets it for the runs to come. Raises OptionError."""
    return engine.worker_count() if n is None else engine.want(n)


def doctor() -> Report:
    """What dagnb needs and whether it is there: Python, Redis, the runtime directory, shared memory, the front end."""
    from dagnb.runtime.doctor import doctor as checks

    return Report("\n".join(_check_line(check) for check in checks()))


def _check_line(check: Any) -> str:
    advice = f"\n      {check.advice}" if not check.ok and check.advice else ""
    return f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}{advice}"


def help() -> Report:  # noqa: A001 -- `dagnb.help`, never exported by a star
    """One screen: how to begin, and every magic with its Python twin."""
    return Report(HELP)


#: One screen for `dagnb.help()`, `%dag help`, `%dag?`.
HELP = """\
%load_ext dagnb                  from dagnb import task

@task                            %%dag etl
def clean(df): ...               parts  = [clean(load(f)) for f in files]
                                 report = summarise(merge(parts))

%dag run etl                     etl.run()              run it, wait, show it live
%dag run etl -b -w 4             etl.run(wait=False, workers=4)
%dag result etl.report           report.result()        the value of a node
%dag                             dagnb.status()         DAGs, last runs, workers, store
%dag show etl                    etl                    the picture
%dag plan etl -P heft -w 16      etl.plan("heft", workers=16)
%dag compare etl -P heft,dask    etl.compare(["heft", "dask"])   side by side: pick one, run it
                                 etl.run(mode="sleep", scale=0.01)   act it out: tasks sleep
%dag export etl etl.json         etl.export("etl.json") WfFormat; dagnb.from_wfformat("etl.json") reads it
%dag wait etl                    run.wait()
%dag cancel etl                  run.cancel()
%dag logs etl.report             report.logs()          stdout, stderr, traceback
%dag pull etl                    etl.pull()             variables become values
%dag attach                      dagnb.attach()         a run of a kernel that is gone goes on: here it is
%dag runs                        dagnb.runs()           runs of all kernels, live and ended
%dag workers 8                   dagnb.workers(8)
%dag drop etl                    etl.drop()
%dag doctor                      dagnb.doctor()         is everything there?

With one DAG its name may be left out. -b runs in the background, ■ cancels. %%dag? lists the options of a cell."""
