"""Reasoning and tool calls in the dialects of many servers, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

import agentnb
from tests.platforms.runtools.sse_runtime import Frame, body_of, data, named, runtime

ARGUMENTS: Final = {"city": "Oslo"}
HALVES: Final = ('{"city": ', '"Oslo"}')
PIECES: Final = ("Let me ", "see.")
ANSWER: Final = [data({"type": "text", "text": "It is cold."}), data({"type": "done"})]


@pytest.fixture(scope="module")
def agent() -> Iterator[agentnb.Agent]:
    with runtime() as (agent, _):
        yield agent


def run_of(agent: agentnb.Agent, *frames: Frame) -> agentnb.Run:
    return agent.run(body_of(frames), check=False)


def typed(kind: str, **fields: Any) -> Frame:
    return data({"type": kind, **fields})


def fragment(**fields: Any) -> Frame:
    return data({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **fields}]}}]})


REASONING: Final[dict[str, list[Frame]]] = {
    **{
        f"{kind} {key}": [typed(kind, **{key: piece}) for piece in PIECES]
        for kind in ("thinking", "reasoning", "thinking_delta", "ReasoningDelta", "agent_thought")
        for key in ("content", "text", "delta", "thinking", "reasoning")
    },
    "blocks": [
        named("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", key: piece}})
        for key, piece in (("thinking", "Let me "), ("thinking", "see."))
    ],
    "chat completions": [
        data({"choices": [{"delta": {"reasoning_content": piece}}]}) for piece in PIECES
    ],
    "chat completions, other": [
        data({"choices": [{"delta": {"content": None, "reasoning": piece}}]}) for piece in PIECES
    ],
    "responses": [typed("response.reasoning_summary_text.delta", delta=piece) for piece in PIECES],
    "untyped": [data({"reasoning_content": piece}) for piece in PIECES],
    "parts": [data({"content": [{"type": "thinking", "thinking": piece}]}) for piece in PIECES],
    "bare": [f"event: thinking\ndata: {piece}\n\n" for piece in PIECES],
    "upper case": [typed("THINKING_TEXT_MESSAGE_CONTENT", delta=piece) for piece in PIECES],
}
CALLS: Final[dict[str, list[Frame]]] = {
    **{
        f"{begin} and {end}": [
            typed(begin, id="c1", **{name: "weather", arguments: ARGUMENTS}),
            typed(end, **{of: "c1", result: "-3"}),
        ]
        for begin, end, of, name, arguments, result in (
            ("tool_call", "tool_result", "tool_call_id", "name", "args", "result"),
            ("tool_use", "tool_result", "tool_use_id", "name", "input", "content"),
            ("tool_start", "tool_end", "id", "tool", "input", "output"),
            ("tool_start", "tool_output", "toolCallId", "tool_name", "parameters", "output"),
            ("function_call", "function_call_output", "call_id", "name", "arguments", "output"),
            ("tool.call", "tool.response", "call_id", "name", "arguments", "response"),
            ("ToolCallStarted", "ToolCallCompleted", "toolCallId", "toolName", "args", "content"),
            ("tool-call", "tool-result", "toolCallId", "toolName", "input", "output"),
            ("tool_call", "result", "tool_call_id", "name", "args", "output"),
            ("on_tool_start", "on_tool_end", "id", "name", "input", "output"),
        )
    },
    "without ids": [
        named("tool_start", {"name": "weather", "input": ARGUMENTS}),
        named("tool_end", {"name": "weather", "output": "-3"}),
    ],
    "end by the tool's name": [
        typed("tool_use", name="weather", input=ARGUMENTS),
        typed("done", name="weather", output="-3"),
    ],
    "nested": [
        typed("tool_call", tool_call={"id": "c1", "name": "weather", "arguments": ARGUMENTS}),
        typed("tool_result", tool_result={"x": 1}, tool_call_id="c1", output="-3"),
    ],
    "nested function": [
        typed("tool_call", id="c1", function={"name": "weather", "arguments": ARGUMENTS}),
        typed("tool_result", tool_call_id="c1", content=[{"type": "text", "text": "-3"}]),
    ],
    "nested tool": [
        data(
            {
                "event": "ToolCallStarted",
                "tool": {"tool_call_id": "c1", "tool_name": "weather", "tool_args": ARGUMENTS},
            }
        ),
        data(
            {
                "event": "ToolCallCompleted",
                "tool": {"tool_call_id": "c1", "tool_name": "weather", "result": "-3"},
            }
        ),
    ],
    "blocks": [
        named("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        named(
            "content_block_start",
            {
                "index": 1,
                "content_block": {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
            },
        ),
        *(
            named(
                "content_block_delta",
                {"index": 1, "delta": {"type": "input_json_delta", "partial_json": half}},
            )
            for half in HALVES
        ),
        named("content_block_stop", {"index": 1}),
        named("message_delta", {"delta": {"stop_reason": "tool_use"}}),
        named("message_stop", {}),
        typed("tool_result", tool_use_id="c1", content="-3"),
    ],
    "chat completions": [
        fragment(id="c1", type="function", function={"name": "weather", "arguments": ""}),
        *(fragment(function={"arguments": half}) for half in HALVES),
        data({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        data({"role": "tool", "tool_call_id": "c1", "content": "-3"}),
    ],
    "chat completions with ids in each": [
        *(fragment(id="c1", function={"name": "weather", "arguments": half}) for half in HALVES),
        typed("tool_result", tool_call_id="c1", output="-3"),
    ],
    "one whole message": [
        data(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": "".join(HALVES)},
                    }
                ],
            }
        ),
        data({"type": "tool", "tool_call_id": "c1", "name": "weather", "content": "-3"}),
    ],
    "message chunks": [
        *(
            typed(
                "AIMessageChunk",
                content="",
                tool_call_chunks=[{"name": name, "args": half, "id": given, "index": 0}],
            )
            for name, half, given in (("weather", HALVES[0], "c1"), (None, HALVES[1], None))
        ),
        typed("ToolMessage", tool_call_id="c1", content="-3"),
    ],
    "responses": [
        typed(
            "response.output_item.added",
            item={
                "type": "function_call",
                "id": "fc_1",
                "call_id": "c1",
                "name": "weather",
                "arguments": "",
            },
        ),
        *(
            typed("response.function_call_arguments.delta", item_id="fc_1", delta=half)
            for half in HALVES
        ),
        typed("response.function_call_arguments.done", item_id="fc_1", arguments="".join(HALVES)),
        typed(
            "response.output_item.done",
            item={
                "type": "function_call",
                "id": "fc_1",
                "call_id": "c1",
                "name": "weather",
                "arguments": "".join(HALVES),
            },
        ),
        typed("function_call_output", call_id="c1", output="-3"),
    ],
    "input parts": [
        typed("tool-input-start", toolCallId="c1", toolName="weather"),
        *(typed("tool-input-delta", toolCallId="c1", inputTextDelta=half) for half in HALVES),
        typed("tool-input-available", toolCallId="c1", toolName="weather", input=ARGUMENTS),
        typed("tool-output-available", toolCallId="c1", output="-3"),
    ],
    "upper case": [
        typed("TOOL_CALL_START", toolCallId="c1", toolCallName="weather"),
        *(typed("TOOL_CALL_ARGS", toolCallId="c1", delta=half) for half in HALVES),
        typed("TOOL_CALL_END", toolCallId="c1"),
        typed("TOOL_CALL_RESULT", toolCallId="c1", messageId="m", content="-3"),
    ],
    "placeholder": [
        typed("tool_use", id="c1", name="weather", input={}),
        *(typed("tool_use_delta", tool_use_id="c1", delta=half) for half in HALVES),
        typed("tool_result", tool_use_id="c1", content="-3"),
    ],
    "untyped": [
        data({"tool": "weather", "input": ARGUMENTS}),
        data({"tool": "weather", "output": "-3"}),
    ],
    "chain events": [
        data(
            {
                "event": "on_tool_start",
                "name": "weather",
                "run_id": "of the tool",
                "data": {"input": ARGUMENTS},
            }
        ),
        data(
            {
                "event": "on_tool_end",
                "name": "weather",
                "run_id": "of the tool",
                "data": {"output": "-3"},
            }
        ),
    ],
}


def test_reasoning_is_reasoning(agent: agentnb.Agent, subtests: pytest.Subtests) -> None:
    for name, frames in REASONING.items():
        with subtests.test(reasoning=name):
            run = run_of(agent, *frames, *ANSWER)
            assert run.transcript.reasoning == "Let me see."
            assert (run.status, run.text) == ("completed", "It is cold.")


def test_calls_are_calls(agent: agentnb.Agent, subtests: pytest.Subtests) -> None:
    for name, frames in CALLS.items():
        with subtests.test(call=name):
            run = run_of(agent, *frames, *ANSWER)
            assert [(call.name, call.result, call.status) for call in run.tool_calls] == [
                ("weather", "-3", "completed")
            ]
            assert json.loads(run.tool_calls[0].arguments) == ARGUMENTS
            assert (run.status, run.text) == ("completed", "It is cold.")
            assert run.id == "run_1"


def test_a_tool_that_failed_is_no_failed_run(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    begin = typed("tool_use", id="c1", name="weather", input=ARGUMENTS)
    for frame in (
        typed("tool_error", tool_call_id="c1", error="No such city."),
        typed("tool_call_failed", tool_call_id="c1", error={"message": "No such city."}),
        typed("tool_result", tool_use_id="c1", is_error=True, content="No such city."),
        typed("tool-output-error", toolCallId="c1", errorText="No such city."),
        typed("error", tool_call_id="c1", error="No such city."),
    ):
        with subtests.test(frame=frame):
            run = run_of(agent, begin, frame, *ANSWER)
            assert [(call.status, call.error) for call in run.tool_calls] == [
                ("failed", "No such city.")
            ]
            assert (run.status, run.text) == ("completed", "It is cold.")


def test_several_calls_of_one_turn_are_kept_apart(agent: agentnb.Agent) -> None:
    def delta(index: int, **fields: Any) -> Frame:
        return data({"choices": [{"delta": {"tool_calls": [{"index": index, **fields}]}}]})

    stop = data({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    run = run_of(
        agent,
        delta(0, id="a", function={"name": "first", "arguments": ""}),
        delta(1, id="b", function={"name": "second", "arguments": ""}),
        delta(0, function={"arguments": "[1"}),
        delta(1, function={"arguments": "[2"}),
        delta(0, function={"arguments": "]"}),
        delta(1, function={"arguments": "]"}),
        stop,
        # The next turn counts its calls anew.
        delta(0, id="c", function={"name": "third", "arguments": "[3]"}),
        stop,
        *ANSWER,
    )
    found = [(call.call_id, call.name, call.arguments) for call in run.tool_calls]
    assert found == [("a", "first", "[1]"), ("b", "second", "[2]"), ("c", "third", "[3]")]
