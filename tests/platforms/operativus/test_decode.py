"""What the decoder makes of each kind of frame, and of what no server should send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import Transcript, fold
from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    RawEvent,
    RunCancelled,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallStarted,
    event_to_dict,
)
from agentnb.platforms.operativus.decoder import Decoder
from agentnb.sse import ServerSentEvent
from tests.platforms.anything import JSON
from tests.platforms.recorded import by_name, decoded


def recorded_events(name: str) -> list[Event]:
    return decoded(Decoder(session_id="sess_1"), by_name("operativus")[name])


def one(payload: object, *, event: str = "message") -> ServerSentEvent:
    return ServerSentEvent(event, json.dumps(payload), "", None)


def stream_event(kind: str, data: object) -> ServerSentEvent:
    return one({"event": kind, "data": data, "timestamp": 1746518400000})


def run(*events: ServerSentEvent) -> Transcript:
    return fold(decoded(Decoder(session_id="s"), events))


def test_the_api_pages_example_reads_as_the_page_says() -> None:
    transcript = fold(recorded_events("api_page"))
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
    events = recorded_events("error_then_stop")
    assert [type(e) for e in events if isinstance(e, TERMINAL_EVENTS)] == [RunFailed]
    assert fold(events).status == "failed"
    assert fold(events).text == "So far "


def test_a_stop_while_the_run_waits_for_a_person_does_not_complete_it() -> None:
    transcript = fold(recorded_events("paused"))
    assert transcript.status == "paused"
    assert transcript.approvals[0].approval_id == "appr_1"


def test_a_whole_response_in_stop_that_waits_for_a_person_does_not_complete_the_run() -> None:
    action = {"type": "TOOL_APPROVAL", "tool": "sell", "args": "{}", "approvalId": "a"}
    response = {"runId": "r", "status": "PAUSED", "metadata": {"requiredAction": action}}
    transcript = run(stream_event("START", ""), stream_event("STOP", json.dumps(response)))
    assert transcript.status == "paused"
    assert (transcript.approvals[0].tool, transcript.approvals[0].approval_id) == ("sell", "a")


def test_without_a_stop_there_is_no_end() -> None:
    events = recorded_events("truncated")
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
        Decoder(session_id="s"),
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
def test_malformed_frames_are_kept_and_the_stream_continues(data: str) -> None:
    decoder = Decoder(session_id="s")
    first = decoder.decode(ServerSentEvent("message", data, "", None))
    assert first
    for event in first:
        json.dumps(repr(event)).encode()
    assert decoder.decode(stream_event("CONTENT_DELTA", "on"))[-1] == TextDelta("on")
    assert isinstance(decoder.decode(stream_event("STOP", ""))[-1], RunFinished)


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
    events = recorded_events("tools")
    ids = [event.call_id for event in events if isinstance(event, ToolCallStarted)]
    assert len(ids) == len(set(ids)) == 7
    assert all(call.status != "running" for call in fold(events).tool_calls)


def test_an_unknown_kind_is_kept_without_a_problem() -> None:
    (event,) = Decoder().decode(stream_event("SOMETHING_NEW", "x"))
    assert isinstance(event, RawEvent)
    assert (event.name, event.problem) == ("SOMETHING_NEW", None)
    assert json.loads(event.data)["data"] == "x"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("CONTENT_DONE", ""),
        ("TOOL_START", "Initiating SEQUENTIAL Team Orchestration..."),
        ("METRICS", '{"llmCalls": 1}'),
    ],
)
def test_what_is_known_and_shows_nothing_is_no_event(kind: str, data: str) -> None:
    assert Decoder().decode(stream_event(kind, data)) == []


@pytest.mark.parametrize("kind", ["CONTENT_DELTA", "REASONING_DELTA"])
@pytest.mark.parametrize("data", [None, 7, True, ["x"], {"text": "x"}])
def test_a_fragment_that_is_no_text_is_kept_raw(kind: str, data: object) -> None:
    (event,) = Decoder().decode(stream_event(kind, data))
    assert isinstance(event, RawEvent)
    assert (event.name, json.loads(event.data)["data"]) == (kind, data)
    assert event.problem == "data: Input should be a valid string"


@pytest.mark.parametrize(
    ("kind", "run_id", "kept"),
    [
        ("LLM_REQUEST", "run_1", []),
        ("TASK_UPDATED", "run_1", []),
        ("RUN_START", "run_2", []),
        ("RUN_COMPLETE", "run_2", []),
        ("BUDGET_EXCEEDED", "run_1", ["BUDGET_EXCEEDED"]),
    ],
)
def test_of_a_joined_run_only_what_is_unknown_is_kept_raw(
    kind: str, run_id: str, kept: list[str]
) -> None:
    decoder = Decoder(session_id="s", run_id="run_1")
    events = decoder.decode(one({"eventType": kind, "runId": run_id, "payload": {}}))
    assert [event.name for event in events if isinstance(event, RawEvent)] == kept
    assert len(events) == len(kept)
