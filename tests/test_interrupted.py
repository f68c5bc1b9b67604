"""The exit status of a script that Ctrl-C ends, while other code evaluates source text."""

from __future__ import annotations

import signal

import pytest

from tests.children import python

# What a thread that imports a module with a dataclass does at the same time.
CODE = """
import atexit, sys, threading
import agentnb
atexit.register(lambda: eval("0"))
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("def f(): raise KeyboardInterrupt\nf()", -signal.SIGINT),
        ("try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    pass", 0),
        ("try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    sys.exit(3)", 3),
        ("raise ValueError", 1),
        ("def f(): raise KeyboardInterrupt\nt = threading.Thread(target=f)\nt.start()", 0),
        ("import code\ncode.InteractiveInterpreter().runsource('1 / 0')", 0),
    ],
)
def test_is_what_python_has_for_it(end: str, status: int) -> None:
    done = python(f"{CODE}\n{end}", "-W", "ignore", check=False)
    assert done.returncode == status, done.stderr
