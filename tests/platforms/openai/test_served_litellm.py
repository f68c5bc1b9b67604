"""Against LiteLLM's proxy: Chat Completions, and Responses in OpenAI's own dialect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import agentnb
from agentnb._http.retry import Retries
from agentnb.event import RawEvent, TextDelta, Usage
from tests.platforms.openai.served import Served, served_litellm

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_litellm(tmp_path_factory.mktemp("litellm")) as running:
        yield running


@pytest.fixture(params=["auto", "chat"])
def agent(served: Served, request: pytest.FixtureRequest) -> agentnb.Agent:
    return agentnb.agent(
        "openai:helper",
        base_url=served.url,
        api_key=served.key,
        options={"api": request.param},
        retries=Retries(requests=0),
    )


async def test_an_answer_is_streamed_with_its_usage(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?")
    assert (run.text, run.status, run.transcript.model) == ("You said: tea?", "completed", "helper")
    usage = run.usage or Usage()
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, 2, 5)
    assert run.transcript.run_id is not None
    assert not [event for event in run.events if isinstance(event, RawEvent)]


async def test_an_answer_need_not_be_streamed(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?", stream=False)
    assert (run.text, run.status) == ("You said: tea?", "completed")
    assert run.usage is not None


async def test_a_tool_of_the_client_is_called(agent: agentnb.Agent) -> None:
    run = await agent.arun("use a tool")
    (call,) = run.tool_calls
    assert (call.name, call.arguments, call.status) == ("add", '{"a": 1, "b": 2}', "abandoned")
    assert (run.text, run.status) == ("You said: use a tool", "completed")


async def test_a_function_of_this_process_is_a_tool(agent: agentnb.Agent) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    run = await agent.arun("call mine", tools=[agentnb.tool(add, trusted=True)])
    assert (run.status, run.text) == ("completed", "You said: add gave 3")
    assert [(each.name, each.result) for each in run.tool_calls] == [("add", "3")]
    usage = run.usage or Usage()
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (6, 4, 10)
    assert not [event for event in run.events if isinstance(event, RawEvent)]


async def test_an_answer_that_is_cut_short_fails(agent: agentnb.Agent) -> None:
    run = await agent.arun("at length", check=False)
    assert (run.text, run.status) == ("You said: at length", "failed")
    assert "is incomplete" in (run.error or "")
    assert "Raise max_tokens." in (run.error or "")


async def test_an_error_in_the_stream_fails_the_run(agent: agentnb.Agent) -> None:
    run = await agent.arun("break", check=False)
    assert (run.status, run.text) == ("failed", "You said: break")
    assert "the model broke" in (run.error or "")


async def test_a_limit_of_requests_fails_the_run(agent: agentnb.Agent) -> None:
    run = await agent.arun("too often", check=False)
    assert run.status == "failed"
    assert "slow down" in (run.error or "")


async def test_leaving_a_stream_stops_the_model(served: Served, agent: agentnb.Agent) -> None:
    text = ""
    async for event in agent.stream("go on"):
        text += event.text if isinstance(event, TextDelta) else ""
        if text.endswith(" 3"):
            break
    served.wait_until_ended()


async def test_a_session_goes_on(agent: agentnb.Agent) -> None:
    first = await agent.arun("tea?")
    second = await agent.arun("count", session=first)
    assert second.text == "You said: user assistant user"


async def test_an_unknown_model_is_refused(served: Served, agent: agentnb.Agent) -> None:
    other = agentnb.agent("openai:nobody", base_url=served.url, api_key=served.key)
    run = await other.arun("tea?", check=False)
    assert "Invalid model name" in (run.error or "")


def test_models_are_listed(agent: agentnb.Agent) -> None:
    assert [each.id for each in agent.agents()] == ["helper"]
