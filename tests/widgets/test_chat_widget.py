"""`ChatWidget` without a page: its traits, and what a page that comes later is given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
import traitlets

import agentnb
from agentnb.conversation import Conversation
from agentnb.errors import RequestError
from agentnb.tables.columns import RUN_COLUMNS
from agentnb.widgets.chat import ChatWidget
from tests.played import until


async def talk(prompt: str) -> AsyncGenerator[str, None]:
    yield "re: "
    await asyncio.sleep(0.01)
    yield prompt


@pytest.fixture
def chat() -> Iterator[ChatWidget]:
    made = ChatWidget(Conversation(agentnb.agent(talk)))
    yield made
    made.stop()
    made.close()


def seen(chat: ChatWidget, name: str) -> list[Any]:
    values: list[Any] = []

    def note(change: Any) -> None:
        values.append(change["new"])

    chat.observe(note, names=[name])
    return values


def test_what_was_waited_for_can_be_read_at_once(chat: ChatWidget) -> None:
    for number in range(20):
        run = chat.send(str(number)).wait()
        assert chat.messages[-1]["content"] == f"re: {number}"
        assert (chat.status, chat.session_id) == ("completed", run.session_id)


def test_a_broken_comm_does_not_affect_the_run(
    chat: ChatWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise OSError("The comm is closed.")

    chat.open()
    comm: Any = chat.comm
    monkeypatch.setattr(comm, "send", fail)
    assert chat.send("hi").wait().status == "completed"


def test_observers_are_notified_of_every_status(chat: ChatWidget) -> None:
    statuses, messages = seen(chat, "status"), seen(chat, "messages")
    chat.send("hi").wait()
    until(lambda: statuses[-1:] == ["completed"])
    assert statuses[-2:] == ["running", "completed"]
    assert messages[-1][-1]["content"] == "re: hi"
    chat.new()
    assert statuses[-1] == "idle"
    assert messages[-1] == []


def test_an_observer_may_ask_the_next_question(chat: ChatWidget) -> None:
    done = threading.Event()

    def go_on(change: Any) -> None:
        if change["new"] == "completed":
            if len(chat.messages) < 6:
                chat.send("next")
            else:
                done.set()

    chat.observe(go_on, names=["status"])
    chat.send("first")
    assert done.wait(20)
    assert [m["content"] for m in chat.messages[::2]] == ["first", "next", "next"]


def test_the_traits_are_for_reading(chat: ChatWidget) -> None:
    for name in ("messages", "status", "session_id", "usage"):
        with pytest.raises(traitlets.TraitError):
            setattr(chat, name, None)
        assert not chat.trait_metadata(name, "sync")


def test_a_page_that_comes_later_is_given_all(chat: ChatWidget) -> None:
    before = chat.get_state("snapshot")["snapshot"]["chat"]
    assert before["turns"] == []
    chat.send("one").wait()
    chat.send("two").wait()
    state = chat.get_state()
    assert state["kind"] == "chat"
    turns = state["snapshot"]["chat"]["turns"]
    assert [t["run"]["run"]["parts"][0]["text"] for t in turns] == ["re: one", "re: two"]
    # What the page has been told is not sent again by the trait.
    assert chat.trait_values()["snapshot"] == {}


def test_versions_are_requested_by_index(chat: ChatWidget) -> None:
    chat.send("one").wait()
    chat.send("two").wait()
    assert chat.edit(-2, "second").wait().prompt == "second"
    assert chat.regenerate(1).wait().prompt == "one"
    assert len(chat.conversation.turns) == 4
    with pytest.raises(RequestError, match="is not an answer"):
        chat.regenerate(0)


def test_closed_it_still_answers(chat: ChatWidget) -> None:
    chat.close()
    statuses = seen(chat, "status")
    assert chat.send("hi").wait().text == "re: hi"
    until(lambda: statuses[-1:] == ["completed"])


def test_its_runs_are_a_table_like_any() -> None:
    chat = agentnb.chat(talk)
    assert list(chat.runs().columns) == list(RUN_COLUMNS)
    chat.send("hi").wait()
    other = agentnb.chat(talk)
    other.send("elsewhere").wait()
    table = chat.runs()
    assert table["prompt"].tolist() == ["hi"]
    assert table.dtypes.astype(str).to_dict() == agentnb.runs().dtypes.astype(str).to_dict()
    chat.close()
    other.close()
