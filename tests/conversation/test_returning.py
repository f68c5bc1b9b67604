"""`Conversation`: what comes back when another one is opened, and what was asked elsewhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

import agentnb
from agentnb.conversation import Change, Conversation, runs_in_session
from agentnb.conversation import tree as trees
from agentnb.errors import RequestError
from agentnb.event.types import ApprovalRequested, Event
from agentnb.platforms.local import FunctionContext
from tests.played import until


def tell(prompt: str, context: FunctionContext) -> str:
    """Say what the agent knows."""
    return f"{', '.join(m['content'] for m in context.history[::2])} | {prompt}"


def talk(chat: Conversation, *questions: str) -> None:
    for question in questions:
        chat.send(question).run.wait()


def prompts(chat: Conversation) -> list[str]:
    return [turn.prompt for turn in chat.branch]


@pytest.fixture
def chat() -> Conversation:
    return Conversation(agentnb.agent(tell))


class TestOpening:
    def test_a_conversation_comes_back_as_it_was_left(self, chat: Conversation) -> None:
        chat.send("one", params={"depth": 3}).run.wait()
        first = chat.session_id
        talk(chat, "two")
        chat.edit(chat.turns[1].id, "second").run.wait()
        branch = chat.session_id
        left = chat.turns
        assert first is not None
        assert branch is not None
        chat.new()
        talk(chat, "other")
        chat.open(branch)
        assert chat.turns == left
        assert prompts(chat) == ["one", "second"]
        chat.new()
        chat.open(first)
        assert chat.turns == left
        assert prompts(chat) == ["one", "two"]
        # With its parameters, too.
        again = chat.edit(chat.turns[0].id, "first")
        assert again.run.request.params == {"depth": 3}

    def test_each_is_listed_once(self, chat: Conversation) -> None:
        talk(chat, "one")
        first = chat.session_id
        assert first is not None
        for _ in range(3):
            chat.new()
            chat.open(first)
        assert [(s.title, s.turns, s.current) for s in chat.sessions()] == [("one", 1, True)]

    def test_an_approval_elsewhere_holds_up_no_question(self) -> None:
        decided = threading.Event()

        def careful(prompt: str) -> Iterator[Event | str]:
            if prompt == "careful":
                yield ApprovalRequested(approval_id="a1", message="May I?")
                decided.wait(30)
            yield "done"

        chat = Conversation(agentnb.agent(careful))
        paused = chat.send("careful").run.wait()
        changes: list[Change] = []
        chat.new()
        chat.subscribe(changes.append)
        goes_on = paused.approve()
        until(lambda: goes_on.status == "running")
        try:
            talk(chat, "more")
            assert chat.messages[-1]["content"] == "done"
            assert {change.turn for change in changes} == {chat.shown}
        finally:
            decided.set()
        goes_on.wait()
        assert paused.session_id is not None
        chat.open(paused.session_id)
        assert chat.messages[-1]["content"] == "done"
        assert chat.status == "completed"
        talk(chat, "again")
        assert chat.session_id == paused.session_id

    def test_one_that_goes_on_is_waited_for_when_it_is_opened(self) -> None:
        decided = threading.Event()

        def careful(prompt: str) -> Iterator[Event | str]:
            yield ApprovalRequested(approval_id="a1", message="May I?")
            decided.wait(30)
            yield "done"

        chat = Conversation(agentnb.agent(careful))
        paused = chat.send("careful").run.wait()
        chat.new()
        goes_on = paused.approve()
        assert paused.session_id is not None
        until(lambda: goes_on.session_id)
        chat.open(paused.session_id)
        with pytest.raises(RequestError, match="under way"):
            chat.send("more")
        decided.set()
        goes_on.wait()
        until(lambda: chat.status == "completed")

    def test_the_oldest_go_where_there_are_too_many(
        self, chat: Conversation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trees, "_MAX_TURNS", 3)
        left: list[tuple[str, object]] = []
        for _ in range(3):
            talk(chat, "one", "two")
            assert chat.session_id is not None
            left.append((chat.session_id, chat.turns[0]))
            chat.new()
        for (key, turn), kept in ((left[-1], True), (left[0], False)):
            chat.open(key)
            assert prompts(chat) == ["one", "two"]
            # What is not kept is made anew of the runs.
            assert (chat.turns[0] is turn) is kept


class TestBeginnings:
    """Of a session that began with messages of another."""

    @pytest.fixture
    def again(self, chat: Conversation) -> Conversation:
        """Another conversation in the session of a branch."""
        talk(chat, "one", "two")
        chat.edit(chat.turns[1].id, "second").run.wait()
        session = chat.session_id
        earlier = runs_in_session(chat.agent, session)
        return Conversation(chat.agent, session=session, earlier=earlier)

    def test_the_first_turn_tells(self, again: Conversation) -> None:
        assert prompts(again) == ["second"]
        words = "The session began with 2 earlier messages, which are not shown here."
        assert again.turns[0].note == words

    def test_a_version_of_it_is_told_the_same(self, again: Conversation) -> None:
        edited = again.edit(again.turns[0].id, "2nd")
        assert edited.run.wait().text == "one | 2nd"
        assert edited.note == again.turns[0].note

    def test_so_is_a_later_branch(self, again: Conversation) -> None:
        talk(again, "three")
        edited = again.edit(again.turns[1].id, "third")
        assert edited.run.wait().text == "one, second | third"
        assert edited.note is None

    def test_one_that_is_not_known_is_not_told_of(self, chat: Conversation) -> None:
        talk(chat, "one", "two")
        (_, later) = runs_in_session(chat.agent, chat.session_id)
        partly = Conversation(chat.agent, session=chat.session_id, earlier=[later])
        edited = partly.edit(partly.turns[0].id, "second")
        assert edited.run.wait().text == " | second"
        assert edited.note == (
            "New session: the agent does not know the messages before this one, "
            "for they are not known here."
        )


class TestWhatIsLost:
    """By a branch on a platform that is told the messages before it."""

    def test_attachments(self, chat: Conversation) -> None:
        chat.send("look", media=b"PNG").run.wait()
        talk(chat, "two")
        assert chat.edit(chat.turns[1].id, "second").note == (
            "New session: the agent got the messages before this one, but not their attachments."
        )

    def test_answers_without_text(self) -> None:
        chat = Conversation(agentnb.agent(lambda prompt: "" if prompt == "hush" else "yes"))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        talk(chat, "one", "hush", "three")
        edited = chat.edit(chat.turns[2].id, "third")
        edited.run.wait()
        assert edited.note == (
            "New session: the agent got the messages before this one, but not answers without text."
        )
        assert [m["content"] for m in edited.run.request.history] == ["one", "yes"]

    def test_both(self) -> None:
        chat = Conversation(agentnb.agent(lambda prompt: "" if prompt == "hush" else "yes"))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        talk(chat, "one")
        chat.send("hush", media=b"PNG").run.wait()
        talk(chat, "three")
        note = chat.edit(chat.turns[2].id, "third").note
        assert note is not None
        assert note.endswith("but not their attachments and not answers without text.")

    def test_everything(self) -> None:
        chat = Conversation(agentnb.agent(lambda prompt: ""))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        talk(chat, "one", "two")
        assert chat.edit(chat.turns[1].id, "second").note == (
            "New session: the agent does not know the messages before this one, "
            "for no answer among them has text."
        )


class TestElsewhere:
    """In the same session, by another chat or a cell."""

    def test_what_was_asked_there_is_shown_before_the_next_answer(self, chat: Conversation) -> None:
        talk(chat, "one")
        first = chat.turns[0]
        chat.agent.run("cell", session=chat.session_id)
        other = Conversation(chat.agent, session=chat.session_id)
        talk(other, "other")
        # That one was made without what was there before.
        assert prompts(other) == ["one", "cell", "other"]
        changes: list[Change] = []
        chat.subscribe(changes.append)
        turn = chat.send("two", parent=first.id)
        assert turn.run.wait().text == "one, cell, other | two"
        assert prompts(chat) == ["one", "cell", "other", "two"]
        added = [change.turn.prompt for change in changes if change.kind == "added" and change.turn]
        assert added == ["cell", "other", "two"]
        # Nothing is taken in twice.
        talk(chat, "three")
        assert prompts(chat) == ["one", "cell", "other", "two", "three"]

    def test_a_branch_is_not_mixed_with_another(self, chat: Conversation) -> None:
        talk(chat, "one", "two")
        session = chat.session_id
        chat.edit(chat.turns[1].id, "second").run.wait()
        chat.agent.run("cell", session=session)
        talk(chat, "three")
        assert prompts(chat) == ["one", "second", "three"]
        chat.show(chat.turns[1].id)
        talk(chat, "third")
        assert prompts(chat) == ["one", "two", "cell", "third"]

    def test_what_is_under_way_there_is_shown_and_waited_for(self) -> None:
        gate = asyncio.Event()

        async def slow(prompt: str) -> AsyncIterator[str]:
            yield "so far"
            if prompt == "slow":
                await gate.wait()

        chat = Conversation(agentnb.agent(slow))
        talk(chat, "one")
        going = chat.agent.start("slow", session=chat.session_id)
        with pytest.raises(RequestError, match="under way"):
            chat.send("two")
        assert prompts(chat) == ["one", "slow"]
        assert chat.shown is not None
        assert chat.shown.run is going
        chat.stop()
        going.wait(check=False)
        until(lambda: chat.status == "cancelled")
        talk(chat, "two")
        assert prompts(chat) == ["one", "slow", "two"]

    def test_it_is_there_when_the_session_is_opened_again(self, chat: Conversation) -> None:
        talk(chat, "one")
        session = chat.session_id
        assert session is not None
        chat.new()
        chat.agent.run("cell", session=session)
        chat.open(session)
        assert prompts(chat) == ["one", "cell"]

    def test_a_run_that_was_decided_is_not_taken_for_another(self) -> None:
        def careful(prompt: str) -> Iterator[Event | str]:
            if prompt == "careful":
                yield ApprovalRequested(approval_id="a1", message="May I?")
            yield "done"

        chat = Conversation(agentnb.agent(careful))
        chat.send("careful").run.wait().approve().wait()
        until(lambda: chat.status == "completed")
        talk(chat, "two")
        assert prompts(chat) == ["careful", "two"]


class TestAsking:
    def test_messages_are_the_caller_s_own(self, chat: Conversation) -> None:
        chat.send("look", media=b"PNG").run.wait()
        told = chat.messages
        told[0]["content"] = told[0]["attachments"][0]["name"] = "changed"
        assert chat.messages[0]["content"] == "look"
        assert chat.messages[0]["attachments"][0]["name"] == "attachment"

    def test_an_edited_question_keeps_its_parameters(self, chat: Conversation) -> None:
        old = chat.send("one", params={"depth": 3})
        old.run.wait()
        for given, sent in ((None, {"depth": 3}), ({"depth": 5}, {"depth": 5}), ({}, {})):
            turn = chat.send("first", parent=None, edited=old.id, params=given)
            turn.run.wait()
            assert turn.run.request.params == sent
