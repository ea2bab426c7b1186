"""One small workflow as each version of WfFormat writes it, made for these tests.

cut ──▶ fit ──▶ plot        cut makes a.dat (100 bytes), b.dat (300) and log.txt, which nobody reads
 └────▶ fit_2 ──▶ ┘         fit reads a.dat, fit_2 both; alone stands by itself; raw.csv comes from outside
"""

from __future__ import annotations

import json
from typing import Any

FILES = {"raw.csv": 5000, "a.dat": 100, "b.dat": 300, "log.txt": 7, "p.fit": 40, "q.fit": 40, "fig.png": 900}
READS = {
    "cut_ID01": ["raw.csv"],
    "fit_ID02": ["a.dat"],
    "fit_ID03": ["a.dat", "b.dat"],
    "plot_ID04": ["p.fit", "q.fit"],
    "alone_ID05": [],
}
MAKES = {
    "cut_ID01": ["a.dat", "b.dat", "log.txt"],
    "fit_ID02": ["p.fit"],
    "fit_ID03": ["q.fit"],
    "plot_ID04": ["fig.png"],
    "alone_ID05": [],
}
PARENTS = {
    "cut_ID01": [],
    "fit_ID02": ["cut_ID01"],
    "fit_ID03": ["cut_ID01"],
    "plot_ID04": ["fit_ID02", "fit_ID03"],
    "alone_ID05": [],
}
RUNTIME = {"cut_ID01": 1.5, "fit_ID02": 20, "fit_ID03": 22.25, "plot_ID04": 0, "alone_ID05": 3}
PROGRAM = {
    "cut_ID01": "/usr/local/bin/cut",
    "fit_ID02": "fit",
    "fit_ID03": "fit",
    "plot_ID04": "python",
    "alone_ID05": "cat <<-END > x\n  1\nEND",
}
CHILDREN = {task: [t for t, needed in PARENTS.items() if task in needed] for task in PARENTS}


def split(version: str = "1.5") -> dict[str, Any]:
    """Versions 1.5 and 1.6: specification and execution apart; the tasks in an order that is not topological."""
    tasks = [
        {
            "name": task,
            "id": task,
            "parents": PARENTS[task],
            "children": CHILDREN[task],
            "inputFiles": READS[task],
            "outputFiles": MAKES[task],
        }
        for task in reversed(PARENTS)
    ]
    ran = [
        {"id": task, "runtimeInSeconds": RUNTIME[task], "command": {"program": PROGRAM[task]}, "coreCount": 2.5}
        for task in PARENTS
    ]
    files = [{"id": file, "sizeInBytes": size} for file, size in FILES.items()]
    return {
        "name": "small",
        "schemaVersion": version,
        "workflow": {
            "specification": {"tasks": tasks, "files": files},
            "execution": {"makespanInSeconds": 100, "executedAt": "03-23-21T06:04:36Z", "tasks": ran},
        },
    }


def inline(version: str = "1.4") -> dict[str, Any]:
    """Versions 1.3 and 1.4: files in the tasks, their sizes only where they are made or come from outside."""
    size, runtime = ("size", "runtime") if version == "1.3" else ("sizeInBytes", "runtimeInSeconds")
    made = {file for files in MAKES.values() for file in files}
    tasks = []
    for number, task in enumerate(PARENTS, 1):
        files: list[dict[str, Any]] = [{"link": "output", "name": f, size: FILES[f]} for f in MAKES[task]]
        files += [{"link": "input", "name": f} | ({} if f in made else {size: FILES[f]}) for f in READS[task]]
        tasks.append(
            {
                "name": task,
                "id": f"ID{number:02}",
                "type": "compute",
                "command": {"program": PROGRAM[task]},
                "parents": PARENTS[task],
                "files": files,
                runtime: RUNTIME[task],
                "cores": 1,
            }
        )
    span = {"makespan": 100} if version == "1.3" else {"makespanInSeconds": 100}
    workflow = {**span, "executedAt": "20200402T152146+0000", "tasks": tasks}
    return {"name": "small", "schemaVersion": version, "workflow": workflow}


#: Version → the document.
VERSIONS = {"1.3": inline("1.3"), "1.4": inline("1.4"), "1.5": split("1.5"), "1.6": split("1.6")}


def text(version: str = "1.5") -> str:
    """The document as text, which may be changed."""
    return json.dumps(VERSIONS[version])


def document(version: str = "1.5") -> dict[str, Any]:
    """A copy of the document that may be changed."""
    copy: dict[str, Any] = json.loads(text(version))
    return copy
