"""Pieces of Python in a process of their own, for what concerns a whole process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

# A machine that is busy starts a process late; one that hangs is ended in the end.
TIMEOUT = 120.0


def python(
    code: str, *options: str, environment: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run ``code``; what it warns of fails it, unless ``options`` say otherwise."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", textwrap.dedent(code)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def spawn(code: str, *options: str) -> subprocess.Popen[str]:
    """Start ``code``; the test talks to it and ends it."""
    return subprocess.Popen(
        [sys.executable, "-u", *options, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A group of its own: a Ctrl-C meant for it must not reach the tests.
        start_new_session=True,
    )
