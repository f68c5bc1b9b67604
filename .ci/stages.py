"""Runs the project's checks, one after the other, and stops at the first that fails.

`stages.py test` runs all of them; `stages.py check` those that take less than a minute together;
single stages run by name.  pytest comes last, so that the last line is its own count of what
passed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bootstrap

NODE_BIN = bootstrap.JS / "node_modules" / ".bin"
# Biome colours what it prints into files, too, unless told.
COLOUR = "--colors=force" if sys.stdout.isatty() else "--colors=off"
NBVAL = (
    "--nbval",
    "--nbval-cell-timeout=120",
    f"--nbval-sanitize-with={bootstrap.ROOT / '.ci' / 'nbval.cfg'}",
)


@dataclass(frozen=True)
class Stage:
    """One program; `cwd` is where it runs."""

    name: str
    command: tuple[str | Path, ...]
    cwd: Path = bootstrap.ROOT


PYTEST = (bootstrap.PYTHON, "-m", "pytest")

QUICK = (
    Stage("ruff", (bootstrap.BIN / "ruff", "check", ".")),
    Stage("ruff format", (bootstrap.BIN / "ruff", "format", "--check", ".")),
    Stage("import-linter", (bootstrap.BIN / "lint-imports", "--no-cache", "--no-logo")),
    Stage("biome", (NODE_BIN / "biome", "ci", COLOUR, ".", "../tests/bench/page"), bootstrap.JS),
    Stage("tsc", (NODE_BIN / "tsc", "--noEmit"), bootstrap.JS),
)
# Each takes about a minute.
THOROUGH = (
    Stage("pyright", (NODE_BIN / "pyright",)),
    Stage("vitest", (NODE_BIN / "vitest", "run"), bootstrap.JS),
)
LINT = (*QUICK, *THOROUGH)
# What an answer goes through, from its bytes to the run that a user holds.  To collect all tests
# alone takes half a minute, so that the others are not even looked at.  These wait for deadlines
# and pauses longer than they compute, so that two processors are busy only with more processes.
CORE = (
    *("config", "driver", "platforms"),
    *("test_event.py", "test_feed.py", "test_sse.py", "test_transcript.py"),
)
FAST = Stage(
    "pytest",
    (
        *(*PYTEST, "--quiet", "--numprocesses=6", "--dist=loadfile"),
        *("-m", "not slow and not ui", *(f"tests/{name}" for name in CORE)),
    ),
)
# The tests wait for servers, kernels and a browser more than they compute: two workers keep two
# processors busy for a quarter of the time.
PROCESSES = ("--numprocesses=4", "--dist=loadfile")
# One run over tests and notebooks, so that one line counts them all.
WHOLE = Stage("pytest", (*PYTEST, "--quiet", *PROCESSES, *NBVAL, "tests", "notebooks"))


def main(argv: Sequence[str]) -> int:
    names = [stage.name for stage in LINT]
    parser = argparse.ArgumentParser(prog="stages.py", description=__doc__)
    parser.add_argument("stage", nargs="+", choices=["check", "test", *names])
    asked: list[str] = parser.parse_args(argv).stage
    stages = [stage for stage in LINT if stage.name in asked]
    if "test" in asked:
        stages = [*LINT, WHOLE]
    elif "check" in asked:
        stages = [*QUICK, FAST]
    environment = bootstrap.environment()
    if not sys.stdout.isatty():
        environment.setdefault("NO_COLOR", "1")
    if WHOLE in stages:
        # Found or installed by the set-up; the tests start these.
        environment["AGENTNB_CHROMIUM"] = bootstrap.ensure_chromium()
        environment["AGENTNB_POSTGRESQL"] = bootstrap.ensure_postgresql()
    for stage in stages:
        print(f"\n=== {stage.name}", flush=True)
        started = time.monotonic()
        done = subprocess.run(stage.command, cwd=stage.cwd, env=environment, check=False)
        if done.returncode:
            print(f"\n=== {stage.name} failed (exit status {done.returncode})", file=sys.stderr)
            return 1
        if stage is not stages[-1]:
            print(f"=== {stage.name}: {time.monotonic() - started:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
