"""What a conversation asks of a platform: earlier messages, approvals, attachments.

Each over real HTTP against the sandbox, and of a Python function, which is a platform, too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import agentnb
from agentnb import _loop, history
from agentnb.errors import RequestError, UnsupportedError
from agentnb.event.transcript import fold
from agentnb.event.types import ApprovalRequested, Event, RunFailed, RunStarted
from agentnb.platforms.base import RunRequest
from agentnb.platforms.local import FunctionContext
from agentnb.platforms.media import media_refusal
from agentnb.sandbox import Sandbox
from tests.contract.conftest import TARGETS, AgentOf
from tests.contract.test_platforms import told, wait_until

pytestmark = pytest.mark.anyio

EARLIER: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "My name is Ada. 😀"},
    {"role": "assistant", "content": "Noted."},
]


def recalls(prompt: str, context: FunctionContext) -> str:
    """Say what was said before."""
    return json.dumps([[m["role"], m["content"]] for m in context.history])


async def asks(prompt: str, context: FunctionContext) -> AsyncIterator[str | Event]:
    """Ask before going on."""
    yield "Before. "
    yield ApprovalRequested(approval_id="first", message="May I?", tool="send")
    if context.decisions["first"] == "REJECTED":
        yield RunFailed(message="Then not.")
    yield "After."


@pytest.fixture(scope="module", autouse=True)
def agents(sandboxes: dict[str, Sandbox]) -> None:
    for sandbox in sandboxes.values():
        sandbox.agent("recalls")(recalls)
        sandbox.agent("asks")(asks)


@pytest.fixture(params=[*TARGETS, "local"])
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def recalling(agent_of: AgentOf, platform: str) -> agentnb.Agent:
    return agentnb.agent(recalls) if platform == "local" else agent_of("recalls")


@pytest.fixture
def asking(agent_of: AgentOf, platform: str) -> agentnb.Agent:
    return agentnb.agent(asks) if platform == "local" else agent_of("asks")


# --- earlier messages ---


def test_a_new_session_begins_with_earlier_messages(recalling: agentnb.Agent) -> None:
    before = len(history.recent_runs())
    if not recalling.platform.capabilities.history:
        with pytest.raises(UnsupportedError, match="earlier messages"):
            recalling.start("Who am I?", history=EARLIER)
        assert len(history.recent_runs()) == before
        return
    run = recalling.run("Who am I?", history=EARLIER)
    assert json.loads(run.text) == [[m["role"], m["content"]] for m in EARLIER]
    assert run.prompt == "Who am I?"
    # The session knows them from then on, and what was said since.
    heard = json.loads(recalling.run("And now?", session=run).text)
    assert [content for _, content in heard] == [
        *(m["content"] for m in EARLIER),
        "Who am I?",
        run.text,
    ]
    assert json.loads(recalling.run("Who?").text) == []


def test_without_streaming_too(recalling: agentnb.Agent) -> None:
    if recalling.platform.capabilities.history:
        run = recalling.run("Who am I?", history=EARLIER, stream=False)
        assert len(json.loads(run.text)) == 3
    else:
        with pytest.raises(UnsupportedError, match="earlier messages"):
            recalling.run("Who am I?", history=EARLIER, stream=False)


async def test_the_platform_itself_refuses_what_it_cannot(recalling: agentnb.Agent) -> None:
    request = RunRequest(agent="recalls", prompt="hi", session_id="s", history=EARLIER)
    # It is the platform's own answer, also for who does not come by way of an agent.
    expected = RequestError if recalling.platform.capabilities.history else UnsupportedError
    with pytest.raises(expected, match=r"[Ee]arlier messages"):
        await anext(recalling.platform.stream(request))


def test_a_session_has_its_own_messages(recalling: agentnb.Agent) -> None:
    run = recalling.run("one")
    error = RequestError if recalling.platform.capabilities.history else UnsupportedError
    with pytest.raises(error):
        recalling.start("two", session=run, history=EARLIER)


@pytest.mark.parametrize(
    "message", [{"role": "user"}, {"role": "robot", "content": "x"}, {"role": "user", "content": 1}]
)
def test_what_is_no_message_is_refused(recalling: agentnb.Agent, message: Any) -> None:
    with pytest.raises(RequestError, match="Message 2 of the history"):
        recalling.start("hi", history=[EARLIER[0], message])


# --- approvals ---


def decided(agent: agentnb.Agent) -> bool:
    """Whether runs of this platform can be decided; where not, that it says so."""
    if agent.platform.capabilities.approvals:
        return True
    run = agent.run("go", check=False)
    with pytest.raises(UnsupportedError, match="decisions"):
        run.approve()
    with pytest.raises(UnsupportedError, match="decisions"):
        run.deny()
    return False


def test_an_approved_run_goes_on_as_the_same_run(asking: agentnb.Agent) -> None:
    if not decided(asking):
        return
    run = (
        asking.run("go", params_of_mine=1) if asking.platform.name == "local" else asking.run("go")
    )
    assert (run.status, run.text, run.done) == ("paused", "Before. ", True)
    rows = len(agentnb.runs())
    went_on = run.approve()
    assert went_on.wait() is went_on
    assert (went_on.status, went_on.text) == ("completed", "Before. After.")
    assert went_on.id == run.id
    assert went_on.request is run.request
    assert (went_on.session_id, went_on.title) == (run.session_id, run.title)
    assert went_on.created_at == run.created_at
    # It tells all from the beginning, once, and stands in the place of the paused one.
    assert fold(went_on.events).text == "Before. After."
    assert [a.message for a in went_on.transcript.approvals] == ["May I?"]
    assert went_on.transcript.pending_approvals == ()
    assert len(agentnb.runs()) == rows
    assert agentnb.last_run() is went_on
    assert run.status == "paused"


def test_a_run_in_one_piece_waits_too(asking: agentnb.Agent) -> None:
    if not asking.platform.capabilities.approvals:
        return
    run = asking.run("go", stream=False)
    assert (run.status, run.text) == ("paused", "Before. ")
    assert run.approve().wait().text == "Before. After."


def test_a_refused_run_ends_without_what_it_asked_for(asking: agentnb.Agent) -> None:
    if not decided(asking):
        return
    run = asking.run("go").deny().wait(check=False)
    assert run.status in ("cancelled", "failed")
    assert run.text == "Before. "


def test_a_run_is_decided_once(asking: agentnb.Agent) -> None:
    if not decided(asking):
        return
    run = asking.run("go")
    went_on = run.approve()
    with pytest.raises(RequestError, match="decided already"):
        run.deny()
    went_on.wait()
    with pytest.raises(RequestError, match="completed and waits for no approval"):
        went_on.approve()


def test_an_approval_that_it_did_not_ask_for(asking: agentnb.Agent) -> None:
    if not decided(asking):
        return
    run = asking.run("go")
    with pytest.raises(RequestError, match="requested no approval other"):
        run.approve("other")
    assert run.approve("first").wait().status == "completed"


async def test_deciding_without_blocking_the_loop(asking: agentnb.Agent) -> None:
    if not asking.platform.capabilities.approvals:
        with pytest.raises(UnsupportedError):
            await (await asking.arun("go", check=False)).approve_async()
        return
    went_on = await (await asking.arun("go")).approve_async()
    assert (await went_on).text == "Before. After."
    denied = await (await asking.arun("go")).deny_async()
    assert (await denied.wait_async(check=False)).status in ("cancelled", "failed")


@pytest.mark.parametrize("approval_id", [None, "appr_of_nobody"])
def test_a_run_that_waits_for_nothing_cannot_be_decided(
    asking: agentnb.Agent, approval_id: str | None
) -> None:
    platform = asking.platform
    expected = RequestError if platform.capabilities.approvals else UnsupportedError
    with pytest.raises(expected):
        _loop.wait(platform.decide("run_of_nobody", approval_id, approved=True))


def test_a_paused_run_can_be_given_up(asking: agentnb.Agent, sandbox: Sandbox) -> None:
    if not decided(asking):
        return
    run = asking.run("go")
    run.cancel()
    wait_until(lambda: run.status == "cancelled" and sandbox.active_runs == 0)
    with pytest.raises(RequestError, match="cancelled and waits for no approval"):
        run.approve()


def test_the_sandboxs_own_echo_asks(agent_of: AgentOf, platform: str, is_real: bool) -> None:
    if platform != "operativus":
        return
    run = agent_of("echo").run(told(approval="May I?", text="One. Two.", reasoning=2, tools=1))
    assert (run.status, run.text, run.reasoning) == ("paused", "", "thought 0 thought 1 ")
    went_on = run.approve().wait()
    # The real server's record does not tell what was thought.
    thought = "" if is_real else "thought 0 thought 1 "
    assert (went_on.text, went_on.reasoning) == ("One. Two.", thought)
    assert [call.status for call in went_on.tool_calls] == ["completed"]
    assert went_on.usage is not None


def test_several_approvals_one_after_the_other(
    agent_of: AgentOf, sandbox: Sandbox, platform: str, is_real: bool
) -> None:
    def twice(prompt: str, context: FunctionContext) -> Iterator[str | Event]:
        for name in ("one", "two"):
            yield ApprovalRequested(approval_id=f"{context.run_id}.{name}", message=f"{name}?")
            yield f"{name} "

    if platform == "local":
        agent = agentnb.agent(twice)
    elif platform == "operativus":
        sandbox.agent("twice")(twice)
        agent = agent_of("twice")
    else:
        return
    first = agent.run("go")
    second = first.approve().wait()
    # The real server's record does not tell what was said before the run has ended.
    assert (second.status, second.text) == ("paused", "" if is_real else "one ")
    assert [a.message for a in second.transcript.pending_approvals] == ["two?"]
    assert isinstance(second.events[0], RunStarted)
    third = second.approve().wait()
    assert (third.status, third.text) == ("completed", "one two ")
    assert [a.message for a in third.transcript.approvals] == ["one?", "two?"]
    assert agentnb.last_run() is third


# --- attachments ---


def test_what_attachments_a_platform_takes(recalling: agentnb.Agent) -> None:
    media = recalling.platform.capabilities.media
    if media is None:
        reason = media_refusal(recalling.platform)
        assert reason == f"{recalling.platform.name} does not take attachments."
        with pytest.raises(UnsupportedError) as caught:
            recalling.start("hi", media=[b"x"])
        assert str(caught.value) == reason
    else:
        assert media_refusal(recalling.platform) is None
        assert media.max_bytes > 0
        assert media.max_count > 0
        assert all("/" in pattern for pattern in media.accept)
