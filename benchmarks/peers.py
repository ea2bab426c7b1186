"""Who is measured: dagnb as a user has it, dask.distributed, ProcessPoolExecutor with a minimal driver, a bare loop.

All have two processes that compute. Those of the peers are started once and in processes of their own, so that no
peer's threads share the interpreter of another; each side is left a moment of quiet before it is measured.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import shapes

#: Seconds of quiet before each measurement: a peer may still be tidying up after its last run.
QUIET = 0.5

Measured = tuple[float, Any]


class Apart:
    """A peer in a process of its own: it is sent a recorder and answers with seconds and value."""

    def __init__(self, serve: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,))
        self.process.start()

    def run(self, recorder: shapes.Recorder) -> Measured:
        self.pipe.send(recorder)
        seconds, value = self.pipe.recv()
        return seconds, value

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join(20)


def serve_dask(pipe: Any) -> None:
    """`client.get` of a ready-made graph on a LocalCluster(2×1)."""
    from dask.distributed import Client, LocalCluster

    warnings.simplefilter("ignore")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        for turn in itertools.count():
            recorder = pipe.recv()
            if recorder is None:
                return
            graph, key = recorder.dask(f"r{turn}")
            began = time.perf_counter()
            value = client.get(graph, key)
            pipe.send((time.perf_counter() - began, value))


def serve_executor(pipe: Any) -> None:
    """The least that runs a DAG on `concurrent.futures`: submit what is ready, wait for what ends, count parents."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(abs, range(100)))
        while (recorder := pipe.recv()) is not None:
            calls, needs, users = recorder.calls, *recorder.edges()
            began = time.perf_counter()
            value = drive(pool, calls, [len(d) for d in needs], users)
            pipe.send((time.perf_counter() - began, value))


def drive(pool: ProcessPoolExecutor, calls: list[Any], waiting: list[int], users: list[list[int]]) -> Any:
    values: list[Any] = [None] * len(calls)
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def submit(i: int) -> None:
        function, args = calls[i]
        future = pool.submit(function, *[shapes.look(a, values.__getitem__) for a in args])
        future.add_done_callback(lambda f, i=i: ended.put((i, f)))

    for i, left in enumerate(waiting):
        if not left:
            submit(i)
    for _ in calls:
        i, future = ended.get()
        values[i] = future.result()
        for user in users[i]:
            waiting[user] -= 1
            if not waiting[user]:
                submit(user)
    return values[-1]


def serve_loop(pipe: Any) -> None:
    """The physical limit: two processes each call half of the functions, inputs at hand, nothing coordinated.

    A chain has no halves: one process calls all of it.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(2):
        here, there = context.Pipe()
        process = context.Process(target=loop, args=(there,))
        process.start()
        pipes.append(here)
        processes.append(process)
    while (recorder := pipe.recv()) is not None:
        values = recorder.values()
        calls = [(f, [shapes.look(a, values.__getitem__) for a in args]) for f, args in recorder.calls]
        parts = [calls] if recorder.is_chain() else [calls[0::2], calls[1::2]]
        for one, part in zip(pipes, parts, strict=False):
            one.send(part)
            one.recv()
        began = time.perf_counter()
        for one in pipes[: len(parts)]:
            one.send_bytes(b"go")
        for one in pipes[: len(parts)]:
            one.recv_bytes()
        seconds = time.perf_counter() - began
        got = [part for one, _ in zip(pipes, parts, strict=False) for part in [one.recv()]]
        last = got[0][-1] if len(got) == 1 else got[(len(calls) - 1) % 2][-1]
        pipe.send((seconds, last))
    for one, process in zip(pipes, processes, strict=True):
        one.send(None)
        process.join(5)


def loop(pipe: Any) -> None:
    while (calls := pipe.recv()) is not None:
        pipe.send(len(calls))
        pipe.recv_bytes()
        values = [function(*args) for function, args in calls]
        pipe.send_bytes(b"done")
        pipe.send(values)


class Peers:
    """All sides; each is started when it is first asked."""

    def __init__(self) -> None:
        self._others: dict[str, Apart] = {}

    def other(self, name: str) -> Apart:
        if name not in self._others:
            made = Apart({"dask": serve_dask, "executor": serve_executor, "loop": serve_loop}[name])
            self._others[name] = made
            for warm in (shapes.fan(50), shapes.tree(16)):
                made.run(warm)
        return self._others[name]

    def measure(self, side: str, recorder: shapes.Recorder, **options: bool) -> float:
        """Seconds of one run on one side; its value is checked."""
        if side == "dagnb":
            seconds, value = self.dagnb(recorder, **options)
        else:
            other = self.other(side)
            time.sleep(QUIET)
            seconds, value = other.run(recorder)
        want = recorder.value()
        assert value == want, (side, value, want)
        return seconds

    def rounds(self, sides: tuple[str, ...], make: Any, rounds: int, **options: bool) -> dict[str, list[float]]:
        """Interleaved: every side once a round."""
        for side in sides:
            if side != "dagnb":
                self.other(side)
        found: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(1, rounds + 1):
            recorder = make().renewed(turn)
            for side in sides:
                found[side].append(self.measure(side, recorder, **(options if side == "dagnb" else {})))
        return found

    def dagnb(self, recorder: shapes.Recorder, *, single: bool = False) -> Measured:
        """From `dag.run()` on a freshly recorded DAG (assembling, planning, packing included) to its value in hand."""
        dag = recorder.dagnb()
        time.sleep(QUIET)
        if single:
            return self._single(dag)
        began = time.perf_counter()
        dag.run(workers=2)
        value = dag.answer.result()
        return time.perf_counter() - began, value

    def _single(self, dag: Any) -> Measured:
        from dagnb.runtime.run import start
        from dagnb.session import engine

        graph, plan = dag.graph, dag.plan("free", workers=2)
        began = time.perf_counter()
        run = start(graph, plan, engine.connect(), single=True).wait()
        value = run.result(graph.keys[-1])
        return time.perf_counter() - began, value

    def close(self) -> None:
        from dagnb.session import engine

        for other in self._others.values():
            other.close()
        if engine.connected() is not None:
            engine.connect().stop()
