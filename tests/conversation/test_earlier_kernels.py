"""Sessions that other kernels began: listed, shown, and gone on in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.conversation import Conversation, runs_in_session
from agentnb.errors import RequestError
from agentnb.sandbox import Sandbox
from agentnb.store import recent
from agentnb.store.recorder import flush, use
from agentnb.store.schema import content, run
from agentnb.store.store import Store, store

KERNEL = """
import sys, agentnb
agent = agentnb.agent(sys.argv[1])
session = None
for prompt in sys.argv[2:]:
    session = agent.run(prompt, session=session, check=False)
print(session.session_id)
assert agentnb.history.flush(30)
"""


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of this test's own, in a process that ran nothing before."""
    flush(30)
    use(tmp_path / "history.sqlite")
    monkeypatch.setattr(recent, "_runs", deque[Any]())
    try:
        yield store(required=True)
        flush(30)
    finally:
        use(None)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture
def seekr(sandbox: Sandbox) -> agentnb.Agent:
    return agentnb.agent("seekr:echo", base_url=sandbox.base_url("seekr"), api_key=sandbox.api_key)


def elsewhere(opened: Store, sandbox: Sandbox, target: str, *prompts: str, user: str = "") -> str:
    """Talk in another kernel; return the session."""
    platform = target.partition(":")[0].upper()
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, target, *prompts],
        env={
            **os.environ,
            "AGENTNB_HISTORY": str(opened.path),
            f"{platform}_BASE_URL": sandbox.base_url(platform.lower()),
            f"{platform}_API_KEY": sandbox.api_key.get_secret_value(),
            **({"AGENTNB_USER": user} if user else {}),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def prompts(chat: Conversation) -> list[str]:
    return [turn.prompt for turn in chat.branch]


def test_they_are_listed_shown_and_gone_on_in(
    opened: Store, sandbox: Sandbox, seekr: agentnb.Agent
) -> None:
    session = elsewhere(opened, sandbox, "seekr:echo", "First question", "And then?")
    chat = Conversation(seekr)
    chat.send("Here").run.wait()
    listed = chat.sessions()
    assert [(info.title, info.turns, info.status) for info in listed] == [
        ("Here", 1, "completed"),
        ("First question", 2, "completed"),
    ]
    assert [info.current for info in listed] == [True, False]

    chat.open(session)
    assert prompts(chat) == ["First question", "And then?"]
    assert [turn.run.status for turn in chat.branch] == ["completed"] * 2
    assert "First question" in chat.branch[0].run.text
    assert chat.session_id == session
    assert chat.usage is not None

    went_on = chat.send("Going on").run.wait()
    # In the platform's own session, of which it still knows.
    assert went_on.session_id == session
    assert chat.branch[-1].note is None
    (info,) = [info for info in chat.sessions() if info.key == session]
    assert (info.title, info.turns, info.current) == ("First question", 3, True)
    chat.new()
    chat.open(session)
    assert prompts(chat) == ["First question", "And then?", "Going on"]


def test_they_are_not_recorded_again(opened: Store, sandbox: Sandbox, seekr: agentnb.Agent) -> None:
    session = elsewhere(opened, sandbox, "seekr:echo", "First question")
    earlier = runs_in_session(seekr, session)
    chat = Conversation(seekr, session=session, earlier=earlier)
    assert prompts(chat) == ["First question"]
    assert flush(30)
    with opened.connect() as connection:
        assert len(connection.execute(run.select()).all()) == 1


def test_an_answer_can_be_made_anew_with_what_was_said_before(
    opened: Store, sandbox: Sandbox
) -> None:
    agent = agentnb.agent(
        "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=sandbox.api_key
    )
    session = elsewhere(opened, sandbox, "operativus:echo", "One", "Two")
    chat = Conversation(agent)
    chat.open(session)
    again = chat.regenerate()
    again.run.wait()
    assert again.prompt == "Two"
    assert again.run.session_id != session


def test_what_others_talk_about_is_theirs(
    opened: Store, sandbox: Sandbox, seekr: agentnb.Agent
) -> None:
    session = elsewhere(opened, sandbox, "seekr:echo", "Mine alone", user="somebody-else")
    other = elsewhere(opened, sandbox, "seekr:finance_agent", "Another agent")
    chat = Conversation(seekr)
    assert chat.sessions() == []
    for key in (session, other):
        with pytest.raises(RequestError, match="There is no session"):
            chat.open(key)


def test_a_session_in_the_memory_of_another_process_is_not_offered(opened: Store) -> None:
    code = "import agentnb\ndef echo(prompt): return prompt\nagentnb.agent(echo).run('Hi')\n"
    code += "agentnb.agent('sandbox:echo').run('Hi')\n"
    code += "agentnb.agent('seekr:echo', base_url='sandbox').run('Hi')\n"
    code += "assert agentnb.history.flush(30)\n"
    environment = {**os.environ, "AGENTNB_HISTORY": str(opened.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=True)

    def echo(prompt: str) -> str:
        return prompt

    for agent in (
        agentnb.agent(echo),
        agentnb.agent("sandbox:echo"),
        agentnb.agent("seekr:echo", base_url="sandbox"),
    ):
        assert Conversation(agent).sessions() == []


def test_without_what_was_said_a_session_is_named_by_its_id(
    opened: Store, sandbox: Sandbox, seekr: agentnb.Agent
) -> None:
    session = elsewhere(opened, sandbox, "seekr:echo", "Hidden")
    with opened.begin() as connection:
        connection.execute(content.delete())
    (info,) = Conversation(seekr).sessions()
    assert info.title == f"Session {session}"[:48]


def test_a_store_that_fails_takes_nothing_else(
    opened: Store, sandbox: Sandbox, seekr: agentnb.Agent
) -> None:
    elsewhere(opened, sandbox, "seekr:echo", "First question")
    chat = Conversation(seekr)
    chat.send("Here").run.wait()
    assert flush(30)
    with opened.begin() as connection:
        connection.exec_driver_sql("DROP TABLE content")
    assert [info.title for info in chat.sessions()] == ["Here"]
    with pytest.raises(RequestError, match="There is no session"):
        chat.open("nothing")
