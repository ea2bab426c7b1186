from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "dagnb" / "widgets" / "bundle" / "dag.js"


def test_the_bundle_is_small_and_asks_for_nothing():
    code = BUNDLE.read_text("utf-8")
    assert len(code.encode()) < 150_000
    assert code.startswith("// Generated from js/")
    for word in ("http://", "https://", "innerHTML", "eval(", "import("):
        assert word not in code, word


def test_a_rebuild_equals_what_is_committed(tmp_path):
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "esbuild").exists():
        if os.environ.get("CI"):
            pytest.fail("CI needs Node and the packages of package-lock.json")
        pytest.skip("no Node here, or `make js` was not run yet")
    subprocess.run([node, "js/build.mjs", "--to", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "dag.js").read_bytes() == BUNDLE.read_bytes(), (
        "js/ has changed: `make js` builds the bundle anew"
    )
