"""What a conversation asks of its agents, with real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from agentnb.agents import agent
from agentnb.conversation import Change, Conversation
from agentnb.errors import RequestError
from agentnb.event.types import ApprovalRequested, Event
from agentnb.platforms.base import Media
from agentnb.platforms.local import FunctionContext
from agentnb.platforms.seekr.request import message_content


def test_a_run_that_code_approves_goes_on_in_the_conversation() -> None:
    def careful(prompt: str, context: FunctionContext) -> Iterator[Event | str]:
        yield ApprovalRequested(approval_id="a1", message="May I?")
        yield f"It is {context.decisions['a1']}."

    chat = Conversation(agent(careful))
    turn = chat.send("Do it.")
    turn.run.wait()
    changes: list[Change] = []
    chat.subscribe(changes.append)
    goes_on = turn.run.approve()
    goes_on.wait()
    assert turn.run is goes_on
    assert "replaced" in [change.kind for change in changes]
    assert chat.messages[-1]["content"] == "It is APPROVED."
    assert chat.status == "completed"


def test_followups_are_asked_for_where_the_platform_suggests_them() -> None:
    chat = Conversation(agent("finance_agent", base_url="sandbox"))
    turn = chat.send("What is the price of NVDA?")
    turn.run.wait()
    assert turn.run.followups


def test_attachments_may_come_alone() -> None:
    def look(prompt: str, context: FunctionContext) -> str:
        return f"{prompt!r} and {context.media[0].name}"

    chat = Conversation(agent(look))
    item = Media(data=b"12345", name="a.txt", mime_type="text/plain")
    assert chat.send("", media=item).run.wait().text == "'' and a.txt"
    assert [info.title for info in chat.sessions()] == ["a.txt"]
    with pytest.raises(RequestError, match="question is empty"):
        chat.send(" ")


def test_attachments_alone_go_to_seekr_without_an_empty_part() -> None:
    asked = agent("seekr:finance_agent", base_url="sandbox")
    item = Media(data=b"\x89PNG\r\n\x1a\n", name="a.png", mime_type="image/png")
    assert asked.run(" ", media=item).status == "completed"
    content = asyncio.run(message_content(" ", [item], (), platform="seekr"))
    assert [part["type"] for part in content if isinstance(part, dict)] == ["input_image"]


def test_a_platform_that_needs_words_says_so_before_anything_is_sent() -> None:
    chat = Conversation(agent("operativus:finance_agent", base_url="sandbox"))
    item = Media(data=b"12345", name="a.txt", mime_type="text/plain")
    with pytest.raises(RequestError) as caught:
        chat.send("", media=item)
    assert str(caught.value) == (
        "operativus does not take attachments without a question. Write what they are for."
    )
    assert chat.turns == ()
