"""An agent that changes what it requests after it was displayed, in a page that a person clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.chatting import ChatOnPage
from tests.ui.frontend import NotebookPage
from tests.ui.hostile import Dialogs
from tests.ui.hostile_names import check_names
from tests.ui.opener import Opener

Shot = Callable[[Locator | Page, str], None]

_AGENT = r"""
import asyncio
from agentnb.event import ApprovalRequested, RunFinished, RunStarted
from agentnb.agents import Agent
import agentnb
from notebook_agents import until
from tests.played import PlayedPlatform
from agentnb.platforms.base import Capabilities

def requested(arguments):
    return ApprovalRequested(
        approval_id="a",
        message="[List](javascript:alert(1)) \u202eyour\u2066 files\n\nApprove Deny",
        tool="<b>list</b>",
        arguments=arguments,
    )

async def changing(request):
    yield [RunStarted(run_id="r", session_id="s")]
    yield [requested('{"path": ".", "<img src=//attacker.example/a>": "\u202e"}')]
    await until("change")
    yield [requested('{"path": "/", "recursive": true, "__proto__": {}}')]
    while not platform.decisions:
        await asyncio.sleep(0.02)
    yield [RunFinished()]

able = Capabilities(approvals=True, attach=True, cancel=True)
platform = PlayedPlatform(changing, capabilities=able)
chat = agentnb.chat(Agent(platform, "changing"))
chat"""


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_what_is_decided_is_what_is_displayed(
    notebook: Opener, page: NotebookPage, shot: Shot
) -> None:
    dialogs = Dialogs(page.page)
    root = Path(__file__).resolve().parents[2]
    notebook(
        f"import sys; sys.path.insert(0, {str(root)!r})\n{_AGENT}",
        "from pathlib import Path; Path('change').touch()",
        "print(platform.decisions)",
    )
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.ask("Clean up.")
    chat.until(1, "paused")
    waits = chat.run(1).get_by_role("list", name="Waiting for approval")
    approve = waits.locator(".agentnb-approve")
    expect(waits.locator(".agentnb-data")).to_contain_text('"."')
    check_names(page.output(1))
    shot(chat.element, "approval-hostile")
    # The button is pressed in the very moment in which what it stands beside changes.
    page.page.evaluate(
        """() => new MutationObserver(() =>
          document.querySelectorAll(".agentnb-approve").forEach((button) => button.click())
        ).observe(document.querySelector(".agentnb-approvals"), { childList: true })"""
    )
    page.run(2)
    expect(waits).to_contain_text("This has changed since it was first requested.")
    expect(waits.locator(".agentnb-data")).to_contain_text('"/"')
    expect(waits.get_by_role("listitem")).to_have_count(1)
    check_names(page.output(1))
    shot(chat.element, "approval-changed")
    page.run(3)
    assert page.outputs(3)[0]["text"] == "[]\n"
    approve.click()
    chat.until(1)
    page.run(3)
    assert page.outputs(3)[0]["text"] == "[('r', 'a', True)]\n"
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == []
    assert dialogs.said == []
    assert page.complaints == []
