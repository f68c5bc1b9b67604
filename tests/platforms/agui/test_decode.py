"""The decoder of AG-UI, of 1.0 and of earlier versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.event import (
    ApprovalRequested,
    CustomEvent,
    Event,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    StateSnapshot,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.event.transcript import Passage, Step, fold
from agentnb.platforms.agui.decoder import Decoder
from agentnb.plugin import RunRequest, ServerSentEvent
from agentnb.testing import fuzz_decoder

Frame = dict[str, Any]


def frame(name: str, /, **fields: Any) -> Frame:
    return {"type": name, **fields}


def decoded(*frames: Frame) -> list[Event]:
    decoder = Decoder(RunRequest(agent="a", prompt="p"))
    sent = [ServerSentEvent("message", json.dumps(each), "", None) for each in frames]
    return [*decoder.decode_all(sent), *decoder.finish()]


FINISHED = frame("RUN_FINISHED", threadId="t", runId="r")
CALL = frame("TOOL_CALL_START", toolCallId="c", toolCallName="add")
ARGS = frame("TOOL_CALL_ARGS", toolCallId="c", delta="{}")
RESULT = frame("TOOL_CALL_RESULT", messageId="m2", toolCallId="c", content="3", role="tool")
USAGE = {"provider": "p", "model": "m", "inputTokens": 3, "outputTokens": 2, "totalTokens": 5}

RUN: list[Frame] = [
    frame("RUN_STARTED", threadId="t", runId="r", protocolVersion="1.0", input={"messages": []}),
    frame("STEP_STARTED", stepName="s"),
    frame("REASONING_START", messageId="th"),
    frame("REASONING_MESSAGE_START", messageId="th", role="reasoning"),
    frame("REASONING_MESSAGE_CONTENT", messageId="th", delta="Hm."),
    frame("REASONING_MESSAGE_END", messageId="th"),
    frame("REASONING_ENCRYPTED_VALUE", subtype="message", entityId="th", encryptedValue="x"),
    frame("REASONING_END", messageId="th"),
    frame("TEXT_MESSAGE_START", messageId="m1", role="assistant"),
    frame("TEXT_MESSAGE_CONTENT", messageId="m1", delta="I add "),
    frame("TEXT_MESSAGE_CONTENT", messageId="m1", delta=""),
    frame("TEXT_MESSAGE_CONTENT", messageId="m1", delta="them."),
    frame("TEXT_MESSAGE_END", messageId="m1"),
    CALL,
    frame("TOOL_CALL_ARGS", toolCallId="c", delta='{"a":'),
    frame("TOOL_CALL_ARGS", toolCallId="c", delta=" 1}"),
    frame("TOOL_CALL_END", toolCallId="c"),
    RESULT,
    frame("TEXT_MESSAGE_CHUNK", messageId="m3", role="assistant", delta="It "),
    frame("TEXT_MESSAGE_CHUNK", delta="is 3."),
    frame("STATE_SNAPSHOT", snapshot={"n": 1}),
    frame("MESSAGES_SNAPSHOT", messages=[{"id": "m3", "role": "assistant", "content": "It is 3."}]),
    frame("STEP_FINISHED", stepName="s"),
    {**FINISHED, "outcome": {"type": "success"}, "usage": [USAGE]},
]


def test_a_run() -> None:
    events = decoded(*RUN)
    raw = [event.name for event in events if isinstance(event, RawEvent)]
    assert raw == ["MESSAGES_SNAPSHOT"]
    assert [event for event in events if not isinstance(event, RawEvent)] == [
        RunStarted(run_id="r", session_id="t"),
        StepStarted(step_id="step 1", name="s"),
        ReasoningDelta("Hm.", "th"),
        TextDelta("I add ", "m1"),
        TextDelta("them.", "m1"),
        ToolCallStarted(call_id="c", name="add"),
        ToolCallDelta(call_id="c", arguments='{"a":'),
        ToolCallDelta(call_id="c", arguments=" 1}"),
        ToolCallFinished(call_id="c", result="3"),
        TextDelta("It ", "m3"),
        TextDelta("is 3.", "m3"),
        StateSnapshot(state={"n": 1}),
        StepFinished(step_id="step 1"),
        UsageReported(usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5), model="m"),
        RunFinished(output="It is 3.", details={"outcome": {"type": "success"}}),
    ]


@pytest.mark.parametrize("name", ["RAW", "OF_2_0"])
def test_what_no_event_can_say_is_kept(name: str) -> None:
    (event,) = decoded(frame(name, delta="x", value=1))
    assert isinstance(event, RawEvent)
    assert (event.name, event.problem, json.loads(event.data)["value"]) == (name, None, 1)


@pytest.mark.parametrize(
    "name",
    [
        *("STATE_SNAPSHOT", "STATE_DELTA", "CUSTOM"),
        *("ACTIVITY_SNAPSHOT", "ACTIVITY_DELTA"),
        *("STEP_STARTED", "STEP_FINISHED", "SUBAGENT_STARTED", "SUBAGENT_FINISHED"),
        "SUBAGENT_ERROR",
    ],
)
def test_a_malformed_event_is_reported(name: str) -> None:
    (event,) = decoded(frame(name, delta="x", value=1))
    assert isinstance(event, RawEvent)
    assert event.name == name
    assert event.problem


def test_state_and_custom_events() -> None:
    patch = [{"op": "add", "path": "/b", "value": 2}]
    transcript = fold(
        decoded(
            frame("STATE_SNAPSHOT", snapshot={"a": 1}),
            frame("STATE_DELTA", delta=patch),
            frame("CUSTOM", name="progress", value=0.5),
            frame("ACTIVITY_SNAPSHOT", messageId="m", activityType="plan", content={"n": 1}),
        )
    )
    assert transcript.state == {"a": 1, "b": 2}
    assert transcript.custom_events == [
        CustomEvent(name="progress", value=0.5),
        CustomEvent(name="plan", value={"n": 1}),
    ]


def test_steps_and_subagents_that_alternate() -> None:
    def text(message: str, agent: str | None = None) -> dict[str, Any]:
        more = {} if agent is None else {"subagentRunId": agent}
        return frame("TEXT_MESSAGE_CONTENT", messageId=message, delta=message, **more)

    transcript = fold(
        decoded(
            frame("STEP_STARTED", stepName="research"),
            frame("SUBAGENT_STARTED", subagentRunId="s1", name="One"),
            frame("SUBAGENT_STARTED", subagentRunId="s2", name="Two"),
            text("a", "s1"),
            text("b", "s2"),
            frame("STEP_STARTED", stepName="inner", subagentRunId="s1"),
            text("c", "s1"),
            frame("SUBAGENT_ERROR", subagentRunId="s2", message="no tea"),
            text("d", "s1"),
            text("e"),
            frame("SUBAGENT_FINISHED", subagentRunId="s1"),
            frame("STEP_FINISHED", stepName="research"),
            text("answer"),
        )
    )
    rows = [
        (part.name if isinstance(part, Step) else str(part.text), part.depth)
        for part in transcript.parts
        if isinstance(part, Step | Passage)
    ]
    assert rows == [
        ("research", 0),
        ("One", 1),
        ("Two", 1),
        # Each step is listed again where it goes on.
        ("One", 1),
        ("a", 2),
        ("Two", 1),
        ("b", 2),
        ("One", 1),
        ("inner", 2),
        ("c", 3),
        ("d", 3),
        ("e", 1),
        ("answer", 0),
    ]
    assert [(step.name, step.status) for step in transcript.steps] == [
        ("research", "completed"),
        ("One", "completed"),
        ("Two", "failed"),
        ("inner", "running"),
    ]
    assert transcript.text == "eanswer"


def test_reasoning_of_earlier_versions() -> None:
    passage = [
        frame("THINKING_START", title="t"),
        frame("THINKING_TEXT_MESSAGE_START"),
        frame("THINKING_TEXT_MESSAGE_CONTENT", delta="Hm, "),
        frame("THINKING_TEXT_MESSAGE_CONTENT", delta="tea."),
        frame("THINKING_TEXT_MESSAGE_END"),
        frame("THINKING_END"),
    ]
    assert fold(decoded(*passage, *passage)).reasoning == "Hm, tea.\n\nHm, tea."


def test_chunks_of_reasoning() -> None:
    assert decoded(
        frame("REASONING_MESSAGE_CHUNK", messageId="r1", delta="Hm, "),
        frame("REASONING_MESSAGE_CHUNK", delta="tea."),
        frame("REASONING_MESSAGE_CHUNK", messageId="r2"),
    ) == [ReasoningDelta("Hm, ", "r1"), ReasoningDelta("tea.", "r1")]


def test_chunks_of_calls_that_alternate() -> None:
    assert decoded(
        frame("TOOL_CALL_CHUNK", toolCallId="c", toolCallName="add", delta="{"),
        frame("TOOL_CALL_CHUNK", delta="}"),
        frame("TOOL_CALL_CHUNK", toolCallId="d", toolCallName="sub"),
        frame("TOOL_CALL_CHUNK", delta="[]"),
        frame("TOOL_CALL_CHUNK", toolCallId="c", toolCallName="add", delta=" "),
    ) == [
        ToolCallStarted(call_id="c", name="add"),
        ToolCallDelta(call_id="c", arguments="{"),
        ToolCallDelta(call_id="c", arguments="}"),
        ToolCallStarted(call_id="d", name="sub"),
        ToolCallDelta(call_id="d", arguments="[]"),
        ToolCallDelta(call_id="c", arguments=" "),
    ]


def test_messages_of_others_are_no_answer() -> None:
    events = decoded(
        frame("TEXT_MESSAGE_START", messageId="u", role="user"),
        frame("TEXT_MESSAGE_CONTENT", messageId="u", delta="tea?"),
        frame("TEXT_MESSAGE_CHUNK", messageId="s", role="system", delta="Be brief."),
        frame("TEXT_MESSAGE_CHUNK", delta=" Be kind."),
        frame("TEXT_MESSAGE_CONTENT", messageId="a", delta="Yes."),
    )
    assert [event for event in events if not isinstance(event, RawEvent)] == [
        TextDelta("Yes.", "a")
    ]
    assert len(events) == 5


def test_the_text_of_a_subagent_is_reasoning() -> None:
    content = frame("TEXT_MESSAGE_CONTENT", messageId="m", delta="Looking.", subagentRunId="s1")
    assert decoded(content) == [StepStarted(step_id="s1"), ReasoningDelta("Looking.", "m")]


def test_a_character_may_be_split() -> None:
    halves = [frame("TEXT_MESSAGE_CONTENT", messageId="m", delta=d) for d in ("\ud83c", "\udf75")]
    events = decoded(*halves)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["\ud83c", "\udf75"]


@pytest.mark.parametrize(
    ("content", "result"),
    [
        ("3", "3"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "image"}], '[{"type": "image"}]'),
        ([], "[]"),
        ({"n": 3}, '{"n": 3}'),
    ],
    ids=str,
)
def test_results_of_tools(content: Any, result: str) -> None:
    assert decoded({**RESULT, "content": content}) == [ToolCallFinished(call_id="c", result=result)]


def test_a_conversation_that_is_not_streamed_has_its_answer_at_the_end() -> None:
    messages: list[Any] = [
        {"id": "1", "role": "user", "content": "hi"},
        {"id": "2", "role": "assistant", "content": "Hello."},
        {"id": "3", "role": "user", "content": "tea?"},
        {"id": "4", "role": "assistant", "toolCalls": []},
        {"id": "5", "role": "tool", "toolCallId": "c", "content": "3"},
        {"id": "6", "role": "assistant", "content": "Yes."},
        {"id": "7", "role": "assistant", "content": "Green.", "subagentRunId": None},
        {"id": "8", "role": "assistant", "content": "Looking.", "subagentRunId": "s"},
        None,
    ]
    run = fold(decoded(frame("MESSAGES_SNAPSHOT", messages=messages), FINISHED))
    assert (run.text, run.status) == ("Yes.\n\nGreen.", "completed")


def test_the_result_of_a_run_is_its_answer_where_there_is_no_other() -> None:
    assert fold(decoded({**FINISHED, "result": {"n": 1}})).text == '{"n": 1}'
    content = frame("TEXT_MESSAGE_CONTENT", messageId="m", delta="One.")
    run = fold(decoded(content, {**FINISHED, "result": {"n": 1}}))
    assert run.text == "One."
    assert run.finished is not None
    assert run.finished.details == {"result": {"n": 1}}


def test_a_call_without_a_result_is_named_at_the_end() -> None:
    other = frame("TOOL_CALL_START", toolCallId="d", toolCallName="open")
    run = fold(decoded(CALL, other, RESULT, FINISHED))
    assert [(call.name, call.status) for call in run.tool_calls] == [
        ("add", "completed"),
        ("open", "abandoned"),
    ]
    assert run.finished == RunFinished(details={"pending_tool_call_ids": ["d"]})


def test_interrupts_are_approvals() -> None:
    interrupts = [
        {"id": "i1", "reason": "tool_call", "message": "Add?", "toolCallId": "c"},
        {"id": "i2", "reason": "input_required"},
    ]
    outcome = {"type": "interrupt", "interrupts": interrupts}
    events = decoded(CALL, ARGS, {**FINISHED, "outcome": outcome, "usage": [USAGE]})
    assert events[-2:] == [
        ApprovalRequested(approval_id="i1", message="Add?", tool="add", arguments="{}"),
        ApprovalRequested(approval_id="i2", message="input_required"),
    ]
    run = fold(events)
    assert (run.status, run.usage is not None) == ("paused", True)


@pytest.mark.parametrize("interrupts", [None, [], "x", [{"id": 1}]], ids=str)
def test_a_malformed_interrupt_is_no_success(interrupts: Any) -> None:
    outcome = {"type": "interrupt", "interrupts": interrupts}
    (event,) = decoded({**FINISHED, "outcome": outcome})
    assert isinstance(event, RawEvent)
    assert event.problem


def test_other_ends() -> None:
    assert decoded({**FINISHED, "outcome": {"type": "cancelled"}}) == [RunCancelled()]
    assert decoded(frame("RUN_ERROR", message="It broke.", code="E1", usage=[USAGE])) == [
        UsageReported(usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5), model="m"),
        RunFailed(message="It broke.", code="E1"),
    ]
    assert decoded(frame("RUN_ERROR", message="")) == [RunFailed(message="The run failed.")]
    assert decoded(frame("RUN_ERROR"), FINISHED) == [RunFailed(message="The run failed.")]
    assert decoded(FINISHED, frame("RUN_ERROR", message="late")) == [RunFinished()]
    # Without an end of the run, the end of the stream is none.
    assert decoded(RUN[0]) == [RunStarted(run_id="r", session_id="t")]


def test_the_usage_of_several_models_is_summed() -> None:
    other = {"model": "n", "inputTokens": 1, "outputTokens": 1, "cachedInputTokens": 1}
    thinking = {"model": "n", "outputTokens": 4, "inputTokens": 0, "reasoningTokens": 4}
    (event, _) = decoded({**FINISHED, "usage": [USAGE, other, thinking, {"inputTokens": -1}, 7]})
    assert event == UsageReported(
        usage=Usage(
            input_tokens=4, output_tokens=7, total_tokens=11, cached_tokens=1, reasoning_tokens=4
        )
    )


@pytest.mark.parametrize("usage", [None, 7, "x", {}, [], [None], [{"model": "m"}]], ids=str)
def test_malformed_usage_does_not_keep_a_run_from_ending(usage: Any) -> None:
    assert decoded({**FINISHED, "usage": usage}) == [RunFinished()]


@pytest.mark.parametrize("outcome", [None, "success", [], {}, {"type": "of 2.0"}], ids=str)
def test_an_unknown_outcome_is_a_success(outcome: Any) -> None:
    assert isinstance(decoded({**FINISHED, "outcome": outcome})[-1], RunFinished)


@pytest.mark.parametrize(
    "malformed",
    [
        frame("TEXT_MESSAGE_CONTENT", messageId="m", delta=1),
        frame("TEXT_MESSAGE_CONTENT", messageId=["m"], delta="x"),
        frame("TOOL_CALL_START", toolCallName="add"),
        frame("TOOL_CALL_RESULT", content="x"),
        frame("TOOL_CALL_RESULT", toolCallId="c"),
        frame("MESSAGES_SNAPSHOT", messages=3),
        frame("RUN_STARTED", runId=3),
    ],
    ids=str,
)
def test_malformed_frames_are_kept(malformed: Frame) -> None:
    first, last = decoded(malformed, FINISHED)
    assert isinstance(first, RawEvent)
    assert first.problem
    assert isinstance(last, RunFinished)


def test_damaged_streams() -> None:
    recorded = "".join(f"data: {json.dumps(each)}\n\n" for each in RUN)
    fuzz_decoder(Decoder, recorded.encode())
    interrupt = {"type": "interrupt", "interrupts": [{"id": "i", "toolCallId": "c"}]}
    paused = [CALL, ARGS, {**FINISHED, "outcome": interrupt, "usage": [USAGE]}]
    fuzz_decoder(Decoder, "".join(f"data: {json.dumps(each)}\n\n" for each in paused).encode())
