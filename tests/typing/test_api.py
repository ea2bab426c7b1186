"""mypy, strictly, on code as users write it: `assert_type` inside, and every expected error is really one."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_public_api_is_typed_as_users_write_it():
    command = [sys.executable, "-m", "mypy", "--strict", "tests/typing/api.py"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert found.returncode == 0, found.stdout
