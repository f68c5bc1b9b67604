"""A canary for a key, which a careless server repeats: in no notebook, no message, no file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from tests.faults.echoing import CANARY, echo
from tests.faults.rawserver import running
from tests.notebook.conftest import Kernel

# Without types.
nbformat: Any = import_module("nbformat")

REFUSED = ("401", "422", "html", "json", "redirect", "cut", "status")
SHOWN = ("said", "letters", "passages", "call", "unknown", "malformed", "failed", "paused")
# What a cell may ask that would show a key, if anything did.
LOOKS = (
    *("%agent config", "%agent status", "%agent sessions", "%agent history", "%agent help"),
    *("%agent doctor operativus", "%agent list operativus", "%config AgentMagics", "%who_ls"),
    "agentnb.last_run()",
    "agentnb.last_run().to_dict()",
    "agentnb.runs()",
    "agentnb.events()",
    "agentnb.tool_calls()",
    "agentnb.sessions()",
    "from agentnb.config import config\nconfig()",
    "config().settings('operativus')",
    "vars(agentnb.agent('operativus:said'))",
    "agentnb.agent('operativus:said').platform.__dict__",
    "agentnb.show(agentnb.last_run())",
)
# %xmode Verbose prints the variables of every frame.
VERBOSE = (
    "%xmode Verbose",
    *(f"agentnb.agent('operativus:{kind}').run('x')" for kind in ("401", "failed", "cut", "json")),
    "agentnb.agent('operativus:a', base_url='nonsense')",
    "%%agent operativus:401\nx",
    "%agent login operativus",
    "%xmode Context",
)
CHILD = (
    "import subprocess, sys\n"
    "subprocess.check_output([sys.executable, '-c', 'import os; print(os.environ)'], text=True)"
)
LOGS = (
    "import logging\nlogging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)\n"
    "agentnb.agent('operativus:said').run('x').status"
)
FILES = (
    "for end in ('.md', '.html', '.json'):\n    agentnb.last_run().export('run' + end)\n"
    "with agentnb.record('recorded.jsonl'):\n"
    "    agentnb.agent('operativus:call').run('x')\n"
    "    agentnb.agent('operativus:letters').run('x')\n"
    "    agentnb.agent('operativus:401').run('x', check=False)\n"
    "from agentnb.store.recorder import flush\nassert flush(30)"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The careless server."""
    with running(echo) as server:
        yield server.url


@pytest.fixture
def folder(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with its key in ``.env``; the kernel that a test starts works there."""
    (tmp_path / ".env").write_text(f"OPERATIVUS_API_KEY={CANARY}\n")
    monkeypatch.setenv("OPERATIVUS_BASE_URL", address)
    monkeypatch.setenv("AGENTNB_HISTORY", str(tmp_path / "runs.sqlite"))
    return tmp_path


def everything(folder: Path) -> dict[str, bytes]:
    """All files below ``folder``, but for the one that is to hold the key."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".env"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_saved_notebook_and_the_files_beside_it(folder: Path) -> None:
    cells = ["%load_ext agentnb\nimport agentnb"]
    cells += [f"%%agent operativus:{kind} -o found\nhello" for kind in REFUSED]
    cells += ["%config AgentMagics.display = 'widget'"]
    cells += [f"%%agent operativus:{kind} -o found\nhello" for kind in SHOWN]
    cells += [*LOOKS, *VERBOSE, CHILD, LOGS, FILES]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    client = NotebookClient(
        notebook,
        timeout=60,
        allow_errors=True,
        store_widget_state=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    nbformat.write(notebook, folder / "saved.ipynb")
    files = everything(folder)
    assert {"saved.ipynb", "runs.sqlite", "recorded.jsonl", "run.md", "run.html"} <= files.keys()
    assert "application/vnd.jupyter.widget-state+json" in json.dumps(notebook.metadata)
    saved = files["saved.ipynb"].decode()
    for sign in ("***", "send_request_headers", "environ({", "RunFailedError"):
        assert sign in saved
    assert [each.source for each in notebook.cells if CANARY in json.dumps(each)] == []
    for name, content in files.items():
        assert CANARY.encode() not in content, name


def _is_paused(_: str, content: dict[str, Any]) -> bool:
    return "'status': 'paused'" in str(content)


def test_no_message_to_a_frontend(folder: Path, address: str) -> None:
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
    try:
        kernel = Kernel(client, manager.interrupt_kernel)
        cells = [kernel.run("%load_ext agentnb\nimport agentnb")]
        for kind in SHOWN:
            # A cell whose run waits for a decision goes on until it is stopped.
            cells += [kernel.run(f"%%agent operativus:{kind}\nhello", interrupt_at=_is_paused)]
        cells += [kernel.run("chat = agentnb.chat('operativus:letters')\nchat")]
        cells += [kernel.run("chat.ask('hello')"), kernel.run("chat.widget.get_state()")]
        cells += [kernel.run("agentnb.compare(['operativus:said', 'operativus:call'], 'hello')")]
        cells += [kernel.run("agentnb.monitor()")]
        kinds = {kind for cell in cells for kind, _ in cell.messages}
        assert {"comm_open", "comm_msg", "display_data"} <= kinds
        told = json.dumps([[cell.reply, cell.messages] for cell in cells], default=repr)
        assert "***" in told
        assert CANARY not in told
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert CANARY not in "".join(os.environ.values())
