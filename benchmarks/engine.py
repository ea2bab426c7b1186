"""dagnb beside its peers in one run: interleaved rounds, medians, every value checked, one table.

    python benchmarks/engine.py [P1 P2 … R6] [--rounds 5]

P1   no-op makespan, from `dag.run()` on a freshly built DAG (assembling, planning and packing included) to its value
     in hand; Dask: `client.get` of a ready-made graph; the bare loop in two processes is the physical limit
P2   the same against ProcessPoolExecutor with a minimal driver; P2b what is left per task
P3   P1 with a round trip forced for every task
P4   perfect packing ÷ measured
P5   METG(50 %): the task length at which half of the time is work
P6   arrays of a megabyte, P6b a shuffle of them (values.py)
P7   a two-task DAG again and again
P8   a fresh process, its first DAG of three tasks
P9   bytes per node on the wire, P12 building 100,000 nodes (building.py)
P10  live events on ÷ off; processor time of the kernel at 5,000 events a second
P11  memory of the background processes while idle
R2   a run of another kernel taken up
R6   the longest script

All have two workers of one thread. All guarantees of dagnb are on: append-only file, signatures, fencing, recovery;
nothing is remembered from run to run ("fresh"). ✓✓ the stretch goal is reached, ✓ what must be, ✗ neither. The whole
table takes about eight minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import lifetime
import overhead
import packing
import scripts
import shapes
import table
import watching
from peers import Peers

Figure = Callable[[Peers, int], None]


def by(program: str, *figures: str) -> Figure:
    """Figures that another program of this folder prints."""

    def measure(_peers: Peers, rounds: int) -> None:
        file = Path(__file__).with_name(program)
        if not file.exists():
            print(f"{' '.join(figures)}: {program} is not here", flush=True)
            return
        subprocess.run([sys.executable, str(file), *figures, "--rounds", str(rounds)], check=False)

    return measure


FIGURES: dict[str, Figure] = {
    "P1": overhead.p1,
    "P2": overhead.p2,
    "P3": overhead.p3,
    "P4": packing.p4,
    "P5": overhead.p5,
    "P6": by("values.py", "P6", "P6b"),
    "P7": lifetime.p7,
    "P8": lifetime.p8,
    "P9": by("building.py", "P9"),
    "P10": watching.p10,
    "P11": lifetime.p11,
    "P12": by("building.py", "P12"),
    "R2": lifetime.r2,
    "R6": scripts.r6,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", default=list(FIGURES), help="which figures (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    unknown = [name for name in options.figures if name not in FIGURES]
    if unknown or options.rounds < 1:
        parser.error(
            f"figures are {', '.join(FIGURES)}, and at least one round" + (f"; not {unknown[0]}" if unknown else "")
        )
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended then too
    home = tempfile.mkdtemp(prefix="db", dir="/tmp")
    os.environ |= {"DAGNB_RUNTIME_DIR": f"{home}/r", "DAGNB_DATA_DIR": f"{home}/data", "DAGNB_HISTORY": "0"}
    peers, began = Peers(), time.monotonic()
    try:
        for warm in (shapes.fan(50), shapes.tree(16)):
            peers.dagnb(warm)
        table.head()
        for name in options.figures:
            FIGURES[name](peers, options.rounds)
    finally:
        peers.close()
        shutil.rmtree(home, ignore_errors=True)
    print(f"{options.rounds} rounds, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
