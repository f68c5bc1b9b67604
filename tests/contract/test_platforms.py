"""What every platform must do alike, each over real HTTP against the sandbox's reading of its API.

The sandbox and the clients were written from the same pages but share no code, so a field that one
of them misread fails here.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

import agentnb
from agentnb.errors import (
    AuthenticationError,
    NotFoundError,
    RunCancelledError,
    RunFailedError,
    UnsupportedError,
)
from agentnb.event.transcript import fold
from agentnb.event.types import RunFinished, RunStarted, TextDelta
from agentnb.sandbox import Sandbox
from tests.contract.conftest import AgentOf

pytestmark = pytest.mark.anyio


def told(**what: Any) -> str:
    """A prompt that tells the echo what to do."""
    return json.dumps(what)


def test_text(echo: agentnb.Agent) -> None:
    run = echo.run("Hello **there**, how are you?")
    assert run.text == "Hello **there**, how are you?"
    assert run.status == "completed"
    assert run.error is None
    assert run.session_id
    assert isinstance(run.events[0], RunStarted)
    assert any(isinstance(e, RunFinished) for e in run.events)
    assert run.time_to_first_token is not None
    assert run.duration is not None
    assert 0 <= run.time_to_first_token <= run.duration


def test_the_events_fold_into_the_same_transcript(echo: agentnb.Agent) -> None:
    run = echo.run(told(text="One. Two.", tools=2, reasoning="Hm."))
    again = fold(run.events)
    assert again.text == run.text
    assert again.reasoning == run.reasoning
    assert [c.result for c in again.tool_calls] == [c.result for c in run.tool_calls]


def test_the_text_arrives_in_pieces_while_it_is_made(echo: agentnb.Agent) -> None:
    run = echo.run(told(deltas=12, size=20, delay_ms=20))
    times = [
        at
        for event, at in zip(run.events, run.event_times, strict=True)
        if isinstance(event, TextDelta)
    ]
    assert len(times) >= 6
    assert times[0] < times[-1]


def test_reasoning(echo: agentnb.Agent, platform: str) -> None:
    run = echo.run(told(text="done", reasoning="First this, then that."))
    # The page of run-agent.ai has no event for it.
    assert run.reasoning == ("" if platform == "runagent" else "First this, then that.")
    assert run.text == "done"


def test_tool_calls(echo: agentnb.Agent, platform: str, is_real: bool) -> None:
    run = echo.run(told(text="done", tools=2))
    if platform == "runagent":
        assert run.tool_calls == ()
        return
    assert [c.name for c in run.tool_calls] == ["echo_tool", "echo_tool"]
    assert {c.status for c in run.tool_calls} == {"completed"}
    if is_real:
        # It tells only that they are called.
        assert {(c.arguments, c.result, c.error) for c in run.tool_calls} == {("", "", None)}
        return
    assert [json.loads(c.arguments) for c in run.tool_calls] == [{"number": 1}, {"number": 2}]
    assert [json.loads(c.result)["square"] for c in run.tool_calls] == [1, 4]


def test_usage(echo: agentnb.Agent) -> None:
    usage = echo.run("Some words to count").usage
    assert usage is not None
    assert usage.total_tokens
    if usage.input_tokens is not None and usage.output_tokens is not None:
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens


def test_an_agent_that_fails(echo: agentnb.Agent) -> None:
    with pytest.raises(RunFailedError, match="It broke") as caught:
        echo.run(told(deltas=5, size=10, error_after=2, error="It broke."))
    run = caught.value.run
    assert run.status == "failed"
    assert run.error is not None
    assert "It broke." in run.error
    assert len(run.text) == 20


def test_check_false_returns_the_failed_run(echo: agentnb.Agent) -> None:
    run = echo.run(told(text="x", error_after=0), check=False)
    assert run.status == "failed"


def test_a_session_goes_on(agent_of: AgentOf) -> None:
    finance = agent_of("finance_agent")
    first = finance.run("What is the NVDA stock price?")
    second = finance.run("And AMD?", session=first)
    assert second.session_id == first.session_id
    assert "AMD" in second.text
    fresh = finance.run("What is the NVDA stock price?")
    assert fresh.session_id != first.session_id


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, 你好, שלום, नमस्ते",
        "😀👩‍👩‍👧‍👦🏳️‍🌈 e\u0301",
        "line\nbreaks\r\nand\ttabs\u2028here",
        'quotes " \\ and {braces} <tags> &amp;',
        "data: not an event\n\nevent: neither\n\n",
        "\x00\x1b[31m control",
    ],
)
def test_unicode(echo: agentnb.Agent, text: str) -> None:
    assert echo.run(told(text=text)).transcript.text == text


def test_an_empty_answer_is_an_answer(echo: agentnb.Agent) -> None:
    run = echo.run(told(empty=True))
    assert run.status == "completed"
    assert run.text == ""


def test_ten_thousand_deltas(echo: agentnb.Agent) -> None:
    run = echo.run(told(deltas=10_000, size=5))
    assert run.status == "completed"
    assert len(run.text) == 50_000


def test_a_large_delta(echo: agentnb.Agent) -> None:
    run = echo.run(told(deltas=1, size=1_000_000))
    assert len(run.text) == 1_000_000


def test_cancel_keeps_what_arrived_and_stops_the_agent(
    echo: agentnb.Agent, sandbox: Sandbox
) -> None:
    run = echo.start(told(deltas=1000, size=10, delay_ms=20))
    wait_until(lambda: len(run.text) >= 30)
    run.cancel()
    with pytest.raises(RunCancelledError) as caught:
        run.wait()
    assert caught.value.run is run
    assert run.status == "cancelled"
    assert 30 <= len(run.text) < 10_000
    wait_until(lambda: sandbox.active_runs == 0)


async def test_async_streaming(echo: agentnb.Agent) -> None:
    stream: AsyncIterator[Any] = echo.stream(told(deltas=5, size=10))
    events = [event async for event in stream]
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == fold(events).text
    assert isinstance(next(e for e in events if isinstance(e, RunFinished)), RunFinished)


async def test_leaving_the_stream_early_stops_the_agent(
    echo: agentnb.Agent, sandbox: Sandbox
) -> None:
    stream = echo.stream(told(deltas=1000, size=10, delay_ms=20))
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    await stream.aclose()
    wait_until(lambda: sandbox.active_runs == 0)


async def test_runs_at_the_same_time_do_not_mix(echo: agentnb.Agent) -> None:
    runs = [echo.start(told(text=f"answer {i} " * 50, size=7, delay_ms=1)) for i in range(20)]
    for i, run in enumerate(runs):
        await run
        assert run.text == f"answer {i} " * 50
    assert len({run.id for run in runs}) == 20
    assert len({run.session_id for run in runs}) == 20


def test_without_streaming(echo: agentnb.Agent) -> None:
    run = echo.run("In one piece, please", stream=False)
    assert run.text == "In one piece, please"
    assert run.status == "completed"
    assert run.usage is not None


def test_without_streaming_a_failure_is_a_failure(echo: agentnb.Agent) -> None:
    run = echo.run(told(text="x", error_after=0, error="It broke."), stream=False, check=False)
    assert run.status == "failed"


def test_a_wrong_key_is_refused_and_not_repeated(sandbox: Sandbox, platform: str) -> None:
    agent = agentnb.agent(
        f"{platform}:echo", base_url=sandbox.base_url(platform), api_key="wrong-key-canary"
    )
    run = agent.run("Hello", check=False)
    assert run.status == "failed"
    assert isinstance(run.exception, AuthenticationError)
    assert run.exception.status == 401
    with pytest.raises(RunFailedError) as caught:
        run.raise_for_status()
    assert "canary" not in str(caught.value) + repr(run.exception) + json.dumps(run.to_dict())


def test_an_unknown_agent_is_not_found(agent_of: AgentOf) -> None:
    run = agent_of("nobody").run("Hello", check=False)
    assert run.status == "failed"
    assert isinstance(run.exception, NotFoundError)


def test_a_wrong_parameter_is_refused_before_sending(echo: agentnb.Agent, platform: str) -> None:
    run = echo.run("Hello", check=False, temprature=1)
    assert isinstance(run.exception, agentnb.RequestError)
    assert "temprature" in str(run.exception)


def test_listing_agents(echo: agentnb.Agent) -> None:
    if not echo.platform.capabilities.list_agents:
        with pytest.raises(UnsupportedError):
            echo.agents()
        return
    assert {"echo", "finance_agent"} <= {a.id for a in echo.agents()}


def test_listing_runs(echo: agentnb.Agent) -> None:
    first = echo.run("one")
    second = echo.run("two", session=first)
    if not echo.platform.capabilities.list_runs:
        with pytest.raises(UnsupportedError):
            echo.remote_runs(session_id=first.session_id)
        return
    found = echo.remote_runs(session_id=first.session_id)
    assert {r.id for r in found} == {first.id, second.id}
    assert {r.status for r in found} == {"completed"}
    assert len(echo.remote_runs(session_id=first.session_id, limit=1)) == 1


def test_status_of_runs(echo: agentnb.Agent) -> None:
    run = echo.run("one")
    if not echo.platform.capabilities.run_status:
        with pytest.raises(UnsupportedError):
            echo.remote_status([run.id], session=run.session_id)
        return
    found = echo.remote_status([run.id, "run_of_nobody"], session=run.session_id)
    assert set(found) == {run.id}
    assert found[run.id].status == "completed"


def test_attaching_to_a_run_that_goes_on(echo: agentnb.Agent, platform: str) -> None:
    run = echo.start(told(deltas=40, size=10, delay_ms=20))
    if platform == "runagent":
        # Its streams have no run ids: what can be joined is the rest of one that was left.
        wait_until(lambda: len(run.text) >= 30)
        run.cancel()
        run.wait(check=False)
        rest = echo.attach(run.id, session=run.session_id).wait()
        assert rest.status == "completed"
        assert len(run.text) + len(rest.text) == 400
        return
    wait_until(lambda: len(run.text) >= 30 and run.id != run.local_id)
    if not echo.platform.capabilities.attach:
        with pytest.raises(UnsupportedError):
            echo.attach(run.id, session=run.session_id)
        run.cancel()
        return
    joined = echo.attach(run.id, session=run.session_id).wait()
    run.wait()
    assert joined.status == "completed"
    assert run.text.endswith(joined.text[-50:])


def test_structured_output(agent_of: AgentOf) -> None:
    finance = agent_of("finance_agent")
    schema = {
        "type": "object",
        "properties": {"ticker": {"type": "string"}, "price": {"type": "number"}},
        "required": ["ticker", "price"],
    }
    if not finance.platform.capabilities.output_schema:
        with pytest.raises(UnsupportedError):
            finance.run("What does Apple cost?", output_type=schema)
        return
    parsed = finance.run("What does Apple cost?", output_type=schema).parsed
    assert parsed["ticker"] == "AAPL"
    assert parsed["price"] > 0


def test_the_pages_own_question(agent_of: AgentOf) -> None:
    run = agent_of("finance_agent").run("What is the current NVDA stock price?")
    assert "NVDA" in run.text
    assert "$" in run.text
    assert "ample data" in run.text


def wait_until(true: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
