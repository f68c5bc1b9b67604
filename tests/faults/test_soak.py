"""Runs under faults, side by side, for as long as a test may take; `make soak` goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_is_left() -> None:
    options = ["--seconds", "12", "--at-once", "8", "--patience", "15", "--seed", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".ci")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    told = done.stdout[-4000:] + done.stderr[-4000:]
    assert done.returncode == 0, told
    assert "left behind: nothing; wrong answers: 0" in told
