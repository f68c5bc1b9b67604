"""`%%agent --tool`: functions of the notebook that a remote agent calls, in a real kernel."""

from __future__ import annotations

import pytest

from tests.notebook.conftest import Kernel

SETUP = """
from dataclasses import replace
from agentnb.agents import Agent
from agentnb.event import RunFinished, RunStarted, TextDelta, ToolCallStarted
from agentnb.plugin import BasePlatform

class Calling(BasePlatform):
    @property
    def capabilities(self):
        return replace(super().capabilities, client_tools=True)

    async def stream(self, request):
        yield [RunStarted(run_id="r1")]
        if request.tool_rounds:
            yield [TextDelta("It is " + request.tool_rounds[0].calls[0].output), RunFinished()]
            return
        name = request.tools[0].name
        yield [ToolCallStarted(call_id="c1", name=name, arguments='{"a": 20, "b": 22}')]
        yield [RunFinished()]

def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

calling = Agent(Calling("calling"), "adder")
"""


@pytest.fixture(scope="module")
def tools(kernel: Kernel) -> Kernel:
    assert kernel.run(SETUP).ok
    return kernel


def test_a_call_waits_for_the_user_and_the_run_then_goes_on(tools: Kernel) -> None:
    cell = tools.run("%%agent calling --tool add -o paused\nHow much?")
    assert cell.ok, cell.reply
    (shown,) = cell.of("display_data")
    assert shown["data"]["text/plain"]
    texts = str([*cell.of("display_data"), *cell.of("update_display_data")])
    assert "calls add in this kernel" in texts
    assert tools.run("print(paused.status, paused.text)").stdout == "paused \n"
    done = tools.run("print(paused.approve().wait().text)")
    assert done.stdout == "It is 42\n"


@pytest.mark.parametrize("attended", [True, False])
def test_a_trusted_tool_needs_no_decision(tools: Kernel, attended: bool) -> None:
    assert tools.run("trusted = agentnb.tool(add, trusted=True)").ok
    cell = tools.run("%%agent calling --tool trusted -o answer\nHow much?", attended=attended)
    assert cell.ok, cell.reply
    assert tools.run("print(answer.status, answer.text)").stdout == "completed It is 42\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("calling --tool nothing", "--tool nothing: NameError: name 'nothing' is not defined."),
        ("greeter --tool add", "does not take tools of the client"),
        ("calling --tool add --over [1]", "--tool and --over do not go together"),
    ],
)
def test_mistakes_are_one_line(tools: Kernel, line: str, words: str) -> None:
    cell = tools.run(f"%%agent {line}\nHow much?")
    assert not cell.ok
    (error,) = cell.of("error")[0]["traceback"]
    assert words in error
