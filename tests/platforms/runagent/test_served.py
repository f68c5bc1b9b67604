"""Against the vendor's own server, ``runagent serve``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import agentnb
from agentnb._http.timeout import Deadlines
from agentnb.config import config
from agentnb.doctor import examine
from agentnb.errors import NotFoundError, RequestError, UnsupportedError
from agentnb.event.types import RawEvent
from tests.patience import looks
from tests.platforms.runagent.served import AGENT, Served

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEY = "canary-key-1234567890"


@pytest.fixture
def agent(served: Served) -> agentnb.Agent:
    return agentnb.agent(f"runagent:{AGENT}", base_url=served.url, api_key=KEY)


async def test_the_address_says_which_api_it_has(served: Served, agent: agentnb.Agent) -> None:
    before = len(served.asked)
    run = await agent.arun("tea?")
    assert run.text == "You asked: tea? 🌤"
    assert (run.status, run.id is not None) == ("completed", True)
    assert (run.platform_duration or 0) >= 0
    assert (await agent.arun("coffee?")).text == "You asked: coffee? 🌤"
    assert served.asked[before:] == ["tea?", "coffee?"]


@pytest.mark.parametrize("protocol", ["websocket", None])
async def test_the_protocol_is_an_option(served: Served, protocol: str | None) -> None:
    agent = agentnb.agent(
        f"runagent:{AGENT}", base_url=served.url, api_key=KEY, options={"protocol": protocol}
    )
    assert (await agent.arun("tea?", stream=False)).text == "You asked: tea?"
    sse = agentnb.agent(
        f"runagent:{AGENT}", base_url=served.url, api_key=KEY, options={"protocol": "sse"}
    )
    refused = await sse.arun("tea?", check=False)
    assert isinstance(refused.exception, NotFoundError)


async def test_the_protocol_can_stand_in_the_environment(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNAGENT_PROTOCOL", "sse")
    agent = agentnb.agent(f"runagent:{AGENT}", base_url=served.url, api_key=KEY)
    assert isinstance((await agent.arun("tea?", check=False)).exception, NotFoundError)
    monkeypatch.setenv("RUNAGENT_PROTOCOL", "carrier pigeon")
    with pytest.raises(agentnb.ConfigError, match="protocol"):
        agentnb.agent(f"runagent:{AGENT}", base_url=served.url, api_key=KEY)


async def test_a_generator_streams_too(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?", entrypoint_tag="generated_stream")
    assert run.text == "from a generator"


async def test_further_arguments(agent: agentnb.Agent) -> None:
    assert (await agent.arun("tea?", input_args=[1, "two"])).text == "You asked: tea?1two 🌤"
    run = await agent.arun("tea?", entrypoint_tag="answer", input_kwargs={"tone": "calm"})
    assert run.text == "You asked: tea? {'tone': 'calm'}"
    run = await agent.arun(
        "tea?",
        entrypoint_tag="named_stream",
        prompt_argument="question",
        input_kwargs={"tone": "stern"},
    )
    assert run.text == "tea? in a stern tone"
    run = await agent.arun(
        "unused",
        entrypoint_tag="named_stream",
        prompt_argument="",
        input_kwargs={"question": "tea?"},
    )
    assert run.text == "tea? in a calm tone"


async def test_chunks_with_structure(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?", entrypoint_tag="chunks_stream")
    assert run.text == "The weather is mild"
    assert run.reasoning == "Hm. "
    assert run.usage is not None
    assert run.usage.total_tokens == 12
    kept = [event.data for event in run.events if isinstance(event, RawEvent)]
    assert kept == [
        '{"role": "user", "content": "not an answer"}',
        '{"step": 3, "usage": {"total_tokens": 12}}',
    ]


async def test_chunks_without_text_are_the_answer_where_there_is_no_other(
    agent: agentnb.Agent,
) -> None:
    run = await agent.arun("tea?", entrypoint_tag="numbers_stream")
    assert run.text == '{"row": 0}\n{"row": 1}\n{"row": 2}'
    run = await agent.arun("tea?", entrypoint_tag="record")
    assert run.text == '{"rows": [1, 2], "query": "tea?"}'


async def test_a_large_chunk_and_many(agent: agentnb.Agent) -> None:
    assert len((await agent.arun("tea?", entrypoint_tag="large_stream")).text) == 100_000
    run = await agent.arun("tea?", entrypoint_tag="many_stream")
    assert run.text == "".join(f"{i} " for i in range(3000))


@pytest.mark.parametrize("tag", ["broken", "broken_stream"])
async def test_a_failing_entrypoint(agent: agentnb.Agent, tag: str) -> None:
    run = await agent.arun("tea?", check=False, entrypoint_tag=tag)
    assert run.status == "failed"
    assert ("no such thing as tea?" if tag == "broken" else "the agent broke") in str(run.error)
    assert run.text == ("" if tag == "broken" else "Half of ")


async def test_wrong_arguments_are_the_servers_word(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?", check=False, prompt_argument="nothing")
    assert run.status == "failed"
    assert "nothing" in str(run.error)


async def test_an_unknown_entrypoint(agent: agentnb.Agent) -> None:
    run = await agent.arun("tea?", check=False, entrypoint_tag="answr_stream")
    assert isinstance(run.exception, RequestError)
    assert "Did you mean 'answer_stream'?" in str(run.exception)


@pytest.mark.parametrize("protocol", ["websocket", None])
async def test_another_agent(served: Served, protocol: str | None) -> None:
    agent = agentnb.agent(
        "runagent:nobody", base_url=served.url, api_key=KEY, options={"protocol": protocol}
    )
    run = await agent.arun("tea?", check=False)
    assert isinstance(run.exception, NotFoundError)
    assert f"Did you mean 'runagent:{AGENT}'?" in str(run.exception)


async def test_what_entrypoints_cannot_take(agent: agentnb.Agent) -> None:
    await agent.arun("tea?")
    run = await agent.arun("tea?", check=False, session="abc")
    assert isinstance(run.exception, UnsupportedError)
    run = await agent.arun("tea?", check=False, chunk_size=3)
    assert isinstance(run.exception, RequestError)
    assert "chunk_size cannot be given at this address" in str(run.exception)
    run = await agent.arun("tea?", check=False, prompt_argument="a", input_kwargs={"a": 1})
    assert isinstance(run.exception, RequestError)


async def test_stop_closes_the_socket(served: Served, agent: agentnb.Agent) -> None:
    ended = served.folder / "ended.txt"
    ended.unlink(missing_ok=True)
    run = agent.start("tea?", entrypoint_tag="slow_stream")
    for _ in looks():
        if run.text:
            break
        await asyncio.sleep(0.01)
    run.cancel()
    await run.wait_async(check=False)
    assert run.status == "cancelled"
    assert run.text.startswith("0 ")
    await _until(ended.exists)


async def test_a_silent_agent_meets_the_deadlines(agent: agentnb.Agent) -> None:
    run = await agent.arun(
        "tea?", check=False, entrypoint_tag="silent_stream", deadlines=Deadlines(idle=0.5)
    )
    assert run.text == "first"
    assert run.status == "truncated"
    assert "silent for 0.5 s" in str(run.error)
    run = await agent.arun("tea?", check=False, entrypoint_tag="silent_stream", timeout=1)
    assert run.text == "first"
    assert run.status == "failed"
    assert "within 1 s" in str(run.error)


async def test_many_at_once(agent: agentnb.Agent) -> None:
    runs = await asyncio.gather(*(agent.arun(f"q{i}") for i in range(20)))
    assert [run.text for run in runs] == [f"You asked: q{i} 🌤" for i in range(20)]


async def _until(condition: Callable[[], bool]) -> None:
    for _ in looks():
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def test_the_doctor_asks_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_BASE_URL", served.url)
    monkeypatch.setenv("RUNAGENT_API_KEY", KEY)
    monkeypatch.setattr(config(), "default_agent", f"runagent:{AGENT}")
    report = examine([f"runagent:{AGENT}"], stream=True)
    found = {finding.check: finding for finding in report.findings}
    assert found["runagent: connection"].level == "ok"
    # The answer of the agent comes in a few pieces within milliseconds.
    assert found["runagent: stream"].level in ("ok", "note")
    assert "pieces" in found["runagent: stream"].says
    assert KEY not in str(report)
