"""SeekrFlow's two streams as the sandbox speaks them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx

from agentnb.event.types import Event, ToolCallDelta, ToolCallFinished, ToolCallStarted
from agentnb.sandbox import Sandbox
from tests.sandbox.seekr_calls import Frames, new_thread, stream


def test_the_pages_stream_has_every_chunk(seekr: httpx.Client, frames: Frames) -> None:
    told = {"text": "two words", "tools": 1, "reasoning": "hm"}
    chunks = [f.json for f in frames(stream(seekr, new_thread(seekr, json.dumps(told))))]
    assert all(chunk.pop("meta_data") == {} for chunk in chunks)
    assert chunks == [
        {"type": "user_prompt", "user_prompt": json.dumps(told)},
        {
            "type": "node_header",
            "node_type": "ModelRequestNode",
            "description": "streaming partial request tokens",
        },
        {"type": "stream_reasoning", "reasoning": "hm"},
        {
            "type": "node_header",
            "node_type": "CallToolsNode",
            "description": "streaming tool calls",
        },
        {
            "type": "streaming_tool_request",
            "tool_id": "call_1",
            "tool_name": "echo_tool",
            "tool_args": {"number": 1},
        },
        {
            "type": "streaming_tool_response",
            "tool_id": "call_1",
            "tool_output": {"number": 1, "square": 1},
        },
        {"type": "part_start_event", "part_index": 1, "part_content": "TextPart(content='')"},
        {"type": "final_result_event", "tool_name": None},
        {"type": "text_delta", "text": "two "},
        {"type": "text_delta", "text": "words"},
        {"type": "end_node", "final_output": "two words"},
    ]


def test_the_pages_stream_is_data_only(seekr: httpx.Client, frames: Frames) -> None:
    answer = frames(stream(seekr, new_thread(seekr, "x")))
    assert {(f.event, f.id) for f in answer} == {(None, None)}


def test_a_failed_run_ends_with_an_error_chunk_and_is_failed(
    seekr: httpx.Client, frames: Frames
) -> None:
    thread = new_thread(seekr, '{"text": "a b", "error_after": 1}')
    chunks = [f.json for f in frames(stream(seekr, thread))]
    assert chunks[-1]["type"] == "error"
    assert chunks[-1]["error"] == "The echo was set to fail."
    assert "end_node" not in [c["type"] for c in chunks]
    run = seekr.get(f"/v1/threads/{thread}/runs?limit=1").json()[0]
    assert run["status"] == "failed"
    assert run["failed_at"] is not None
    assert run["completed_at"] is None


def test_arguments_that_stream_are_announced_once_they_are_whole(
    sandbox: Sandbox, seekr: httpx.Client, frames: Frames
) -> None:
    register_streaming_tool(sandbox)
    chunks = [f.json for f in frames(stream(seekr, new_thread(seekr, "x"), "streams_arguments"))]
    kinds = [c["type"] for c in chunks]
    assert kinds[2:7] == [
        "tool_call_part_delta",
        "tool_call_part_delta",
        "node_header",
        "streaming_tool_request",
        "streaming_tool_response",
    ]
    assert [c["args_delta"] for c in chunks[2:4]] == ['{"city":', ' "Paris"}']
    assert chunks[5]["tool_args"] == {"city": "Paris"}
    assert chunks[6]["tool_output"] == {"result": "sunny"}


def test_the_vercel_stream_has_parts_that_start_and_end(
    seekr: httpx.Client, frames: Frames
) -> None:
    told = {"text": "two words", "tools": 2, "tool_error": True, "reasoning": "hm"}
    thread = new_thread(seekr, json.dumps(told))
    answer = seekr.post(f"/v1/threads/{thread}/runs/stream/vercel", json={"agent_id": "echo"})
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    *chunks, done = frames(answer.text)
    assert done.data == "[DONE]"
    start, *rest = [c.json for c in chunks]
    assert start["type"] == "start"
    assert start["messageMetadata"]["thread_id"] == thread
    assert rest == [
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "reasoning_0"},
        {"type": "reasoning-delta", "id": "reasoning_0", "delta": "hm"},
        {"type": "reasoning-end", "id": "reasoning_0"},
        {"type": "tool-input-start", "toolCallId": "call_1", "toolName": "echo_tool"},
        {
            "type": "tool-input-available",
            "toolCallId": "call_1",
            "toolName": "echo_tool",
            "input": {"number": 1},
        },
        {
            "type": "tool-output-available",
            "toolCallId": "call_1",
            "output": {"number": 1, "square": 1},
        },
        {"type": "tool-input-start", "toolCallId": "call_2", "toolName": "echo_tool"},
        {
            "type": "tool-input-available",
            "toolCallId": "call_2",
            "toolName": "echo_tool",
            "input": {"number": 2},
        },
        {
            "type": "tool-output-error",
            "toolCallId": "call_2",
            "errorText": "The tool was set to fail.",
        },
        {"type": "text-start", "id": "text_1"},
        {"type": "text-delta", "id": "text_1", "delta": "two "},
        {"type": "text-delta", "id": "text_1", "delta": "words"},
        {
            "type": "data-usage",
            "data": {"prompt_tokens": 18, "completion_tokens": 3, "total_tokens": 21},
        },
        {"type": "text-end", "id": "text_1"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]


def test_the_vercel_stream_tells_an_error(seekr: httpx.Client, frames: Frames) -> None:
    thread = new_thread(seekr, '{"text": "a b", "error_after": 1}')
    answer = seekr.post(f"/v1/threads/{thread}/runs/stream/vercel", json={"agent_id": "echo"})
    *_, error, done = frames(answer.text)
    assert error.json == {"type": "error", "errorText": "The echo was set to fail."}
    assert done.data == "[DONE]"


def test_the_vercel_stream_streams_arguments(
    sandbox: Sandbox, seekr: httpx.Client, frames: Frames
) -> None:
    register_streaming_tool(sandbox)
    thread = new_thread(seekr, "x")
    answer = seekr.post(
        f"/v1/threads/{thread}/runs/stream/vercel", json={"agent_id": "streams_arguments"}
    )
    chunks = [f.json for f in frames(answer.text)[:-1]]
    assert [c["inputTextDelta"] for c in chunks if c["type"] == "tool-input-delta"] == [
        '{"city":',
        ' "Paris"}',
    ]
    available = next(c for c in chunks if c["type"] == "tool-input-available")
    assert available["input"] == {"city": "Paris"}


def register_streaming_tool(sandbox: Sandbox) -> None:
    @sandbox.agent("streams_arguments")
    def streams_arguments(prompt: str) -> Iterator[str | Event]:
        yield ToolCallStarted(call_id="c", name="weather")
        yield ToolCallDelta(call_id="c", arguments='{"city":')
        yield ToolCallDelta(call_id="c", arguments=' "Paris"}')
        yield ToolCallFinished(call_id="c", result="sunny")
        yield "It is sunny."
