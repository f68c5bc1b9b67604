"""Runs whose agent calls functions of this process: rounds, decisions, usage, and the end."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

import agentnb
from agentnb.agents import Agent
from agentnb.errors import RequestError, UnsupportedError
from agentnb.event import (
    ApprovalRequested,
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.platforms.base_platform import BasePlatform
from tests.played import until

pytestmark = pytest.mark.anyio

Round = Sequence[Event]


class Asking(BasePlatform):
    """Answers each request with the next of its rounds; ``requests`` are those it received."""

    def __init__(self, *rounds: Round) -> None:
        super().__init__("asking")
        self.rounds = rounds
        self.requests: list[RunRequest] = []

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, client_tools=True)

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        self.check_request(request)
        self.requests.append(request)
        number = min(len(request.tool_rounds), len(self.rounds) - 1)
        yield [RunStarted(run_id=f"r{number}", model=f"m{number}")]
        for event in self.rounds[number]:
            yield [event]


def pay_nothing() -> None:
    raise AssertionError


def call(name: str, arguments: str = "{}", call_id: str = "c1") -> list[Event]:
    """Return a round that calls a tool."""
    return [
        TextDelta("Let me see. "),
        ToolCallStarted(call_id=call_id, name=name, arguments=arguments[:1]),
        ToolCallDelta(call_id=call_id, arguments=arguments[1:]),
        UsageReported(usage=Usage(input_tokens=3, output_tokens=2)),
        RunFinished(),
    ]


ANSWER: Round = [
    TextDelta("It is done."),
    UsageReported(usage=Usage(input_tokens=10, output_tokens=1)),
    UsageReported(usage=Usage(input_tokens=10, output_tokens=4)),
    RunFinished(),
]


def agent_of(*rounds: Round) -> tuple[Agent, Asking]:
    platform = Asking(*rounds)
    return Agent(platform, "a"), platform


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TRUSTED = agentnb.tool(add, trusted=True)


def test_a_trusted_tool_is_called_and_its_result_sent() -> None:
    agent, platform = agent_of(call("add", '{"a": 1, "b": 2}'), ANSWER)
    run = agent.run("How much?", tools=[TRUSTED])
    assert (run.status, run.text) == ("completed", "Let me see. It is done.")
    (made,) = run.tool_calls
    assert (made.name, made.arguments, made.result) == ("add", '{"a": 1, "b": 2}', "3")
    assert made.status == "completed"
    first, second = platform.requests
    assert [spec.name for spec in first.tools] == [spec.name for spec in second.tools] == ["add"]
    (answered,) = second.tool_rounds
    assert answered.text == "Let me see. "
    assert [(each.call_id, each.output) for each in answered.calls] == [("c1", "3")]
    # One run, with the id of its first response and the usage of all.
    assert (run.id, run.transcript.model) == ("r0", "m1")
    assert run.usage == Usage(input_tokens=13, output_tokens=6)
    assert [type(event) for event in run.events].count(RunFinished) == 1


def test_the_functions_of_the_caller_see_its_variables_and_run_in_this_process() -> None:
    seen: list[int] = []

    def note(number: int) -> None:
        seen.append(number)
        assert threading.current_thread() is not threading.main_thread()

    agent, _ = agent_of(call("note", '{"number": 7}'), ANSWER)
    run = agent.run("Go", tools=[agentnb.tool(note, trusted=True)])
    assert (run.status, seen, run.tool_calls[0].result) == ("completed", [7], "null")


def test_a_call_waits_for_a_decision() -> None:
    made: list[int] = []

    def pay(amount: int) -> str:
        made.append(amount)
        return "paid"

    agent, platform = agent_of(call("pay", '{"amount": 5}'), ANSWER)
    run = agent.run("Pay", tools=[pay])
    assert (run.status, made) == ("paused", [])
    (approval,) = run.transcript.pending_approvals
    assert (approval.tool, approval.arguments) == ("pay", '{"amount": 5}')
    assert len(platform.requests) == 1
    done = run.approve().wait()
    assert (done.status, done.text, made) == ("completed", "Let me see. It is done.", [5])
    assert [each.result for each in done.tool_calls] == ["paid"]
    # What was streamed before is neither sent nor counted again.
    assert len(platform.requests) == 2
    assert done.usage == Usage(input_tokens=13, output_tokens=6)
    assert agentnb.last_run() is done


def test_a_call_is_made_with_the_arguments_of_the_user() -> None:
    made: list[int] = []

    def pay(amount: int) -> str:
        made.append(amount)
        return "paid"

    agent, platform = agent_of(call("pay", '{"amount": 5}'), ANSWER)
    run = agent.run("Pay", tools=[pay])
    (approval,) = run.transcript.pending_approvals
    assert json.loads(approval.answer_schema or "")["properties"]["amount"]["type"] == "integer"
    with pytest.raises(RequestError, match="'amount' is no integer"):
        run.approve(payload={"amount": "much"})
    done = run.approve(payload={"amount": 3}).wait()
    assert (done.status, made) == ("completed", [3])
    (paid,) = done.tool_calls
    assert (json.loads(paid.arguments), paid.result) == ({"amount": 3}, "paid")
    (sent,) = platform.requests[1].tool_rounds[0].calls
    assert (json.loads(sent.arguments), sent.call_id) == ({"amount": 3}, "c1")
    assert (sent.output or "").startswith('The user changed the arguments to {"amount": 3}.')
    assert (sent.output or "").endswith("paid")


def test_the_reason_of_a_denial_is_sent() -> None:
    agent, platform = agent_of(call("pay"), ANSWER)
    done = (
        agent.run("Go", tools=[agentnb.tool(pay_nothing, name="pay")])
        .deny(payload="Too much.")
        .wait()
    )
    assert done.tool_calls[0].error == "The user denied this call. Too much."
    (result,) = platform.requests[1].tool_rounds[0].calls
    assert result.output == "Error: The user denied this call. Too much."


def test_a_denied_call_is_never_made_and_the_agent_is_informed() -> None:
    made: list[int] = []

    def append(item: int) -> None:
        made.append(item)

    agent, platform = agent_of(call("append", '{"item": 1}'), ANSWER)
    done = agent.run("Go", tools=[append]).deny().wait()
    assert (done.status, made) == ("completed", [])
    assert done.tool_calls[0].error == "The user denied this call."
    (result,) = platform.requests[1].tool_rounds[0].calls
    assert result.output == "Error: The user denied this call."


def test_several_calls_are_decided_one_after_the_other() -> None:
    both = [
        ToolCallStarted(call_id="c1", name="add", arguments='{"a": 1, "b": 1}'),
        ToolCallStarted(call_id="c2", name="add", arguments='{"a": 2, "b": 2}'),
        RunFinished(),
    ]
    agent, platform = agent_of(both, ANSWER)
    run = agent.run("Go", tools=[add])
    assert [each.approval_id for each in run.transcript.pending_approvals] == ["call:c1"]
    run = run.approve().wait()
    assert run.status == "paused"
    assert [each.approval_id for each in run.transcript.pending_approvals] == ["call:c2"]
    run = run.deny().wait()
    assert [(each.status, each.result) for each in run.tool_calls] == [
        ("completed", "2"),
        ("failed", ""),
    ]
    assert len(platform.requests) == 2
    assert run.status == "completed"


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("add", '{"a": "x", "b": 1}', "Error: a: Input should be a valid integer"),
        ("add", "not JSON", "Error: JSONDecodeError"),
    ],
)
def test_a_call_that_fails_is_reported_to_the_agent(name: str, arguments: str, output: str) -> None:
    agent, platform = agent_of(call(name, arguments), ANSWER)
    run = agent.run("Go", tools=[TRUSTED])
    assert (run.status, run.tool_calls[0].status) == ("completed", "failed")
    sent = platform.requests[1].tool_rounds[0].calls[0].output or ""
    assert sent.startswith(output)


def test_an_unknown_tool_beside_a_known_one_is_answered_too() -> None:
    both = [
        ToolCallStarted(call_id="c1", name="add", arguments='{"a": 1, "b": 1}'),
        ToolCallStarted(call_id="c2", name="nothing"),
        RunFinished(),
    ]
    agent, platform = agent_of(both, ANSWER)
    assert agent.run("Go", tools=[TRUSTED]).status == "completed"
    outputs = [each.output for each in platform.requests[1].tool_rounds[0].calls]
    assert outputs == ["2", "Error: There is no tool nothing."]


def test_calls_of_the_server_s_own_tools_are_left_alone() -> None:
    own: Round = [
        ToolCallStarted(call_id="c1", name="web_search"),
        ToolCallFinished(call_id="c1", result="found"),
        ToolCallStarted(call_id="c2", name="unfinished"),
        *ANSWER,
    ]
    agent, platform = agent_of(own)
    run = agent.run("Go", tools=[TRUSTED])
    assert (run.status, len(platform.requests)) == ("completed", 1)


@pytest.mark.parametrize(
    ("end", "status"),
    [([RunFailed(message="broken")], "failed"), ([], "truncated")],
    ids=["failed", "cut"],
)
def test_a_round_that_does_not_complete_calls_nothing(end: Round, status: str) -> None:
    made: list[object] = []
    tool = agentnb.tool(lambda: made.append(1), name="f", trusted=True)
    agent, platform = agent_of([*call("f")[:-1], *end], ANSWER)
    run = agent.run("Go", tools=[tool], check=False)
    assert (run.status, made, len(platform.requests)) == (status, [], 1)


def test_an_agent_that_never_answers_is_stopped() -> None:
    agent, platform = agent_of(call("add", '{"a": 1, "b": 1}'))
    run = agent.run("Go", tools=[TRUSTED], check=False)
    assert (run.status, run.transcript.error_code) == ("failed", "tool_rounds")
    assert len(platform.requests) == 51


async def test_stop_ends_the_run_during_a_call() -> None:
    began, gate = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        gate.wait(30)

    agent, platform = agent_of(call("wait"), ANSWER)
    run = agent.start("Go", tools=[agentnb.tool(wait, trusted=True)])
    assert began.wait(20)
    run.cancel()
    await run.wait_async(check=False)
    gate.set()
    assert (run.status, len(platform.requests)) == ("cancelled", 1)
    assert run.tool_calls[0].status == "abandoned"


def test_a_paused_run_can_be_stopped() -> None:
    agent, _ = agent_of(call("add"), ANSWER)
    run = agent.run("Go", tools=[add])
    run.cancel()
    until(lambda: run.status == "cancelled")


def test_a_platform_without_them_refuses_before_it_sends() -> None:
    with pytest.raises(UnsupportedError, match="tools of the client") as caught:
        agentnb.agent("sandbox:echo").start("Go", tools=[add])
    assert "An agent of openai: or agui: takes them" in str(caught.value)


@pytest.mark.parametrize("decide", [True, False])
def test_the_run_is_stored_whole(decide: bool) -> None:
    agent, _ = agent_of(call("add", '{"a": 1, "b": 2}'), ANSWER)
    paused = agent.run("Stored?", tools=[add])
    run = (paused.approve if decide else paused.deny)().wait()
    agentnb.history.flush()
    loaded = agentnb.history.load(run.local_id)
    assert loaded.text == run.text
    assert [each.to_dict() for each in loaded.tool_calls] == [
        each.to_dict() for each in run.tool_calls
    ]


def test_approval_events_name_the_call() -> None:
    agent, _ = agent_of(call("add", '{"a": 1, "b": 2}'), ANSWER)
    run = agent.run("Go", tools=[add])
    (event,) = [event for event in run.events if isinstance(event, ApprovalRequested)]
    assert event.message == "The agent wants to call add in this kernel."


def test_a_run_without_an_id_can_be_decided() -> None:
    agent, platform = agent_of(call("add", '{"a": 1, "b": 2}'), ANSWER)

    async def nameless(request: RunRequest) -> AsyncGenerator[list[Event], None]:
        platform.requests.append(request)
        yield list(platform.rounds[len(request.tool_rounds)])

    replacement: Callable[[RunRequest], Any] = nameless
    platform.stream = replacement
    run = agent.run("Go", tools=[add])
    assert run.id is not None
    assert run.approve().wait().status == "completed"


def test_the_tools_of_an_agent_are_those_of_its_runs_and_chats() -> None:
    platform = Asking(call("add", '{"a": 1, "b": 2}'), ANSWER)
    agent = Agent(platform, "a", params={"tools": [TRUSTED]})
    assert agent.run("Go").tool_calls[0].result == "3"
    chat = agentnb.chat(agent)
    assert chat.send("Go").wait().tool_calls[0].result == "3"
    both = agentnb.compare([agent, agent], "Go").wait()
    assert [run.tool_calls[0].result for run in both.runs] == ["3", "3"]


def test_a_table_of_prompts_may_use_trusted_tools() -> None:
    agent, _ = agent_of(call("add", '{"a": 1, "b": 2}'), ANSWER)
    table = agent.map(["one", "two"], tools=[TRUSTED])
    assert table.status.tolist() == ["completed", "completed"]
    assert table.answer.tolist() == ["Let me see. It is done."] * 2


@pytest.mark.parametrize("trusted", [True, False])
def test_calls_of_later_rounds_may_have_the_ids_of_earlier_ones(trusted: bool) -> None:
    first, second = call("add", '{"a": 1, "b": 1}'), call("add", '{"a": 2, "b": 2}')
    agent, platform = agent_of(first, second, ANSWER)
    run = agent.run("Go", tools=[agentnb.tool(add, trusted=trusted)])
    for _ in range(0 if trusted else 2):
        assert run.status == "paused"
        run = run.approve().wait()
    assert run.status == "completed"
    assert [(each.arguments, each.result) for each in run.tool_calls] == [
        ('{"a": 1, "b": 1}', "2"),
        ('{"a": 2, "b": 2}', "4"),
    ]
    # The server receives its own ids.
    rounds = platform.requests[-1].tool_rounds
    assert [[each.call_id for each in answered.calls] for answered in rounds] == [["c1"], ["c1"]]
