from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import Transcript, fold
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RawEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    event_to_dict,
)
from agentnb.platforms.seekr.decoder import Decoder
from agentnb.platforms.seekr.wire import CHUNKS, FRAGMENT_FIELDS
from agentnb.sse import ServerSentEvent
from tests.platforms.anything import JSON
from tests.platforms.recorded import by_name, data_frames, decoded

RECORDED = by_name("seekr")


def decode(*payloads: Any) -> list[Event]:
    return decoded(Decoder(), data_frames(payloads))


def transcript(name: str) -> Transcript:
    return fold(decoded(Decoder(), RECORDED[name]))


def test_both_dialects_come_to_the_same_answer() -> None:
    page, vercel = transcript("stream"), transcript("vercel")
    assert page.status == vercel.status == "completed"
    assert page.text == "The current stock price of NVIDIA (NVDA) is **$875.40**."
    assert vercel.text == "Let me look.NVDA is at **$875.40**."
    for found in (page, vercel):
        assert found.run_id == "run_abc123"
        assert "I should call get_stock_price." in found.reasoning
        call = found.tool_calls[0]
        assert (call.name, json.loads(call.arguments)) == ("get_stock_price", {"ticker": "NVDA"})
        assert call.status == "completed"


def test_text_that_streamed_is_not_repeated_by_the_final_output() -> None:
    for name in ("stream", "wrapped"):
        found = transcript(name)
        assert found.finished is not None
        assert found.text == found.finished.output


def test_final_output_fills_an_answer_that_did_not_stream() -> None:
    assert transcript("final_output_only").text == "The current price is **$875.40**."
    assert transcript("structured").text == '{"price": 875.4}'


def test_final_output_completes_an_answer_that_streamed_in_part() -> None:
    assert transcript("final_output_tail").text.endswith(
        "look it up.The current price is **$875.40**."
    )


@pytest.mark.parametrize(
    ("streamed", "final", "shown"),
    [
        ("The answer\n", "The answer", "The answer\n"),
        ("he answer is 42", "The answer is 42", "he answer is 42"),
        ("Thinking aloud.", "42", "Thinking aloud.\n\n42"),
        ("A long preamble, then 42", "42", "A long preamble, then 42"),
        ("The  answer", "The answer is 42", "The  answer is 42"),
    ],
)
def test_final_output_against_what_streamed(streamed: str, final: str, shown: str) -> None:
    events = decode(
        {"type": "text_delta", "text": streamed}, {"type": "end_node", "final_output": final}
    )
    assert fold(events).text == shown


def test_final_result_event_ends_nothing() -> None:
    assert decode({"type": "final_result_event", "tool_name": None}) == []


@pytest.mark.parametrize("kind", ["finish", "done", "end_node"])
def test_each_end_finishes_the_run_once(kind: str) -> None:
    events = decode({"type": kind}, {"type": "finish"}, {"type": "end_node"})
    assert events == [RunFinished()]


def test_done_marker_alone_is_an_end() -> None:
    events = decoded(Decoder(), b'data: {"type":"text_delta","text":"x"}\n\ndata: [DONE]\n\n')
    assert events == [TextDelta("x"), RunFinished()]


def test_nothing_ends_a_run_after_an_error() -> None:
    found = transcript("error")
    assert (found.status, found.text) == ("failed", "The current ")
    assert found.failure is not None
    assert (found.failure.code, found.failure.retry_after) == ("CAPACITY_ERROR", 30)


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "error", "errorText": "boom"},
        {"type": "error", "error": {"message": "boom", "code": "E"}},
        {"type": "error", "error": "boom"},
        {"error": "E", "message": "boom", "status": 500},
        {"type": "error", "data": {"message": "boom"}},
    ],
)
def test_every_form_of_an_error(payload: dict[str, Any]) -> None:
    (event,) = decode(payload)
    assert isinstance(event, RunFailed)
    assert event.message == "boom"


def test_error_frame_of_plain_text() -> None:
    events = decoded(Decoder(), b"event: error\ndata: upstream is gone\n\n")
    assert events == [RunFailed(message="upstream is gone")]


def test_finish_for_the_reason_of_an_error_fails() -> None:
    (event,) = decode({"type": "finish", "finishReason": "error"})
    assert isinstance(event, RunFailed)


def test_malformed_end_is_an_end_and_is_reported() -> None:
    frame = ServerSentEvent("finish", '{"type": "finish", "reason": {"deep": 1}}', "", None)
    assert Decoder().decode(frame)[-1].type == "run_finished"
    nested = {"type": "data-nestedToolEvent", "data": {"chunk": "no object"}}
    (raw,) = decode(nested)
    assert isinstance(raw, RawEvent)
    assert raw.problem is not None


def test_part_start_carries_the_first_words() -> None:
    events = decode(
        {"type": "part_start_event", "part_content": "TextPart(content='It\\'s \\u00e9')"},
        {"type": "part_start_event", "part_content": 'ThinkingPart(content="hm\\n")'},
        {"type": "part_start_event", "part_content": {"part_kind": "text", "content": " so"}},
        {"type": "part_start_event", "part_content": " plain"},
        {"type": "part_start_event", "part_content": None},
    )
    found = fold(events)
    assert found.text == "It's é so plain"
    assert found.reasoning == "hm\n"
    assert isinstance(events[-1], RawEvent)


def test_parts_that_are_quoted_inside_a_part_are_only_text() -> None:
    content = "TextPart(content=\"ToolCallPart(tool_name='x', tool_call_id='y')\")"
    assert decode({"type": "part_start_event", "part_content": content}) == [
        TextDelta("ToolCallPart(tool_name='x', tool_call_id='y')")
    ]


def test_passages_of_one_id_in_two_steps_stay_apart() -> None:
    found = fold(
        decode(
            {"type": "text-start", "id": "0"},
            {"type": "text-delta", "id": "0", "delta": "before"},
            {"type": "tool-input-available", "toolCallId": "c", "toolName": "t", "input": {}},
            {"type": "tool-output-available", "toolCallId": "c", "output": None},
            {"type": "text-start", "id": "0"},
            {"type": "text-delta", "id": "0", "delta": "after"},
        )
    )
    assert [part.kind for part in found.parts] == ["text", "tool", "text"]


def test_tool_errors_in_both_dialects() -> None:
    events = decode(
        {"type": "streaming_tool_request", "tool_id": "a", "tool_name": "t", "tool_args": None},
        {"type": "streaming_tool_response", "tool_id": "a", "tool_output": {"error": "no data"}},
        {"type": "tool-input-error", "toolCallId": "b", "toolName": "u", "errorText": "bad"},
    )
    assert events == [
        ToolCallStarted(call_id="a", name="t"),
        ToolCallFinished(call_id="a", name="t", error="no data"),
        ToolCallFinished(call_id="b", name="u", error="bad"),
    ]


def test_preliminary_output_waits_for_the_whole_one() -> None:
    output = {"type": "tool-output-available", "toolCallId": "a", "output": 1}
    assert decode({**output, "preliminary": True}) == []
    assert decode({**output, "preliminary": True}, output) == [
        ToolCallFinished(call_id="a", result="1")
    ]


def requested(arguments: Any, *, name: str | None = "t") -> dict[str, Any]:
    return {
        "type": "streaming_tool_request",
        "tool_id": "c",
        "tool_name": name,
        "tool_args": arguments,
    }


def available(arguments: Any, *, name: str | None = "t") -> dict[str, Any]:
    return {
        "type": "tool-input-available",
        "toolCallId": "c",
        "toolName": name,
        "input": arguments,
    }


CALL = "ToolCallPart(tool_name='t', args='', tool_call_id='c')"
DIALECTS = {
    "stream": (
        requested,
        {"type": "part_start_event", "part_index": 0, "part_content": CALL},
        {"type": "tool_call_part_delta", "part_index": 0, "args_delta": '{"a":1}'},
    ),
    "vercel": (
        available,
        {"type": "tool-input-start", "toolCallId": "c", "toolName": "t"},
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": '{"a":1}'},
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whole_arguments_say_only_what_did_not_stream(dialect: str) -> None:
    whole, start, delta = DIALECTS[dialect]
    started, streamed = decode(start, delta)
    assert started == ToolCallStarted(call_id="c", name="t")
    assert streamed == ToolCallDelta(call_id="c", arguments='{"a":1}')
    # Said before, in other spacing; or not said at all.
    assert decode(start, delta, whole({"a": 1})) == [started, streamed]
    assert decode(start, delta, whole(None)) == [started, streamed]
    # Never said, or said wrong, or of a call that nobody knew.
    whole_text = ToolCallDelta(call_id="c", arguments='{"a": 1}')
    assert decode(start, whole({"a": 1})) == [started, whole_text]
    replaced = ToolCallStarted(call_id="c", name="t", arguments='{"b": 2}')
    assert decode(start, delta, whole({"b": 2})) == [started, streamed, replaced]
    assert decode(whole({"b": 2})) == [replaced]
    renamed = ToolCallStarted(call_id="c", name="u", arguments='{"a": 1}')
    assert decode(start, delta, whole({"a": 1}, name="u")) == [started, streamed, renamed]


STRUCTURAL: list[dict[str, Any]] = [
    {"type": "node_header", "node_type": "ModelRequestNode"},
    {"type": "user_prompt", "user_prompt": "What is the price?"},
    {"type": "start", "messageId": "m"},
    {"type": "start-step"},
    {"type": "text-start", "id": "0"},
    {"type": "text-end", "id": "0"},
    {"type": "reasoning-start", "id": "0"},
    {"type": "reasoning-end", "id": "0"},
    {"type": "finish-step"},
    {"type": "message-metadata", "messageMetadata": {}},
    {"type": "text-delta", "id": "mermaid-1", "delta": "graph TD; A-->B"},
]


@pytest.mark.parametrize("chunk", STRUCTURAL, ids=lambda chunk: str(chunk["type"]))
def test_what_only_structures_a_stream_is_no_event(chunk: dict[str, Any]) -> None:
    assert decode(chunk) == []
    assert decode({"type": chunk["type"] + "-2"}) != []


@pytest.mark.parametrize("tag", FRAGMENT_FIELDS)
@pytest.mark.parametrize("value", [None, 7, True, ["x"], {"x": 1}])
def test_a_fragment_that_is_no_text_is_kept_raw(tag: str, value: Any) -> None:
    for chunk in ({"type": tag, FRAGMENT_FIELDS[tag]: value}, {"type": tag}):
        (event,) = decode(chunk)
        assert isinstance(event, RawEvent)
        assert (event.name, event.data) == (tag, json.dumps(chunk))
        assert event.problem is not None
        assert event.problem.startswith(f"{FRAGMENT_FIELDS[tag]}: ")


def test_approval_names_the_tool() -> None:
    events = decode(
        {"type": "tool-input-available", "toolCallId": "c", "toolName": "pay", "input": {}},
        {"type": "tool-approval-request", "approvalId": "ap", "toolCallId": "c"},
    )
    assert events[-1] == ApprovalRequested(
        approval_id="ap", message="The agent asks to call pay.", tool="pay"
    )


@pytest.mark.parametrize("place", ["meta_data", "messageMetadata", None])
def test_run_id_is_found_wherever_it_stands(place: str | None) -> None:
    ids = {"run_id": "r", "thread_id": "t"}
    chunk = {"type": "node_header", **({place: ids} if place else ids)}
    assert decode(chunk, chunk) == [RunStarted(run_id="r", session_id="t")]


def test_every_known_kind_without_its_fields_is_total() -> None:
    for tag in CHUNKS:
        for field in ("data", "id", "other"):
            decode({"type": tag, field: {}})


def test_deep_nesting_and_huge_numbers() -> None:
    deep = '{"type":"text_delta","text":"x","y":' + "[" * 5000 + "]" * 5000 + "}"
    huge = '{"type":"text_delta","text":"x","y":' + "9" * 10_000 + "}"
    for data in (deep, huge):
        (event,) = decoded(Decoder(), f"data: {data}\n\n".encode())
        assert isinstance(event, RawEvent)
        assert event.data == data
        assert event.problem


FIELDS = [
    "text",
    "reasoning",
    "tool_id",
    "tool_name",
    "tool_args",
    "tool_output",
    "part_index",
    "part_content",
    "args_delta",
    "final_output",
    "id",
    "delta",
    "toolCallId",
    "toolName",
    "input",
    "output",
    "errorText",
    "finishReason",
    "data",
    "meta_data",
    "messageMetadata",
    "providerMetadata",
    "usage",
    "error",
    "chunk",
    "toolCallPath",
]
CHUNK = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(CHUNKS)) | JSON},
    optional=dict.fromkeys(FIELDS, JSON),
)


@given(st.lists(CHUNK | JSON, max_size=6))
def test_no_stream_raises_and_every_event_can_be_written(payloads: list[Any]) -> None:
    for event in decode(*payloads):
        json.dumps(event_to_dict(event), allow_nan=False).encode("utf-8")
        str(event_to_dict(event)).encode("utf-8")


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_no_data_raises(data: str) -> None:
    decoder = Decoder()
    for event in ("message", "error", "text_delta", data):
        decoder.decode(ServerSentEvent(event, data, "", None))
    decoder.finish()
