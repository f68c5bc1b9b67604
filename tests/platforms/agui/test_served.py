"""Against Pydantic AI's adapter for AG-UI."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentnb
from agentnb.errors import UnsupportedError
from agentnb.event import RawEvent, TextDelta, Usage
from agentnb.testing import PlatformContract
from tests.patience import PAUSE, looks
from tests.platforms.agui.served import Served, served_agents
from tests.platforms.served import first_turn

pytestmark = [pytest.mark.slow]

TOOL = {
    "name": "open_page",
    "description": "Open a page of the application.",
    "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_agents(tmp_path_factory.mktemp("agui")) as running:
        yield running


@pytest.fixture
def agent(served: Served) -> agentnb.Agent:
    return agentnb.agent("agui:helper", base_url=served.url)


class TestContract(PlatformContract):
    """What every platform does alike."""

    prompt = "tea?"
    long_prompt = "go on"


@pytest.mark.anyio
async def test_an_answer_is_streamed_with_its_usage(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?")
    assert (run.text, run.status) == ("You said: tea?", "completed")
    texts = [event.text for event in run.events if isinstance(event, TextDelta)]
    assert texts == ["You ", "said: ", "tea?"]
    assert not [event for event in run.events if isinstance(event, RawEvent)]
    assert run.usage == Usage(input_tokens=50, output_tokens=4, total_tokens=54)
    assert run.transcript.model == "function::answer"
    assert run.transcript.run_id is not None


@pytest.mark.anyio
async def test_a_tool_is_called(agent: agentnb.Agent) -> None:
    run = await agent.arun("use a tool")
    (call,) = run.tool_calls
    assert (call.name, call.arguments, call.result) == ("add", '{"a": 1, "b": 2}', "3")
    assert call.status == "completed"
    kinds = [part["kind"] for part in run.transcript.to_dict()["parts"]]
    assert kinds == ["text", "tool", "text"]
    assert run.text.endswith("It is 3.")
    assert run.transcript.finished is not None
    assert "pending_tool_call_ids" not in run.transcript.finished.details


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["", "/early"], ids=["1.0", "0.1.10"])
async def test_reasoning_of_both_generations(served: Served, path: str) -> None:
    agent = agentnb.agent("agui:helper", base_url=served.url, options={"path": path})
    run = await agent.arun("think")
    assert (run.reasoning, run.text, run.status) == ("Hm, tea.", "Tea.", "completed")
    assert not [event for event in run.events if isinstance(event, RawEvent)]


@pytest.mark.anyio
async def test_the_agent_may_be_part_of_the_path(served: Served) -> None:
    options = {"path": "/agents/{agent}"}
    run = await agentnb.agent("agui:tester", base_url=served.url, options=options).arun("tea?")
    assert run.text == "Tested."
    assert [(call.name, call.status) for call in run.tool_calls] == [("add", "completed")]
    other = agentnb.agent("agui:none", base_url=served.url, options=options)
    run = await other.arun("tea?", check=False)
    assert "404" in (run.error or "")


@pytest.mark.anyio
async def test_an_error_of_the_model_fails_the_run(agent: agentnb.Agent) -> None:
    run = await agent.arun("break", check=False)
    assert (run.status, run.text, run.error) == ("failed", "You said: break", "the model broke")


@pytest.mark.anyio
async def test_an_error_of_a_tool_fails_the_run(agent: agentnb.Agent) -> None:
    run = await agent.arun("use a broken tool", check=False)
    assert (run.status, run.error) == ("failed", "the tool broke")
    assert [call.name for call in run.tool_calls] == ["broken"]


@pytest.mark.anyio
async def test_a_refused_request_has_the_reason_of_the_server(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?", check=False, context=[{"description": 1}])
    assert run.status == "failed"
    assert "context" in (run.error or "")
    assert "valid string" in (run.error or "")


@pytest.mark.anyio
async def test_a_tool_of_the_application_stays_without_a_result(agent: agentnb.Agent) -> None:
    run = await agent.arun("use my tool", tools=[TOOL])
    (call,) = run.tool_calls
    assert (call.name, call.arguments, call.status) == ("open_page", '{"number": 7}', "abandoned")
    assert run.transcript.finished is not None
    assert run.transcript.finished.details["pending_tool_call_ids"] == ["c1"]


@pytest.mark.anyio
async def test_an_interrupt_pauses_the_run(agent: agentnb.Agent) -> None:
    run = await agent.arun("ask me", check=False)
    assert run.status == "paused"
    (approval,) = run.transcript.pending_approvals
    assert (approval.approval_id, approval.tool) == ("int-c1", "delete")
    assert approval.arguments == '{"path": "a.txt"}'
    assert approval.message == 'Approve delete({"path":"a.txt"})?'
    following = await agent.arun("count", session=run)
    assert "user=ask me" in following.text


@pytest.mark.anyio
async def test_state_and_custom_events(agent: agentnb.Agent) -> None:
    run = await agent.arun("publish")
    assert [event for event in run.events if isinstance(event, RawEvent)] == []
    assert run.state == {"step": 1}
    assert [event.name for event in run.custom_events] == ["note"]
    assert run.text == "It is published."


@pytest.mark.anyio
async def test_leaving_a_stream_stops_the_agent(served: Served, agent: agentnb.Agent) -> None:
    text = ""
    async for event in agent.stream("go on 1"):
        text += event.text if isinstance(event, TextDelta) else ""
        if text.endswith(" 3"):
            break
    served.wait_until_ended("go on 1")


def test_cancelling_a_run_stops_the_agent(served: Served, agent: agentnb.Agent) -> None:
    run = agent.start("go on 2")
    for _ in looks():
        if run.text:
            break
        time.sleep(PAUSE)
    run.cancel()
    run.wait(check=False)
    assert run.status == "cancelled"
    assert run.text.startswith("You ")
    served.wait_until_ended("go on 2")


@pytest.mark.anyio
async def test_attachments_reach_the_model(agent: agentnb.Agent, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF")
    media = [
        agentnb.Media(data=b"\x89PNG", mime_type="image/png"),
        agentnb.Media(data=b"RIFF..", mime_type="audio/wav"),
        path,
        "https://example.com/tea.png",
        "data:text/plain,green%20tea",
    ]
    run = await agent.arun("see", media=media)
    assert run.text == (
        "You said: see image/png:4 audio/wav:6 application/pdf:4"
        " ImageUrl:https://example.com/tea.png text/plain:9"
    )


@pytest.mark.anyio
async def test_a_session_goes_on(agent: agentnb.Agent) -> None:
    first = await agent.arun("tea?")
    second = await agent.arun("count", session=first)
    assert second.text == "user=tea?|assistant=You said: tea?|user=count"
    assert second.session_id == first.session_id
    third = await agent.arun("count", session=second)
    assert third.text.endswith(f"|assistant={second.text}|user=count")


def test_a_session_of_another_process_goes_on(
    served: Served, agent: agentnb.Agent, tmp_path: Path
) -> None:
    file = tmp_path / "history.sqlite"
    session = first_turn("agui:helper", served.url, file)
    agentnb.history.use(file)
    try:
        run = agent.run("count", session=session)
        assert run.text == "user=tea?|assistant=You said: tea?|user=count"
    finally:
        agentnb.history.use(None)


@pytest.mark.anyio
async def test_a_run_cannot_be_attached_to(agent: agentnb.Agent) -> None:
    with pytest.raises(UnsupportedError, match="attach to a run"):
        agent.attach("r1")


@pytest.mark.anyio
async def test_a_function_of_this_process_is_a_tool(agent: agentnb.Agent) -> None:
    def open_page(number: int) -> str:
        """Open a page."""
        return f"page {number}"

    run = await agent.arun("use my tool", tools=[open_page])
    assert run.status == "paused"
    run = await run.approve_async()
    await run
    assert (run.status, run.text) == ("completed", "It is page 7.")
    assert [(each.name, each.result) for each in run.tool_calls] == [("open_page", "page 7")]


@pytest.mark.anyio
async def test_the_state_is_sent_back_with_the_next_turn(served: Served) -> None:
    agent = agentnb.agent("agui:keeper", base_url=served.url, options={"path": "/agents/keeper"})
    run: agentnb.Run | None = None
    for cups in (1, 2, 3):
        run = await agent.arun("pour", session=run)
        assert (run.text, run.state) == (f"It is {cups}.", {"cups": cups})
