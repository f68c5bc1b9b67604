"""Outside an attended kernel: IPython in a terminal, nbclient, nested event loops."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.notebook.conftest import SETUP, Kernel

# Without types.
nbformat: Any = import_module("nbformat")


def ipython(code: str) -> subprocess.CompletedProcess[str]:
    script = (
        # Python leaves SIGINT ignored where a shell started the tests in its background.
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell\n"
        "shell = TerminalInteractiveShell.instance(simple_prompt=True)\n"
        "shell.run_cell(SETUP)\n"
        "import sys\n"
        "done = shell.run_cell(CODE)\n"
        "sys.exit(0 if done.success else 3)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", f"SETUP = {SETUP!r}\nCODE = {code!r}\n{script}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_in_a_terminal_the_answer_streams_as_text() -> None:
    done = ipython("%%agent greeter\nyou")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Hello **you**\ngreeter · completed · ")


def test_in_a_terminal_a_failed_run_fails_the_cell() -> None:
    done = ipython("%%agent broken\nyou")
    assert done.returncode == 3
    assert "so far so" in done.stdout
    assert done.stdout.count("the tool broke") == 1
    assert done.stdout.rstrip().endswith("RunFailedError: ValueError: the tool broke")
    assert "Traceback" not in done.stdout


def test_in_a_terminal_ctrl_c_cancels_the_run() -> None:
    """The terminal's own loop must not be what the run waits on."""
    done = ipython(
        "import os, signal, threading, time\n"
        "def press():\n"
        "    while not (agentnb.last_run() and agentnb.last_run().text):\n"
        "        time.sleep(0.02)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=press, daemon=True).start()\n"
        "first = get_ipython().run_cell('%%agent slow -o stopped\\nx')\n"
        "print(first.success, stopped.status, len(stopped.text) < 200)"
    )
    assert done.stdout.strip().endswith("False cancelled True"), done.stdout + done.stderr


def test_in_a_terminal_a_background_run_does_not_print_later() -> None:
    done = ipython(
        "get_ipython().run_cell('%%agent greeter --bg -o later\\nyou')\n"
        "later.wait()\nimport time; time.sleep(0.2)\nprint(later.text)"
    )
    assert done.stdout == "greeter goes on in the background; _ holds the run.\nHello **you**\n"


def test_nbclient_records_one_static_output_and_fails_on_a_failed_run(tmp_path: Path) -> None:
    cells = [SETUP, "%%agent greeter\nyou", "%%agent broken\nyou", "print('not reached')"]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells]
    )
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.raises(CellExecutionError, match="RunFailedError"):
        client.execute()
    (answer,) = notebook.cells[1].outputs
    assert answer.output_type == "display_data"
    assert set(answer.data) == {"text/plain", "text/html"}
    assert "widget" not in nbformat.writes(notebook)
    assert not notebook.cells[3].outputs


def test_nested_loops_run_only_after_asking_for_them_and_lose_no_queued_cell() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        kernel = Kernel(client, manager.interrupt_kernel)
        assert kernel.run(SETUP).ok
        nested = "print(asyncio.run(greeter.arun('you')).text)"
        assert kernel.run(nested).reply["ename"] == "RuntimeError"
        assert kernel.run("agentnb.allow_nested_loops()").ok
        queued = [
            client.execute(code) for code in (nested, "print('second')", nested, "print('fourth')")
        ]
        replies = [client.get_shell_msg(timeout=60) for _ in queued]
        assert [r["parent_header"]["msg_id"] for r in replies] == queued
        assert {r["content"]["status"] for r in replies} == {"ok"}
        assert kernel.run("%%agent greeter -q -o still\nx").ok
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
