"""Build hook: makes the widget's ES module when it is missing, so that `pip install` from a checkout needs no Node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = "dagnb/widgets/bundle"


class BundleHook(BuildHookInterface[Any]):
    """Runs `npm run build` if the bundle is missing or DAGNB_BUILD_JS is set; a committed bundle is taken as it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the hook's signature
        """Called by hatchling before anything is packed. Raises RuntimeError where no npm is to be had."""
        root = Path(self.root)
        built = any((root / BUNDLE).glob("*.js"))
        if version == "editable" or (built and not os.environ.get("DAGNB_BUILD_JS")):
            return  # whoever works in a checkout builds with `make js`
        npm = shutil.which("npm")
        if npm is None:
            msg = f"{BUNDLE} is empty and there is no npm to fill it: install Node 20 or later, or use a released wheel"
            raise RuntimeError(msg)
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=root, check=True)
        subprocess.run([npm, "run", "build"], cwd=root, check=True)
