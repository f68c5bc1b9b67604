"""What a real kernel sends for hostile runs: of which types, and how large."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.hostile import texts
from tests.faults.test_rendering import ACTING
from tests.notebook.conftest import Cell, Kernel, kernel
from tests.ui.hostile import agent_code

__all__ = ["kernel"]

VIEW = "application/vnd.jupyter.widget-view+json"
# A frontend renders all else by itself: Markdown with its images, formulas, drawings, scripts.
TYPES = {"text/plain", "text/html", VIEW}

SHOWN = [
    "%%agent Hostile\nSay it.",
    "%%agent Hostile --format text\nSay it.",
    "%%agent Hostile --format json\nSay it.",
    'run = Hostile.start("Say it.").wait(check=False)\nrun',
    'agentnb.compare([Hostile, Hostile], said[0]).wait(check=False)',
    "agentnb.chat(run)",
    "agentnb.show(agentnb.replay(run, speed=1000))",
    "from agentnb.tables.run_list import RunList\nRunList([run])",
    "agentnb.runs()",
    "agentnb.tool_calls().tail(40)",
    "agentnb.events()[['type', 'name', 'text', 'data']]",
    "agentnb.sessions()",
    "agentnb.usage(by='model')",
    "%agent history --sql 'SELECT name, result, error FROM tool_calls'",
    "%agent sessions",
    "%agent history",
    "%agent doctor",
    "%agent",
]  # fmt: skip


@pytest.fixture(scope="module")
def hostile(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "waits.py").write_text("async def until(name):\n    pass\n", "utf-8")
    assert kernel.run(f"import sys; sys.path.insert(0, {str(folder)!r})").ok
    assert kernel.run(agent_code(folder, module="waits")).ok
    yield kernel
    assert kernel.run("sys.path.pop(0)").ok


def bundles(cell: Cell) -> list[dict[str, Any]]:
    kinds = ("display_data", "update_display_data", "execute_result")
    return [content["data"] for kind, content in cell.messages if kind in kinds]


@pytest.mark.parametrize("code", SHOWN)
@pytest.mark.parametrize("attended", [True, False], ids=["attended", "unattended"])
def test_types_and_text(code: str, attended: bool, hostile: Kernel) -> None:
    cell = hostile.run(code, attended=attended)
    assert bundles(cell) or cell.stdout
    assert not ACTING.search(cell.stdout)
    for data in bundles(cell):
        assert set(data) <= TYPES | ({"application/json"} if "json" in code else set())
        assert not ACTING.search(data["text/plain"])
        if "text/html" in data:
            assert not ACTING.search(data["text/html"])


def test_a_printed_table_commands_no_terminal(hostile: Kernel) -> None:
    tables = ("runs", "tool_calls", "events", "sessions")
    cell = hostile.run("\n".join(f"print(agentnb.{name}().to_csv())" for name in tables))
    assert re.search(r"␛\[", cell.stdout)
    # A line may end as it does on other systems.
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", cell.stdout)


def test_a_formula_in_a_table_is_text(hostile: Kernel) -> None:
    ours = hostile.run("agentnb.tool_calls()[['name', 'result']].head()").result
    assert "mathjax_ignore" in ours["text/html"]
    # Tables of others are pandas' own affair.
    other = hostile.run("import pandas\npandas.DataFrame({'a': ['$x$']})").result
    assert "mathjax_ignore" not in other["text/html"]


def test_an_error_has_only_its_text(hostile: Kernel) -> None:
    cell = hostile.run("run.raise_for_status()")
    (error,) = cell.of("error")
    assert error["ename"] == "RunFailedError"
    assert not ACTING.search(error["evalue"])
    # IPython colours a traceback; nothing else in it acts.
    assert not ACTING.search(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"])))


def test_what_is_saved_of_a_large_result_is_small(hostile: Kernel) -> None:
    assert hostile.run(
        "async def large(prompt):\n"
        "    yield ToolCallStarted(call_id='c', name='t', arguments='{}')\n"
        "    yield ToolCallFinished(call_id='c', result='<\"\\n' * 3_400_000)\n"
        "    yield TextDelta('done')\n"
        "Large = agentnb.agent(large)"
    ).ok
    for attended in (True, False):
        cell = hostile.run("%%agent Large\nGo on.", attended=attended)
        (*_, last) = bundles(cell)
        assert set(last) == {"text/plain", "text/html"}
        assert len(json.dumps(last)) < 50_000


def test_all_of_it_was_said(hostile: Kernel) -> None:
    # Else what is above would be about nothing.
    cell = hostile.run("print(len(run.tool_calls), len(said), run.status)")
    count = len(texts())
    assert cell.stdout == f"{2 * count + 1} {count} failed\n"
