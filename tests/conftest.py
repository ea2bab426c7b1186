"""What every test stands on: private directories, one Redis of their own, and nothing left behind at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

#: Under CI a missing tool is a failure; elsewhere a skip that names it.
CI = bool(os.environ.get("CI"))
ROOT = Path(__file__).resolve().parent.parent

#: Seconds on two cores that each part of `make test` may take; CONTRIBUTING.md has the same table.
LEDGER = {
    "unit and property": 180,
    "engine and catalogue": 120,
    "chaos and bad input": 120,
    "notebooks": 120,
    "browser": 120,
}

#: Sockets have short paths (100 bytes), so the directories lie in /tmp whatever TMPDIR is.
HOME = Path(tempfile.mkdtemp(prefix="dt", dir="/tmp"))

settings.register_profile("dagnb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dagnb"), derandomize=True)
settings.load_profile("ci" if CI else "dagnb")


def private_environment() -> dict[str, str]:
    """Variables that keep a test, its kernels, its workers and its JupyterLab inside `HOME`."""
    return {
        "DAGNB_RUNTIME_DIR": str(HOME / "r"),
        "DAGNB_DATA_DIR": str(HOME / "data"),
        "DAGNB_HISTORY": "0",  # what one test taught would change the plans of another
        "DAGNB_IDLE_TIMEOUT": "30",
        "IPYTHONDIR": str(HOME / "ipython"),
        "JUPYTER_CONFIG_DIR": str(HOME / "jupyter" / "config"),
        "JUPYTER_DATA_DIR": str(HOME / "jupyter" / "data"),
        "JUPYTER_RUNTIME_DIR": str(HOME / "jupyter" / "runtime"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "MPLBACKEND": "agg",
    }


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported: no setting of the person who runs the tests reaches them."""
    keep = {"DAGNB_REDIS_SERVER", "DAGNB_CHROMIUM"}
    for name in [name for name in os.environ if name.startswith("DAGNB_") and name not in keep]:
        del os.environ[name]
    os.environ.update(private_environment())
    os.environ.pop("MPLCONFIGDIR", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last thing: the private directories go."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def runtime_dir():
    """The private runtime directory of this test run; at the end its supervisor is stopped and nothing may be left."""
    directory = HOME / "r"
    yield directory
    stop_supervisor(directory)


def stop_supervisor(directory: Path, patience: float = 20.0) -> None:
    """End the supervisor of a runtime directory as an administrator would (SIGTERM); it takes Redis and workers along.

    Asserts that neither a live run, nor a process, nor a file of it remains. What a live run needs stays after a
    signal, as it should, so that such a run is named first.
    """
    live = live_runs(directory)
    note = directory / "supervisor.json"
    if note.exists():
        pid = json.loads(note.read_text())["pid"]
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + patience
    while (left := leftovers(directory, files=not live)) and time.monotonic() < end:
        time.sleep(0.05)
    log = directory / "supervisor.log"
    said = log.read_text()[-2000:] if log.exists() else ""
    assert not left, f"left behind in {directory}: {left}\n{said}"
    assert not live, f"runs that never ended, of tests that gave up waiting for them or forgot them: {live}\n{said}"


def live_runs(directory: Path) -> list[str]:
    """The runs that have not ended, by what their submission says of them."""
    from dagnb.errors import StoreError
    from dagnb.runtime.presence import RUNS
    from dagnb.runtime.wire import Wire

    if not (directory / "r.sock").exists():
        return []
    with suppress(StoreError):
        wire = Wire(str(directory / "r.sock"), "tests", patience=0.0)
        words = [word.decode() for word in wire.call("HGETALL", RUNS)]
        wire.close()
        return [f"{run} {about[:200]}" for run, about in zip(words[::2], words[1::2], strict=True)]
    return []


def leftovers(directory: Path, *, files: bool = True) -> list[str]:
    """Processes that name the directory in their command line, and `files` in it or of it."""
    from dagnb.runtime import places

    there = [str(path) for path in directory.iterdir()] if files and directory.exists() else []
    if files:  # large values lie outside it
        there += [str(place) for place in places.MEMORY.glob("dagnb-*") if places.home_of(place) == str(directory)]
    processes = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.pid != os.getpid() and any(str(directory) in word for word in words):
            processes.append(f"{process.pid}: {' '.join(words)}")
    return processes + there


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium. Elsewhere than under CI a missing one is a skip that says so."""
    names = (os.environ.get("DAGNB_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        complain = pytest.fail if CI else pytest.skip
        complain("no Chromium on this machine; as root `make test` installs it (DAGNB_CHROMIUM names another)")
    return found


@pytest.fixture(scope="session")
def screens() -> Path:
    """Where screenshots are kept for people to look at: build/screens/."""
    directory = ROOT / "build" / "screens"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def chapter(item: pytest.Item) -> str:
    """The line of the ledger that a test is booked under."""
    folder = item.path.relative_to(ROOT / "tests").parts[0]
    if folder == "browser":
        return "browser"
    if folder in {"notebooks", "test_cli.py"}:
        return "notebooks"
    if folder == "chaos" or item.get_closest_marker("chaos"):
        return "chaos and bad input"
    if folder in {"runtime", "notebook", "session", "test_catalogue.py"} or folder.startswith("test_session"):
        return "engine and catalogue"
    return "unit and property"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks that follow from where a test stands: browser, what may run beside others, and its line of the ledger."""
    for item in items:
        line = chapter(item)
        item.user_properties.append(("chapter", line))
        if line == "browser":
            item.add_marker(pytest.mark.browser)
        bears = line == "unit and property" or item.path.parent.name == "chaos"
        if bears and not item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.beside)


def pytest_terminal_summary(terminalreporter) -> None:
    """The ledger: seconds by part, against what the part may take."""
    seconds: dict[str, float] = defaultdict(float)
    count: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error", "skipped", ""):  # the other lists hold no reports
        for report in terminalreporter.stats.get(outcome, ()):
            if not isinstance(report, pytest.TestReport):
                continue  # deselected items and warnings stand in the same lists
            if line := dict(report.user_properties).get("chapter"):
                seconds[line] += report.duration
                count[line] += report.when == "call"
    if count.total() < 20:
        return
    terminalreporter.section("ledger")
    for line, budget in LEDGER.items():
        terminalreporter.line(f"{line:22}{count[line]:6} tests {seconds[line]:7.1f} s of {budget} s")
