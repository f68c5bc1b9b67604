"""Against MLflow's agent server: Responses without ``response.created`` and its kin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import agentnb
from agentnb.errors import UnsupportedError
from agentnb.event import RawEvent, TextDelta
from tests.platforms.openai.served import Served, served_mlflow
from tests.platforms.served import first_turn

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_mlflow(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture
def agent(served: Served) -> agentnb.Agent:
    return agentnb.agent("openai:mlflow_agent_server", base_url=served.url)


async def test_an_answer_is_streamed_without_a_key(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?")
    assert (run.text, run.status) == ("You said: tea?", "completed")
    assert [event.text for event in run.events if isinstance(event, TextDelta)] == [
        *("You ", "said: ", "tea?")
    ]
    assert not [event for event in run.events if isinstance(event, RawEvent)]
    assert run.session_id is not None


async def test_an_answer_need_not_be_streamed(agent: agentnb.Agent) -> None:
    assert (await agent.arun("tea?", stream=False)).text == "You said: tea?"


async def test_reasoning_and_a_tool_are_decoded(agent: agentnb.Agent) -> None:
    run = await agent.arun("use a tool")
    (call,) = run.tool_calls
    assert (call.name, call.arguments, call.result) == ("add", '{"a": 1, "b": 2}', "3")
    assert call.status == "completed"
    assert (run.reasoning, run.text) == ("I add them.", "It is 3.")


async def test_an_error_in_the_stream_fails_the_run(agent: agentnb.Agent) -> None:
    run = await agent.arun("break", check=False)
    assert (run.status, run.text) == ("failed", "You said: break")
    assert run.error == "the agent broke"


async def test_a_refused_request_has_the_reason_of_the_server(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?", check=False, metadata={"a": {"b": 1}})
    assert run.status == "failed"
    assert "Invalid parameters for ResponsesAgent" in (run.error or "")


async def test_leaving_a_stream_stops_the_agent(served: Served, agent: agentnb.Agent) -> None:
    async for event in agent.stream("go on"):
        if event == TextDelta(" 3", "m1"):
            break
    served.wait_until_ended()


async def test_attachments_and_instructions_are_messages(agent: agentnb.Agent) -> None:
    image = agentnb.Media(data=b"\x89PNG", mime_type="image/png")
    text = agentnb.Media(data=b"a,b", mime_type="text/csv", name="a.csv")
    run = await agent.arun("see", media=[image, text], instructions="Be brief.")
    assert run.text == "You said: see input_image input_file"
    assert (await agent.arun("count", instructions="Be brief.")).text == "system user"


async def test_a_session_goes_on(agent: agentnb.Agent) -> None:
    first = await agent.arun("tea?")
    second = await agent.arun("count", session=first)
    assert second.text == "user assistant user"
    assert second.session_id == first.session_id


def test_a_session_of_another_process_goes_on(
    served: Served, agent: agentnb.Agent, tmp_path: Path
) -> None:
    file = tmp_path / "history.sqlite"
    session = first_turn("openai:mlflow_agent_server", served.url, file)
    agentnb.history.use(file)
    try:
        run = agent.run("count", session=session)
        assert run.text == "user assistant user"
    finally:
        agentnb.history.use(None)


def test_the_agent_is_listed(agent: agentnb.Agent) -> None:
    assert [each.id for each in agent.agents()] == ["mlflow_agent_server"]


async def test_a_run_cannot_be_attached_to(agent: agentnb.Agent) -> None:
    with pytest.raises(UnsupportedError, match="attach to a run"):
        agent.attach("resp_1")


async def test_a_function_of_this_process_is_a_tool(agent: agentnb.Agent) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    run = await agent.arun("call mine", tools=[add])
    assert (run.status, run.tool_calls[0].status) == ("paused", "running")
    run = await run.approve_async()
    await run
    assert run.text == "I add. You said: the sum is 3"
    assert [(each.name, each.result) for each in run.tool_calls] == [("add", "3")]
    assert not [event for event in run.events if isinstance(event, RawEvent)]
