"""History: what past runs taught, kept over kernels in one small file, summarised so that it never grows beyond bounds.

    table calls      code, machine, cpus, memory → the last runs (RUN) and samples of their calls (SAMPLE)
    table machine    machine, name of a fact → its last PAIRs

A record keeps the last `RUNS` runs by count, mean and variance, and at most `SAMPLES` single calls of the newest of
them, about as many of each. `RECORDS` records are kept; those not used for longest go first. Several kernels may read
and write at once (SQLite, write-ahead log). A file that cannot be read is set aside, and one that cannot be written is
replaced by memory: both are told in the log, never in a cell.
"""

from __future__ import annotations

import logging
import os
import platform
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from .samples import PAIR, RUN, SAMPLE, Record, Taught, record_from, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

log = logging.getLogger("dagnb")

#: Bounds of one record, and their number: some 4 kB each, 8 MB in all.
SAMPLES, RUNS, RECORDS = 64, 32, 2000

#: The newest runs that keep single calls.
DEEP = 8

#: Pairs kept of one fact of the machine.
PAIRS = 64

#: Seconds to wait for another kernel's write.
PATIENCE = 2.0

#: A number of the file's layout; another one is set aside.
LAYOUT = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS calls (
    code TEXT, machine TEXT, cpus REAL, memory REAL, used REAL, runs BLOB, samples BLOB,
    PRIMARY KEY (code, machine, cpus, memory)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS machine (machine TEXT, name TEXT, pairs BLOB, PRIMARY KEY (machine, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON calls (used);
"""


class History:
    """Measurements by code and resources. Safe to use from any thread. `History()` is one in memory.

    file       None for memory
    machine    what it runs on: other machines that share the file have measurements of their own
    """

    def __init__(self, file: Path | None = None, machine: str = "") -> None:
        self.file, self.machine = file, machine
        self._lock = RLock()
        self._pid = os.getpid()
        self._added = 0
        self._db = self._opened()

    @classmethod
    def open(cls, directory: Path, machine: str | None = None) -> Self:
        """The history in a folder, which is made where it is missing. Never raises."""
        return cls(directory / "history.sqlite", this_machine() if machine is None else machine)

    # ---- writing ----------------------------------------------------------------------------------------------------
    def add(self, *runs: Taught) -> None:
        """Join what runs taught, in one transaction. Never raises."""

        def write(db: sqlite3.Connection) -> int:
            db.execute("BEGIN IMMEDIATE")
            with db:
                for taught in runs:
                    for (code, on), rows in taught.calls.items():
                        _join_calls(db, (code, self.machine, *on), rows)
                    for name, rows in taught.machine.items():
                        _join_pairs(db, self.machine, name, rows)
                db.execute(
                    "DELETE FROM calls WHERE (code, machine, cpus, memory) IN (SELECT code, machine, cpus, memory"
                    " FROM calls ORDER BY used DESC LIMIT -1 OFFSET ?)",
                    (RECORDS,),
                )
            return 1

        self._added += self._do(write, 0)

    # ---- reading ----------------------------------------------------------------------------------------------------
    def records(self, code: str) -> list[Record]:
        """Every record of a function on this machine, one for each size of worker that it ran on. Never raises."""

        def read(db: sqlite3.Connection) -> list[Record]:
            rows = db.execute(
                "SELECT cpus, memory, runs, samples FROM calls WHERE code = ? AND machine = ? ORDER BY cpus, memory",
                (code, self.machine),
            )
            return [record_from(*row) for row in rows]

        return self._do(read, [])

    def pairs(self, name: str) -> NDArray[np.void]:
        """[≤ 64] PAIR of one fact of the machine, oldest first. Never raises."""

        def read(db: sqlite3.Connection) -> NDArray[np.void]:
            row = db.execute(
                "SELECT pairs FROM machine WHERE machine = ? AND name = ?", (self.machine, name)
            ).fetchone()
            return rows_of(row[0] if row else b"", PAIR)

        return self._do(read, np.zeros(0, PAIR))

    @property
    def version(self) -> tuple[int, int]:
        """Another one as soon as anybody has added something, this kernel or another."""
        return self._added, self._do(lambda db: int(db.execute("PRAGMA data_version").fetchone()[0]), 0)

    def __len__(self) -> int:
        """Records."""
        return self._do(lambda db: int(db.execute("SELECT count(*) FROM calls").fetchone()[0]), 0)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    # ---- the file ---------------------------------------------------------------------------------------------------
    def _do(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """`work` on the file; a broken one is set aside and `work` is done on a new one. `otherwise`: it cannot be."""
        with self._lock:
            if self._pid != os.getpid():  # a connection must not cross a fork
                self._pid, self._db = os.getpid(), self._opened()
            try:
                return work(self._db)
            except (
                sqlite3.OperationalError,
                sqlite3.ProgrammingError,
            ) as error:  # locked, disk full, read-only; closed
                log.warning("the history of runs cannot be used now: %s (%s)", error, self.file)
                return otherwise
            except (sqlite3.DatabaseError, ValueError) as error:
                self._db.close()
                self._set_aside(error)
                self._db = self._opened()
            with suppress(sqlite3.Error):
                return work(self._db)
            return otherwise

    def _opened(self) -> sqlite3.Connection:
        """A connection to a file that is whole and ours; to memory where there can be none."""
        if self.file is not None:
            for _ in range(2):
                try:
                    return _connect(self.file)
                except sqlite3.OperationalError as error:
                    log.warning("the history of runs is kept in memory only: %s (%s)", error, self.file)
                    break
                except OSError as error:
                    log.warning("the history of runs is kept in memory only: %s", error)
                    break
                except sqlite3.DatabaseError as error:
                    self._set_aside(error)
            self.file = None
        return _connect(None)

    def _set_aside(self, error: Exception) -> None:
        if self.file is None:
            return
        aside = self.file.with_name(f"{self.file.name}.broken-{time.time_ns()}")
        log.warning("the history of runs cannot be read (%s); it was set aside as %s", error, aside)
        for tail in ("", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{self.file}{tail}").replace(f"{aside}{tail}")


def _connect(file: Path | None) -> sqlite3.Connection:
    """A connection with the tables there. Raises sqlite3.Error, OSError."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    db = sqlite3.connect(file or ":memory:", PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        layout = db.execute("PRAGMA user_version").fetchone()[0]
        if layout == LAYOUT:
            return db
        if layout:
            raise sqlite3.DatabaseError(f"it has layout {layout}, here {LAYOUT} is read")
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(_TABLES)
        db.execute(f"PRAGMA user_version={LAYOUT}")
    except BaseException:
        db.close()
        raise
    return db


def this_machine() -> str:
    """What durations depend on: the processor and how many of them. Names of hosts change with every container."""
    model = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or platform.machine()} × {os.cpu_count()}"


def _join_calls(db: sqlite3.Connection, key: tuple[object, ...], rows: NDArray[np.void]) -> None:
    """Read, merge and write one record."""
    where = "WHERE code = ? AND machine = ? AND cpus = ? AND memory = ?"
    held = db.execute(f"SELECT runs, samples FROM calls {where}", key).fetchone() or (b"", b"")  # noqa: S608
    runs = np.concatenate([rows_of(held[0], RUN), summary(rows)])[-RUNS:]
    samples = thinned(np.concatenate([rows_of(held[1], SAMPLE), rows]))
    db.execute(
        "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*key, time.time(), runs.tobytes(), samples.tobytes()),
    )


def _join_pairs(db: sqlite3.Connection, machine: str, name: str, rows: NDArray[np.void]) -> None:
    held = db.execute("SELECT pairs FROM machine WHERE machine = ? AND name = ?", (machine, name)).fetchone()
    kept = np.concatenate([rows_of(held[0] if held else b"", PAIR), rows])[-PAIRS:]
    db.execute("INSERT OR REPLACE INTO machine VALUES (?, ?, ?)", (machine, name, kept.tobytes()))


def summary(rows: NDArray[np.void]) -> NDArray[np.void]:
    """[1] RUN of the calls of one run."""
    seconds = rows["seconds"]
    return np.array([(rows["run"][0], len(rows), seconds.mean(), seconds.var())], RUN)


def thinned(samples: NDArray[np.void]) -> NDArray[np.void]:
    """At most `SAMPLES` of the newest `DEEP` runs, about as many of each, spread evenly over small and large inputs."""
    numbers = np.unique(samples["run"])[-DEEP:]
    samples = samples[samples["run"] >= numbers[0]]
    if len(samples) <= SAMPLES:
        return samples
    share = SAMPLES // len(numbers)
    held = {run: np.flatnonzero(samples["run"] == run) for run in numbers.tolist()}
    spare = SAMPLES - sum(min(len(at), share) for at in held.values())
    kept: list[NDArray[Any]] = []
    for run in reversed(held):  # what older runs leave free goes to the newest
        at = held[run]
        room = min(len(at), share + spare)
        spare -= max(0, room - share)
        ranked = at[np.lexsort((samples["seconds"][at], samples["taken"][at]))]
        kept.append(ranked[np.linspace(0, len(at) - 1, room).round().astype(int)])  # the rare large ones are among them
    chosen: NDArray[np.void] = samples[np.sort(np.concatenate(kept))]
    return chosen
