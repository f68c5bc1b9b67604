"""The decoder on recorded streams: whole, cut anywhere, and on what no server should send."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.events import (
    TERMINAL_EVENTS,
    Event,
    RawEvent,
    RunCancelled,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallStarted,
    event_from_dict,
    event_to_dict,
)
from agentnb.platforms.operativus.decode import Decoder
from agentnb.sse import Decoder as SseDecoder
from agentnb.sse import ServerSentEvent
from agentnb.transcript import Transcript, fold

FIXTURES = Path(__file__).parents[2] / "fixtures" / "operativus"
RECORDED = sorted(path.stem for path in FIXTURES.glob("*.sse"))


def frames(data: bytes) -> list[ServerSentEvent]:
    return SseDecoder().feed(data)


def decoder_for(name: str) -> Decoder:
    return Decoder(session_id="sess_1", run_id="run_1" if name.startswith("joined") else None)


def decoded(name: str, sse: Iterable[ServerSentEvent]) -> list[Event]:
    decoder = decoder_for(name)
    events = [event for frame in sse for event in decoder.decode(frame)]
    return events + decoder.finish()


def one(payload: object, *, event: str = "message") -> ServerSentEvent:
    return ServerSentEvent(event, json.dumps(payload), "", None)


def stream_event(kind: str, data: object) -> ServerSentEvent:
    return one({"event": kind, "data": data, "timestamp": 1746518400000})


def run(*events: ServerSentEvent) -> Transcript:
    decoder = Decoder(session_id="s")
    return fold([e for event in events for e in decoder.decode(event)] + decoder.finish())


def test_there_is_something_recorded() -> None:
    assert {"api_page", "server", "team", "joined"} <= set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_stream_becomes_the_expected_events(name: str) -> None:
    expected = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    actual = decoded(name, frames((FIXTURES / f"{name}.sse").read_bytes()))
    assert actual == [event_from_dict(item) for item in expected]


@pytest.mark.parametrize("name", RECORDED)
def test_every_prefix_of_a_recorded_stream_is_decoded_and_invents_no_end(name: str) -> None:
    data = (FIXTURES / f"{name}.sse").read_bytes()
    whole = frames(data)
    full = decoded(name, whole)
    ends = sum(isinstance(event, TERMINAL_EVENTS) for event in full)
    assert ends <= 1
    for count in range(len(whole)):
        events = decoded(name, whole[:count])
        assert sum(isinstance(event, TERMINAL_EVENTS) for event in events) <= ends
        # Half a character, where the stream ends between its halves, is shown as U+FFFD.
        assert fold(full).text.startswith(fold(events).text.removesuffix("\ufffd"))


def test_the_api_pages_example_reads_as_the_page_says() -> None:
    transcript = fold(decoded("api_page", frames((FIXTURES / "api_page.sse").read_bytes())))
    assert (
        transcript.text == "The current stock price of NVIDIA (NVDA) is **$875.40**, up 2.3% today."
    )
    assert transcript.run_id == "run_abc123"
    assert transcript.session_id == "sess_xyz"
    assert transcript.status == "completed"
    (call,) = transcript.tool_calls
    assert (call.name, json.loads(call.arguments), call.result) == (
        "get_stock_price",
        {"ticker": "NVDA"},
        "875.40",
    )


def test_a_stop_after_an_error_is_no_success() -> None:
    events = decoded("", frames((FIXTURES / "error_then_stop.sse").read_bytes()))
    assert [type(e) for e in events if isinstance(e, TERMINAL_EVENTS)] == [RunFailed]
    assert fold(events).status == "failed"
    assert fold(events).text == "So far "


def test_a_stop_while_the_run_waits_for_a_person_does_not_complete_it() -> None:
    transcript = fold(decoded("", frames((FIXTURES / "paused.sse").read_bytes())))
    assert transcript.status == "paused"
    assert transcript.approvals[0].approval_id == "appr_1"


def test_a_whole_response_in_stop_that_waits_for_a_person_does_not_complete_the_run() -> None:
    action = {"type": "TOOL_APPROVAL", "tool": "sell", "args": "{}", "approvalId": "a"}
    response = {"runId": "r", "status": "PAUSED", "metadata": {"requiredAction": action}}
    transcript = run(stream_event("START", ""), stream_event("STOP", json.dumps(response)))
    assert transcript.status == "paused"
    assert (transcript.approvals[0].tool, transcript.approvals[0].approval_id) == ("sell", "a")


def test_without_a_stop_there_is_no_end() -> None:
    events = decoded("", frames((FIXTURES / "truncated.sse").read_bytes()))
    assert not any(isinstance(event, TERMINAL_EVENTS) for event in events)


def test_a_response_that_failed_or_was_cancelled_ends_the_run_so() -> None:
    failed = run(stream_event("STOP", json.dumps({"status": "FAILED", "content": "no"})))
    assert failed.failure is not None
    assert failed.failure.message == "no"
    cancelled = run(stream_event("STOP", json.dumps({"status": "CANCELLED"})))
    assert isinstance(cancelled.cancelled, RunCancelled)


def test_what_was_streamed_is_not_repeated_from_the_response_in_stop() -> None:
    response = {
        "runId": "r",
        "content": "All.",
        "reasoningSteps": ["Thought."],
        "tools": [{"toolName": "look", "toolInput": "{}", "toolOutput": "1"}],
        "status": "COMPLETED",
    }
    transcript = run(
        stream_event("REASONING_DELTA", "Thought."),
        stream_event("TOOL_START", json.dumps({"name": "look", "arguments": {}})),
        stream_event("TOOL_END", json.dumps({"name": "look", "result": "1"})),
        stream_event("CONTENT_DELTA", "All."),
        stream_event("STOP", json.dumps(response)),
    )
    assert transcript.reasoning == "Thought."
    assert [call.name for call in transcript.tool_calls] == ["look"]
    assert transcript.text == "All."


def test_a_stop_that_cannot_be_read_still_ends_the_run_and_is_kept() -> None:
    transcript = run(stream_event("STOP", json.dumps({"status": 7, "followups": ["a"]})))
    assert transcript.status == "completed"
    assert transcript.raw_events[0].problem is not None


def test_followups_of_several_events_add_up() -> None:
    transcript = run(
        stream_event("FOLLOWUP_SUGGESTION", json.dumps(["a", "b"])),
        stream_event("FOLLOWUP_SUGGESTION", "and c?"),
        stream_event("STOP", json.dumps({"followups": [{"question": "d"}, "a"]})),
    )
    assert transcript.followups == ("a", "b", "and c?", "d")


def test_a_call_that_began_as_a_sentence_is_completed_by_the_runs_success_alone() -> None:
    start = stream_event("TOOL_START", "Executing Tool: get_stock_price")
    done = run(start, stream_event("STOP", ""))
    assert [call.status for call in done.tool_calls] == ["completed"]
    failed = run(start, stream_event("ERROR", "no"), stream_event("STOP", ""))
    assert [call.status for call in failed.tool_calls] == ["abandoned"]


def test_whole_content_at_its_end_fills_an_answer_that_was_not_streamed() -> None:
    transcript = run(stream_event("CONTENT_DONE", "Everything."), stream_event("STOP", ""))
    assert transcript.text == "Everything."


def test_a_second_error_is_kept_raw() -> None:
    transcript = run(stream_event("ERROR", "first"), stream_event("ERROR", "second"))
    assert transcript.failure is not None
    assert transcript.failure.message == "first"
    assert [raw.data for raw in transcript.raw_events] == ["second"]


def test_a_record_of_an_end_that_was_streamed_is_no_second_end() -> None:
    events = decoded(
        "",
        [
            stream_event("STOP", ""),
            one({"eventType": "RUN_COMPLETE", "runId": "r", "payload": {}}),
            one({"eventType": "TOOL_INVOKED", "runId": "r", "payload": {"toolName": "late"}}),
        ],
    )
    assert [type(event) for event in events] == [RunFinished, ToolCallStarted]


def test_a_long_error_is_one_bounded_line_and_kept_whole_beside_it() -> None:
    text = "java.lang.IllegalStateException:\n" + "at something " * 100
    transcript = run(stream_event("ERROR", text))
    assert transcript.failure is not None
    assert len(transcript.failure.message) <= 300
    assert "\n" not in transcript.failure.message
    assert transcript.failure.details == {"message": text}


def test_an_id_that_is_the_events_own_does_not_hide_the_call_that_ended() -> None:
    transcript = run(
        stream_event("TOOL_START", json.dumps({"id": "e1", "name": "look", "arguments": {}})),
        stream_event("TOOL_END", json.dumps({"id": "e2", "name": "look", "result": 1})),
    )
    assert [(c.call_id, c.result) for c in transcript.tool_calls] == [("e1", "1")]


@pytest.mark.parametrize(
    "data",
    [
        "[" * 100_000,
        '{"event":"CONTENT_DELTA","data":' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"event":"METRICS","data":' + json.dumps('{"inputTokens":' + "9" * 5_000 + "}") + "}",
        '{"event":"CONTENT_DELTA","data":"x","timestamp":' + "9" * 5_000 + "}",
        '{"event":"START","data":{"runId":{},"sessionId":[]}}',
        '{"event":"TOOL_END","data":' + json.dumps('{"name":[],"result":1}') + "}",
        '{"event":null}',
        '{"eventType":"TOOL_INVOKED","payload":{"toolName":null}}',
        '{"eventType":"RUN_COMPLETE","payload":"text"}',
        "\x00",
    ],
    ids=[
        "open-brackets",
        "deep",
        "huge-int",
        "huge-timestamp",
        "wrong-ids",
        "tool-name-list",
        "null-tag",
        "no-tool-name",
        "payload-text",
        "nul",
    ],
)
def test_what_no_server_should_send_is_kept_and_the_stream_goes_on(data: str) -> None:
    decoder = Decoder(session_id="s")
    first = decoder.decode(ServerSentEvent("message", data, "", None))
    assert first
    for event in first:
        json.dumps(repr(event)).encode()
    assert decoder.decode(stream_event("CONTENT_DELTA", "on"))[-1] == TextDelta("on")
    assert isinstance(decoder.decode(stream_event("STOP", ""))[-1], RunFinished)


# Half characters too: a server that slices by UTF-16 units sends them as JSON escapes.
TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TAGS = st.sampled_from(
    [
        *("START", "REASONING_DELTA", "CONTENT_DELTA", "CONTENT_DONE", "TOOL_START", "TOOL_END"),
        *("TOOL_ERROR", "FOLLOWUP_SUGGESTION", "METRICS", "PAUSED", "AGENT_SWITCH", "CANCELLED"),
        *("STOP", "ERROR", "NEW", "message"),
    ]
)
TOOL = st.fixed_dictionaries(
    {},
    optional={
        "name": JSON,
        "toolName": JSON,
        "id": JSON,
        "toolCallId": JSON,
        "result": JSON,
        "error": JSON,
        "status": JSON,
        "content": JSON,
        "tools": JSON,
        "metadata": JSON,
        "followups": JSON,
    },
)


@given(st.lists(st.tuples(TAGS, JSON | TOOL | TOOL.map(json.dumps), TAGS), max_size=8))
def test_any_stream_is_decoded_without_an_error_and_can_be_stored(
    stream: list[tuple[str, object, str]],
) -> None:
    decoder = Decoder(session_id="s")
    events: list[Event] = []
    for tag, data, name in stream:
        events += decoder.decode(one({"event": tag, "data": data, "timestamp": 1}))
        events += decoder.decode(one(data, event=name))
    events += decoder.finish()
    assert sum(isinstance(event, TERMINAL_EVENTS) for event in events) <= 1
    json.dumps([event_to_dict(event) for event in events], ensure_ascii=False).encode()
    json.dumps(fold(events).to_dict(), ensure_ascii=False).encode()


@given(st.text())
def test_any_text_is_decoded_without_an_error(text: str) -> None:
    for name in ("message", "CONTENT_DELTA", "TOOL_START", "RUN_START"):
        Decoder().decode(ServerSentEvent(name, text, "", None))


def test_ten_thousand_deltas_become_as_many() -> None:
    decoder = Decoder()
    frame = stream_event("CONTENT_DELTA", "ab ")
    events = [event for _ in range(10_000) for event in decoder.decode(frame)]
    assert fold(events).text == "ab " * 10_000


def test_calls_are_announced_once_each() -> None:
    events = decoded("", frames((FIXTURES / "tools.sse").read_bytes()))
    ids = [event.call_id for event in events if isinstance(event, ToolCallStarted)]
    assert len(ids) == len(set(ids)) == 7
    assert all(call.status != "running" for call in fold(events).tool_calls)


def test_an_unknown_kind_is_kept_without_a_problem() -> None:
    (event,) = Decoder().decode(stream_event("SOMETHING_NEW", "x"))
    assert isinstance(event, RawEvent)
    assert (event.name, event.problem) == ("SOMETHING_NEW", None)
    assert json.loads(event.data)["data"] == "x"
