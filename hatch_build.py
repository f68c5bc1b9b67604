"""Build hook: bundles `js/` into `agentnb/widgets/static/` before hatchling packs the files.

The bundle is not committed. A checkout builds it with Node; an sdist brings it along, so that
installing from one needs no Node. What is already there is taken as it is, unless the sources
beside it are newer and can be built.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = ("loader.js", "run.js", "widget.js", "licenses.txt")


class BundleHook(BuildHookInterface[Any]):
    """Makes sure that the widget's bundle exists; aborts the build with one line if it can't."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle where it is missing or older than its sources."""
        root = Path(self.root)
        files = [root / "agentnb" / "widgets" / "static" / name for name in BUNDLE]
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
    """Run the bundler; the answer says in one line why that failed, or is None."""
    if not (js / "src" / "widget.ts").is_file():
        return "js/src/widget.ts is not there"
    # A Node installed from PyPI sits beside the interpreter, which need not be on PATH.
    beside = str(Path(sys.executable).parent)
    node = shutil.which("node") or shutil.which("node", path=beside)
    npm = shutil.which("npm") or shutil.which("npm", path=beside)
    if node is None:
        return "Node is not installed (20.19 or newer is needed; `make` brings it)"
    if not (js / "node_modules").is_dir():
        if npm is None:
            return "js/node_modules is missing and npm is not installed"
        command = [npm, "ci", "--no-audit", "--no-fund"]
        if subprocess.run(command, cwd=js, check=False).returncode:
            return "`npm ci` failed in js/"
    if subprocess.run([node, "build.mjs"], cwd=js, check=False).returncode:
        return "`node build.mjs` failed in js/"
    return None
