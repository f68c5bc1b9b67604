"""``%agent doctor`` in a kernel and in IPython's terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.formatters import HTMLFormatter
from jupyter_client.manager import start_new_kernel

from agentnb.doctor import Report
from agentnb.doctor.report import ok, problem
from agentnb.notebook.doctor import DisplayedReport
from tests.doctor.conftest import CANARY
from tests.faults.rawserver import unused_port
from tests.notebook.conftest import Kernel
from tests.notebook.test_elsewhere import ipython


@pytest.fixture
def kernel(surroundings: Path) -> Iterator[Kernel]:
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(surroundings))
    try:
        running = Kernel(client, manager.interrupt_kernel)
        assert running.run("%load_ext agentnb").ok
        yield running
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_in_a_kernel(kernel: Kernel, surroundings: Path) -> None:
    (surroundings / "agentnb.toml").write_text("[platforms\n")
    kernel.run(
        "import os\n"
        f"os.environ['OPERATIVUS_BASE_URL'] = 'http://127.0.0.1:{unused_port()}'\n"
        f"os.environ['OPERATIVUS_API_KEY'] = {CANARY!r}"
    )
    cell = kernel.run("%agent doctor")
    assert cell.ok, "a file that cannot be read is no reason not to say so"
    shown = cell.result["text/plain"]
    first = shown.splitlines()[0]
    assert first.startswith("problem  configuration ")
    assert "agentnb.toml cannot be read" in first
    assert "operativus: connection" in shown
    assert "runs are live views" in shown
    assert ", with subshells" in shown
    page = cell.result["text/html"]
    assert "<th" in page
    assert "font-weight:bold" in page
    assert CANARY not in str(cell.messages)
    unattended = kernel.run("%agent doctor seekr", attended=False).result["text/plain"]
    assert "seekr: key" in unattended
    assert "operativus: " not in unattended
    assert "no frontend seems to display" in unattended


def test_a_formula_in_a_message_is_text() -> None:
    said = r"answered $\href{https://evil.example}{Click}$ <b>"
    shown = DisplayedReport(Report((problem("seekr: access", said), ok("Python", "3")), 1.0))
    page = str(HTMLFormatter()(shown))
    assert re.fullmatch(r'<div class="mathjax_ignore tex2jax_ignore">.*</div>', page, re.DOTALL)
    assert html.escape(said) in page
    assert page.count("font-weight:bold") == 1
    assert shown.report.summary in page


def test_wrong_words(kernel: Kernel) -> None:
    for line, said in (
        ("%agent doctor operatives", "Did you mean 'operativus'?"),
        ("%agent doctor --steam", "--stream"),
    ):
        cell = kernel.run(line)
        assert not cell.ok
        (error,) = cell.of("error")
        assert said in error["evalue"]
        assert len(error["traceback"]) < 3
    # After an error a kernel drops what was queued; this one was not.
    assert kernel.run("%agent doctor --help").ok


def test_in_a_terminal_it_fits() -> None:
    done = ipython("import os\nos.environ['COLUMNS'] = '80'\n%agent doctor")
    assert done.returncode == 0, done.stderr
    text = done.stdout.partition("]: ")[2] or done.stdout
    assert "runs are plain text" in text
    assert "\x1b" not in text
    words = {line.split()[0] for line in text.splitlines() if line[:1].isalpha()}
    assert {"ok"} <= words
    assert max(len(line) for line in text.splitlines() if "/" not in line) <= 80
