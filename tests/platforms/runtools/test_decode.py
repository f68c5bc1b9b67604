"""What the decoder makes of each kind of frame, and of what no server should send."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import Transcript, fold
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    RawEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    event_to_dict,
)
from agentnb.platforms.runtools.decoder import Decoder, result_events
from agentnb.sse import ServerSentEvent
from tests.platforms.anything import JSON
from tests.platforms.recorded import decoded


def decode(sse: Iterable[ServerSentEvent]) -> list[Event]:
    return decoded(Decoder(), sse)


def named(kind: str, **payload: Any) -> ServerSentEvent:
    return ServerSentEvent(kind, json.dumps(payload), "", None)


def typed(kind: str, **payload: Any) -> ServerSentEvent:
    return ServerSentEvent("message", json.dumps({"type": kind, **payload}), "", None)


def run(*sse: ServerSentEvent) -> Transcript:
    return fold(decode(sse))


PAYLOADS: dict[str, dict[str, Any]] = {
    "thinking": {"content": "x"},
    "text_delta": {"content": "x"},
    "assistant_message_delta": {"delta": "x"},
    "tool_call": {"tool": "t", "input": {}},
    "tool_call_started": {"tool": "t"},
    "tool_result": {"output": "x"},
    "tool_output_delta": {"delta": "x"},
    "tool_call_completed": {"output": "x"},
    "file_edit": {"path": "p", "diff": "d"},
    "dev_url": {"url": "u"},
    "start": {"runId": "r"},
    "run_started": {"runId": "r"},
    "complete": {"output": "x"},
    "run_completed": {},
    "error": {"message": "m", "code": "c"},
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_every_kind_means_the_same_by_line_by_type_and_in_an_envelope(kind: str) -> None:
    payload = PAYLOADS[kind]
    expected = decode([named(kind, **payload)])
    assert expected
    assert not any(isinstance(event, RawEvent) for event in expected)
    assert decode([typed(kind, **payload)]) == expected
    assert decode([typed(kind, data=payload)]) == expected
    assert decode([typed(kind, payload=payload)]) == expected
    assert decode([named(kind.replace("_", "-"), **payload)]) == expected
    assert decode([named(kind.upper(), **payload)]) == expected
    assert decode([named(kind, type="unheard_of", **payload)]) == expected
    assert decode([named("agent_event", type=kind, **payload)]) == expected


def test_a_file_edit_and_an_address_stand_where_they_happened_with_what_they_are() -> None:
    transcript = run(
        named("text_delta", content="Before. "),
        named("file_edit", path="cli.ts", diff="+x", operation="create"),
        named("dev_url", url="https://x.example", port=3000),
        named("text_delta", content="After."),
    )
    assert [part.kind for part in transcript.parts] == ["text", "tool", "tool", "text"]
    edit, address = transcript.tool_calls
    assert (edit.name, edit.result, edit.status) == ("file_edit", "+x", "completed")
    assert json.loads(edit.arguments) == {"path": "cli.ts", "operation": "create"}
    assert (address.name, address.result) == ("dev_url", "https://x.example")
    assert json.loads(address.arguments) == {"port": 3000}


def test_a_completion_after_an_error_is_no_success() -> None:
    transcript = run(named("error", message="gone", code=17), named("complete", output="x"))
    assert transcript.status == "failed"
    assert transcript.failure is not None
    assert (transcript.failure.message, transcript.failure.code) == ("gone", "17")


def test_an_end_reported_twice_is_one_call() -> None:
    transcript = run(
        named("tool_call", tool="bash", input={}),
        named("tool_result", output="ok"),
        named("tool_call_completed", tool="bash"),
    )
    assert [(c.name, c.result, c.status) for c in transcript.tool_calls] == [
        ("bash", "ok", "completed")
    ]


@pytest.mark.parametrize(
    "payload",
    [{"error": "no"}, {"isError": True, "output": "no"}, {"success": False, "output": "no"}],
    ids=["error", "is-error", "no-success"],
)
def test_a_call_that_failed_says_so(payload: dict[str, Any]) -> None:
    (call,) = run(named("tool_call", tool="t"), named("tool_result", **payload)).tool_calls
    assert (call.status, call.error) == ("failed", "no")


def test_ids_from_the_headers_are_not_repeated_and_new_ones_are_yielded() -> None:
    decoder = Decoder(run_id="r", session_id="t")
    assert decoder.decode(named("start", runId="r", threadId="t")) == []
    assert decoder.decode(named("text_delta", content="x", runId="r")) == [TextDelta("x")]
    assert decoder.decode(named("run_started", threadId="t2")) == [
        RunStarted(run_id="r", session_id="t2")
    ]


def test_a_completion_that_says_it_failed_or_was_cancelled_is_none() -> None:
    failed = decode([named("complete", status="failed", error={"message": "m", "code": "c"})])
    assert failed == [RunFailed(message="m", code="c")]
    assert run(named("run_completed", status="canceled")).status == "cancelled"
    assert run(named("run_completed", status="running")).status == "completed"


@pytest.mark.parametrize("kind", ["complete", "error", "cancelled"])
def test_half_a_character_is_yielded_before_the_end(kind: str) -> None:
    events = decode([named("text_delta", content="a \ud83d"), named(kind)])
    assert events[:2] == [TextDelta("a "), TextDelta("\ufffd")]
    assert isinstance(events[2], TERMINAL_EVENTS)


@pytest.mark.parametrize(
    ("data", "text", "end"),
    [
        ({"data": {"runId": "r", "threadId": "t", "status": "completed", "result": "A"}}, "A", 1),
        ({"runId": "r", "threadId": "t", "status": "completed", "result": "A"}, "A", 1),
        ({"id": "r", "threadId": "t", "output": {"a": 1}}, '{"a": 1}', 1),
        ({"runId": "r", "threadId": "t", "status": "queued"}, "", 0),
    ],
    ids=["enveloped", "bare", "object", "queued"],
)
def test_a_whole_run_is_read_with_and_without_its_envelope(
    data: dict[str, Any], text: str, end: int
) -> None:
    events = result_events(data)
    assert events is not None
    assert events[0] == RunStarted(run_id="r", session_id="t")
    assert fold(events).text == text
    assert sum(isinstance(event, RunFinished) for event in events) == end


@pytest.mark.parametrize("data", [None, [], "x", {}, {"data": []}, {"status": 4}], ids=repr)
def test_what_is_no_run_is_not_taken_for_one(data: object) -> None:
    assert result_events(data) is None


@pytest.mark.parametrize(
    "data",
    [
        "[" * 100_000,
        '{"type":"text_delta","content":' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"type":"complete","usage":{"inputTokens":' + "9" * 5_000 + "}}",
        '{"type":"tool_call","tool":{}}',
        '{"type":"error","error":' + "[" * 400 + "]" * 400 + "}",
        '{"type":7}',
        "\x00",
    ],
    ids=["open-brackets", "deep", "huge-int", "tool-object", "deep-error", "type-number", "nul"],
)
def test_malformed_frames_are_kept_and_the_stream_continues(data: str) -> None:
    decoder = Decoder()
    assert decoder.decode(ServerSentEvent("message", data, "", None))
    assert decoder.decode(named("text_delta", content="on")) == [TextDelta("on")]


FIELDS = st.dictionaries(
    st.sampled_from(
        [
            *("type", "data", "payload", "content", "delta", "tool", "input", "output", "error"),
            *("id", "callId", "runId", "threadId", "url", "path", "diff", "usage", "status"),
            *("message", "code", "iterations", "durationMs", "model", "isError", "agent"),
        ]
    ),
    JSON,
    max_size=5,
)


@given(st.lists(st.tuples(st.sampled_from([*PAYLOADS, "usage", "odd"]), JSON | FIELDS), max_size=8))
def test_any_stream_is_decoded_without_an_error_and_can_be_stored(
    stream: list[tuple[str, Any]],
) -> None:
    decoder = Decoder()
    events: list[Event] = []
    for kind, payload in stream:
        events += decoder.decode(ServerSentEvent(kind, json.dumps(payload), "", None))
        events += decoder.decode(typed(kind, data=payload))
    events += decoder.finish()
    assert sum(isinstance(event, TERMINAL_EVENTS) for event in events) <= 1
    json.dumps([event_to_dict(event) for event in events], ensure_ascii=False).encode()
    json.dumps(fold(events).to_dict(), ensure_ascii=False).encode()


@given(JSON | FIELDS)
def test_any_answer_is_read_without_an_error_and_can_be_stored(data: Any) -> None:
    for events in (result_events(data), result_events({"data": data})):
        dicts = [event_to_dict(event) for event in events or ()]
        json.dumps(dicts, ensure_ascii=False).encode()


@pytest.mark.parametrize("duration", [10**400, 1e308, -1, "soon", True])
def test_a_duration_that_is_none_is_left_out(duration: object) -> None:
    (end,) = decode([typed("complete", output="x", duration_ms=duration)])
    assert isinstance(end, RunFinished)
    assert end.duration in (None, 1e305)
