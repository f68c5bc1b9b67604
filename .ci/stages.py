"""Runs the project's checks and stops after the first that fails.

`stages.py test` runs all of them; `stages.py check` those that take less than a minute together;
single stages run by name.  Linters and type checkers run two at a time, each printed as a whole.
pytest comes last and alone, so that the last line is its own count of what passed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import bootstrap

NODE_BIN = bootstrap.JS / "node_modules" / ".bin"
# Biome uses colours in files, too, unless they are off.
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
# pytest caches the modules that it rewrites; else each of its processes would rewrite all of them.
COLLECT = Stage("collection", (*PYTEST, "--collect-only", "-qqq", *NBVAL, "tests", "notebooks"))
# As many of these run at a time.
BESIDE = 2
# What an answer goes through, from its bytes to the run that a user holds.  To collect all tests
# alone takes half a minute, so that the others are not even looked at; and generated tests try
# fewer examples than with all the others.
CORE = (
    *("config", "driver", "platforms"),
    *("test_event.py", "test_event_iterator.py", "test_sse.py", "test_transcript.py"),
)
FAST = Stage(
    "pytest",
    (
        *(*PYTEST, "--quiet", "--numprocesses=4", "--dist=loadfile"),
        "--hypothesis-profile=quick",
        *("-m", "not slow and not ui", *(f"tests/{name}" for name in CORE)),
    ),
)
# The tests wait for servers, kernels and a browser more than they compute: one process for each
# processor would leave both idle most of the time.  tests/scheduling.py shares them out.
PROCESSES = ("--numprocesses=6", "--dist=loadfile")
# One run over tests and notebooks, so that one line counts them all.
WHOLE = Stage("pytest", (*PYTEST, "--quiet", *PROCESSES, *NBVAL, "tests", "notebooks"))


def main(argv: Sequence[str]) -> int:
    names = [stage.name for stage in LINT]
    parser = argparse.ArgumentParser(prog="stages.py", description=__doc__)
    parser.add_argument("stage", nargs="+", choices=["check", "test", *names])
    names_given: list[str] = parser.parse_args(argv).stage
    stages = [stage for stage in LINT if stage.name in names_given]
    if "test" in names_given:
        stages = [COLLECT, *LINT, WHOLE]
    elif "check" in names_given:
        stages = [*QUICK, FAST]
    environment = bootstrap.environment()
    if not sys.stdout.isatty():
        environment.setdefault("NO_COLOR", "1")
    if WHOLE in stages:
        # Found or installed by the set-up; the tests start these.
        environment["AGENTNB_CHROMIUM"] = bootstrap.ensure_chromium()
        environment["AGENTNB_POSTGRESQL"] = bootstrap.ensure_postgresql()
    tests = [stage for stage in stages if stage in (FAST, WHOLE)]
    with ThreadPoolExecutor(BESIDE) as pool:
        checks = [stage for stage in stages if stage not in tests]
        for finished in pool.map(lambda stage: run_quietly(stage, environment), checks):
            print(finished.output, end="", flush=True)
            if finished.status:
                pool.shutdown(cancel_futures=True)
                return failed(finished.stage, finished.status)
            print(f"=== {finished.stage.name}: {finished.seconds:.1f} s", flush=True)
    for stage in tests:
        print(f"\n=== {stage.name}", flush=True)
        done = subprocess.run(stage.command, cwd=stage.cwd, env=environment, check=False)
        if done.returncode:
            return failed(stage, done.returncode)
    return 0


@dataclass(frozen=True)
class Finished:
    """A stage that ran, with all that it printed."""

    stage: Stage
    status: int
    output: str
    seconds: float


def run_quietly(stage: Stage, environment: Mapping[str, str]) -> Finished:
    """Run a stage and keep its output, which would mix with that of another."""
    started = time.monotonic()
    done = subprocess.run(
        stage.command,
        cwd=stage.cwd,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    output = f"\n=== {stage.name}\n{done.stdout}"
    return Finished(stage, done.returncode, output, time.monotonic() - started)


def failed(stage: Stage, status: int) -> int:
    print(f"\n=== {stage.name} failed (exit status {status})", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
