"""A notebook recorded once runs again without the platform, with the same outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agentnb.sandbox import Sandbox

# Without types.
nbformat: Any = import_module("nbformat")

QUESTIONS = """\
%load_ext agentnb
import agentnb
agentnb.record("answers.jsonl")
===
%%agent seekr:finance_agent
What is the current NVDA stock price, and why?
===
%%agent seekr:finance_agent
And AMD?
===
_.session_id, _.id, _.duration, _.time_to_first_token, _.usage
===
%%agent operativus:echo --param temperature=0.5
Tell **me**
===
%%agent runtools:echo --new -o answer
Hello
===
answer.to_dict()["events"]
===
agent = agentnb.agent("runagent:finance_agent")
agent.run("How volatile was TSLA?")
===
run = agent.start("What is the price of XYZ?")
run.wait(check=False)
===
%agent list seekr
===
print(agentnb.agent("seekr:nobody").run("Are you there?", check=False).error)
"""

# What runs a notebook in a process of its own, as nbclient does everywhere.
EXECUTE = """
import sys, nbformat, nbclient
path = sys.argv[1]
book = nbformat.read(path, as_version=4)
try:
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
finally:
    nbformat.write(book, path)
"""


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """The environment in which the platforms are there: a sandbox that speaks their APIs."""
    with Sandbox(pace=0.1) as running:
        found: dict[str, str] = {}
        for name in ("seekr", "operativus", "runtools", "runagent"):
            found[f"{name.upper()}_BASE_URL"] = running.base_url(name)
            found[f"{name.upper()}_API_KEY"] = running.api_key.get_secret_value()
        yield found


@pytest.fixture(scope="module")
def recorded(addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that was recorded, with the recording beside it."""
    path = tmp_path_factory.mktemp("recorded") / "book.ipynb"
    write(path, QUESTIONS.split("===\n"))
    done = execute(path, addresses)
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def write(path: Path, sources: Sequence[str]) -> None:
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def execute(path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a notebook in place, where it is."""
    return subprocess.run(
        [sys.executable, "-c", EXECUTE, str(path)],
        cwd=path.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def outputs(path: Path) -> list[list[dict[str, Any]]]:
    return [cell.outputs for cell in nbformat.read(path, as_version=4).cells]


def test_a_recorded_notebook_gives_the_same_outputs_without_its_platforms(
    recorded: Path, addresses: dict[str, str]
) -> None:
    played = recorded.with_name("played.ipynb")
    played.write_bytes(recorded.read_bytes())
    # Neither addresses nor keys, and no configuration but the recording.
    done = execute(played, {"AGENTNB_PLAYBACK": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert sum(bool(each) for each in outputs(recorded)) >= 10
    assert outputs(played) == outputs(recorded)
    text = recorded.with_name("answers.jsonl").read_text(encoding="utf-8")
    assert not any(key in text for name, key in addresses.items() if name.endswith("KEY"))


def test_a_changed_question_fails_the_notebook_and_says_which(recorded: Path) -> None:
    changed = recorded.with_name("changed.ipynb")
    load = "%load_ext agentnb\nimport agentnb\nagentnb.playback('answers.jsonl')"
    write(changed, [load, "%%agent operativus:echo --param temperature=0.75\nTell **me**"])
    assert execute(changed, {}).returncode != 0
    (error,) = [output for output in outputs(changed)[1] if "ename" in output]
    assert error["evalue"] == (
        "operativus: 'Tell **me**' to echo was not recorded. Nearest is 'Tell **me**' to echo;"
        " what differs: the parameters. temperature was 0.5, is 0.75."
    )


def test_cells_that_were_run_twice_in_one_kernel_are_played_once(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    cells = [
        "import agentnb\nagentnb.record('twice.jsonl')",
        "%%agent seekr:finance_agent\nWhat is the current NVDA stock price, and why?",
        "%%agent seekr:finance_agent\nAnd AMD?",
    ]
    twice, once = tmp_path / "twice.ipynb", tmp_path / "once.ipynb"
    write(twice, ["%load_ext agentnb", *cells, *cells])
    done = execute(twice, addresses)
    assert done.returncode == 0, done.stderr[-3000:]
    write(once, ["%load_ext agentnb", *cells])
    done = execute(once, {"AGENTNB_PLAYBACK": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert outputs(once)[2:] == outputs(twice)[5:]
