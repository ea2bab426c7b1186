"""One run that tells of everything, written for the reader in TypeScript: both fold the same bytes to the same rows.

python tests/trace/test_fixture.py      writes the file again
"""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

from dagnb.trace.events import BATCH_HEAD, COMMIT, PROVISIONAL, RETRACTION, Batch, RecordKind
from dagnb.trace.records import pack_batch
from dagnb.trace.timeline import Timeline

FILE = Path(__file__).resolve().parents[2] / "js" / "__tests__" / "fixtures" / "events.json"
TASKS = 10


def started(at, task, worker, attempt=1):
    return (at, 0.0, 0.0, 0.0, 0.0, task, worker, RecordKind.STARTED, attempt)


def finished(start, at, task, worker, attempt=1):
    return (at, start, 0.125, 0.0625, 1000.0 * task, task, worker, RecordKind.FINISHED, attempt)


def failed(start, at, task, worker, attempt=1):
    return (at, start, 0.0, 0.0, 0.0, task, worker, RecordKind.FAILED, attempt)


def untouched(kind, at, task):
    return (at, 0.0, 0.0, 0.0, 0.0, task, 0, kind, 0)


def batches():
    """Two workers; the second dies with open records and its successor runs them again; one task fails for good."""
    return [
        pack_batch(COMMIT, 0, [untouched(RecordKind.CACHED, 0.0, 0)]),
        pack_batch(PROVISIONAL, 0, [started(0.5, 1, 0), finished(0.5, 1.5, 1, 0), started(1.5, 2, 0)]),
        pack_batch(PROVISIONAL, 1, [started(0.5, 3, 1), finished(0.5, 0.75, 3, 1), started(0.75, 4, 1)]),
        pack_batch(COMMIT, 0, [finished(1.5, 2.25, 2, 0)]),
        pack_batch(PROVISIONAL, 0, [started(2.25, 5, 0)]),
        pack_batch(RETRACTION, 1, []),
        pack_batch(COMMIT, 1, [started(3.0, 3, 1, 2), finished(3.0, 3.25, 3, 1, 2), failed(3.25, 4.5, 4, 1, 2)]),
        pack_batch(COMMIT, 1, [untouched(RecordKind.SKIPPED, 4.5, 6), untouched(RecordKind.CANCELLED, 5.0, 7)]),
        pack_batch(PROVISIONAL, 1, [started(5.0, 8, 1)]),
    ]


def column(values):
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values.tolist()]


def document():
    timeline = Timeline(TASKS)
    changed = [timeline.apply_batch(Batch.unpack(data)).tolist() for data in batches()]
    return {
        "about": "batches of packed records (base64), the tasks that each one touches, and the rows after the last",
        "tasks": TASKS,
        "head": BATCH_HEAD.size,
        "batches": [base64.b64encode(data).decode() for data in batches()],
        "changed": changed,
        "folded": {name: column(values) for name, values in timeline.columns().items()},
    }


def text():
    return json.dumps(document(), indent=1) + "\n"


def test_the_committed_fixture_is_what_python_folds_today():
    assert FILE.read_text() == text(), f"write it again: python {Path(__file__).name}"


def test_the_fixture_tells_of_every_state_but_ready():
    assert set(document()["folded"]["state"]) == {0, 2, 3, 4, 5, 6, 7}


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
