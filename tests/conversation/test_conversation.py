"""`Conversation`: sessions, branches and what ends a run, with a platform that plays its part."""

from __future__ import annotations

import asyncio
import threading

import pytest

import agentnb
from agentnb import history
from agentnb.agents import Agent
from agentnb.conversation import Change, Conversation, runs_in_session
from agentnb.errors import ConnectionFailedError, NotFoundError, RequestError
from agentnb.event.types import (
    ApprovalRequested,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import Capabilities, MediaSupport, RunRequest
from tests.played import Batches, PlayedPlatform, Script, player, until

HISTORY = Capabilities(history=True, cancel=True)


def counting() -> Script:
    """A platform whose new sessions are numbered."""
    made = 0

    async def script(request: RunRequest) -> Batches:
        nonlocal made
        if request.session_id is None:
            made += 1
        session = request.session_id or f"session_{made}"
        yield [RunStarted(run_id=f"run_{request.prompt}", session_id=session)]
        yield [TextDelta(f"re: {request.prompt}")]
        yield [UsageReported(usage=Usage(input_tokens=2, output_tokens=3)), RunFinished()]

    return script


def talk(chat: Conversation, *questions: str) -> None:
    for question in questions:
        chat.send(question).run.wait()


@pytest.fixture
def platform() -> PlayedPlatform:
    return PlayedPlatform(counting())


@pytest.fixture
def chat(platform: PlayedPlatform) -> Conversation:
    return Conversation(player(platform))


def asked(platform: PlayedPlatform) -> list[tuple[str, str | None]]:
    return [(request.prompt, request.session_id) for request in platform.requests]


class TestSessions:
    def test_a_question_goes_on_in_the_session(
        self, chat: Conversation, platform: PlayedPlatform
    ) -> None:
        assert (chat.status, chat.session_id, chat.messages, chat.usage) == ("idle", None, [], None)
        talk(chat, "one", "two", "three")
        assert asked(platform) == [("one", None), ("two", "session_1"), ("three", "session_1")]
        assert (chat.status, chat.session_id) == ("completed", "session_1")
        assert [m["content"] for m in chat.messages] == [
            *("one", "re: one", "two", "re: two", "three", "re: three")
        ]
        assert chat.usage == Usage(input_tokens=6, output_tokens=9)
        assert [turn.note for turn in chat.turns] == [None] * 3

    def test_one_that_was_given_is_gone_on_in(self, platform: PlayedPlatform) -> None:
        chat = Conversation(player(platform), session="given", params={"a": 1, "b": 1})
        chat.send("one", params={"b": 2}).run.wait()
        assert asked(platform) == [("one", "given")]
        assert dict(platform.requests[0].params) == {"a": 1, "b": 2}
        # Of that session there may be more than what is shown.
        edited = chat.edit(chat.turns[0].id, "first")
        edited.run.wait()
        assert edited.note is not None
        assert "played cannot branch one" in edited.note

    def test_earlier_ones_are_listed_and_gone_on_in(
        self, chat: Conversation, platform: PlayedPlatform
    ) -> None:
        talk(chat, "one", "two")
        chat.new()
        assert chat.turns == ()
        assert chat.session_id is None
        talk(chat, "other")
        found = chat.sessions()
        assert [(s.key, s.title, s.turns, s.current) for s in found] == [
            ("session_2", "other", 1, True),
            ("session_1", "one", 2, False),
        ]
        chat.open("session_1")
        assert [turn.prompt for turn in chat.branch] == ["one", "two"]
        talk(chat, "three")
        assert asked(platform)[-1] == ("three", "session_1")
        with pytest.raises(RequestError, match="no session 'nowhere'"):
            chat.open("nowhere")

    def test_runs_of_the_same_agent_elsewhere_are_listed_too(
        self, chat: Conversation, platform: PlayedPlatform
    ) -> None:
        elsewhere = chat.agent.run("elsewhere")
        Agent(platform, "another").run("not mine")
        assert [s.title for s in chat.sessions()] == ["elsewhere"]
        assert runs_in_session(chat.agent, elsewhere.session_id) == [elsewhere]
        again = Conversation(chat.agent, session=elsewhere.session_id, earlier=[elsewhere])
        assert [m["content"] for m in again.messages] == ["elsewhere", "re: elsewhere"]
        talk(again, "more")
        assert asked(platform)[-1] == ("more", elsewhere.session_id)

    def test_one_opened_again_keeps_its_branches(self, chat: Conversation) -> None:
        talk(chat, "one", "two")
        chat.edit(chat.turns[1].id, "second").run.wait()
        assert chat.session_id == "session_2"
        chat.open("session_1")
        assert [turn.prompt for turn in chat.branch] == ["one", "two"]
        assert len(chat.turns) == 3


class TestBranches:
    def test_without_history_the_turn_says_what_is_lost(
        self, chat: Conversation, platform: PlayedPlatform
    ) -> None:
        talk(chat, "one", "two")
        edited = chat.edit(chat.turns[1].id, "second")
        edited.run.wait()
        assert asked(platform)[-1] == ("second", None)
        assert edited.parent == chat.turns[0].id
        assert edited.note == (
            "New session: played cannot branch one, "
            "so the agent does not know the messages before this one."
        )
        talk(chat, "three")
        assert asked(platform)[-1] == ("three", "session_2")
        assert chat.turns[-1].note is None

    def test_with_history_the_session_begins_with_the_messages_before(self) -> None:
        platform = PlayedPlatform(counting(), capabilities=HISTORY)
        chat = Conversation(player(platform))
        talk(chat, "one", "two", "three")
        again = chat.regenerate()
        again.run.wait()
        assert again.note is None
        request = platform.requests[-1]
        assert request.session_id is None
        assert [m["content"] for m in request.history] == ["one", "re: one", "two", "re: two"]
        assert [m["role"] for m in request.history] == ["user", "assistant"] * 2

    def test_nothing_is_lost_with_a_first_question(
        self, chat: Conversation, platform: PlayedPlatform
    ) -> None:
        talk(chat, "one")
        again = chat.regenerate()
        again.run.wait()
        assert (again.note, again.parent) == (None, None)
        assert asked(platform) == [("one", None), ("one", None)]

    def test_a_branch_is_shown_up_to_its_last_turn(self, chat: Conversation) -> None:
        talk(chat, "one", "two", "three")
        first, second, _ = chat.turns
        chat.edit(second.id, "second").run.wait()
        assert [turn.prompt for turn in chat.branch] == ["one", "second"]
        chat.show(second.id)
        assert [turn.prompt for turn in chat.branch] == ["one", "two", "three"]
        chat.show(first.id)
        assert [turn.prompt for turn in chat.branch] == ["one", "second"]
        with pytest.raises(RequestError, match="no such message"):
            chat.show("nowhere")

    def test_the_last_turn_of_each_session_is_gone_on_after(
        self, chat: Conversation, platform: PlayedPlatform
    ) -> None:
        talk(chat, "one", "two")
        chat.edit(chat.turns[1].id, "second").run.wait()
        chat.show(chat.turns[1].id)
        talk(chat, "three")
        assert asked(platform)[-1] == ("three", "session_1")

    def test_attachments_come_along(self) -> None:
        able = Capabilities(media=MediaSupport(max_bytes=100, max_count=2))
        platform = PlayedPlatform(counting(), capabilities=able)
        chat = Conversation(player(platform))
        item = agentnb.Media(data=b"12345", name="a.txt", mime_type="text/plain")
        chat.send("one", media=item).run.wait()
        chat.edit(chat.turns[0].id, "first").run.wait()
        assert [list(request.media) for request in platform.requests] == [[item], [item]]
        assert chat.messages[0]["attachments"] == [
            {"name": "a.txt", "mime_type": "text/plain", "size": 5}
        ]


class TestEnds:
    def test_no_question_while_an_answer_is_under_way(self, chat: Conversation) -> None:
        waits = Conversation(agentnb.agent(_think))
        turn = waits.send("hm")
        until(lambda: turn.run.text)
        for refused in (lambda: waits.send("more"), waits.regenerate, waits.new):
            with pytest.raises(RequestError, match="An answer is under way"):
                refused()
        waits.stop()
        assert turn.run.wait(check=False).status == "cancelled"
        until(lambda: waits.messages[-1]["status"] == "cancelled")
        assert waits.messages[-1]["content"] == "so far"
        assert waits.send("more").run.request.session_id == turn.run.session_id
        waits.stop()

    def test_a_session_that_is_gone_does_not_trap_the_chat(self) -> None:
        lost = False

        async def script(request: RunRequest) -> Batches:
            if request.session_id is not None and lost:
                raise NotFoundError("There is no such session.", status=404)
            yield [RunStarted(run_id="r", session_id=request.session_id or "new")]
            yield [TextDelta("yes"), RunFinished()]

        chat = Conversation(player(PlayedPlatform(script)))
        talk(chat, "one", "two")
        lost = True
        assert chat.send("three").run.wait(check=False).status == "failed"
        until(lambda: chat.session_id is None)
        turn = chat.send("four")
        turn.run.wait()
        assert turn.run.request.session_id is None
        assert turn.note is not None
        assert turn.note.startswith("New session: played does not know the one before any more")

    def test_a_question_that_never_arrived_is_no_part_of_the_session(self) -> None:
        reachable = True

        async def script(request: RunRequest) -> Batches:
            if not reachable:
                raise ConnectionFailedError("Refused.")
            yield [RunStarted(run_id="r", session_id=request.session_id or "new")]
            yield [TextDelta("yes"), RunFinished()]

        platform = PlayedPlatform(script)
        chat = Conversation(player(platform))
        talk(chat, "one")
        reachable = False
        chat.send("two").run.wait(check=False)
        reachable = True
        again = chat.regenerate()
        again.run.wait()
        assert (again.run.request.session_id, again.note) == ("new", None)
        talk(chat, "three")
        assert asked(platform)[-1] == ("three", "new")

    def test_an_approval_puts_the_run_that_goes_on_in_its_place(self) -> None:
        async def script(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r", session_id="s"), TextDelta("may I? ")]
            yield [ApprovalRequested(approval_id="a", message="Really?")]
            if request.prompt == "r":
                yield [TextDelta("done"), RunFinished()]

        able = Capabilities(approvals=True, attach=True)
        platform = PlayedPlatform(script, capabilities=able)
        chat = Conversation(player(platform))
        changes: list[Change] = []
        chat.subscribe(changes.append)
        with pytest.raises(RequestError, match="Nothing waits"):
            chat.approve()
        turn = chat.send("do it")
        paused = turn.run.wait()
        assert chat.status == "paused"
        goes_on = chat.approve()
        goes_on.wait()
        assert platform.decisions == [("r", "a", True)]
        assert turn.run is goes_on is not paused
        assert chat.messages[-1]["content"] == "may I? done"
        assert chat.runs == [goes_on]
        assert [c.kind for c in changes if c.kind != "status"] == ["added", "replaced"]

    def test_an_answer_that_waits_for_an_approval_can_be_given_up(self) -> None:
        async def script(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r", session_id="s"), TextDelta("may I? ")]
            yield [ApprovalRequested(approval_id="a", message="Really?")]

        chat = Conversation(player(PlayedPlatform(script)))
        told: list[str] = []
        chat.subscribe(lambda change: told.append(chat.status))
        run = chat.send("do it").run.wait()
        # Shown by another conversation, too, which is told as well.
        other = Conversation(chat.agent, session="s", earlier=[run])
        other.subscribe(lambda change: told.append(other.status))
        chat.stop()
        until(lambda: told[-2:] == ["cancelled"] * 2)
        assert chat.messages[-1]["status"] == "cancelled"

    def test_several_threads_ask_and_one_is_answered(self, chat: Conversation) -> None:
        waits = Conversation(agentnb.agent(_think))
        begin, refused = threading.Barrier(8), list[str]()

        def ask() -> None:
            begin.wait()
            try:
                waits.send("hm")
            except RequestError as error:
                refused.append(error.message)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(waits.turns) == 1
        assert refused == ["An answer is under way."] * 7
        waits.stop()

    def test_a_listener_that_raises_hurts_nobody(self, chat: Conversation) -> None:
        told = threading.Event()

        def breaks(change: Change) -> None:
            raise ValueError(change)

        chat.subscribe(breaks)
        chat.subscribe(lambda change: told.set())
        talk(chat, "one")
        assert told.is_set()

    def test_a_question_that_is_refused_leaves_no_trace(self, chat: Conversation) -> None:
        before = len(history.recent_runs())
        for text, media in (("  ", ()), ("x", "/no/such/file")):
            with pytest.raises(RequestError):
                chat.send(text, media=media)
        assert chat.turns == ()
        assert len(history.recent_runs()) == before
        with pytest.raises(RequestError, match="no answer yet"):
            chat.regenerate()


async def _think(prompt: str) -> object:
    yield "so far"
    await asyncio.Event().wait()
