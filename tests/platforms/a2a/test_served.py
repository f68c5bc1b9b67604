"""Against the reference server of A2A's SDK."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import agentnb
from agentnb.event import RawEvent, TextDelta
from agentnb.testing import PlatformContract
from tests.patience import PAUSE, looks
from tests.platforms.a2a.served import Served, served

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("a2a"), "a2a") as running:
        yield running


@pytest.fixture(params=["1.0", "0.3", "blocking"])
def any_agent(server: Served, request: pytest.FixtureRequest) -> agentnb.Agent:
    return agentnb.agent("a2a:helper", base_url=f"{server.url}/{request.param}")


@pytest.fixture
def agent(server: Served) -> agentnb.Agent:
    return agentnb.agent("a2a:helper", base_url=f"{server.url}/1.0")


class TestContract(PlatformContract):
    """What every platform does alike."""

    prompt = "tea?"


@pytest.mark.anyio
async def test_an_answer_and_a_second_turn(any_agent: agentnb.Agent) -> None:
    run = await any_agent.arun("tea?")
    assert (run.text, run.status) == ("You said: tea?", "completed")
    assert not [event for event in run.events if isinstance(event, RawEvent)]
    assert run.session_id
    second = await any_agent.arun("more", session=run)
    assert second.text == "You said: tea?|more"
    assert second.session_id == run.session_id


@pytest.mark.anyio
async def test_an_answer_is_streamed(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?")
    texts = [event.text for event in run.events if isinstance(event, TextDelta)]
    assert texts == ["You ", "said: ", "tea?"]
    assert run.reasoning.strip() == "Thinking."


@pytest.mark.anyio
async def test_a_message_is_an_answer(any_agent: agentnb.Agent) -> None:
    run = await any_agent.arun("message")
    assert (run.text, run.status) == ("Just this.", "completed")


@pytest.mark.anyio
async def test_artifacts_of_all_kinds(any_agent: agentnb.Agent) -> None:
    run = await any_agent.arun("files")
    link = "[tea.png](https://example.com/tea.png)"
    assert run.text.split("\n\n")[0] == "See:"
    assert run.text.endswith(link)
    assert [(each.name, each.content) for each in run.media] == [("a.png", b"PNG")]
    assert not any(isinstance(event, RawEvent) for event in run.events)
    assert run.transcript.finished is not None
    assert run.transcript.finished.details["message"] == "Done."


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("prompt", "reason"),
    [("fail", "No tea left."), ("reject", "Not my work."), ("sign in", "Sign in at the shop.")],
)
async def test_other_ends(any_agent: agentnb.Agent, prompt: str, reason: str) -> None:
    run = await any_agent.arun(prompt, check=False)
    assert run.status == "failed"
    assert reason in (run.error or "")


@pytest.mark.anyio
async def test_an_agent_that_breaks_fails_the_run(any_agent: agentnb.Agent) -> None:
    run = await any_agent.arun("break", check=False)
    assert run.status == "failed"


@pytest.mark.anyio
async def test_a_question_is_answered_by_the_next_turn(any_agent: agentnb.Agent) -> None:
    run = await any_agent.arun("question")
    assert (run.text, run.status) == ("Which tea?", "completed")
    second = await any_agent.arun("green", session=run)
    assert second.transcript.run_id == run.transcript.run_id
    assert second.text == "You said: question|green"


@pytest.mark.anyio
async def test_attachments(any_agent: agentnb.Agent) -> None:
    media = [agentnb.Media(data=b"PNG", mime_type="image/png"), "https://example.com/tea.png"]
    run = await any_agent.arun("see", media=media, data={"n": 1})
    assert run.text == "text data raw url"


def test_the_card_is_listed(any_agent: agentnb.Agent) -> None:
    (found,) = any_agent.agents()
    assert (found.id, found.description) == ("helper", "Helps.")


def test_cancelling_and_status(server: Served, agent: agentnb.Agent) -> None:
    run = agent.start("go on 1")
    for _ in looks():
        if " 3" in run.text:
            break
        time.sleep(PAUSE)
    task_id = run.transcript.run_id
    assert task_id
    assert agent.remote_status([task_id, "unknown"])[task_id].status == "running"
    run.cancel()
    run.wait(check=False)
    assert run.status == "cancelled"
    assert server.wait_for("cancelled.txt") == task_id
    states = agent.remote_status([task_id, "unknown"])
    assert {key: state.status for key, state in states.items()} == {task_id: "cancelled"}


def test_attaching_brings_the_whole_text(agent: agentnb.Agent) -> None:
    run = agent.start("go on a bit")
    for _ in looks():
        if " 3" in run.text:
            break
        time.sleep(PAUSE)
    other = agent.attach(run.transcript.run_id or "")
    other.wait()
    run.wait()
    assert other.text == run.text
    assert run.text.endswith(" 29")
    again = agent.attach(run.transcript.run_id or "")
    again.wait()
    assert (again.text, again.status) == (run.text, "completed")


def test_attaching_to_a_task_that_waits_for_input_ends(agent: agentnb.Agent) -> None:
    run = agent.run("question")
    other = agent.attach(run.transcript.run_id or "")
    other.wait(timeout=30)
    assert (other.text, other.status) == ("Which tea?", "completed")
