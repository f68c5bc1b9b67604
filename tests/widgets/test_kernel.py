"""A real run in a real kernel, and a page at the other end of the comm that loses messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.widgets.page import Page

AGENTS = """
import asyncio, json
import agentnb
from agentnb.event import ReasoningDelta, ToolCallFinished, ToolCallStarted
from agentnb.widgets.protocol import run_state
from agentnb.widgets.run import RunWidget

async def talk(prompt):
    yield ReasoningDelta("hm 🧠")
    yield ToolCallStarted(call_id="c", name="get_price", arguments="{}")
    yield ToolCallFinished(call_id="c", result="181.46")
    for i in range(150):
        yield f"{i} 🚀 "
        await asyncio.sleep(0.002)

async def think(prompt):
    yield "so far"
    await asyncio.Event().wait()
"""


class Kernel:
    """A kernel, and the messages of its widgets' comms."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.comm_id = ""
        self.page: Page | None = None
        self.heard: list[Any] = []
        self.printed = ""
        self.shown: dict[str, Any] = {}

    def execute(self, code: str) -> str:
        return self.client.execute(code)

    def until_idle(self, msg_id: str, *, lost: range = range(0)) -> None:
        """Take in what the kernel says until it has dealt with a request; lose some of it."""
        while True:
            message = self.take(lost=lost)
            parent = message["parent_header"].get("msg_id")
            if parent == msg_id and message["content"].get("execution_state") == "idle":
                return

    def take(self, *, lost: range = range(0)) -> Any:
        message = self.client.get_iopub_msg(timeout=60)
        content = message["content"]
        match message["msg_type"]:
            case "error":
                raise AssertionError("\n".join(content["traceback"]))
            case "stream":
                self.printed += content["text"]
            case "display_data":
                self.shown = content["data"]
            case "comm_open" if "snapshot" in content["data"].get("state", {}):
                self.comm_id = content["comm_id"]
                self.page = Page.opened(content["data"]["state"]["snapshot"])
            case "comm_msg" if content["comm_id"] == self.comm_id and self.page is not None:
                self._hear(content["data"], lost)
            case _:
                pass
        return message

    def _hear(self, data: Any, lost: range) -> None:
        assert self.page is not None
        if data["method"] == "update":
            if "snapshot" in data["state"]:
                self.heard.append({"type": "trait", **data["state"]["snapshot"]})
        elif data["content"].get("seq") not in lost:
            self.heard.append(data["content"])
            self.page.hear(data["content"])

    def say(self, content: dict[str, Any]) -> str:
        data = {"method": "custom", "content": content}
        session = self.client.session
        message = session.msg("comm_msg", {"comm_id": self.comm_id, "data": data})
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]


@pytest.fixture(scope="module")
def client() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(startup_timeout=120)
    try:
        Kernel(client).until_idle(client.execute(AGENTS))
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.fixture
def kernel(client: BlockingKernelClient) -> Kernel:
    return Kernel(client)


def test_a_page_that_loses_messages_comes_to_the_same_state(kernel: Kernel) -> None:
    talking = kernel.execute(
        'run = agentnb.agent(talk).start("hi")\n'
        "widget = RunWidget(run)\n"
        "display(widget)\n"
        "await run\n"
        "await asyncio.sleep(0.2)\n"
        "print(json.dumps(run_state(run.view())))\n"
    )
    kernel.until_idle(talking, lost=range(2, 5))
    expected = json.loads(kernel.printed)
    page = kernel.page
    assert page is not None
    assert expected["status"] == "completed"
    assert expected["parts"][-1]["text"].endswith("149 🚀 ")
    # Without a word to the kernel the gap stays, and only the trait would heal it.
    assert page.broken
    assert page.run != expected
    assert {k: v for k, v in kernel.heard[-1].items() if k != "seq"} == {
        "type": "trait",
        "run": expected,
    }
    assert kernel.heard[-1]["seq"] == kernel.heard[-2]["seq"]
    kernel.until_idle(kernel.say({"type": "resync", "seq": page.seq}))
    assert kernel.heard[-1]["type"] == "snapshot"
    assert page.run == expected
    assert "text/html" in kernel.shown
    assert "talk · " in kernel.shown["text/plain"]


def test_fragments_are_gathered_and_none_is_lost(kernel: Kernel) -> None:
    talking = kernel.execute(
        'run = agentnb.agent(talk).start("hi")\n'
        "widget = RunWidget(run)\n"
        "run.wait()\n"
        "print(json.dumps(run_state(run.view())))\n"
    )
    kernel.until_idle(talking)
    kernel.until_idle(kernel.execute("await asyncio.sleep(0.2)"))
    expected = json.loads(kernel.printed)
    page = kernel.page
    assert page is not None
    assert page.asks == []
    assert page.run == expected
    sent = [message for message in kernel.heard if message["type"] == "ops"]
    assert 1 < len(sent) <= 30 * expected["duration"] + 3


def test_a_click_on_stop_ends_the_run_while_its_cell_waits(kernel: Kernel) -> None:
    kernel.until_idle(
        kernel.execute('run = agentnb.agent(think).start("hi")\nwidget = RunWidget(run)\n')
    )
    waiting = kernel.execute("await run.wait_async(check=False)\nprint(run.status, run.text)\n")
    while kernel.page is None or not kernel.page.run["parts"]:
        kernel.take()
    kernel.say({"type": "stop"})
    kernel.until_idle(waiting)
    assert kernel.printed == "cancelled so far\n"
    kernel.until_idle(kernel.execute("await asyncio.sleep(0.2)"))
    assert kernel.page.acknowledged == 1
    assert kernel.page.run["status"] == "cancelled"


def test_a_widget_closed_early_leaves_the_run_alone(kernel: Kernel) -> None:
    talking = kernel.execute(
        'run = agentnb.agent(talk).start("hi")\n'
        "widget = RunWidget(run)\n"
        "await asyncio.sleep(0.05)\n"
        "widget.close()\n"
        "await run\n"
        "print(run.status, len(run.tool_calls), run.text.endswith('149 🚀 '))\n"
    )
    kernel.until_idle(talking)
    assert kernel.printed == "completed 1 True\n"
