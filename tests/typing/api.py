"""The public names as users write them; type-checked by tests/typing/test_api.py, never run."""

from pathlib import Path
from typing import Any, assert_type

import dagnb
from dagnb import Cluster, Dag, Plan, Run, TaskError, task


@task
def load(path: str, rows: int = 10) -> list[int]:
    return [len(path)] * rows


@task(outs=2, est="30s", out_size="200MB")
def split(xs: list[int]) -> tuple[list[int], list[int]]:
    return xs[::2], xs[1::2]


@task
async def fetch(url: str) -> bytes:
    return url.encode()


with dagnb.dag("etl") as etl:
    raw = load("a.csv", rows=5)
    train, test = split(raw)
    total = task(len)(train)
    longer = load.options(est=3)("b.csv")

# completion and type checkers see the plain function
assert_type(raw, list[int])
assert_type(train, list[int])
assert_type(longer, list[int])
assert_type(etl, Dag)

plan = etl.plan("heft", workers=4, seed=1)
assert_type(plan, Plan)
assert_type(etl.plan(workers=Cluster.local(3)), Plan)
run = etl.run(workers=2, keep=["raw"], wait=False)
assert_type(run, Run)
assert_type(etl.run(plan=plan).state.value, str)
comparison = etl.compare(["heft", "dask"], workers=[2, Cluster.local(4)])
assert_type(comparison["heft", 2].makespan, float | None)
assert_type(etl.run(plan=comparison.best.plan), Run)
assert_type(dagnb.compare({"etl": etl}, "heft", workers=4).table(), str)
assert_type(etl.name, str)
assert_type(etl.last, Run | None)
assert_type(list(etl), list[str])
assert_type(len(etl), int)
assert_type("raw" in etl, bool)
assert_type(etl.pull("raw"), dict[str, Any])
assert_type(dagnb.workers(4), int)
assert_type(dagnb.from_wfformat("trace.json.gz", name="trace"), Dag)
assert_type(etl.export("etl.json"), Path)
assert_type(etl.run(mode="sleep", scale=0.01).acted, bool)
names: list[str] = sorted(etl.graph.keys)


async def wait() -> Run:
    return await etl.run_async()


try:
    etl.run()
except TaskError as error:
    print(error)

load(3)  # type: ignore[arg-type]  # the signature is kept
load("a", lines=3)  # type: ignore[call-arg]  # likewise
task(nonsense=1)  # type: ignore[call-overload]  # an option that does not exist
etl.run(workers="many")  # type: ignore[arg-type]  # a number or a Cluster
print(dagnb.nonsense)  # type: ignore[attr-defined]  # no such name
