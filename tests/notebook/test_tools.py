"""`%%agent --tool`: functions of the notebook that a remote agent calls, in a real kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.notebook.conftest import Kernel

SETUP = """
from dataclasses import replace
from agentnb.agents import Agent
from agentnb.event import ApprovalRequested, RunFinished, RunStarted, TextDelta, ToolCallStarted
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

def stoppable(a: int, b: int) -> int:
    "Take two numbers."
    return a

class Unreachable(Calling):
    async def decide(self, run_id, approval_id, **more):
        raise agentnb.RequestError("The server is away.")

    async def stream(self, request):
        message = "May I call add in this kernel?"
        yield [RunStarted(run_id="r1"), ApprovalRequested(approval_id="call:c1", message=message)]

calling = Agent(Calling("calling"), "adder")
unreachable = Agent(Unreachable("unreachable"), "adder")
"""


@pytest.fixture(scope="module")
def tools(kernel: Kernel) -> Kernel:
    assert kernel.run(SETUP).ok
    return kernel


def clicks(kernel: Kernel, *, approved: bool) -> Callable[[str, dict[str, Any]], bool]:
    """Return a callback that decides as a page does once it receives a request."""
    comms: set[str] = set()

    def decide(kind: str, content: dict[str, Any]) -> bool:
        if "call add in this kernel" not in str(content) or content.get("comm_id") in comms:
            return False
        if kind in ("comm_open", "comm_msg"):
            comms.add(content["comm_id"])
            message = {"type": "decide", "approval_id": "call:c1", "approved": approved}
            data = {"method": "custom", "content": message}
            session = kernel.client.session
            kernel.client.shell_channel.send(
                session.msg("comm_msg", {"comm_id": content["comm_id"], "data": data})
            )
        return False

    return decide


@pytest.mark.parametrize("approved", [True, False])
def test_a_call_is_decided_in_the_cell_which_then_goes_on(tools: Kernel, approved: bool) -> None:
    cell = tools.run(
        "%%agent calling --tool add -o answer\nHow much?",
        interrupt_at=clicks(tools, approved=approved),
    )
    assert cell.ok, cell.reply
    output = "42" if approved else "Error: The user denied this call."
    final = cell.of("update_display_data")[-1]["data"]
    assert f"It is {output}" in final["text/plain"]
    assert tools.run("print(answer.status, answer.text, _ is answer)").stdout == (
        f"completed It is {output} True\n"
    )


def test_a_decision_that_cannot_be_sent_is_reported_and_the_cell_waits(tools: Kernel) -> None:
    click = clicks(tools, approved=True)
    reported: list[str] = []

    def decide(kind: str, content: dict[str, Any]) -> bool:
        click(kind, content)
        if "The decision could not be sent: The server is away." in str(content):
            reported.append(kind)
        return bool(reported)

    cell = tools.run("%%agent unreachable -o waits\nGo.", interrupt_at=decide)
    assert reported[0] == "comm_msg"
    assert cell.reply["ename"] == "KeyboardInterrupt"
    assert tools.run("print(waits.status)").stdout == "cancelled\n"


def test_stop_ends_a_cell_that_waits_for_a_decision(tools: Kernel) -> None:
    cell = tools.run(
        "%%agent calling --tool stoppable -o stopped\nHow much?",
        interrupt_at=lambda kind, content: "call stoppable in this kernel" in str(content),
    )
    assert cell.reply["ename"] == "KeyboardInterrupt"
    assert tools.run("print(stopped.status)").stdout == "cancelled\n"


@pytest.mark.parametrize("display", ["auto", "widget"])
def test_an_unattended_cell_leaves_the_decision_to_code(tools: Kernel, display: str) -> None:
    assert tools.run(f"%config AgentMagics.display = {display!r}").ok
    cell = tools.run("%%agent calling --tool add -o paused\nHow much?", attended=False)
    assert tools.run("%config AgentMagics.display = 'auto'").ok
    assert cell.ok, cell.reply
    last = [*cell.of("display_data"), *cell.of("update_display_data")][-1]
    assert "call add in this kernel" in last["data"]["text/plain"]
    assert tools.run("print(paused.status, paused.text)").stdout == "paused \n"
    assert tools.run("print(paused.approve().wait().text)").stdout == "It is 42\n"


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
