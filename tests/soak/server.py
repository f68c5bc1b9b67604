"""The sandbox in a process of its own, so that what is measured is the client's alone."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Served", "served"]


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    key: str


@contextmanager
def served() -> Generator[Served, None, None]:
    """Run a sandbox as fast as it can; it is ended by its process id."""
    key = secrets.token_hex(16)
    process = subprocess.Popen(
        [sys.executable, "-m", "agentnb.sandbox", "--pace", "0"],
        env={**os.environ, "AGENTNB_SANDBOX_KEY": key},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http://"))
        yield Served(url, key)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
