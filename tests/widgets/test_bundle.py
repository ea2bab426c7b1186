"""The built ES modules: small, asking for nothing, and what js/ says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dagnb.widgets.built import built

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "dagnb" / "widgets" / "bundle"


@pytest.mark.parametrize(
    ("name", "most", "never"),
    [
        ("dag.js", 150_000, ("http://", "https://", "innerHTML", "eval(", "import(")),
        ("metrics.js", 12_000, ("http://", "https://", "innerHTML", "eval(")),
    ],
)
def test_a_bundle_is_small_and_asks_for_nothing(name, most, never):
    code = built(name)
    assert len(code.encode()) < most
    assert code.startswith("// Generated from js/")
    for word in never:
        assert word not in code, word


def test_a_module_that_was_not_built_is_named():
    with pytest.raises(FileNotFoundError, match="make js"):
        built("nothing.js")


def test_a_rebuild_equals_what_is_committed(tmp_path):
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "esbuild").exists():
        if os.environ.get("CI"):
            pytest.fail("CI needs Node and the packages of package-lock.json")
        pytest.skip("no Node here, or `make js` was not run yet")
    subprocess.run([node, "js/build.mjs", "--to", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in BUNDLES.iterdir())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (BUNDLES / path.name).read_bytes(), (
            "js/ has changed: `make js` builds the bundle anew"
        )
