"""What a large run takes of memory, by the benchmark that prints it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "load.py"


@pytest.mark.long
def test_a_hundred_thousand_tasks_stay_within_the_stated_memory():
    """At most 200 bytes a task in Redis, at its highest, and 1,500 in the kernel."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "100000"], env=os.environ | {}, capture_output=True, text=True, check=True
    )
    print(done.stdout)
    assert done.stdout.count("✓") == 2, done.stdout
