"""Ctrl-C in a map: what is printed names the user's code and how to go on, and nothing inside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebook.conftest import running_kernel

CODE = """
import asyncio, os, signal, threading, agentnb
async def halting(prompt):
    if int(prompt) >= 2:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        await asyncio.sleep(600)
    return prompt
def ask_all():
    agentnb.agent(halting).map(map(str, range(5)), concurrency=1, progress=False)
"""
SCRIPT = f"{CODE}\nask_all()\n"


def check(printed: str) -> None:
    assert "2 rows are done, see agentnb.last_map(). To go on" in printed
    assert "ask_all()" in printed
    for inside in ("agentnb/batch", "agentnb/_loop", "calls.py", "job.py", "maps.py", "site-pack"):
        assert inside not in printed


@pytest.mark.slow
def test_in_a_script(tmp_path: Path) -> None:
    file = tmp_path / "asking.py"
    file.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    check(done.stderr)
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode == -signal.SIGINT


@pytest.mark.slow
def test_in_ipython() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TERM": "dumb"},
    )
    check(done.stdout + done.stderr)


@pytest.mark.slow
def test_in_a_kernel() -> None:
    with running_kernel() as kernel:
        assert kernel.run(CODE).ok
        cell = kernel.run("first = 1\nask_all()")
        assert cell.reply["ename"] == "KeyboardInterrupt"
        check("\n".join(cell.of("error")[0]["traceback"]))
        # The next error is shown as it is.
        assert "ZeroDivisionError" in kernel.run("1 / 0").reply["ename"]


HALF = """
import asyncio, os, signal, sys, threading, agentnb
async def halting(prompt):
    yield "half an answer"
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    await asyncio.sleep(600)
halting = agentnb.agent(halting)
"""
STREAM = """
async def ask():
    async for event in halting.stream("q"):
        pass
asyncio.run(ask())
"""
MAGIC = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "agentnb")
shell.user_ns["halting"] = halting
shell.run_cell_magic("agent", "halting", "q")
"""


@pytest.mark.parametrize(
    "ask",
    ['halting.run("q")', 'halting.start("q").wait()', STREAM, MAGIC],
    ids=["run", "wait", "stream", "magic"],
)
def test_one_run_in_a_script(tmp_path: Path, ask: str) -> None:
    file = tmp_path / "asking.py"
    file.write_text(HALF + ask)
    environment = {**os.environ, "AGENTNB_HISTORY": str(tmp_path / "history.sqlite")}
    done = subprocess.run(
        [sys.executable, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert f'File "{file}"' in done.stderr
    assert "KeyboardInterrupt" in done.stderr
    assert "/agentnb/" not in done.stderr.replace(str(tmp_path), "")
    assert done.returncode == -signal.SIGINT
    kept = "import agentnb; print(*agentnb.runs()[['status', 'text']].iloc[0])"
    read = subprocess.run(
        [sys.executable, "-c", kept],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment,
    )
    assert read.stdout == "cancelled half an answer\n"
