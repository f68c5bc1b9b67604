"""The decoder of Responses: frames as servers send them, and frames as none should."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.event import (
    CitationAdded,
    Event,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
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
from agentnb.event.transcript import fold
from agentnb.platforms.openai.decoder import ResponsesDecoder
from agentnb.plugin import RunRequest, ServerSentEvent

DONE = "[DONE]"
CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "m"}}
MESSAGE = {"type": "message", "id": "m1", "content": [{"type": "output_text", "text": "Hello"}]}


def decoded(*frames: dict[str, Any] | str, end: bool = True) -> list[Event]:
    """Return the events of the frames, which name themselves, of a stream that ended cleanly."""
    decoder = ResponsesDecoder(RunRequest(agent="m", prompt="p"))
    texts = [frame if isinstance(frame, str) else json.dumps(frame) for frame in frames]
    events = decoder.decode_all([ServerSentEvent("message", text, "", None) for text in texts])
    return [*events, *(decoder.finish() if end else [])]


def delta(kind: str, text: object, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "delta": text, "item_id": "m1", **fields}


def added(item: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "item": item, **fields}


def done(item: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "item": item, **fields}


def ended(status: str = "completed", **response: Any) -> dict[str, Any]:
    return {"type": f"response.{status}", "response": {"id": "resp_1", "model": "m", **response}}


def test_an_answer_in_the_dialect_of_openai() -> None:
    usage = {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 5,
    }
    assert decoded(
        CREATED,
        {"type": "response.in_progress", "response": {}},
        added({"type": "message", "id": "m1", "content": []}),
        {"type": "response.content_part.added", "item_id": "m1", "part": {}},
        delta("output_text", "Hel"),
        delta("output_text", "lo"),
        {"type": "response.output_text.done", "item_id": "m1", "text": "Hello"},
        {"type": "response.content_part.done", "item_id": "m1", "part": {}},
        done(MESSAGE),
        ended(output=[MESSAGE], usage=usage),
        DONE,
    ) == [
        RunStarted(run_id="resp_1", model="m"),
        TextDelta("Hel", "m1"),
        TextDelta("lo", "m1"),
        UsageReported(
            usage=Usage(
                input_tokens=3,
                output_tokens=2,
                total_tokens=5,
                cached_tokens=1,
                reasoning_tokens=1,
            ),
            model="m",
        ),
        RunFinished(),
    ]


def test_the_name_may_be_in_the_event_line() -> None:
    decoder = ResponsesDecoder(RunRequest(agent="m", prompt="p"))
    frame = ServerSentEvent("response.output_text.delta", '{"delta": "x"}', "", None)
    assert decoder.decode(frame) == [TextDelta("x", "output_0")]


def test_an_answer_in_the_dialect_of_mlflow() -> None:
    assert decoded(delta("output_text", "Hello"), done(MESSAGE), DONE) == [
        TextDelta("Hello", "m1"),
        RunFinished(),
    ]


def test_a_clean_end_of_whole_items_ends_a_run_that_named_no_beginning() -> None:
    assert decoded(delta("output_text", "Hello"), done(MESSAGE))[-1] == RunFinished()


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([CREATED, delta("output_text", "Hel")], id="no end"),
        pytest.param([CREATED, done(MESSAGE), DONE], id="only the end of the stream"),
        pytest.param([delta("output_text", "Hel")], id="an open item"),
        pytest.param([], id="nothing"),
    ],
)
def test_no_end_is_made_up(frames: list[dict[str, Any] | str]) -> None:
    events = decoded(*frames)
    assert not [event for event in events if isinstance(event, RunFinished | RunFailed)]


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        pytest.param([done(MESSAGE), ended(output=[MESSAGE])], "Hello", id="only the item"),
        pytest.param([ended(output=[MESSAGE])], "Hello", id="only the response"),
        pytest.param([delta("output_text", "He"), done(MESSAGE)], "Hello", id="half an item"),
        pytest.param(
            [delta("output_text", "He"), ended(output=[MESSAGE])], "Hello", id="half, then all"
        ),
        pytest.param(
            [delta("output_text", "Hello", item_id="x"), done(MESSAGE)], "Hello", id="another id"
        ),
        pytest.param([delta("output_text", "Other"), done(MESSAGE)], "Other", id="another text"),
    ],
)
def test_a_text_comes_once(frames: list[dict[str, Any] | str], text: str) -> None:
    assert fold(decoded(CREATED, *frames)).text == text


def test_a_refusal_is_no_answer() -> None:
    item = {"type": "message", "id": "m1", "content": [{"type": "refusal", "refusal": "I won't."}]}
    transcript = fold(decoded(delta("refusal", "I "), done(item)))
    assert (transcript.refusal, transcript.text) == ("I won't.", "")


def test_sources_come_once() -> None:
    source = {"type": "url_citation", "url": "https://example.com", "title": "Tea"}
    added = {"type": "response.output_text.annotation.added", "annotation": source}
    other = {"type": "file_citation", "filename": "tea.pdf"}
    text = {"type": "output_text", "text": "Tea.", "annotations": [source, other]}
    item = {"type": "message", "id": "m1", "content": [text]}
    events = [e for e in decoded(added, done(item)) if isinstance(e, CitationAdded)]
    assert events == [
        CitationAdded(url="https://example.com", title="Tea"),
        CitationAdded(title="tea.pdf"),
    ]


def test_a_generated_image() -> None:
    item = {"type": "image_generation_call", "id": "i", "result": "AAAA", "output_format": "webp"}
    transcript = fold(decoded(done(item)))
    assert [(each.url, each.content) for each in transcript.media] == [
        ("data:image/webp;base64,AAAA", b"\0\0\0")
    ]
    assert [(call.name, call.result) for call in transcript.tool_calls] == [
        ("image_generation", "")
    ]


def test_reasoning_and_its_summary_come_in_passages() -> None:
    events = decoded(
        CREATED,
        delta("reasoning_summary_text", "First.", item_id="r1", summary_index=0),
        delta("reasoning_summary_text", "Second.", item_id="r1", summary_index=1),
        done(
            {"type": "reasoning", "id": "r1", "summary": [{"text": "First."}, {"text": "Second."}]}
        ),
        delta("reasoning_text", "Third.", item_id="r2", content_index=0),
        done({"type": "reasoning", "id": "r3", "content": [{"type": "x", "text": "Fourth."}]}),
    )
    assert fold(events).reasoning == "First.\n\nSecond.\n\nThird.\n\nFourth."
    assert ReasoningDelta("Second.", "r1:1") in events


CALL = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "add", "arguments": ""}


def test_a_function_call_streams_its_arguments() -> None:
    whole = {**CALL, "arguments": '{"a": 1}'}
    assert decoded(
        added(CALL),
        delta("function_call_arguments", '{"a"', item_id="f1"),
        delta("function_call_arguments", ": 1}", item_id="f1"),
        {"type": "response.function_call_arguments.done", "item_id": "f1"},
        done(whole),
        done({"type": "function_call_output", "call_id": "c1", "output": "3"}),
        DONE,
    ) == [
        ToolCallStarted(call_id="c1", name="add"),
        ToolCallDelta(call_id="c1", arguments='{"a"'),
        ToolCallDelta(call_id="c1", arguments=": 1}"),
        ToolCallFinished(call_id="c1", result="3"),
        RunFinished(),
    ]


def test_arguments_that_did_not_stream_come_with_the_item() -> None:
    whole = {**CALL, "arguments": '{"a": 1}'}
    for frames in ([done(whole)], [added(CALL), done(whole)]):
        (call,) = fold(decoded(*frames, DONE)).tool_calls
        assert (call.call_id, call.arguments, call.status) == ("c1", '{"a": 1}', "abandoned")


def test_an_output_may_be_a_list_of_parts() -> None:
    parts = [{"type": "input_text", "text": "3"}, {"type": "input_text", "text": " and 4"}]
    item = {"type": "function_call_output", "call_id": "c1", "output": parts}
    assert fold(decoded(done(item))).tool_calls[0].result == "3 and 4"
    other = {"type": "function_call_output", "call_id": "c1", "output": [{"image": 1}]}
    assert fold(decoded(done(other))).tool_calls[0].result == '[{"image": 1}]'


@pytest.mark.parametrize(
    ("item", "name", "arguments", "result", "error"),
    [
        pytest.param(
            {"type": "web_search_call", "action": {"query": "tea"}},
            *("web_search", '{"query": "tea"}', "", None),
            id="web search",
        ),
        pytest.param(
            {"type": "file_search_call", "queries": ["tea"], "results": [{"text": "Green."}]},
            *("file_search", '["tea"]', "Green.", None),
            id="file search",
        ),
        pytest.param(
            {"type": "code_interpreter_call", "code": "1+1", "outputs": [{"logs": "2"}]},
            *("code_interpreter", "1+1", '[{"logs": "2"}]', None),
            id="code interpreter",
        ),
        pytest.param(
            {"type": "mcp_call", "name": "roll", "arguments": "{}", "output": "4"},
            *("roll", "{}", "4", None),
            id="mcp",
        ),
        pytest.param(
            {
                "type": "mcp_call",
                "name": "roll",
                "arguments": "{}",
                "error": {"message": "no dice"},
            },
            *("roll", "{}", "", "no dice"),
            id="mcp that fails",
        ),
        pytest.param(
            {"type": "web_search_call", "status": "failed"},
            *("web_search", "", "", "failed"),
            id="a failure without a reason",
        ),
    ],
)
def test_a_hosted_tool_ends_with_its_item(
    item: dict[str, Any], name: str, arguments: str, result: str, error: str | None
) -> None:
    progress = {"type": f"response.{item['type']}.in_progress", "item_id": "t1"}
    events = decoded(
        added({"type": item["type"], "id": "t1", "name": item.get("name")}),
        progress,
        done({**item, "id": "t1"}),
    )
    (call,) = fold(events).tool_calls
    assert (call.name, call.arguments, call.result, call.error) == (name, arguments, result, error)
    assert call.status == ("failed" if error else "completed")
    assert not [event for event in events if isinstance(event, RawEvent)]


def test_code_streams_as_the_arguments_of_its_call() -> None:
    item = {"type": "code_interpreter_call", "id": "t1", "code": "1+1"}
    events = decoded(
        added({**item, "code": ""}),
        delta("code_interpreter_call_code", "1+", item_id="t1"),
        delta("code_interpreter_call_code", "1", item_id="t1"),
        done(item),
    )
    assert fold(events).tool_calls[0].arguments == "1+1"


@pytest.mark.parametrize(
    ("frame", "end"),
    [
        pytest.param(
            ended("failed", error={"code": "server_error", "message": "It broke."}),
            RunFailed(message="It broke.", code="server_error"),
            id="failed",
        ),
        pytest.param(ended("failed"), RunFailed(message="The run failed."), id="no reason"),
        pytest.param(
            ended("incomplete", incomplete_details={"reason": "max_output_tokens"}),
            RunFailed(
                message="The answer is incomplete: max_output_tokens.",
                code="max_output_tokens",
                hint="Raise max_tokens.",
            ),
            id="incomplete",
        ),
        pytest.param(ended("cancelled"), RunCancelled(), id="cancelled"),
        pytest.param(
            {
                "type": "error",
                "code": "rate_limit_exceeded",
                "message": "Slow down.",
                "param": None,
            },
            RunFailed(message="Slow down.", code="rate_limit_exceeded"),
            id="error event",
        ),
        pytest.param(
            {"type": "error", "error": {"message": "Slow down.", "retry_after": 3}},
            RunFailed(message="Slow down.", retry_after=3.0),
            id="nested error",
        ),
        pytest.param({"error": "It broke."}, RunFailed(message="It broke."), id="MLflow's error"),
    ],
)
def test_a_run_ends_once(frame: dict[str, Any], end: Event) -> None:
    events = decoded(frame, ended(), {"error": "more"}, DONE)
    ends = [e for e in events if isinstance(e, RunFinished | RunFailed | RunCancelled)]
    assert ends == [end]


def test_a_response_that_is_not_streamed_is_decoded_alike() -> None:
    call = {**CALL, "arguments": "{}"}
    whole = {"object": "response", "id": "resp_1", "model": "m", "status": "completed"}
    events = decoded({**whole, "output": [call, MESSAGE], "usage": {"total_tokens": 5}})
    assert events == [
        RunStarted(run_id="resp_1", model="m"),
        ToolCallStarted(call_id="c1", name="add", arguments="{}"),
        TextDelta("Hello", "m1"),
        UsageReported(usage=Usage(total_tokens=5), model="m"),
        RunFinished(),
    ]


def test_a_response_in_the_background_has_not_ended() -> None:
    whole: dict[str, Any] = {"object": "response", "id": "resp_1", "status": "queued"}
    assert decoded({**whole, "output": []}) == [RunStarted(run_id="resp_1")]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param({"type": "response.new_thing", "x": 1}, id="unknown event"),
        pytest.param({"trace_id": "tr-1"}, id="MLflow's trace"),
        pytest.param(done({"type": "mcp_list_tools", "id": "t1"}), id="unknown item"),
    ],
)
def test_what_is_unknown_is_kept(frame: dict[str, Any]) -> None:
    (raw,) = decoded(frame, end=False)
    assert isinstance(raw, RawEvent)
    assert raw.problem is None


@pytest.mark.parametrize(
    "frame",
    [
        delta("output_text", None),
        delta("output_text", {"text": "x"}),
        delta("output_text", "x", item_id=["m1"]),
        {"type": "response.output_text.delta"},
        {"type": "response.output_item.done"},
        done({"id": "m1"}),
        done({"type": "message", "content": 3}),
        done({"type": "message", "content": ["x"]}),
        done({"type": "function_call_output"}),
        done({"type": 7}),
        {"type": "response.completed"},
        ended(output=[3]),
        ended("incomplete", incomplete_details="x"),
        "[1, 2]",
        "nonsense",
    ],
    ids=str,
)
def test_a_malformed_frame_is_reported_and_the_run_goes_on(frame: dict[str, Any] | str) -> None:
    events = decoded(CREATED, frame, delta("output_text", "Hi", item_id="m9"), ended())
    assert [e for e in events if isinstance(e, RawEvent) and e.problem]
    assert events[-1] == RunFinished()
    assert "Hi" in fold(events).text


def test_half_a_character_is_replaced() -> None:
    frame = '{"type": "response.output_text.delta", "item_id": "m1", "delta": "a\\ud83d"}'
    assert decoded(frame, end=False) == [TextDelta("a\ufffd", "m1")]
