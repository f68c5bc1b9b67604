"""Whole runs as the frameworks for agents stream them, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

import agentnb
from tests.platforms.runtools.sse_runtime import Frame, body_of, data, named, runtime

WHOLE: Final = "Hello there."
PIECES: Final = ("Hello ", "there.")
CITY: Final = {"city": "Oslo"}
CITY_JSON: Final = '{"city": "Oslo"}'
HALVES: Final = ('{"city": ', '"Oslo"}')
COUNTS: Final = {"prompt_tokens": "3", "completion_tokens": 4}
TEXT: Final = [data({"type": "text", "text": piece}) for piece in PIECES]


@pytest.fixture(scope="module")
def agent() -> Iterator[agentnb.Agent]:
    with runtime() as (agent, _):
        yield agent


def of(kind: str, /, **fields: Any) -> Frame:
    return data({"type": kind, **fields})


def part(kind: str, **fields: Any) -> Frame:
    """A line of opencode."""
    return data({"type": kind, "sessionID": "s", "part": {"id": "p", **fields}})


def step(reason: str, tokens_in: int, tokens_out: int) -> Frame:
    tokens = {"input": tokens_in, "output": tokens_out, "cache": {"read": 0, "write": 0}}
    return part("step_finish", type="step-finish", reason=reason, tokens=tokens, cost=0.25)


def index_event(name: str, **value: Any) -> Frame:
    """An event of a LlamaIndex workflow."""
    return data({"value": value, "qualified_name": f"llama_index.core.workflow_events.{name}"})


def haystack(content: str = "", **fields: Any) -> Frame:
    return data({"content": content, "component_info": {"type": "x", "name": "llm"}, **fields})


def dify(event: str, **fields: Any) -> Frame:
    return data({"event": event, "task_id": "t", **fields})


def flowise(event: str, value: Any) -> Frame:
    return data({"event": event, "data": value})


def autogen(kind: str, source: str, content: Any, **fields: Any) -> Frame:
    return of(kind, source=source, content=content, **fields)


def pydantic_ai(kind: str, **fields: Any) -> Frame:
    return data({"event_kind": kind, **fields})


def adk(*parts: dict[str, Any], role: str = "model", **fields: Any) -> Frame:
    return data({"content": {"parts": list(parts), "role": role}, "author": "agent", **fields})


def block(delta: dict[str, Any]) -> Frame:
    return data({"event": {"contentBlockDelta": {"delta": delta, "contentBlockIndex": 0}}})


def thought(observation: str, tool: str = "weather") -> Frame:
    given = CITY_JSON if tool else ""
    step = {"thought": "", "tool": tool, "tool_input": given, "observation": observation}
    return dify("agent_thought", id="x", **step)


STATE: Final[list[dict[str, Any]]] = [
    {"type": "human", "content": "Hi"},
    {"type": "ai", "tool_calls": [{"id": "c", "name": "weather", "args": CITY}]},
    {"type": "tool", "tool_call_id": "c", "content": "-3"},
    {"type": "ai", "content": WHOLE},
]
RUNS: Final[dict[str, list[Frame]]] = {
    "opencode": [
        part("step_start", type="step-start"),
        part(
            "tool_use",
            type="tool",
            callID="c",
            tool="weather",
            state={"status": "completed", "input": CITY, "output": "-3"},
        ),
        step("tool-calls", 1, 1),
        part("step_start", type="step-start"),
        part("text", type="text", text=WHOLE),
        step("stop", 2, 3),
    ],
    "opencode, flat": [
        of("step_start"),
        of("tool_use", callID="c", tool="weather", input=CITY, output="-3"),
        *TEXT,
        of("step_finish", reason="stop", tokens={"input": "3", "output": "4"}, cost="0.5"),
    ],
    "AI SDK, data stream": [
        data('f:{"messageId":"m"}'),
        data(f'9:{{"toolCallId":"c","toolName":"weather","args":{CITY_JSON}}}'),
        data('a:{"toolCallId":"c","result":"-3"}'),
        data('e:{"finishReason":"tool-calls","usage":{"promptTokens":1}}'),
        *(data(f"0:{json.dumps(piece)}") for piece in PIECES),
        data('d:{"finishReason":"stop","usage":{"promptTokens":3,"completionTokens":4}}'),
    ],
    "AI SDK, messages": [
        of("tool-input-available", toolCallId="c", toolName="weather", input=CITY),
        of("tool-output-available", toolCallId="c", output="-3"),
        of("finish-step"),
        *(of("text-delta", id="0", delta=piece) for piece in PIECES),
        of("finish", messageMetadata={"usage": {"inputTokens": 3, "outputTokens": 4}}),
    ],
    "LangServe, log": [
        *(
            named("data", {"ops": [{"op": "add", "path": path, "value": value}]})
            for path, value in [
                ("/logs/weather", {"name": "weather"}),
                *(("/streamed_output/-", piece) for piece in PIECES),
                ("/final_output", WHOLE),
            ]
        ),
        named("end"),
    ],
    "LangServe, events": [
        named("data", {"event": "on_tool_start", "name": "weather", "data": {"input": CITY}}),
        named("data", {"event": "on_tool_end", "name": "weather", "data": {"output": "-3"}}),
        named("data", {"event": "on_chat_model_stream", "data": {"chunk": {"content": WHOLE}}}),
        named(
            "data",
            {
                "event": "on_chat_model_stream",
                "data": {"chunk": {"content": "", "usage_metadata": COUNTS}},
            },
        ),
        named("end"),
    ],
    "updates of a graph": [
        named(
            "updates",
            {
                "agent": {
                    "messages": [
                        {"type": "ai", "tool_calls": [{"id": "c", "name": "weather", "args": CITY}]}
                    ]
                }
            },
        ),
        named(
            "updates",
            {"tools": {"messages": [{"type": "tool", "tool_call_id": "c", "content": "-3"}]}},
        ),
        named(
            "updates",
            {"a": {"messages": [{"type": "ai", "content": WHOLE, "usage_metadata": COUNTS}]}},
        ),
        named("end"),
    ],
    "states of a graph, again and again": [
        *(named("values", {"messages": messages}) for messages in (STATE, STATE[:3], STATE)),
        named("end"),
    ],
    "LlamaIndex": [
        index_event("AgentInput", input=[{"role": "user", "blocks": [{"text": "Hi"}]}]),
        index_event("ToolCall", tool_name="weather", tool_kwargs=CITY, tool_id="c"),
        index_event(
            "ToolCallResult",
            tool_name="weather",
            tool_kwargs=CITY,
            tool_id="c",
            tool_output={"tool_name": "weather", "content": "-3", "raw_output": "-3"},
        ),
        index_event("AgentStream", delta="Hello ", response="Hello ", tool_calls=[]),
        index_event("AgentStream", delta="there.", response=WHOLE, tool_calls=[]),
        index_event(
            "AgentOutput", response={"role": "assistant", "blocks": [{"text": WHOLE}]}, raw={}
        ),
        index_event("StopEvent", result=WHOLE),
    ],
    "Haystack": [
        haystack(tool_calls=[{"index": 0, "tool_name": "weather", "arguments": HALVES[0]}]),
        haystack(tool_calls=[{"index": 0, "tool_name": None, "arguments": HALVES[1]}]),
        haystack(finish_reason="tool_calls"),
        haystack(tool_call_result={"result": "-3", "origin": {"tool_name": "weather"}}),
        *(haystack(piece) for piece in PIECES),
        haystack(finish_reason="stop", meta={"usage": COUNTS}),
    ],
    "Dify": [
        thought("", tool=""),
        thought(""),
        thought("-3"),
        *(dify("agent_message", answer=piece) for piece in PIECES),
        dify("message_end", metadata={"usage": COUNTS}),
    ],
    "Flowise": [
        flowise("calledTools", [{"tool": "weather", "toolInput": CITY, "toolOutput": ""}]),
        flowise("usedTools", [{"tool": "weather", "toolInput": CITY, "toolOutput": "-3"}]),
        *(flowise("token", piece) for piece in PIECES),
        flowise("usageMetadata", COUNTS),
        flowise("end", "[DONE]"),
    ],
    "AutoGen": [
        autogen("TextMessage", "user", "Hi", models_usage=None),
        autogen(
            "ToolCallRequestEvent",
            "a",
            [{"id": "c", "name": "weather", "arguments": CITY_JSON}],
        ),
        autogen(
            "ToolCallExecutionEvent",
            "a",
            [{"call_id": "c", "name": "weather", "content": "-3", "is_error": False}],
        ),
        *(autogen("ModelClientStreamingChunkEvent", "a", piece) for piece in PIECES),
        autogen("TextMessage", "a", WHOLE, models_usage=COUNTS),
        of("TaskResult", messages=[], stop_reason="Maximum number of turns reached."),
    ],
    "Pydantic AI": [
        pydantic_ai(
            "part_start",
            index=0,
            part={
                "part_kind": "tool-call",
                "tool_name": "weather",
                "args": HALVES[0],
                "tool_call_id": "c",
            },
        ),
        pydantic_ai(
            "part_delta",
            index=0,
            delta={
                "part_delta_kind": "tool_call",
                "args_delta": HALVES[1],
                "tool_call_id": "c",
            },
        ),
        pydantic_ai(
            "function_tool_result",
            result={
                "part_kind": "tool-return",
                "tool_name": "weather",
                "content": "-3",
                "tool_call_id": "c",
            },
        ),
        pydantic_ai("part_start", index=0, part={"part_kind": "text", "content": "Hello "}),
        pydantic_ai("final_result", tool_name=None, tool_call_id=None),
        pydantic_ai(
            "part_delta", index=0, delta={"part_delta_kind": "text", "content_delta": "there."}
        ),
        pydantic_ai("part_end", index=0, part={"part_kind": "text", "content": WHOLE}),
        pydantic_ai("agent_run_result", result={"output": WHOLE}),
    ],
    "ADK": [
        adk({"functionCall": {"id": "c", "name": "weather", "args": CITY}}),
        adk({"functionResponse": {"id": "c", "name": "weather", "response": "-3"}}, role="user"),
        *(adk({"text": piece}, partial=True) for piece in PIECES),
        adk({"text": WHOLE}, usageMetadata=COUNTS),
    ],
    "Strands": [
        data({"event": {"contentBlockStart": {"start": {"toolUse": {"name": "weather"}}}}}),
        block({"toolUse": {"input": CITY_JSON}}),
        data({"event": {"messageStop": {"stopReason": "tool_use"}}}),
        data({"message": {"role": "user", "content": [{"toolResult": {"content": "-3"}}]}}),
        *(
            frame
            for piece in PIECES
            for frame in (
                block({"text": piece}),
                data({"data": piece, "delta": {"text": piece}}),
            )
        ),
        data({"event": {"messageStop": {"stopReason": "end_turn"}}}),
        data({"event": {"metadata": {"usage": COUNTS}}}),
    ],
    "Strands, without blocks": [
        *(
            data({"current_tool_use": {"toolUseId": "c", "name": "weather", "input": given}})
            for given in (HALVES[0], CITY_JSON)
        ),
        data(
            {
                "message": {
                    "role": "assistant",
                    "content": [{"toolUse": {"toolUseId": "c", "name": "weather", "input": CITY}}],
                }
            }
        ),
        data(
            {
                "message": {
                    "role": "user",
                    "content": [{"toolResult": {"toolUseId": "c", "content": "-3"}}],
                }
            }
        ),
        *(data({"data": piece, "delta": {"text": piece}}) for piece in PIECES),
        data({"complete": True}),
    ],
}
WITHOUT_CALLS: Final = {"LangServe, log"}
WITHOUT_USAGE: Final = {
    *("LangServe, log", "states of a graph, again and again", "LlamaIndex", "Pydantic AI"),
    "Strands, without blocks",
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_its_text_once_its_call_and_its_usage(agent: agentnb.Agent, name: str) -> None:
    run = agent.run(body_of(RUNS[name]), check=False)
    assert (run.status, run.text) == ("completed", WHOLE)
    if name not in WITHOUT_CALLS:
        assert [(call.name, call.result) for call in run.tool_calls] == [("weather", "-3")]
        assert json.loads(run.tool_calls[0].arguments) == CITY
    if name not in WITHOUT_USAGE:
        assert run.usage is not None
        assert (run.usage.input_tokens, run.usage.output_tokens) == (3, 4)
        if name.startswith("opencode"):
            assert run.usage.cost_usd == 0.5


def test_a_token_that_ends_a_model_ends_the_run_and_is_no_text(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    for token in (
        *("</s>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<eos>"),
        *("[END]", "[EOS]", "<end_of_turn>", "<|return|>", "<｜end▁of▁sentence｜>"),
    ):
        as_json = [data(json.dumps(piece)) for piece in PIECES]
        for before, frame in (
            *((TEXT, frame) for frame in (data(token), data(json.dumps(token)))),
            ([data(piece) for piece in PIECES], data(token)),
            (as_json, data(json.dumps(token))),
            (TEXT, named("message", token)),
        ):
            with subtests.test(frame=frame):
                run = agent.run(body_of([*before, frame]), check=False)
                assert (run.status, run.text) == ("completed", WHOLE)
    with subtests.test("with a call that has no result yet"):
        call = of("tool_call", id="c", tool="weather", input=CITY)
        result = of("tool_result", id="c", output="-3")
        frames = [call, data("<|im_end|>"), result, *TEXT, data("<|im_end|>")]
        run = agent.run(body_of(frames), check=False)
        assert (run.status, run.text) == ("completed", WHOLE)
    for word in ("EOS", "</b>", "[return]", "<s>", "[1]"):
        with subtests.test(word=word):
            run = agent.run(body_of([data("Say "), data(word)]), check=False)
            assert (run.status, run.text) == ("truncated", f"Say {word}")


def test_a_status_of_ok_ends_a_run_that_has_answered(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    for end in (
        *(data({"status": "ok"}), data({"state": "OK"}), named("status", {"status": "ok"})),
        *(named("status", "ok"), data({"ok": True}), data({"success": True})),
    ):
        with subtests.test(end=end):
            run = agent.run(body_of([*TEXT, end]), check=False)
            assert (run.status, run.text) == ("completed", WHOLE)
            run = agent.run(body_of([end, *TEXT]), check=False)
            assert (run.status, run.text) == ("truncated", WHOLE)
