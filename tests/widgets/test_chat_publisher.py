"""`ChatPublisher` between real runs and a page."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

import agentnb
from agentnb.conversation import Conversation
from agentnb.event.types import ApprovalRequested, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.widgets import chat_publisher
from agentnb.widgets.chat_protocol import chat_head
from agentnb.widgets.chat_publisher import ChatPublisher
from agentnb.widgets.protocol import run_state
from tests.played import Batches, PlayedPlatform, player, until
from tests.widgets.chat_page import ChatPage


async def talk(prompt: str) -> AsyncGenerator[str, None]:
    for number in range(20):
        yield f"{number} 🚀 "
        await asyncio.sleep(0.002)


async def think(prompt: str) -> AsyncGenerator[str, None]:
    yield "so far"
    await asyncio.Event().wait()


def well(prompt: str) -> str:
    return "well"


def see(prompt: str, context: Any) -> str:
    return ", ".join(f"{m.name} {m.mime_type} {len(m.data)}" for m in context.media)


class Chat:
    """A conversation, its publisher and a page."""

    def __init__(self, agent: agentnb.Agent) -> None:
        self.conversation = Conversation(agent)
        self.publisher = ChatPublisher(self.conversation, send=self.hear)
        self.page = ChatPage.opened(self.publisher.snapshot())
        self.publisher.start()

    def hear(self, message: Any) -> None:
        self.page.hear(message)

    def say(self, *buffers: bytes, **message: Any) -> None:
        self.publisher.receive(message, buffers)

    def ask(self, key: str, text: str = "hi", parent: str | None = None, **more: Any) -> None:
        message: dict[str, Any] = {
            "id": key,
            "text": text,
            "parent": parent,
            "attachments": [],
            **more,
        }
        self.say(type="send", **message)

    def ended(self) -> None:
        """Wait until the page knows that nothing goes on."""
        until(lambda: all(page.final for page in self.page.runs.values()) and self.told())

    def told(self) -> bool:
        return all(self.page.chat[k] == v for k, v in chat_head(self.conversation).items())

    @property
    def refused(self) -> list[str]:
        return [message["message"] for message in self.page.of("refused")]


@pytest.fixture
def chat() -> Iterator[Chat]:
    made = Chat(agentnb.agent(talk))
    yield made
    made.conversation.stop()
    made.publisher.close()


@pytest.fixture
def thinking() -> Iterator[Chat]:
    made = Chat(agentnb.agent(think))
    yield made
    made.conversation.stop()
    made.publisher.close()


class TestTelling:
    def test_the_page_comes_to_the_same_state(self, chat: Chat) -> None:
        chat.ask("t1", "one")
        chat.ended()
        chat.ask("t2", "two", "t1")
        chat.ended()
        turns = chat.conversation.turns
        assert [t["id"] for t in chat.page.chat["turns"]] == ["t1", "t2"]
        states = [{**run_state(t.run.view()), "can_decide": True} for t in turns]
        assert [chat.page.runs[t.id].run for t in turns] == states
        assert chat.page.chat["shown"] == "t2"
        assert chat.page.chat["session_id"] == turns[0].run.session_id
        assert not chat.page.broken
        assert all(page.asks == [] for page in chat.page.runs.values())
        assert [message["id"] for message in chat.page.of("ack")] == ["t1", "t2"]

    def test_questions_from_code_are_sent_to_the_page(self, chat: Chat) -> None:
        turn = chat.conversation.send("from code")
        turn.run.wait()
        chat.ended()
        assert [t["prompt"] for t in chat.page.chat["turns"]] == ["from code"]
        assert chat.page.runs[turn.id].run["parts"][-1]["text"] == turn.run.text

    def test_a_delta_costs_the_same_however_long_the_chat_is(self, chat: Chat) -> None:
        for number in range(30):
            chat.conversation.send(str(number)).run.wait()
        chat.ended()
        heard = len(chat.page.heard)
        chat.ask("last", "last", chat.conversation.turns[-1].id)
        chat.ended()
        later = chat.page.heard[heard:]
        assert {m["turn"] for m in later if m["type"] == "run"} == {"last"}
        told = [
            op["turn"]["id"]
            for m in later
            if m["type"] == "chat"
            for op in m["ops"]
            if op["op"] == "turn"
        ]
        assert told == ["last"]

    def test_a_page_loaded_in_the_middle_of_an_answer_knows_all(self, thinking: Chat) -> None:
        thinking.ask("t1")
        until(lambda: thinking.page.runs["t1"].run["parts"])
        thinking.page = ChatPage.opened(thinking.publisher.snapshot())
        assert thinking.page.runs["t1"].run["parts"][0]["text"] == "so far"
        thinking.say(type="run", turn="t1", message={"type": "stop"})
        thinking.ended()
        assert thinking.page.runs["t1"].run["status"] == "cancelled"

    def test_a_gap_heals(self, chat: Chat) -> None:
        chat.page.seq = 99
        chat.ask("t1")
        assert chat.page.broken
        chat.say(type="resync", seq=99)
        assert not chat.page.broken
        chat.ended()
        assert chat.page.chat["turns"][0]["id"] == "t1"

    def test_nothing_is_sent_after_close(self, thinking: Chat) -> None:
        thinking.ask("t1")
        until(lambda: thinking.page.runs["t1"].run["parts"])
        thinking.publisher.close()
        thinking.publisher.close()
        heard = len(thinking.page.heard)
        thinking.conversation.stop()
        thinking.conversation.turns[0].run.wait(check=False)
        thinking.ask("t2")
        assert len(thinking.page.heard) == heard


class TestCommands:
    def test_stop_works_from_the_moment_of_sending(self, thinking: Chat) -> None:
        thinking.ask("t1")
        thinking.say(type="run", turn="t1", message={"type": "stop"})
        thinking.ended()
        assert thinking.page.chat["status"] == "cancelled"
        assert {"type": "ack", "of": "stop"} in [m["message"] for m in thinking.page.of("run")]

    def test_versions_and_branches(self, chat: Chat) -> None:
        chat.ask("t1", "one")
        chat.ended()
        chat.ask("t2", "two", "t1")
        chat.ended()
        chat.say(type="again", id="t3", turn="t2")
        chat.ended()
        assert [t["parent"] for t in chat.page.chat["turns"]] == [None, "t1", "t1"]
        assert "cannot branch" in (chat.page.chat["turns"][2]["note"] or "cannot branch")
        chat.say(type="show", id="s", turn="t2")
        assert chat.page.chat["shown"] == "t2"
        # Confirmed anew where it was shown already.
        before = chat.page.seq
        chat.say(type="show", id="s2", turn="t2")
        assert chat.page.seq == before + 1

    def test_another_conversation_and_back(self, chat: Chat) -> None:
        chat.ask("t1", "one")
        chat.ended()
        key = chat.page.chat["session_id"]
        chat.say(type="new", id="n")
        assert (chat.page.chat["turns"], chat.page.chat["shown"]) == ([], None)
        assert chat.page.heard[-1]["type"] == "snapshot"
        chat.say(type="sessions", id="list")
        (listed,) = chat.page.of("sessions")
        assert listed["id"] == "list"
        assert [(s["key"], s["title"], s["turns"]) for s in listed["sessions"]] == [(key, "one", 1)]
        chat.say(type="open", id="o", key=key)
        assert [t["prompt"] for t in chat.page.chat["turns"]] == ["one"]
        (turn,) = chat.page.chat["turns"]
        chat.ask("t2", "two", turn["id"])
        chat.ended()
        assert chat.page.chat["session_id"] == key

    def test_what_cannot_be_done_is_refused_in_a_line(self, thinking: Chat) -> None:
        thinking.ask("t1")
        thinking.ask("t2", "more", "t1")
        thinking.ask("t3", "more", "nowhere")
        thinking.say(type="open", id="o", key="nowhere")
        assert len(thinking.refused) == 3
        assert thinking.refused[0] == "An answer is under way. Wait for its end, or stop it."
        assert all("\n" not in line for line in thinking.refused)
        assert [t["id"] for t in thinking.page.chat["turns"]] == ["t1"]

    def test_a_command_that_comes_twice_is_carried_out_once(self, chat: Chat) -> None:
        chat.ask("t1")
        chat.ask("t1")
        chat.ended()
        chat.say(type="again", id="t1", turn="t1")
        assert len(chat.conversation.turns) == 1
        assert chat.refused == []
        assert len(chat.page.of("ack")) == 3

    def test_a_decision_puts_another_run_in_place(self) -> None:
        async def script(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r", session_id="s"), TextDelta("may I? ")]
            yield [ApprovalRequested(approval_id="a", message="Really?")]
            if request.prompt == "r":
                yield [TextDelta("done"), RunFinished()]

        able = Capabilities(approvals=True, attach=True)
        chat = Chat(player(PlayedPlatform(script, capabilities=able)))
        chat.ask("t1")
        until(lambda: chat.page.runs["t1"].run["status"] == "paused")
        assert chat.page.runs["t1"].run["can_decide"]
        decision = {"type": "decide", "approval_id": "a", "approved": True}
        chat.say(type="run", turn="t1", message=decision)
        chat.ended()
        assert len(chat.page.chat["turns"]) == 1
        assert chat.page.runs["t1"].run["status"] == "completed"
        chat.publisher.close()

    def test_a_decision_for_a_replaced_run_is_ignored(self) -> None:
        async def script(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r", session_id="s")]
            yield [ApprovalRequested(approval_id="a", arguments='{"path": "."}')]
            if request.prompt == "r":
                yield [RunStarted()]
                yield [ApprovalRequested(approval_id="a", arguments='{"path": "/"}')]

        able = Capabilities(approvals=True, attach=True)
        platform = PlayedPlatform(script, capabilities=able)
        chat = Chat(player(platform))
        chat.ask("t1")
        until(lambda: chat.page.runs["t1"].run["status"] == "paused")
        (shown,) = chat.page.runs["t1"].run["approvals"]
        decision = {"type": "decide", "approval_id": "a", "key": shown["key"], "approved": True}
        chat.say(type="run", turn="t1", message=decision)
        until(lambda: len(chat.conversation.turns[0].run.transcript.approvals) == 2)
        # It was clicked twice.
        chat.say(type="run", turn="t1", message=decision)
        until(lambda: chat.page.runs["t1"].run["approvals"][0]["changed"])
        assert platform.decisions == [("r", "a", True)]
        (asked,) = chat.page.runs["t1"].run["approvals"]
        chat.say(type="run", turn="t1", message=decision | {"key": asked["key"]})
        until(lambda: len(platform.decisions) == 2)
        chat.publisher.close()

    def test_a_failed_decision_is_reported(self) -> None:
        async def script(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r", session_id="s")]
            yield [ApprovalRequested(approval_id="a", message="Really?")]

        able = Capabilities(approvals=True, attach=True)
        chat = Chat(player(PlayedPlatform(script, capabilities=able)))
        chat.ask("t1")
        until(lambda: chat.page.runs["t1"].run["status"] == "paused")
        decision = {"type": "decide", "approval_id": "other", "approved": True}
        chat.say(type="run", turn="t1", message=decision)
        until(lambda: chat.page.chat["notice"])
        assert "no approval other" in chat.page.chat["notice"]
        chat.publisher.close()


class TestHostsThatMisbehave:
    def test_an_observer_that_waits_for_another_run_holds_nothing_up(self, thinking: Chat) -> None:
        thinking.ask("t1")
        until(lambda: thinking.page.runs["t1"].run["parts"] != [])
        thinking.conversation.stop()
        thinking.ended()
        thinking.say(type="again", id="t2", turn="t1")
        until(lambda: "t2" in thinking.page.runs)

        # Called on the thread of the page's command, while the loop has an end to tell of.
        def look(change: Any) -> None:
            if change.kind == "head":
                thinking.conversation.stop()
                answers.append(agentnb.agent(well).run("are you?").text)

        answers: list[str] = []
        thinking.conversation.subscribe(look)
        thinking.say(type="show", id="c1", turn="t1")
        assert answers == ["well"]

    def test_a_command_that_is_not_understood_is_answered(self, chat: Chat) -> None:
        chat.ask("t1", text="x" * 1_000_001)
        chat.say(type="show", id="c1", turn=None)
        assert [m["id"] for m in chat.page.of("refused")] == ["t1", "c1"]
        chat.say(type="show", id="not an id", turn=None)
        assert len(chat.page.of("refused")) == 2


class TestAttachments:
    @pytest.fixture
    def chat(self) -> Iterator[Chat]:
        made = Chat(agentnb.agent(see))
        yield made
        made.publisher.close()

    def test_they_arrive_whole(self, chat: Chat) -> None:
        preview = "data:image/png;base64," + base64.b64encode(b"tiny").decode()
        for index, piece in enumerate((b"ab", b"cd", b"e")):
            chat.say(piece, type="upload", upload="u", index=index, last=index == 2)
        sent = {"upload": "u", "name": "../../a.png", "mime_type": "image/png", "size": 5}
        chat.ask("t1", attachments=[{**sent, "preview": preview}])
        chat.ended()
        assert chat.conversation.turns[0].run.text == "a.png image/png 5"
        shown = {"name": "a.png", "mime_type": "image/png", "size": 5, "preview": preview}
        assert chat.page.chat["turns"][0]["attachments"] == [shown]
        chat.ask("t2", "another", None, keep="t1")
        chat.ended()
        assert chat.conversation.turns[1].run.text == "a.png image/png 5"

    def test_the_question_may_overtake_its_files_and_they_each_other(self, chat: Chat) -> None:
        sent = {"upload": "u", "name": "a.bin", "mime_type": None, "size": 5, "preview": None}
        chat.say(b"e", type="upload", upload="u", index=2, last=True)
        chat.ask("t1", attachments=[sent])
        assert chat.conversation.turns == ()
        chat.say(b"ab", type="upload", upload="u", index=0, last=False)
        chat.say(b"cd", type="upload", upload="u", index=1, last=False)
        chat.ended()
        assert chat.refused == []
        assert chat.conversation.turns[0].media[0].data == b"abcde"

    def test_half_of_one_is_refused(self, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chat_publisher, "UPLOAD_TIMEOUT", 0.01)
        chat.say(b"ab", type="upload", upload="u", index=0, last=False)
        sent = {"upload": "u", "name": "a.bin", "mime_type": None, "size": 5, "preview": None}
        chat.ask("t1", attachments=[sent])
        until(lambda: chat.refused)
        assert chat.refused == ["'a.bin' was not received whole. Attach it again."]
        assert chat.conversation.turns == ()
